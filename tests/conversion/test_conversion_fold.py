import pytest
import torch
from exports.export_inputs import make_dataset, normalised_images
from torch import nn

from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.converter import Converter
from tinyedge.conversion.fold import PooledMean, fold_classifier, fold_encoder
from tinyedge.conversion.onnx import INPUT_NAME, export_onnx
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError
from tinyedge.quantisation.float_executor import FloatExecutor

torch.set_num_threads(1)


@pytest.mark.parametrize("act", ["gelu", "silu", "hard_swish"])
def test_every_activation_folds(trained_like, act):
    encoder = trained_like(create_encoder("tinynext_t", input_size=16, act=act))
    weight, bias = torch.randn(7, encoder.feature_dim) / encoder.feature_dim**0.5, torch.randn(7)
    images = normalised_images(make_dataset(16))[:3]
    with torch.no_grad():
        expected = encoder(images) @ weight.T + bias
        torch.testing.assert_close(fold_classifier(encoder, weight, bias)(images), expected, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize(
    ("name", "size", "strides"),
    [
        ("tinynext_t", 32, (2, 1, 2, 2, 2)),
        ("tinynext_t", 17, (1, 2, 1, 2, 2)),
        ("tinynext_t", 21, (1, 2, 2, 1, 1)),
        ("tinynext_t", 20, (2, 2, 1, 1, 1)),
        ("mobilenetv2_035", 32, (1, 1, 1, 2, 2, 1, 2, 1)),
        ("mobilenetv2_035", 27, (2, 1, 2, 1, 2, 1, 1, 2)),
    ],
)
def test_fold_equals_the_encoder(trained_like, name, size, strides):
    encoder = trained_like(create_encoder(name, input_size=size, strides=strides))
    images = normalised_images(make_dataset(size))[:3]
    # In float64, for the unfolded network alone is off by 2e-5 in float32.
    folded_encoder, images = fold_encoder(encoder).double(), images.double()
    with torch.no_grad():
        expected, folded = encoder.double()(images), folded_encoder(images)
    assert folded.shape == (3, encoder.feature_dim)
    assert expected.std() > 0.05  # Else anything would be close.
    torch.testing.assert_close(folded, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_classifier_equals_the_probe_of_the_feature(trained_like, name):
    encoder = trained_like(create_encoder(name, input_size=16))
    weight, bias = torch.randn(7, encoder.feature_dim) / encoder.feature_dim**0.5, torch.randn(7)
    images = normalised_images(make_dataset(16))[:3]
    with torch.no_grad():
        expected = encoder(images) @ weight.T + bias
        torch.testing.assert_close(fold_classifier(encoder, weight, bias)(images), expected, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
@pytest.mark.parametrize("stages", [(1, 2, 3, 4), (2, 4)])
def test_a_feature_of_several_stages_folds(trained_like, name, stages):
    encoder = trained_like(create_encoder(name, input_size=17, feature_stages=stages))
    weight, bias = torch.randn(7, encoder.feature_dim) / encoder.feature_dim**0.5, torch.randn(7)
    feature, classifier = fold_encoder(encoder), fold_classifier(encoder, weight, bias)
    images = normalised_images(make_dataset(17))[:3].double()
    with torch.no_grad():
        maps = encoder.double().forward_maps(images)
        expected = torch.cat([maps[stage - 1].mean(dim=(2, 3)) for stage in stages], dim=1)
        torch.testing.assert_close(feature.double()(images), expected, atol=1e-5, rtol=1e-5)
        logits = expected @ weight.double().T + bias
        torch.testing.assert_close(classifier.double()(images), logits, atol=1e-5, rtol=1e-5)


def test_a_classifier_of_several_stages_converts(trained_like, tmp_path):
    encoder = trained_like(create_encoder("tinynext_t", input_size=17, feature_stages=(1, 2, 3, 4)))
    network = fold_classifier(encoder, torch.randn(7, encoder.feature_dim) / encoder.feature_dim**0.5, torch.randn(7))
    export_onnx(network, 17, "logits", tmp_path / "model.onnx")
    with Converter() as converter:
        graph = canonical(converter.convert(tmp_path / "model.onnx"), [INPUT_NAME], ["logits"])
    assert "TRANSPOSE" not in graph.histogram()
    images = normalised_images(make_dataset(17))[:3]
    found = FloatExecutor(graph).forward(images.permute(0, 2, 3, 1))
    with torch.no_grad():
        torch.testing.assert_close(found, network(images), atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_nothing_is_left_that_a_microcontroller_lacks(trained_like, name):
    encoder = trained_like(create_encoder(name, input_size=16))
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    kinds = {type(module) for module in fold_encoder(encoder).modules() if not list(module.children())}
    assert kinds <= {nn.Conv2d, nn.Linear, nn.ReLU, nn.ReLU6, PooledMean}
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_folding_makes_the_network_smaller(trained_like):
    encoder = trained_like(create_encoder("tinynext_t", input_size=16))
    batch_norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    pre_norms = [block.mixer_norm for block in (*encoder.stage3, *encoder.stage4)]
    assert len(batch_norms) > 30
    assert len(pre_norms) == 8
    convolutions = [module for module in fold_encoder(encoder).modules() if isinstance(module, nn.Conv2d)]
    # As many as before, and one for the norm in front of each gate and for the final norm.
    assert len(convolutions) == sum(isinstance(module, nn.Conv2d) for module in encoder.modules()) + 3


def test_a_classifier_takes_the_place_of_the_last_projection(trained_like):
    encoder = trained_like(create_encoder("tinynext_t", input_size=16))
    hidden = encoder.stage4[-1].mlp[0].out_channels
    folded = fold_classifier(encoder, torch.randn(5, encoder.feature_dim), torch.randn(5))
    outputs = [tuple(head.weight.shape[:2]) for head in (folded.head.direct, folded.head.project)]
    assert outputs == [(5, encoder.feature_dim), (5, hidden)]
    feature = fold_encoder(encoder)
    saved = sum(p.numel() for p in feature.parameters()) - sum(p.numel() for p in folded.parameters())
    # The projection, its bias and the final norm; the zero bias beside the classifier's own comes anew.
    assert saved == (hidden + 3) * encoder.feature_dim - 5 * (encoder.feature_dim + hidden + 2)


def test_what_does_not_fit_is_refused():
    encoder = create_encoder("tinynext_t", input_size=16)
    with pytest.raises(ConfigError, match=r"\(10, 100\).*192 features"):
        fold_classifier(encoder, torch.zeros(10, 100), torch.zeros(10))
    with pytest.raises(ConfigError, match="bias"):
        fold_classifier(encoder, torch.zeros(10, 192), torch.zeros(9))
