import pytest
import torch
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import count_parameters, create_encoder, encoder_names
from tinyedge.errors import BudgetExceeded, ConfigError
from tinyedge.training.encoder_file import encoder_digest

torch.set_num_threads(1)


def grids(encoder, size):
    encoder.eval()
    with torch.no_grad():
        return [tuple(m.shape[2:]) for m in encoder.forward_maps(torch.zeros(1, 3, size, size))]


@pytest.mark.parametrize(("name", "parameters"), [("tinynext_t", 836_208), ("mobilenetv2_035", 396_128)])
@pytest.mark.parametrize("size", [32, 64, 224])
def test_parameters_do_not_depend_on_the_input(name, parameters, size):
    assert count_parameters(create_encoder(name, input_size=size)) == parameters


def test_published_counts_with_a_1000_way_head():
    head = nn.Linear(192, 1000)
    assert count_parameters(create_encoder("tinynext_t", input_size=224)) + count_parameters(head) == 1_029_208
    small = create_encoder("tinynext_s", input_size=224, enforce_budget=False)
    assert round((count_parameters(small) + count_parameters(head)) / 1e6, 1) == 1.3


@pytest.mark.parametrize(
    ("size", "strides", "expected"),
    [
        (224, (2, 2, 2, 2, 2), (56, 28, 14, 7)),
        (32, (2, 2, 2, 2, 2), (8, 4, 2, 1)),
        (32, (2, 1, 2, 2, 2), (16, 8, 4, 2)),
        (32, (1, 1, 2, 2, 2), (32, 16, 8, 4)),
        (32, (1, 1, 2, 2, 1), (32, 16, 8, 8)),
        (64, (2, 1, 2, 2, 2), (32, 16, 8, 4)),
        (33, (2, 1, 2, 2, 2), (17, 9, 5, 3)),
    ],
)
def test_tinynext_grids(size, strides, expected):
    encoder = create_encoder("tinynext_t", input_size=size, strides=strides)
    assert grids(encoder, size) == [(side, side) for side in expected]


@pytest.mark.parametrize(
    ("size", "strides", "last"),
    [
        (32, (2, 1, 2, 2, 2, 1, 2, 1), 1),
        (32, (1, 1, 2, 2, 2, 1, 2, 1), 2),
        (32, (1, 1, 2, 2, 2, 1, 1, 1), 4),
        (32, (1, 1, 1, 2, 2, 1, 2, 1), 4),
        (64, (2, 1, 1, 2, 2, 1, 2, 1), 4),
        (224, (2, 1, 2, 2, 2, 1, 2, 1), 7),
    ],
)
def test_mobilenetv2_grids(size, strides, last):
    encoder = create_encoder("mobilenetv2_035", input_size=size, strides=strides)
    assert grids(encoder, size)[-1] == (last, last)


@pytest.mark.parametrize(
    ("name", "size", "strides"),
    [
        ("tinynext_t", 24, (1, 1, 2, 2, 2)),
        ("tinynext_t", 32, (2, 1, 2, 2, 2)),
        ("tinynext_t", 64, (2, 1, 2, 2, 2)),
        ("tinynext_t", 224, (2, 2, 2, 2, 2)),
        ("mobilenetv2_035", 32, (1, 1, 1, 2, 2, 1, 2, 1)),
        ("mobilenetv2_035", 64, (2, 1, 1, 2, 2, 1, 2, 1)),
    ],
)
def test_default_strides(name, size, strides):
    assert create_encoder(name, input_size=size).strides == strides


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_feature_tokens_and_maps_agree(name):
    encoder = create_encoder(name, input_size=32).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        feature, maps, tokens = encoder(images), encoder.forward_maps(images), encoder.forward_tokens(images)
    assert feature.shape == (2, encoder.feature_dim)
    assert len(maps) == 4
    assert tokens.shape == (2, maps[3].shape[2] * maps[3].shape[3], encoder.feature_dim)
    torch.testing.assert_close(tokens.mean(dim=1), feature)
    width = maps[3].shape[3]
    torch.testing.assert_close(tokens[:, width + 1], maps[3][:, :, 1, 1])


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035", "resnet18"])
def test_a_feature_of_several_stages_is_their_means_side_by_side(name):
    torch.manual_seed(3)
    plain = create_encoder(name, input_size=33).eval()
    torch.manual_seed(3)
    encoder = create_encoder(name, input_size=33, feature_stages=(1, 3, 4)).eval()
    images = torch.randn(2, 3, 33, 33)
    with torch.no_grad():
        maps, feature = plain.forward_maps(images), encoder(images)
        assert plain.feature(maps).equal(plain(images))
    widths = [maps[stage].shape[1] for stage in (0, 2, 3)]
    assert (encoder.feature_dim, encoder.feature_channels) == (sum(widths), tuple(widths))
    for part, stage in zip(feature.split(widths, dim=1), (0, 2, 3), strict=True):
        torch.testing.assert_close(part, maps[stage].flatten(2).sum(2) / maps[stage][0, 0].numel())
    assert encoder_digest(encoder) != encoder_digest(plain)  # The same weights give another feature.


