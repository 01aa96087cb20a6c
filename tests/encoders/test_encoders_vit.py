import pytest
import torch

from tinyedge.conversion.fold import fold_encoder
from tinyedge.encoders.registry import count_parameters, create_encoder, deployable_encoders
from tinyedge.errors import ConfigError

torch.set_num_threads(1)


@pytest.mark.parametrize(("size", "strides", "grid"), [(16, None, 8), (32, None, 8), (64, None, 8), (40, None, 10)])
def test_all_maps_have_the_grid_of_the_patches(size, strides, grid):
    encoder = create_encoder("vit_ti", input_size=size, strides=strides).eval()
    images = torch.randn(3, 3, size, size)
    maps = encoder.forward_maps(images)
    assert [tuple(feature_map.shape) for feature_map in maps] == [(3, 192, grid, grid)] * 4
    torch.testing.assert_close(encoder(images), maps[-1].mean(dim=(2, 3)))
    tokens = encoder.forward_tokens(images)
    torch.testing.assert_close(tokens, maps[-1].flatten(2).transpose(1, 2))


def test_parameters():
    block = 4 * 192 * 192 + 4 * 192 + 2 * 4 * 192 * 192 + 5 * 192 + 4 * 192
    patches, position, norm = 192 * 48 + 192, 64 * 192, 2 * 192
    assert count_parameters(create_encoder("vit_ti", input_size=32)) == 6 * block + patches + position + norm


def test_it_has_no_budget_and_cannot_be_exported():
    assert "vit_ti" not in deployable_encoders()
    encoder = create_encoder("vit_ti", input_size=32, enforce_budget=True)
    assert count_parameters(encoder) > 1_000_000
    with pytest.raises(ConfigError, match="vit_ti only trains other encoders and cannot be exported"):
        fold_encoder(encoder.eval())


def test_attention_is_that_of_torch():
    encoder = create_encoder("vit_ti", input_size=16).eval()
    ours = encoder.stages[0][0].attention
    theirs = torch.nn.MultiheadAttention(192, 3, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.query_key_value.weight, ours.query_key_value.bias
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    tokens = torch.randn(2, 7, 192)
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens)[0], rtol=1e-4, atol=1e-5)


def test_position_tells_places_apart():
    encoder = create_encoder("vit_ti", input_size=32).eval()
    images = torch.zeros(1, 3, 32, 32)
    images[..., :16] = 1
    assert not torch.allclose(encoder(images), encoder(images.flip(3)), atol=1e-4)
    encoder.position.data.zero_()
    torch.testing.assert_close(encoder(images), encoder(images.flip(3)), rtol=1e-4, atol=1e-5)


def test_corruption_acts_where_it_should():
    encoder = create_encoder("vit_ti", input_size=32).eval()
    images = torch.randn(2, 3, 32, 32)
    seen = []

    def blank(tokens):
        seen.append(tokens)
        return torch.zeros_like(tokens)

    late = encoder.forward_tokens(images, 4, blank)
    assert not late.any()
    torch.testing.assert_close(seen[0], encoder.forward_tokens(images))
    early = encoder.forward_tokens(images, 3, blank)
    torch.testing.assert_close(seen[1], encoder.forward_maps(images)[1].flatten(2).transpose(1, 2))
    torch.testing.assert_close(early[0], early[1])  # no image is left in it
    with pytest.raises(ValueError, match="stage is 2"):
        encoder.forward_tokens(images, 2, blank)


def test_images_have_to_be_a_multiple_of_the_patch():
    with pytest.raises(ConfigError, match="images of 34 pixels are not a multiple of vit_ti's patches of 4"):
        create_encoder("vit_ti", input_size=34)
    with pytest.raises(ConfigError, match="narrowed"):
        create_encoder("vit_ti", input_size=32, hidden=(8,))


def test_every_parameter_learns():
    encoder = create_encoder("vit_ti", input_size=32)
    encoder(torch.randn(4, 3, 32, 32)).square().sum().backward()
    gradients = {key: value.grad for key, value in encoder.named_parameters()}
    assert [key for key, value in gradients.items() if value is None or not value.abs().sum() > 0] == []
