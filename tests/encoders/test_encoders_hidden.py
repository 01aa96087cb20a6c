"""Encoders of narrower blocks, as pruning leaves them, and what encoders cost."""

import pytest
import torch
from torch import nn

from tinyedge.conversion.fold import fold_encoder
from tinyedge.conversion.onnx import INPUT_NAME, export_onnx
from tinyedge.encoders.flops import count_macs, hidden_channel_macs, macs_by_module
from tinyedge.encoders.registry import count_parameters, create_encoder
from tinyedge.encoders.resnet import ResNet18
from tinyedge.errors import ConfigError

torch.set_num_threads(1)
NAMES = ("tinynext_t", "mobilenetv2_035", "resnet18")


def narrowed(name, size=16):
    full = create_encoder(name, input_size=size)
    hidden = tuple(
        max(layer.channels * (2 + index % 3) // 5, 1) for index, layer in enumerate(full.prunable_channels())
    )
    return full, hidden


def test_the_layers_are_those_of_the_specification():
    widths = [layer.channels for layer in create_encoder("tinynext_t", input_size=32).prunable_channels()]
    assert widths == [64] * 4 + [128] * 3 + [96] + [192] * 6 + [192] + [384] * 2
    widths = [layer.channels for layer in create_encoder("mobilenetv2_035", input_size=32).prunable_channels()]
    assert widths == [48, 48, 48, 96, 96, 96, 144, 144, 144, 144, 192, 192, 192, 336, 336, 336]
    widths = [layer.channels for layer in create_encoder("resnet18", input_size=32).prunable_channels()]
    assert widths == [64, 64, 128, 128, 256, 256, 512, 512]


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_is_what_lies_between_its_writers_and_its_reader(name):
    """A hidden channel that is zero at the layer's output might as well not be there: nothing else sees it."""
    torch.manual_seed(0)
    encoder = create_encoder(name, input_size=16).train()
    images = torch.randn(4, 3, 16, 16)
    for layer in encoder.prunable_channels():
        output, reader = encoder.get_submodule(layer.output), encoder.get_submodule(layer.reader)
        seen = []
        hooks = [
            output.register_forward_hook(lambda module, args, out, seen=seen: seen.append(out)),
            reader.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0])),
        ]
        with torch.no_grad():
            encoder(images)
        for hook in hooks:
            hook.remove()
        assert len(seen) == 2
        assert seen[0] is seen[1]
        assert seen[0].shape[1] == layer.channels
        for writer in layer.writers:
            assert encoder.get_submodule(writer).weight.shape[0] == layer.channels


@pytest.mark.parametrize("name", NAMES)
def test_a_narrowed_encoder_is_an_encoder(name):
    full, hidden = narrowed(name)
    encoder = create_encoder(name, input_size=16, hidden=hidden)
    assert encoder.hidden == hidden
    assert [layer.channels for layer in encoder.prunable_channels()] == list(hidden)
    assert full.hidden is None
    assert count_parameters(encoder) < count_parameters(full)
    assert set(encoder.state_dict()) == set(full.state_dict())
    assert encoder.eval()(torch.randn(2, 3, 16, 16)).shape == (2, full.feature_dim)
    again = create_encoder(name, input_size=16, hidden=hidden)
    again.load_state_dict(encoder.state_dict())
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(again.eval()(images), encoder(images))