@pytest.mark.parametrize("stages", [(), (1, 2, 3), (4, 1), (1, 1, 4), (0, 4), (4, 5)])
def test_stages_that_make_no_feature_are_named(stages):
    with pytest.raises(ConfigError, match="is no ascending choice of 1, 2, 3 and 4 that ends with 4: 1,2,3,4 is usual"):
        create_encoder("tinynext_t", input_size=16, feature_stages=stages)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_corruption_acts_at_the_stage_asked_for(name):
    # Batch statistics, because with the initial running ones an untrained encoder's features all but vanish.
    encoder = create_encoder(name, input_size=32).train()
    images = torch.randn(2, 3, 32, 32)
    seen = []

    def zero_first_token(tokens):
        seen.append(tokens.shape)
        return torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, 1:]], dim=1)

    with torch.no_grad():
        clean = encoder.forward_tokens(images)
        late = encoder.forward_tokens(images, 4, zero_first_token)
        early = encoder.forward_tokens(images, 3, zero_first_token)
        identity = encoder.forward_tokens(images, 3, lambda tokens: tokens)
        stage3 = encoder.forward_maps(images)[2]
    assert torch.equal(late[:, 1:], clean[:, 1:])
    assert not late[:, 0].any()
    assert early.shape == clean.shape
    assert not torch.allclose(early[:, 1:], clean[:, 1:])
    torch.testing.assert_close(identity, clean)
    assert seen[0] == clean.shape
    assert seen[1][1] == stage3.shape[2] * stage3.shape[3]
    with pytest.raises(ValueError, match="stage 3 or 4"):
        encoder.forward_tokens(images, 2, zero_first_token)


