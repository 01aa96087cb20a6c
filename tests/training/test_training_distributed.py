"""Two real processes over gloo against one process at the same global batch."""

from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from closeness import FLOAT32_EPSILON, assert_gradients_close
from ranks import mean_of_all, run_ranks
from torch import nn

from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import TrainingError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.distributed import gather_rows, mean_over_ranks, own_rows
from tinyedge.ssl.registry import create_method
from tinyedge.training.batch_norm import batch_statistics, synchronised_batch_norm
from tinyedge.training.failure import RankFailures

WORLD = 2
NORMS = {
    "2d": (lambda: nn.BatchNorm2d(5), (6, 5, 3, 7)),
    "2d of one pixel": (lambda: nn.BatchNorm2d(3), (4, 3, 1, 1)),
    "1d": (lambda: nn.BatchNorm1d(4, momentum=0.3, eps=1e-3), (6, 4)),
    "cumulative": (lambda: nn.BatchNorm1d(4, momentum=None), (8, 4)),
    "without affine": (lambda: nn.BatchNorm2d(2, affine=False), (4, 2, 5, 5)),
    "without statistics": (lambda: nn.BatchNorm2d(2, track_running_stats=False), (4, 2, 5, 5)),
    "large mean": (lambda: nn.BatchNorm2d(3), (4, 3, 5, 5)),
}
# Narrow networks behind the encoder: their gradients are most of what the ranks exchange.
METHODS = {
    "s0-literal": {"decoder_width": 64},
    "s0": {"decoder_width": 64, "code_atoms": 16, "code_coordinates": 8},
    "s0-plus": {"decoder_width": 64, "projector_width": 64},
    "simclr": {"projector_hidden": 64},
    "vicreg": {"projector_width": 64},
    "vicreg-dual": {"projector_width": 64},
    "vicreg-gating": {"projector_width": 64},
}


def norm_inputs(name):
    generator = torch.Generator().manual_seed(3)
    x = 3 * torch.randn(NORMS[name][1], generator=generator) + 1
    if name == "large mean":
        x += 1000
    return x, torch.randn(x.shape, generator=generator)


def norm_step(name, rows):
    """Two training steps of a norm and the gradients of a loss over its output; float32."""
    torch.manual_seed(0)
    module = nn.Sequential(NORMS[name][0]())
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x, weight = norm_inputs(name)
    with synchronised_batch_norm(module):
        module(rows(x) * 2)
        with batch_statistics(module) if module[0].track_running_stats else synchronised_batch_norm(module):
            module(rows(x) * 7)
        own = rows(x).clone().requires_grad_()
        out = module(own)
        (out * rows(weight)).sum().backward()
    assert type(module[0]) is type(NORMS[name][0]())
    gradients = [parameter.grad for parameter in module.parameters()]
    return out.detach(), own.grad, gradients, module.state_dict()


def method_step(name, rows):
    """The loss of a method on one batch, its gradients and its state after it; the networks in float64."""
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=16, strides=(2, 2, 2, 1, 1))  # As coarse as tokens allow.
    method = create_method(name, encoder, METHODS[name])
    method.prepare(torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8), (0.5,) * 3, (0.29,) * 3)
    method.double().train()
    views = torch.randn(len(method.views), 12, 3, 16, 16, dtype=torch.float64)
    batch = Batch(tuple(rows(view) for view in views), rows(torch.arange(12)), None)
    with synchronised_batch_norm(method):
        result = method(batch, torch.Generator().manual_seed(5), 0.3)
        result.loss.backward()
    return (
        result.loss.detach(),
        {key: value.grad for key, value in method.named_parameters() if value.requires_grad},
        method.state_dict(),
    )


def two_ranks(rank, folder):
    """What each rank computes, saved for the tests to compare."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    result = {f"norm {name}": norm_step(name, own_rows) for name in NORMS}
    for name in METHODS:
        loss, gradients, state = method_step(name, own_rows)
        result[f"method {name}"] = (
            mean_over_ranks(loss),
            mean_of_all(gradients),
            state,
        )
    x = own_rows(torch.arange(24.0).reshape(6, 4)).requires_grad_()
    gathered = gather_rows(x)
    (gathered * torch.arange(24.0).reshape(6, 4) ** 2).sum().backward()
    result["gather"] = gathered.detach(), x.grad
    failures = RankFailures(SimpleNamespace(world_size=WORLD, device=torch.device("cpu")))
    with failures.raised_on_all_ranks():
        pass
    with pytest.raises(TrainingError, match="rank 1 cannot go on"), failures.raised_on_all_ranks():
        if rank == 1:
            raise TrainingError("rank 1 cannot go on")
    torch.save(result, f"{folder}/rank{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(two_ranks, folder, WORLD)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(WORLD)]


def interleave(shares):
    return torch.stack(shares, dim=1).flatten(0, 1)


@pytest.mark.parametrize("name", NORMS)
def test_batch_norm_sees_the_whole_batch(ranks, name):
    out, gradient, gradients, state = norm_step(name, lambda x: x)
    shares = [rank[f"norm {name}"] for rank in ranks]
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if name == "large mean" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(interleave([share[0] for share in shares]), out, **tolerance)
    torch.testing.assert_close(interleave([share[1] for share in shares]), gradient, **tolerance)
    for index, expected in enumerate(gradients):
        torch.testing.assert_close(sum(share[2][index] for share in shares), expected, **tolerance)
    for share in shares:
        assert list(share[3]) == list(state)
        for key, value in state.items():
            torch.testing.assert_close(share[3][key], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_two_ranks_have_the_loss_and_the_gradient_of_one(ranks, name):
    loss, gradients, state = method_step(name, lambda x: x)
    for rank in ranks:
        other_loss, other_gradients, other_state = rank[f"method {name}"]
        # The networks are float64; embeddings and masks are rounded to float32, which the order of a sum can tip over.
        torch.testing.assert_close(other_loss, loss, rtol=8 * FLOAT32_EPSILON, atol=0)
        assert_gradients_close(other_gradients, gradients, 16 * FLOAT32_EPSILON)
        for key, value in state.items():
            torch.testing.assert_close(other_state[key], value, msg=key)


def test_gathered_rows_are_in_the_order_of_the_global_batch(ranks):
    whole = torch.arange(24.0).reshape(6, 4)
    for rank, result in enumerate(ranks):
        gathered, gradient = result["gather"]
        assert torch.equal(gathered, whole)
        assert torch.equal(gradient, WORLD * whole[rank::WORLD] ** 2)  # of the sum of both ranks' losses


def test_one_rank_changes_nothing():
    module = nn.BatchNorm2d(3)
    with synchronised_batch_norm(module):
        assert type(module) is nn.BatchNorm2d
    x = torch.randn(4, 2, requires_grad=True)
    assert gather_rows(x) is x
    assert own_rows(x) is x
    failures = RankFailures(SimpleNamespace(world_size=1))
    with pytest.raises(TrainingError), failures.held():
        raise TrainingError("at once")
