import numpy as np
import pytest
import torch

from tinyedge.errors import TrainingError
from tinyedge.ssl.collapse import check_collapse, effective_rank, mean_feature_std
from tinyedge.ssl.decoder import PretextDecoder, sincos_position, upsample_tokens
from tinyedge.ssl.gradient_reversal import reversal_scale, reverse_gradient
from tinyedge.ssl.vicreg import Projector, covariance_loss, invariance_loss, variance_loss


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_gradient_reversal_keeps_the_value_and_turns_the_gradient(scale):
    x = torch.randn(5, requires_grad=True)
    y = reverse_gradient(x, scale)
    assert torch.equal(y, x)
    weights = torch.randn(5)
    (y * weights).sum().backward()
    torch.testing.assert_close(x.grad, -scale * weights)


def test_reversal_ramps_from_nothing_to_nearly_one():
    ramp = [reversal_scale(p / 100) for p in range(101)]
    assert ramp[0] == 0
    assert ramp == sorted(ramp)
    assert ramp[10] == pytest.approx(np.tanh(0.5))  # 2 / (1 + e^-x) - 1 = tanh(x / 2)
    assert 0.999 < ramp[-1] < 1


def test_vicreg_terms_by_hand_on_a_4_by_3_batch():
    z1 = torch.tensor([[1.0, 0, 2], [3, 0, 0], [1, 0, 2], [3, 4, 0]])
    z2 = torch.tensor([[1.0, 1, 2], [3, 0, 0], [1, 0, 2], [3, 4, 3]])
    # Differences: one of 1 and one of 3 among 12.
    assert float(invariance_loss(z1, z2)) == pytest.approx(10 / 12)
    # Variances of z1 with n - 1 = 3: 4/3, 4, 4/3: all deviations are above 1.
    assert float(variance_loss(z1)) == 0
    # z1 / 10: deviations sqrt(0.04/3 + 1e-4) twice and sqrt(0.04 + 1e-4).
    by_hand = (2 * (1 - (0.04 / 3 + 1e-4) ** 0.5) + 1 - (0.04 + 1e-4) ** 0.5) / 3
    assert float(variance_loss(z1 / 10)) == pytest.approx(by_hand)
    # Centred columns: (-1, 1, -1, 1), (-1, -1, -1, 3), (1, -1, 1, -1): covariances 4/3, -4/3, -4/3.
    assert float(covariance_loss(z1)) == pytest.approx(6 * (4 / 3) ** 2 / 3, rel=1e-5)


@pytest.mark.parametrize(("batch", "width"), [(2, 1), (3, 2), (17, 5), (64, 33)])
def test_vicreg_terms_match_a_naive_reference(batch, width):
    z = torch.randn(batch, width, dtype=torch.float64)
    covariance = np.cov(z.numpy(), rowvar=False).reshape(width, width)
    off = sum(covariance[i, j] ** 2 for i in range(width) for j in range(width) if i != j)
    assert float(covariance_loss(z)) == pytest.approx(off / width, abs=1e-12)
    hinge = [max(0, 1 - (covariance[i, i] + 1e-4) ** 0.5) for i in range(width)]
    assert float(variance_loss(z)) == pytest.approx(sum(hinge) / width)


def test_projector_shape_and_parameters():
    projector = Projector(192, 1024)
    assert projector(torch.randn(4, 192)).shape == (4, 1024)
    assert sum(p.numel() for p in projector.parameters()) == 192 * 1024 + 2 * 1024 + 1024 * 1024 + 1024


def test_feature_std_of_healthy_and_collapsed_features():
    healthy = torch.randn(512, 256)
    assert float(mean_feature_std(healthy)) == pytest.approx(1 / 16, rel=0.05)
    check_collapse(float(mean_feature_std(healthy)), 256, step=1)
    collapsed = torch.ones(512, 256) + 0.01 * torch.randn(512, 256)
    with pytest.raises(TrainingError, match="collapsed at step 7"):
        check_collapse(float(mean_feature_std(collapsed)), 256, step=7)


@pytest.mark.parametrize("shape", [(200, 6), (5, 30)])
def test_effective_rank_matches_the_singular_values(shape):
    features = torch.randn(shape) * torch.linspace(0.1, 2, shape[1])
    singular = np.linalg.svd(features.numpy() - features.numpy().mean(0), compute_uv=False)
    share = singular[singular > 1e-4] / singular.sum()
    assert float(effective_rank(features)) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-2)


def test_effective_rank_counts_directions():
    directions = torch.linalg.qr(torch.randn(50, 4)).Q
    features = torch.linalg.qr(torch.randn(300, 4) - 0).Q @ directions.T
    assert float(effective_rank(features)) == pytest.approx(4, rel=0.05)
    assert float(effective_rank(torch.ones(9, 5))) == pytest.approx(1, abs=1e-3)


def test_upsampling_repeats_tokens_to_their_cells():
    tokens = torch.arange(4.0).reshape(1, 4, 1)
    rows = upsample_tokens(tokens, 2, 4).reshape(4, 4)
    assert rows.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_positions_are_distinct_and_bounded():
    position = sincos_position(8, 192)
    assert position.shape == (64, 192)
    assert position.abs().max() <= 1
    assert torch.cdist(position, position).add(torch.eye(64)).min() > 0.1
    # The first half of the channels depends on the row alone, the second on the column alone.
    grid = position.reshape(8, 8, 192)
    assert torch.equal(grid[:, :1, :96].expand(8, 8, 96), grid[:, :, :96])
    assert torch.equal(grid[:1, :, 96:].expand(8, 8, 96), grid[:, :, 96:])


def test_decoder_maps_coarse_tokens_to_the_fine_grid():
    decoder = PretextDecoder(24, 2, 4, width=32, layers=2, heads=8, mlp_ratio=2)
    assert decoder(torch.randn(3, 4, 24)).shape == (3, 16, 32)
    standard = PretextDecoder(192, 8, 8, width=192, layers=2, heads=8, mlp_ratio=2)
    assert (
        sum(p.numel() for p in standard.parameters())
        == 2 * (4 * 192 * 192 + 2 * 192 * 384 + 192 * 4 + 384 + 5 * 192) + 2 * 192
    )
