import math

import numpy as np
import pytest
import torch

from tinyedge.errors import TrainingError
from tinyedge.ssl.collapse import check_collapse, effective_rank, mean_feature_std
from tinyedge.ssl.contrastive import nt_xent_loss
from tinyedge.ssl.decoder import PretextDecoder, sincos_position, upsample_tokens
from tinyedge.ssl.gradient_reversal import reversal_scale, reverse_gradient
from tinyedge.ssl.projector import Projector
from tinyedge.ssl.vicreg import covariance_loss, invariance_loss, variance_loss, vicreg_loss


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


def test_vicreg_loss_by_hand_on_a_4_by_3_batch():
    z1 = torch.tensor([[1.0, 0, 2], [3, 0, 0], [1, 0, 2], [3, 4, 0]])
    z2 = z1 / 10 + 5
    # With n - 1 = 3, variances 4/3, 4, 4/3 and covariances +-4/3; those of z2 are a hundredth.
    difference = (0.9 * z1 - 5).square().mean()
    hinge = (2 * (1 - (0.04 / 3 + 1e-4) ** 0.5) + 1 - (0.04 + 1e-4) ** 0.5) / 3
    off_diagonal = 6 * (4 / 3) ** 2 / 3 * (1 + 1e-4)
    loss, terms = vicreg_loss(z1, z2)
    assert float(loss) == pytest.approx(25 * float(difference) + 25 * hinge + off_diagonal, rel=1e-5)
    assert [float(term) for term in terms.values()] == pytest.approx([float(difference), hinge, off_diagonal], rel=1e-4)
    assert float(vicreg_loss(z1, z2, (0.0, 3.0, 0.5))[0]) == pytest.approx(3 * hinge + 0.5 * off_diagonal, rel=1e-4)


@pytest.mark.parametrize(("batch", "width"), [(2, 3), (33, 7), (64, 129)])
def test_vicreg_loss_is_that_of_lightly_with_its_variance_halved(batch, width):
    lightly = pytest.importorskip("lightly.loss")
    z1, z2 = 0.7 * torch.randn(batch, width), 0.7 * torch.randn(batch, width) + 3
    # lightly follows the authors' code, which takes half of the sum of both variance terms.
    expected = lightly.VICRegLoss(lambda_param=25.0, mu_param=50.0, nu_param=1.0)(z1, z2)
    torch.testing.assert_close(vicreg_loss(z1, z2)[0], expected)


def test_vicreg_loss_is_computed_in_float32_under_autocast():
    z1, z2 = torch.randn(16, 8), torch.randn(16, 8)
    expected = vicreg_loss(z1, z2)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(vicreg_loss(z1, z2)[0], expected)


def naive_nt_xent(z1, z2, temperature):
    z = np.concatenate([z1.numpy(), z2.numpy()])
    count = len(z1)
    total = 0.0
    for i in range(2 * count):
        cosine = [z[i] @ z[k] / (np.linalg.norm(z[i]) * np.linalg.norm(z[k])) for k in range(2 * count)]
        others = sum(math.exp(cosine[k] / temperature) for k in range(2 * count) if k != i)
        total -= math.log(math.exp(cosine[(i + count) % (2 * count)] / temperature) / others)
    return total / (2 * count)


@pytest.mark.parametrize(("batch", "width", "temperature"), [(2, 1, 1.0), (3, 5, 0.2), (17, 33, 0.5), (8, 4, 0.05)])
def test_nt_xent_matches_a_naive_loop_and_lightly(batch, width, temperature):
    z1, z2 = torch.randn(batch, width, dtype=torch.float64), torch.randn(batch, width, dtype=torch.float64)
    loss = nt_xent_loss(z1, z2, temperature)
    assert float(loss) == pytest.approx(naive_nt_xent(z1, z2, temperature))
    lightly = pytest.importorskip("lightly.loss")
    expected = lightly.NTXentLoss(temperature=temperature)(z1.float(), z2.float())
    torch.testing.assert_close(loss.float(), expected)


def test_nt_xent_has_no_negatives_in_a_batch_of_one_image():
    assert float(nt_xent_loss(torch.randn(1, 4), torch.randn(1, 4), 0.2)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("temperature", [1e-3, 0.2])
def test_nt_xent_is_finite_at_any_scale_and_knows_directions_alone(scale, temperature):
    z1, z2 = torch.randn(9, 6), torch.randn(9, 6)
    scaled = (scale * z1).requires_grad_()
    loss = nt_xent_loss(scaled, scale * z2, temperature)
    loss.backward()
    torch.testing.assert_close(loss, nt_xent_loss(z1, z2, temperature), rtol=1e-3, atol=1e-4)
    assert scaled.grad.isfinite().all()


def test_nt_xent_of_equal_views_is_below_that_of_unrelated_ones():
    z = torch.randn(32, 64)
    same, other = float(nt_xent_loss(z, z, 0.2)), float(nt_xent_loss(z, torch.randn(32, 64), 0.2))
    assert same < 1 < math.log(62) < other + 0.5


def test_projector_shape_and_parameters():
    projector = Projector(192, 1024)
    assert projector(torch.randn(4, 192)).shape == (4, 1024)
    assert sum(p.numel() for p in projector.parameters()) == 192 * 1024 + 2 * 1024 + 1024 * 1024 + 1024
    small = Projector(192, 512, 128)
    assert small(torch.randn(4, 192)).shape == (4, 128)
    assert sum(p.numel() for p in small.parameters()) == 192 * 512 + 2 * 512 + 512 * 128 + 128
    deep = Projector(5, 7, layers=4)
    assert [layer.out_features for layer in deep if isinstance(layer, torch.nn.Linear)] == [7] * 4
    assert sum(p.numel() for p in deep.parameters()) == 5 * 7 + 2 * 49 + 3 * 14 + 49 + 7


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
