import numpy as np
import pytest
import torch

from tinyedge.encoders.flops import count_macs
from tinyedge.encoders.patches import Patches
from tinyedge.encoders.registry import create_encoder, only_trains_others
from tinyedge.errors import ConfigError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(40, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=13, mode="bicubic") * 200
    return (smooth + 40 * torch.rand(40, 3, 13, 13, generator=generator)).clamp(0, 255).to(torch.uint8)


def learned(images, name="patches:20", seed=0, **options):
    encoder = create_encoder(name, input_size=13, **options)
    encoder.initialise_from(images, MEAN, STD, seed)
    return encoder.eval()


def naive(encoder, pixels, threshold):
    """Patch by patch, in float64, with the dictionary's own weights for the atoms."""
    stride = encoder.strides[0]
    whiten = encoder.whitening.weight.double().numpy().reshape(108, 108)
    shift = encoder.whitening.bias.double().numpy()
    atoms = encoder.dictionary.weight.double().numpy()
    side = (pixels.shape[1] - 6) // stride + 1
    codes = np.zeros((len(atoms), side, side))
    for row in range(side):
        for column in range(side):
            patch = pixels[:, row * stride : row * stride + 6, column * stride : column * stride + 6].ravel()
            white = whiten @ patch + shift
            white /= np.linalg.norm(white)
            for index, atom in enumerate(atoms):
                codes[index, row, column] = max(0.0, atom @ white - threshold)
    first, second = slice(0, -(-side // 2)), slice(side // 2, side)
    means = [codes[:, rows, columns].mean(axis=(1, 2)) for rows in (first, second) for columns in (first, second)]
    return np.concatenate(means)


@pytest.mark.parametrize(("act", "threshold"), [("relu", 0.0), ("soft_threshold", 0.1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_features_are_those_of_plain_loops(images, act, threshold, stride, monkeypatch):
    monkeypatch.setattr("tinyedge.encoders.patches._ATOMS_AT_ONCE", 7)
    monkeypatch.setattr("tinyedge.encoders.patches._IMAGES_AT_ONCE", 2)
    encoder = learned(images, act=act, strides=(stride,))
    pixels = torch.randn(3, 3, 13, 13, generator=torch.Generator().manual_seed(1))
    features = encoder(pixels)
    assert features.shape == (3, 80)
    for feature, image in zip(features, pixels.double().numpy(), strict=True):
        np.testing.assert_allclose(feature, naive(encoder, image, threshold), atol=1e-5)


def test_the_triangle_is_the_distance_from_the_mean_cosine(images):
    soft = learned(images, act="soft_threshold")
    atoms = soft.dictionary.weight.double()
    torch.testing.assert_close(atoms.norm(dim=1), torch.ones(20, dtype=torch.float64))
    white = torch.randn(5, 108, dtype=torch.float64)
    cosines = torch.nn.functional.normalize(white, dim=1) @ atoms.T
    triangle = (cosines - cosines.mean(dim=1, keepdim=True)).clamp_min(0)
    centred = torch.nn.functional.normalize(white, dim=1) @ learned(images).dictionary.weight.double().T
    torch.testing.assert_close(centred.clamp_min(0), triangle, atol=1e-6, rtol=1e-5)


def test_the_dictionary_is_whitened_patches_of_the_images(images):
    encoder = learned(images, act="soft_threshold")
    pixels = (images.double() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    windows = pixels.unfold(2, 6, 1).unfold(3, 6, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 108)  # every patch there is
    white = windows @ encoder.whitening.weight.double().reshape(108, 108).T + encoder.whitening.bias.double()
    covariance = white.T @ white / len(white)
    # A sample of 100,000 of these very patches was whitened, but for the directions of little more than rounding.
    energies = torch.linalg.eigvalsh(covariance)
    assert energies.min() > 0.5
    assert energies.max() < 1.1
    cosines = torch.nn.functional.normalize(white, dim=1) @ encoder.dictionary.weight.double().T
    torch.testing.assert_close(cosines.max(dim=0).values, torch.ones(20, dtype=torch.float64), atol=1e-5, rtol=0)


def test_it_follows_its_seed_and_has_nothing_to_train(images):
    first, again, other = learned(images), learned(images), learned(images, seed=1)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    assert not torch.equal(first.dictionary.weight, other.dictionary.weight)
    assert not any(parameter.requires_grad for parameter in first.parameters())
    with pytest.raises(ConfigError, match="patches:20 has nothing to train; give --method random"):
        first.forward_tokens(torch.zeros(1, 3, 13, 13), 3, lambda tokens: tokens)


def test_maps_agree_with_the_feature(images):
    encoder = learned(images)
    maps = encoder.forward_maps(torch.randn(2, 3, 13, 13))
    assert [tuple(level.shape) for level in maps] == [(2, 108, 8, 8), (2, 20, 2, 2), (2, 20, 2, 2), (2, 80, 1, 1)]
    torch.testing.assert_close(maps[3].unflatten(1, (4, 20))[:, 1, :, 0, 0], maps[1][:, :, 0, 1])


def test_its_name_has_the_number_of_atoms():
    encoder = create_encoder("patches:800", input_size=32)
    assert isinstance(encoder, Patches)
    assert (encoder.name, encoder.feature_dim, encoder.strides) == ("patches:800", 3200, (1,))
    assert create_encoder("patches", input_size=32).feature_dim == 4096
    assert only_trains_others("patches:800")
    positions = 27**2
    overlapping = 4 * 14**2  # the quarters share the middle row and column
    assert count_macs(encoder) == 108 * 108 * positions + 108 * 800 * overlapping
    for name, message in (
        ("patches:", "no number from 1"),
        ("patches:0", "no number from 1"),
        ("patches:1k", "no number from 1"),
        ("resnet18:4", "takes no number, .* write resnet18"),
        ("patch:4", "did you mean 'patches'"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_encoder(name, input_size=32)
    with pytest.raises(ConfigError, match="leave out hidden"):
        create_encoder("patches:4", input_size=32, hidden=(3,))
