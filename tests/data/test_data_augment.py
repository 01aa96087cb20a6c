import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from tinyedge.data.augment import Augment, AugmentConfig, default_augment, normalise
from tinyedge.errors import ConfigError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
OFF = AugmentConfig(
    crop_area=(1.0, 1.0), flip_probability=0.0, jitter_probability=0.0, greyscale_probability=0.0, blur_probability=0.0
)
EVERYTHING = AugmentConfig(blur_probability=0.5, solarise_probability=0.3)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _images(batch: int, height: int = 32, width: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, height, width or height), dtype=torch.uint8, generator=generator)


def _views(config: AugmentConfig, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Views with values in [0, 1]."""
    return Augment(config, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(images, torch.Generator().manual_seed(seed))


def test_normalise_against_torchvision() -> None:
    images = _images(5, 7, 9)
    expected = v2.functional.normalize(images.float() / 255, MEAN, STD)
    torch.testing.assert_close(normalise(images, MEAN, STD), expected)


@pytest.mark.parametrize("config", [OFF, EVERYTHING.scaled(0.0), default_augment("digits", 32).scaled(0.0)])
def test_no_strength_is_the_identity(config: AugmentConfig) -> None:
    images = _images(6, 17, 23)
    view = Augment(replace(config, flip_probability=0.0), MEAN, STD)(images, torch.Generator().manual_seed(0))
    assert torch.equal(view, normalise(images, MEAN, STD))


@pytest.mark.parametrize(
    "switched_on",
    [
        {"crop_area": (0.2, 1.0)},
        {"flip_probability": 0.5},
        {"jitter_probability": 1.0},
        {"jitter_probability": 1.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
        {"jitter_probability": 1.0, "brightness": 0.0, "saturation": 0.0, "hue": 0.0},
        {"jitter_probability": 1.0, "brightness": 0.0, "contrast": 0.0, "hue": 0.0},
        {"jitter_probability": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
        {"greyscale_probability": 0.5},
        {"blur_probability": 1.0},
        {"solarise_probability": 0.5},
    ],
)
def test_each_sample_has_its_own_view(switched_on: dict) -> None:
    images = _images(1).expand(16, -1, -1, -1)
    views = _views(replace(OFF, **switched_on), images)
    distinct = {view.numpy().tobytes() for view in views}
    assert len(distinct) == 2 if list(switched_on.values()) == [0.5] else len(distinct) >= 15


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    images = _images(8, 64)
    others = images.clone()
    others[1:] = 255 - others[1:]
    assert torch.equal(_views(EVERYTHING, images)[0], _views(EVERYTHING, others)[0])


@pytest.mark.parametrize("image_size", [32, 64])
def test_generator_decides(image_size: int) -> None:
    images = _images(8, image_size)
    augment = Augment(replace(EVERYTHING), MEAN, STD)
    generator = torch.Generator().manual_seed(3)
    first = augment(images, generator)
    state = generator.get_state()
    second = augment(images, generator)
    torch.rand(100)  # the global generator plays no part
    generator.set_state(state)
    assert torch.equal(augment(images, generator), second)
    assert torch.equal(augment(images, torch.Generator().manual_seed(3)), first)
    assert not torch.equal(first, second)


def test_the_count_of_draws_does_not_depend_on_the_configuration() -> None:
    states = []
    for config in (OFF, EVERYTHING):
        generator = torch.Generator().manual_seed(0)
        Augment(config, MEAN, STD)(_images(5), generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def test_flip_is_exact_and_fair() -> None:
    images = _images(400, 8)
    views = _views(replace(OFF, flip_probability=0.5), images)
    pixels = images.float() / 255
    kept = (views == pixels).flatten(1).all(1)
    flipped = (views == pixels.flip(3)).flatten(1).all(1)
    assert bool((kept ^ flipped).all())
    assert 160 < int(flipped.sum()) < 240
    # The same, when the flip is part of a resampling that leaves every pixel where it is.
    through_matrix = _views(replace(OFF, flip_probability=0.5, crop_area=(0.99999, 1.0), crop_ratio=(1.0, 1.0)), images)
    assert torch.equal(through_matrix, views)


def _naive_box(drawn: list[float], height: int, width: int, config: AugmentConfig) -> tuple[int, int, int, int]:
    """Top, left, height and width of one crop, drawn as torchvision's RandomResizedCrop does."""
    for attempt in range(10):
        area = (config.crop_area[0] + (config.crop_area[1] - config.crop_area[0]) * drawn[attempt]) * height * width
        logs = [math.log(value) for value in config.crop_ratio]
        ratio = math.exp(logs[0] + (logs[1] - logs[0]) * drawn[10 + attempt])
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(drawn[20] * (height - box_height + 1))
            return top, int(drawn[21] * (width - box_width + 1)), box_height, box_width
    return 0, 0, height, width


def _naive_resize(line: np.ndarray, size: int) -> np.ndarray:
    """Enlarge one line of pixels to `size` with Keys' cubic, a = -0.5, one output pixel at a time."""
    out = np.zeros(size)
    for position in range(size):
        centre = (position + 0.5) * len(line) / size - 0.5
        total = 0.0
        for source in range(max(0, math.ceil(centre - 2)), min(len(line) - 1, math.floor(centre + 2)) + 1):
            x = abs(source - centre)
            weight = 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0
            total += weight
            out[position] += weight * line[source]
        out[position] /= total
    return out


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 18)])
@pytest.mark.parametrize("ratio", [(3 / 4, 4 / 3), (1.5, 2.5)])  # the second often fits only after several attempts
def test_crop_and_flip_against_a_naive_reference(height: int, width: int, ratio: tuple[float, float]) -> None:
    config = replace(OFF, crop_area=(0.08, 0.9), crop_ratio=ratio, flip_probability=0.5)
    images = _images(12, height, width)
    views = _views(config, images, seed=4)
    drawn = torch.rand(12, 32, generator=torch.Generator().manual_seed(4)).tolist()
    for index in range(12):
        top, left, box_height, box_width = _naive_box(drawn[index], height, width, config)
        crop = images[index, :, top : top + box_height, left : left + box_width].numpy().astype(np.float64) / 255
        wide = np.apply_along_axis(_naive_resize, 2, crop, width)
        expected = np.apply_along_axis(_naive_resize, 1, wide, height).clip(0, 1)
        if drawn[index][22] < 0.5:
            expected = expected[:, :, ::-1]
        np.testing.assert_allclose(views[index].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("size", [32, 9, 20, 41])  # the crops' sides are 14 to 32 pixels
def test_crop_against_torchvisions_resize(size: int) -> None:
    config = replace(OFF, crop_area=(0.2, 1.0))
    images = _images(20, 32)
    views = Augment(config, (0.0,) * 3, (1.0,) * 3, size)(images, torch.Generator().manual_seed(2))
    drawn = torch.rand(20, 32, generator=torch.Generator().manual_seed(2)).tolist()
    for index in range(20):
        box = _naive_box(drawn[index], 32, 32, config)
        expected = v2.functional.resized_crop(
            images[index].float() / 255, *box, [size, size], v2.InterpolationMode.BICUBIC, antialias=True
        )
        torch.testing.assert_close(views[index], expected.clamp(0, 1), atol=2e-5, rtol=0)


def test_a_whole_image_is_resized_too_and_blurred_as_wide_as_before() -> None:
    images = _images(2, 32)
    views = Augment(OFF, (0.0,) * 3, (1.0,) * 3, 16)(images, torch.Generator())
    expected = v2.functional.resize(images.float() / 255, [16, 16], v2.InterpolationMode.BICUBIC, antialias=True)
    torch.testing.assert_close(views, expected.clamp(0, 1), atol=2e-5, rtol=0)

    point = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    point[:, :, 30:34, 30:34] = 255
    blur = replace(OFF, blur_probability=1.0, blur_sigma=(4.0, 4.0))
    drawn = torch.full((1, 32), 0.5)
    full, half = (Augment(blur, (0.0,) * 3, (1.0,) * 3, size).apply(point, drawn) for size in (None, 32))
    pooled = torch.nn.functional.avg_pool2d(full, 2)
    torch.testing.assert_close(half, pooled, atol=0.01, rtol=0)
    assert float(pooled.max()) > 0.1


@pytest.mark.parametrize(
    ("changed", "torchvisions"),
    [
        ("brightness", v2.functional.adjust_brightness),
        ("saturation", v2.functional.adjust_saturation),
        ("contrast", v2.functional.adjust_contrast),
    ],
)
def test_jitter_against_torchvision(changed: str, torchvisions) -> None:
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    images = _images(8, 12)
    views = _views(replace(OFF, jitter_probability=1.0, **{**off, changed: 0.6}), images)
    column = 26 + ("brightness", "contrast", "saturation").index(changed)
    factors = 0.4 + 1.2 * torch.rand(8, 32, generator=torch.Generator().manual_seed(0))[:, column]
    for view, image, factor in zip(views, images, factors.tolist(), strict=True):
        # torchvision rounds the luma weights to four digits (0.2989).
        torch.testing.assert_close(view, torchvisions(image.float() / 255, factor), atol=1e-3, rtol=0)


def test_hue_keeps_the_luma_and_greys() -> None:
    config = replace(OFF, jitter_probability=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    images = (_images(8, 12) // 4) + 96  # far from the limits, so that nothing is clamped
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    views, pixels = _views(config, images), images.float() / 255
    torch.testing.assert_close((views * luma).sum(1), (pixels * luma).sum(1), atol=1e-5, rtol=0)
    assert ((views - pixels).abs().amax((1, 2, 3)) > 0.01).sum() >= 6
    grey = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(_views(config, grey), grey.float() / 255, atol=1e-5, rtol=0)


def test_greyscale_is_the_luma() -> None:
    images = _images(4, 9)
    views = _views(replace(OFF, greyscale_probability=1.0), images)
    expected = (images.float() / 255 * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(views, expected.expand(-1, 3, -1, -1))


def test_one_channel_is_changed_as_three_equal_ones() -> None:
    grey = _images(64)[:, :1]
    one = Augment(EVERYTHING, (0.4,), (0.2,))(grey, torch.Generator().manual_seed(3))
    three = Augment(EVERYTHING, (0.4,) * 3, (0.2,) * 3)(grey.expand(-1, 3, -1, -1), torch.Generator().manual_seed(3))
    assert one.shape == (64, 1, 32, 32)
    # Where a pixel lies at the limit of the solarisation, rounding decides.
    near = (one.expand(-1, 3, -1, -1) - three).abs() < 1e-4
    assert near.float().mean() > 0.9999


def test_blur_inside_the_image_is_a_gaussian() -> None:
    images = torch.zeros(3, 3, 41, 41, dtype=torch.uint8)
    images[:, :, 20, 20] = 255
    views = _views(replace(OFF, blur_probability=1.0, blur_sigma=(1.5, 1.5)), images)
    offset = np.arange(-20, 21)
    profile = np.exp(-(offset**2) / (2 * 1.5**2))
    profile /= profile.sum()
    for channel in range(3):
        np.testing.assert_allclose(views[1, channel].numpy(), np.outer(profile, profile), atol=2e-4)


def test_blur_keeps_a_flat_image() -> None:
    images = torch.full((4, 3, 64, 64), 200, dtype=torch.uint8)
    torch.testing.assert_close(_views(replace(OFF, blur_probability=1.0), images), images.float() / 255)


def test_solarise_inverts_from_128() -> None:
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    view = _views(replace(OFF, solarise_probability=1.0), ramp)
    expected = v2.functional.solarize(ramp, 128)
    torch.testing.assert_close(view, expected.float() / 255)


def test_views_stay_in_range() -> None:
    views = _views(EVERYTHING, _images(64))
    assert views.dtype == torch.float32
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1


def test_autocast_does_not_coarsen_the_pixels() -> None:
    images = _images(4)
    expected = _views(EVERYTHING, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(_views(EVERYTHING, images), expected)


def test_digits_are_never_mirrored() -> None:
    assert default_augment("digits", 32).flip_probability == 0
    assert default_augment("cifar10", 32).flip_probability == 0.5
    assert default_augment("photos", 32).blur_probability == 0
    assert default_augment("photos", 64).blur_probability > 0


def test_scaled_is_linear_and_complete() -> None:
    half = AugmentConfig(crop_area=(0.2, 1.0)).scaled(0.5)
    assert half.crop_area == pytest.approx((0.6, 1.0))
    assert half.brightness == pytest.approx(0.2)
    assert half.flip_probability == 0.5
    assert EVERYTHING.scaled(1.0) == EVERYTHING


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip_probability": 1.5},
        {"jitter_probability": -0.1},
        {"hue": 0.6},
        {"brightness": -1.0},
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.5, 0.2)},
        {"crop_area": (0.5, 1.2)},
        {"crop_ratio": (0.0, 1.0)},
        {"blur_sigma": (2.0, 1.0)},
        {"brightness": float("nan")},
    ],
)
def test_wrong_configuration_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"augmentation: {next(iter(wrong))}"):
        AugmentConfig(**wrong)


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_wrong_strength_is_refused(strength: float) -> None:
    with pytest.raises(ConfigError, match="strength"):
        AugmentConfig().scaled(strength)
