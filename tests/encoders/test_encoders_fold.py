import pytest
import torch
from torch import nn

from tinyedge.conversion.fold import fold_classifier, fold_encoder
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.fold import FoldedEncoder, fold_batch_norms
from tinyedge.encoders.tinynext import ConvBnRelu
from tinyedge.encoders.tokens import corrupt_map
from tinyedge.errors import ConfigError

torch.set_num_threads(1)


class OddEncoder(Encoder):
    """Of all that the default fold has to see: norms before, behind and far from convolutions, one layer used twice."""

    def __init__(self):
        super().__init__("odd", 19, (2, 1))
        self.feature_dim = 30
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Dropout2d(0.5))
        self.before = nn.BatchNorm2d(12)
        self.wide = nn.Conv2d(12, 12, 3, padding=2, dilation=2, bias=False)
        self.plain = nn.BatchNorm2d(12, affine=False)
        self.twice = nn.Conv2d(12, 12, 3, padding=1, groups=12, padding_mode="reflect")
        self.after_twice = nn.BatchNorm2d(12)
        self.both = nn.Conv2d(12, 6, 1)
        self.both_norm = nn.BatchNorm2d(6)
        self.head = nn.Conv2d(24, 24, 1)

    def compute_maps(self, images, corrupt):
        m1 = self.stem(images)
        m2 = torch.relu(self.plain(self.wide(self.before(m1)))) + m1
        m3 = self.after_twice(self.twice(corrupt_map(self.twice(m2), corrupt)))
        narrow = self.both(m3)  # Read twice: the norm may not go into the convolution.
        m4 = torch.cat([self.head(torch.cat([m3, m1], 1)), self.both_norm(narrow) * narrow], 1)
        return [m1, m2, m3, m4]


@pytest.mark.parametrize("stages", [(4,), (1, 3, 4)])
def test_a_users_encoder_folds_by_itself(trained_like, stages):
    torch.manual_seed(0)
    encoder = OddEncoder()
    encoder.read_feature_from(stages)
    encoder = trained_like(encoder)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    images = torch.randn(3, 3, 19, 19).double()
    weight, bias = torch.randn(5, encoder.feature_dim), torch.randn(5)
    folded, classifier = fold_encoder(encoder).double(), fold_classifier(encoder, weight, bias).double()
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert not any(isinstance(module, nn.BatchNorm2d | nn.Dropout2d) for module in folded.modules())
    with torch.no_grad():
        feature = encoder.double()(images)
        assert feature.std() > 0.05  # Else anything would be close.
        torch.testing.assert_close(folded(images), feature, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(classifier(images), feature @ weight.double().T + bias, atol=1e-5, rtol=1e-5)


def test_a_norm_behind_a_convolution_costs_nothing(trained_like):
    folded = fold_encoder(trained_like(OddEncoder())).body
    kernels = {name: tuple(module.kernel_size) for name, module in folded.named_modules() if hasattr(module, "groups")}
    assert {"stem.0", "wide", "twice", "both", "head"} < set(kernels)
    assert set(kernels) - {"stem.0", "wide", "twice", "both", "head"} == {"before", "after_twice", "both_norm"}


class _Branching(OddEncoder):
    def compute_maps(self, images, corrupt):
        return super().compute_maps(images if images.sum() > 0 else -images, corrupt)


class _WithoutStatistics(OddEncoder):
    def __init__(self):
        super().__init__()
        self.before = nn.BatchNorm2d(12, track_running_stats=False)


def test_the_encoders_own_depthwise_convolution_is_folded_as_any():
    torch.manual_seed(0)
    part = ConvBnRelu(8, 8, 3, groups=8)
    part(torch.randn(64, 8, 2, 2))  # Statistics that are not those of no image.
    folded = fold_batch_norms(part)
    images = torch.randn(2, 8, 2, 2)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), part.eval()(images))


class _LastMapAlone(OddEncoder):
    def fold(self):
        return FoldedEncoder(self.stem)


def test_a_fold_of_one_s_own_that_knows_of_no_other_stage_is_refused():
    encoder = _LastMapAlone()
    encoder.read_feature_from((1, 4))
    message = r"the feature is of stages 1,4, and the fold\(\) of .* gives its last map alone"
    with pytest.raises(ConfigError, match=message):
        fold_encoder(encoder)
    with pytest.raises(ConfigError, match=message):
        fold_classifier(encoder, torch.zeros(2, encoder.feature_dim), torch.zeros(2))


@pytest.mark.parametrize(
    ("encoder", "message"),
    [(_Branching, "_Branching cannot be folded by itself.*fold"), (_WithoutStatistics, "running statistics")],
)
def test_what_cannot_be_folded_says_what_to_write(encoder, message):
    with pytest.raises(ConfigError, match=message):
        fold_encoder(encoder())
