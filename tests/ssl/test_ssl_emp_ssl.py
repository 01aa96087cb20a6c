import numpy as np
import pytest
import torch

from tinyedge.ssl.base import Batch
from tinyedge.ssl.emp_ssl import agreement_with_mean, total_coding_rate
from tinyedge.ssl.registry import create_method


def unit(*shape, dtype=torch.float64):
    z = torch.randn(*shape, dtype=dtype)
    return z / z.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize(("batch", "width", "eps"), [(1, 3, 0.2), (5, 9, 0.2), (33, 7, 0.5), (16, 16, 0.01)])
def test_coding_rate_matches_numpy(batch, width, eps):
    z = unit(2, batch, width)
    for embeddings, rate in zip(z.numpy(), total_coding_rate(z, eps), strict=True):
        matrix = np.eye(width) + width / (batch * eps) * embeddings.T @ embeddings
        assert float(rate) == pytest.approx(0.5 * np.linalg.slogdet(matrix)[1], rel=1e-9)


def test_coding_rate_is_largest_for_embeddings_without_a_common_direction():
    spread, some, same = torch.eye(8), unit(8, 8, dtype=torch.float32), torch.eye(8)[:1].expand(8, 8)
    rates = [float(total_coding_rate(z, 0.2)) for z in (spread, some, same)]
    assert rates[0] == pytest.approx(4 * np.log(1 + 1 / 0.2))  # every eigenvalue of Z^T Z is 1
    assert rates[2] == pytest.approx(0.5 * np.log(1 + 8 / 0.2), rel=1e-5)
    assert rates[0] > rates[1] > rates[2]


def test_coding_rate_and_its_gradient_are_finite_for_collapsed_embeddings():
    z = torch.ones(3, 300, 256).mul(1 / 16).requires_grad_()
    rate = total_coding_rate(z, 0.2)
    rate.sum().backward()
    assert rate.isfinite().all()
    assert z.grad.isfinite().all()


def test_agreement_by_hand():
    z = torch.tensor([[[1.0, 0]], [[0.0, 1]]])  # two crops at a right angle: each is 45 degrees off their mean
    assert float(agreement_with_mean(z)) == pytest.approx(0.5**0.5)
    assert float(agreement_with_mean(unit(1, 6, 4).expand(3, 6, 4))) == pytest.approx(1)


@pytest.mark.parametrize(("patches", "batch", "width"), [(2, 3, 5), (8, 17, 6)])
def test_terms_are_those_of_lightly(patches, batch, width):
    module = pytest.importorskip("lightly.loss.emp_ssl_loss")
    z = unit(patches, batch, width, dtype=torch.float32)
    torch.testing.assert_close(total_coding_rate(z, 0.2).mean(), module.tcr_loss(z, eps=0.2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(-agreement_with_mean(z), module.invariance_loss(z))


def test_the_loss_rewards_agreement_and_rate_and_takes_one_pass(toy_encoder):
    method = create_method("emp-ssl", toy_encoder, {"patches": 4, "invariance_weight": 2.0, "rate_weight": 0.03})
    passes = []
    toy_encoder.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    views = tuple(torch.randn(4, 6, 3, 16, 16))
    result = method.train()(Batch(views, torch.arange(6), None), torch.Generator(), 0.0)
    assert passes == [24]
    metrics = {key: value.item() for key, value in result.metrics.items()}
    assert metrics["loss"] == pytest.approx(-2 * metrics["patch_agreement"] - 0.03 * metrics["coding_rate"], rel=1e-5)
    # Each crop of an image, and each image of a crop, is where the terms expect it.
    embeddings = method.projector(toy_encoder(torch.cat(views))).detach()
    z = torch.stack([part / part.norm(dim=1, keepdim=True) for part in embeddings.chunk(4)])
    assert metrics["patch_agreement"] == pytest.approx(agreement_with_mean(z).item(), rel=1e-4)
    assert metrics["coding_rate"] == pytest.approx(total_coding_rate(z, 0.2).mean().item(), rel=1e-4)


def test_as_many_views_as_patches(toy_encoder):
    assert len(create_method("emp-ssl", toy_encoder).views) == 8
    assert len(create_method("emp-ssl", toy_encoder, {"patches": 20}).views) == 20