def test_attention_equals_a_naive_loop():
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=32)
    attention = encoder.stage3[0].mixer
    x = torch.randn(2, 96, 3, 5)
    tokens = [x[:, :, row, column] for row in range(3) for column in range(5)]
    for i in (0, 7, 14):
        query = tokens[i] @ attention.query.weight.T
        logits = torch.stack([(query * key).sum(-1) / 96**0.5 for key in tokens], dim=1)
        weights = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
        expected = sum(weights[:, j : j + 1] * (tokens[j] @ attention.value.weight.T) for j in range(15))
        torch.testing.assert_close(attention(x)[:, :, i // 5, i % 5], expected)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_initialisation_follows_the_seed(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in create_encoder(name, input_size=32).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(("act", "kind"), [("gelu", nn.GELU), ("silu", nn.SiLU), ("hard_swish", nn.Hardswish)])
def test_an_activation_is_the_mlps(act, kind):
    encoder = create_encoder("tinynext_t", input_size=32, act=act)
    assert [type(block.mlp[1]) for block in (*encoder.stage3, *encoder.stage4)] == [kind] * 8


def test_tinynext_starts_as_its_paper_says():
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=32, act="gelu")
    assert abs(encoder.stage4[0].mlp[0].weight.std().item() - 0.02) < 0.002
    assert not encoder.stage4[0].mlp[0].bias.any()
    assert any(isinstance(module, nn.GELU) for module in encoder.modules())
    relu = create_encoder("tinynext_t", input_size=32)
    assert not any(isinstance(module, nn.GELU) for module in relu.modules())


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    encoder = create_encoder(name, input_size=32)
    encoder(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


def test_budget_is_a_gate():
    with pytest.raises(BudgetExceeded, match=r"1,118,928 .*1,000,000.*--no-budget"):
        create_encoder("tinynext_s", input_size=32)
    assert count_parameters(create_encoder("tinynext_s", input_size=32, enforce_budget=False)) == 1_118_928


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035", "resnet18", "vit_ti", "patches:8"])
def test_greyscale_images_take_a_first_layer_of_one_channel(name):
    """All that differs: with its weights in three channels, a third each, RGB of equal values gives the same."""
    torch.manual_seed(0)
    grey, colour = (create_encoder(name, input_size=32, channels=channels).eval() for channels in (1, 3))
    assert (grey.channels, colour.channels) == (1, 3)
    if name.startswith("patches"):
        assert grey.whitening.weight.shape == (36, 1, 6, 6)
        return
    state = colour.state_dict()
    first = next(key for key, value in state.items() if value.ndim == 4 and value.shape[1] == 3)
    state = grey.state_dict() | {first: grey.state_dict()[first].expand(-1, 3, -1, -1) / 3}
    colour.load_state_dict(state)
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_an_encoder_of_colours_alone_says_so(monkeypatch):
    from tinyedge.encoders import registry

    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))

    @registry.register_encoder("colours", strides=(1,))
    class Colours(Encoder):
        def __init__(self, name, input_size, strides, act, hidden):
            super().__init__(name, input_size, strides)

    create_encoder("colours", input_size=32)
    with pytest.raises(ConfigError, match="colours takes RGB images alone: leave out --channels"):
        create_encoder("colours", input_size=32, channels=1)


def test_wrong_choices_name_the_right_ones():
    assert {"tinynext_t", "mobilenetv2_035"} <= set(encoder_names())
    with pytest.raises(ConfigError, match="did you mean 'tinynext_t'"):
        create_encoder("tinynet_t", input_size=32)
    with pytest.raises(ConfigError, match="5 values of 1 or 2"):
        create_encoder("tinynext_t", input_size=32, strides=(2, 2, 2, 2))
    with pytest.raises(ConfigError, match="strides"):
        create_encoder("tinynext_t", input_size=32, strides=(2, 3, 2, 2, 2))
    with pytest.raises(ConfigError, match=r"'elu' is not available .* relu, gelu, silu, hard_swish"):
        create_encoder("tinynext_t", input_size=32, act="elu")
    with pytest.raises(ConfigError, match="gelu"):
        create_encoder("mobilenetv2_035", input_size=32, act="gelu")
    with pytest.raises(ConfigError, match="input size 4"):
        create_encoder("tinynext_t", input_size=4)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_have_three_channels_or_one(channels):
    with pytest.raises(ConfigError, match=f"channels is {channels}, but images have 3"):
        create_encoder("tinynext_t", input_size=32, channels=channels)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035", "resnet18", "vit_ti"])
def test_activations_that_overwrite_their_input_compute_the_same(name):
    def gradients(overwrite):
        torch.manual_seed(0)
        encoder = create_encoder(name, input_size=16, enforce_budget=False).train()
        for module in encoder.modules():
            if isinstance(module, nn.ReLU | nn.ReLU6):
                module.inplace = overwrite
        maps = encoder.forward_maps(images)
        sum(feature_map.square().mean() for feature_map in maps).backward()
        return [*maps, *(parameter.grad for parameter in encoder.parameters())]

    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for kept, overwritten in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(overwritten, kept, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_gradients_of_a_feature_of_several_stages_stay_channels_last(name):
    encoder = create_encoder(name, input_size=32, feature_stages=(1, 2, 3, 4)).to(memory_format=torch.channels_last)
    maps = encoder.forward_maps(torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    found = torch.autograd.grad(encoder.feature(maps).square().sum(), maps)
    assert all(gradient.is_contiguous(memory_format=torch.channels_last) for gradient in found)