@pytest.mark.parametrize("name", NAMES)
def test_all_of_its_own_width_is_the_encoder_itself(name):
    full, _ = narrowed(name)
    torch.manual_seed(5)
    expected = create_encoder(name, input_size=16).state_dict()
    torch.manual_seed(5)
    widths = tuple(layer.channels for layer in full.prunable_channels())
    state = create_encoder(name, input_size=16, hidden=widths).state_dict()
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_wrong_widths_are_named():
    with pytest.raises(ConfigError, match=r"hidden has 2 widths, but tinynext_t has 17 layers"):
        create_encoder("tinynext_t", input_size=32, hidden=(8, 8))
    _, hidden = narrowed("tinynext_t")
    for wrong in (0, 65, -8):
        with pytest.raises(ConfigError, match=rf"stage1.0 of tinynext_t {wrong} channels.*1 to 64"):
            create_encoder("tinynext_t", input_size=32, hidden=(wrong, *hidden[1:]))
    with pytest.raises(ConfigError, match="vit_ti cannot be narrowed"):
        create_encoder("vit_ti", input_size=32, hidden=(8,))


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_a_narrowed_encoder_folds_for_export(name):
    torch.manual_seed(0)
    _, hidden = narrowed(name)
    encoder = create_encoder(name, input_size=16, hidden=hidden)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.momentum = None
    with torch.no_grad():
        encoder.train()(torch.randn(32, 3, 16, 16))
        images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
        folded = fold_encoder(encoder.eval()).double()(images)
        torch.testing.assert_close(folded, encoder.double()(images), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_narrowed_encoder_exports_to_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    _, hidden = narrowed("tinynext_t")
    encoder = create_encoder("tinynext_t", input_size=16, hidden=hidden)
    with torch.no_grad():
        encoder.train()(torch.randn(32, 3, 16, 16))
    export_onnx(fold_encoder(encoder.eval()), 16, "feature", tmp_path / "model.onnx")
    image = torch.randn(1, 3, 16, 16)
    (feature,) = runtime.InferenceSession(tmp_path / "model.onnx").run(None, {INPUT_NAME: image.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(feature), encoder(image), atol=1e-4, rtol=1e-4)


def test_known_counts():
    tinynext = create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2))
    # The compiled classifier's 16,992,384 have a 10-way head, and the squeeze's products of elements (two blocks).
    assert count_macs(tinynext) + 192 * 10 + 2 * 192 * 2 * 2 == 16_992_384
    assert count_macs(create_encoder("mobilenetv2_035", input_size=32)) == pytest.approx(15.6e6, rel=1e-3)
    assert count_macs(ResNet18("resnet18", 32, (1, 1, 2, 2, 2), stem_padding=2)) == pytest.approx(7.0356e8, rel=1e-5)


def test_counts_of_a_block_by_hand():
    macs = macs_by_module(create_encoder("tinynext_t", input_size=32, strides=(1, 1, 2, 2, 2)))
    pixels = 32 * 32
    assert macs["stem.0"] == 3 * 9 * 16 * pixels
    assert macs["stage1.0"] == pixels * (32 * 64 + 9 * 64 + 64 * 32)
    assert macs["embed1"] == pixels * 32 * 64 + pixels // 4 * (9 * 64 + 64 * 64)
    tokens = 8 * 8
    assert macs["stage3.0.mixer"] == 2 * tokens * 96 * 96 + 2 * tokens * tokens * 96
    assert macs["stage4.0.mixer"] == 2 * 192 * 48
    assert macs[""] == sum(
        macs[part] for part in ("stem", *(f"stage{i}" for i in "1234"), "embed1", "embed2", "embed3")
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [16, 21])
def test_the_cost_is_linear_in_the_widths(name, size):
    full, hidden = narrowed(name, size)
    costs = hidden_channel_macs(full, macs_by_module(full))
    removed = sum(
        cost * (layer.channels - width)
        for cost, layer, width in zip(costs, full.prunable_channels(), hidden, strict=True)
    )
    assert count_macs(full) - removed == count_macs(create_encoder(name, input_size=size, hidden=hidden))


def test_counting_leaves_the_encoder_alone():
    encoder = create_encoder("mobilenetv2_035", input_size=16).train()
    next(encoder.children()).eval()  # As one whose norms are frozen.
    modes = [module.training for module in encoder.modules()]
    assert len(set(modes)) == 2
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    count_macs(encoder)
    assert [module.training for module in encoder.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in encoder.modules())
