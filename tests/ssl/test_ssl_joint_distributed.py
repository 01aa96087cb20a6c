"""Two real processes over gloo compute what one computes at the same global batch."""

import pytest
import torch
import torch.distributed as dist
from closeness import assert_gradients_close
from ranks import mean_of_all, run_ranks

from tinyedge.data.dataset import ImageSplit
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.base import Batch
from tinyedge.ssl.distributed import mean_over_ranks, own_rows
from tinyedge.ssl.registry import create_method
from tinyedge.training.batch_norm import synchronised_batch_norm

WORLD = 2
CASES = {
    "byol": ("byol", {"projector_hidden": 64}),
    "emp-ssl": ("emp-ssl", {"patches": 3, "projector_hidden": 64}),
    "cass": ("cass", {"partner": "mobilenetv2_035"}),
    "cass of two views": ("cass", {"partner": "mobilenetv2_035", "views": 2, "guard": "decorrelate"}),
    "supervised": ("supervised", {}),
}


def step(case, rows):
    """The loss of one batch, its gradients, and the state after the step; networks in float64, losses in float32."""
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=16, strides=(2, 2, 2, 2, 1))
    name, options = CASES[case]
    method = create_method(name, encoder, options)
    labels = torch.arange(12) % 4
    method.training_split(ImageSplit(torch.zeros(12, 3, 16, 16, dtype=torch.uint8), labels), 0)
    method = method.double().train()
    views = torch.randn(len(method.views), 12, 3, 16, 16, dtype=torch.float64)
    batch = Batch(tuple(rows(view) for view in views), rows(torch.arange(12)), rows(labels))
    with synchronised_batch_norm(method):
        result = method(batch, torch.Generator().manual_seed(5), 0.3)
        result.loss.backward()
    method.after_step({key: mean_over_ranks(value) for key, value in result.metrics.items()})
    gradients = {key: value.grad for key, value in method.named_parameters() if value.requires_grad}
    return (
        mean_over_ranks(result.loss.detach()),
        mean_of_all(gradients),
        method.state_dict(),
    )


def one_rank(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    torch.save({case: step(case, own_rows) for case in CASES}, f"{folder}/rank{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(one_rank, folder, WORLD)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(WORLD)]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_compute_what_one_does(ranks, case):
    loss, gradients, state = step(case, lambda x: x)
    for rank in ranks:
        rank_loss, rank_gradients, rank_state = rank[case]
        torch.testing.assert_close(rank_loss, loss, rtol=1e-5, atol=1e-5)
        assert_gradients_close(rank_gradients, gradients, 1e-4)  # The losses are float32, in another order.
        for key, value in state.items():
            torch.testing.assert_close(rank_state[key], value, rtol=1e-5, atol=1e-6)
