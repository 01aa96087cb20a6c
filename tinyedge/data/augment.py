"""Random views of a batch: every sample its own, batched, on the device of the images.

All that moves pixels (crop, resize, flip, blur) is linear and separable, so a view is two small matrices a sample,
`rows @ image @ columns^T`; all that changes colours but the solarisation is one 3x4 matrix a sample. Two batched
products for space and one for colour then make the whole view, whatever is switched on.
"""

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from tinyedge.errors import ConfigError

_CROP_ATTEMPTS = 10
_CROP_DRAWS = 2 * _CROP_ATTEMPTS + 2
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# RGB to YIQ (NTSC): hue is an angle in the plane of I and Q.
_RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
_YIQ_TO_RGB = tuple(map(tuple, torch.linalg.inv(torch.tensor(_RGB_TO_YIQ, dtype=torch.float64)).tolist()))


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly a view is changed. The order is crop, flip, blur, jitter, greyscale, solarisation.

    The ranges have torchvision's meaning, with two differences: jitter is applied in the fixed order brightness,
    contrast, saturation, hue and clamped once at the end, and hue turns the YIQ plane instead of the HSV circle.

    Attributes:
        crop_area: Least and greatest share of the image's area that is cropped and enlarged (bicubic); (1, 1) is off.
        crop_ratio: Least and greatest width over height of the crop.
        flip_probability: Of the horizontal flip.
        jitter_probability: Of the four changes of colour together.
        brightness: b; the factor is uniform in [max(0, 1 - b), 1 + b].
        contrast: As `brightness`, about the image's mean luma.
        saturation: As `brightness`, about each pixel's luma.
        hue: h; the angle is uniform in [-h, h] turns, at most 0.5.
        greyscale_probability: Of replacing the colours by the luma.
        blur_probability: Of a Gaussian blur; meant for images of 64 pixels or more.
        blur_sigma: Least and greatest standard deviation, in pixels.
        solarise_probability: Of inverting the values from 128 up.
    """

    crop_area: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5
    jitter_probability: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    greyscale_probability: float = 0.2
    blur_probability: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarise_probability: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "jitter", "greyscale", "blur", "solarise"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ConfigError(f"augmentation: {name}_probability = {value} is not between 0 and 1")
        for name in ("brightness", "contrast", "saturation", "hue"):
            value, limit = getattr(self, name), 0.5 if name == "hue" else float("inf")
            if not 0 <= value <= limit:
                raise ConfigError(f"augmentation: {name} = {value} is not between 0 and {limit}")
        for name, limit in (("crop_area", 1.0), ("crop_ratio", float("inf")), ("blur_sigma", float("inf"))):
            low, high = getattr(self, name)
            if not 0 < low <= high <= limit:
                raise ConfigError(f"augmentation: {name} = ({low}, {high}) is not an ascending range in (0, {limit}]")

    def scaled(self, strength: float) -> "AugmentConfig":
        """Return the configuration at `strength` in [0, 1]: 0 leaves only the flip, 1 is this one.

        The least crop area goes from 1 to its own value, the other figures from 0, all linearly.
        """
        if not 0 <= strength <= 1:
            raise ConfigError(f"augmentation strength {strength} is not between 0 and 1")
        low, high = self.crop_area
        return replace(
            self,
            crop_area=(low * strength + (1 - strength), high * strength + (1 - strength)),
            jitter_probability=self.jitter_probability * strength,
            brightness=self.brightness * strength,
            contrast=self.contrast * strength,
            saturation=self.saturation * strength,
            hue=self.hue * strength,
            greyscale_probability=self.greyscale_probability * strength,
            blur_probability=self.blur_probability * strength,
            solarise_probability=self.solarise_probability * strength,
        )


class Window(NamedTuple):
    """Where the views of a batch lie in their images.

    Attributes:
        top: (B,) float32, in shares of the image's height.
        left: (B,) float32, in shares of its width.
        height: (B,) float32, in shares of its height.
        width: (B,) float32, in shares of its width.
        flipped: (B,) bool, whether what lies left in the image is right in the view.
    """

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    flipped: torch.Tensor


def default_augment(dataset_name: str, image_size: int) -> AugmentConfig:
    """Return the views that suit a data set: photographs, blurred from 64 pixels up, or digits.

    A mirrored digit is another sign and digits have no colour, so theirs are cropped less and never flipped.
    """
    if dataset_name == "digits":
        return AugmentConfig(
            crop_area=(0.5, 1.0), flip_probability=0.0, saturation=0.0, hue=0.0, greyscale_probability=0.0
        )
    return AugmentConfig(blur_probability=0.5 if image_size >= 64 else 0.0)


def normalise(images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """Return (B, C, H, W) uint8 images as float32 `(image / 255 - mean) / std`: what an encoder sees at evaluation."""
    return _standardise(images.float() / 255, mean, std)


def _standardise(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    values = _constant((tuple(mean), tuple(std)), pixels.device)[..., None, None]  # (2, C, 1, 1)
    return (pixels - values[0]) / values[1]


@functools.lru_cache(maxsize=64)
def _constant(values: tuple[Any, ...], device: torch.device) -> torch.Tensor:
    """Return numbers as a float32 tensor on a device; to copy them there in each step would make it wait."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)


class Augment:
    """Turns a batch of images into one random, normalised view of each.

    The random numbers come from the generator that is passed, a fixed count for each batch size, so a run that
    restores the generator's state draws the same views.

    Args:
        config: What is changed, and how strongly.
        mean: Per channel, for images in [0, 1].
        std: Per channel, for images in [0, 1].
        size: H = W of the views in pixels; None is the images' own.
    """

    def __init__(
        self, config: AugmentConfig, mean: tuple[float, ...], std: tuple[float, ...], size: int | None = None
    ) -> None:
        self.config = config
        self.mean = mean
        self.std = std
        self.size = size

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return float32 views, normalised, of (B, C, H, W) uint8 images, on their device; see `apply`."""
        return self.apply(images, self.draw(len(images), generator))

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return the random numbers of `count` views, (count, R) float32 in [0, 1), on the generator's device."""
        return torch.rand(count, _CROP_DRAWS + 10, generator=generator, device=generator.device)

    def window(self, drawn: torch.Tensor, height: int, width: int) -> Window:
        """Return where the views that `drawn` makes of images of H x W pixels lie in them."""
        (top, box_height), (left, box_width) = _crop_boxes(drawn[:, :_CROP_DRAWS], height, width, self.config)
        flipped = drawn[:, _CROP_DRAWS] < self.config.flip_probability
        return Window(top / height, left / width, box_height / height, box_width / width, flipped)

    def sharing_crop(self, other: "Augment") -> "Augment":
        """Return this augmentation with the crop and the flip of `other`; see `share_crop`."""
        crop = {key: getattr(other.config, key) for key in ("crop_area", "crop_ratio", "flip_probability")}
        return Augment(replace(self.config, **crop), self.mean, self.std, self.size)

    @torch.no_grad()
    def apply(self, images: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Return the views that `drawn` makes of (B, C, H, W) uint8 images: (B, C, size, size) float32, normalised."""
        drawn = drawn.to(images.device)
        # bfloat16 products would leave 8 bits of the pixels.
        with torch.autocast(images.device.type, enabled=False):
            pixels = images.float() / 255
            pixels = _move_pixels(pixels, drawn[:, : _CROP_DRAWS + 3], self.config, self.size)
            pixels = _change_colours(pixels, drawn[:, _CROP_DRAWS + 3 :], self.config)
            return _standardise(pixels, self.mean, self.std)


def share_crop(drawn: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Return random numbers `drawn` (B, R) whose crop window and flip are those of `source` (B, R).

    Two views then show the same window if both have `Augment.sharing_crop`'s ranges.
    """
    return torch.cat([source[:, : _CROP_DRAWS + 1], drawn[:, _CROP_DRAWS + 1 :]], dim=1)


def _move_pixels(
    pixels: torch.Tensor, drawn: torch.Tensor, config: AugmentConfig, size: int | None = None
) -> torch.Tensor:
    """Crop (B, C, H, W) pixels in [0, 1], resize the crops to `size` (None: to H and W), flip and blur them."""
    batch, channels, height, width = pixels.shape
    to_height, to_width = (height, width) if size is None else (size, size)
    flip, blur, sigma = drawn[:, _CROP_DRAWS:].unbind(1)
    flipped = flip < config.flip_probability
    if config.crop_area == (1.0, 1.0) and config.blur_probability == 0 and (to_height, to_width) == (height, width):
        return torch.where(flipped[:, None, None, None], pixels.flip(3), pixels)
    (top, box_height), (left, box_width) = _crop_boxes(drawn[:, :_CROP_DRAWS], height, width, config)
    rows = _resize_matrix(top, box_height, height, to_height)  # (B, H', H)
    columns = _resize_matrix(left, box_width, width, to_width)  # (B, W', W)
    columns = torch.where(flipped[:, None, None], columns.flip(1), columns)
    if config.blur_probability > 0:
        blurred = blur < config.blur_probability
        rows = _blur_matrix(sigma, blurred, to_height, config, to_height / height) @ rows
        columns = _blur_matrix(sigma, blurred, to_width, config, to_width / width) @ columns
    pixels = (pixels.reshape(batch, channels * height, width) @ columns.mT).reshape(batch, channels, height, to_width)
    return (rows[:, None] @ pixels).clamp_(0, 1)


def _change_colours(pixels: torch.Tensor, drawn: torch.Tensor, config: AugmentConfig) -> torch.Tensor:
    """Jitter, grey and solarise (B, C, H, W) pixels in [0, 1]."""
    jitter, brightness, contrast, saturation, hue, grey, solarise = drawn.unbind(1)
    jittered = jitter < config.jitter_probability
    brightness = torch.where(jittered, _factor(brightness, config.brightness), 1.0)
    contrast = torch.where(jittered, _factor(contrast, config.contrast), 1.0)
    if pixels.shape[1] == 1:
        if config.jitter_probability > 0:
            pixels = _map_greys(pixels, brightness, contrast)
    elif config.jitter_probability > 0 or config.greyscale_probability > 0:
        pixels = _map_colours(
            pixels,
            brightness,
            contrast,
            torch.where(jittered, _factor(saturation, config.saturation), 1.0),
            torch.where(jittered, (2 * hue - 1) * config.hue, 0.0),
            grey < config.greyscale_probability,
        )
    if config.solarise_probability > 0:
        inverted = (solarise < config.solarise_probability)[:, None, None, None] & (pixels >= 128 / 255)
        pixels = torch.where(inverted, 1 - pixels, pixels)
    return pixels


def _factor(uniform: torch.Tensor, strength: float) -> torch.Tensor:
    low = max(0.0, 1 - strength)
    return low + (1 + strength - low) * uniform


def _crop_boxes(
    drawn: torch.Tensor, height: int, width: int, config: AugmentConfig
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Draw a whole-pixel box a sample as torchvision does: the first of ten that fits, else the whole image.

    Returns:
        (top, height) and (left, width), each (B,) float32.
    """
    area, ratio = drawn[:, :_CROP_ATTEMPTS], drawn[:, _CROP_ATTEMPTS : 2 * _CROP_ATTEMPTS]
    low, high = config.crop_area
    area = (low + (high - low) * area) * (height * width)
    log_low, log_high = math.log(config.crop_ratio[0]), math.log(config.crop_ratio[1])
    ratio = (log_low + (log_high - log_low) * ratio).exp()
    box_width, box_height = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()  # (B, 10)
    fits = (box_width >= 1) & (box_width <= width) & (box_height >= 1) & (box_height <= height)
    first = fits.int().argmax(1, keepdim=True)
    any_fits = fits.any(1)
    box_width = torch.where(any_fits, box_width.gather(1, first).squeeze(1), float(width))
    box_height = torch.where(any_fits, box_height.gather(1, first).squeeze(1), float(height))
    top = (drawn[:, 2 * _CROP_ATTEMPTS] * (height - box_height + 1)).floor().clamp(max=height - box_height)
    left = (drawn[:, 2 * _CROP_ATTEMPTS + 1] * (width - box_width + 1)).floor().clamp(max=width - box_width)
    return (top, box_height), (left, box_width)


def _resize_matrix(start: torch.Tensor, length: torch.Tensor, source: int, size: int) -> torch.Tensor:
    """Return (B, size, source) matrices that resize the pixels [start, start + length) to `size`, bicubic (a = -0.5).

    The weights of pixels outside the crop are zero and the others sum to one, and what is reduced is smoothed by a
    cubic as much wider, as in Pillow and torchvision (antialias).
    """
    pixel = torch.arange(source, device=start.device, dtype=torch.float32)
    step = length[:, None] / size  # (B, 1), source pixels a pixel
    centre = start[:, None] + (torch.arange(size, device=start.device) + 0.5) * step - 0.5  # (B, size)
    distance = (pixel - centre[..., None]).abs() / step[..., None].clamp(min=1)  # (B, size, source)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weight = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    inside = (pixel >= start[:, None]) & (pixel < (start + length)[:, None])  # (B, source)
    weight = weight * inside[:, None]
    return weight / weight.sum(2, keepdim=True)


def _blur_matrix(
    uniform: torch.Tensor, blurred: torch.Tensor, size: int, config: AugmentConfig, scale: float
) -> torch.Tensor:
    """Return (B, size, size) Gaussian smoothing matrices, renormalised at the border; identity where not `blurred`.

    The deviations are `scale` times those of `config`, which are in pixels of the image before it was resized.
    """
    low, high = config.blur_sigma
    sigma = (low + (high - low) * uniform)[:, None, None] * scale
    pixel = torch.arange(size, device=uniform.device, dtype=torch.float32)
    exponent = ((pixel - pixel[:, None]) / sigma) ** 2 / 2  # (B, size, size)
    # Cut at four standard deviations: the denormal numbers beyond make the products several times slower.
    weight = torch.where(exponent <= 8, torch.exp(-exponent.clamp(max=8)), 0.0)
    weight = weight / weight.sum(2, keepdim=True)
    return torch.where(blurred[:, None, None], weight, torch.eye(size, device=uniform.device))


def _map_greys(pixels: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Scale (B, 1, H, W) pixels in [0, 1] by `brightness` (B,), then by `contrast` (B,) about their mean, and clamp."""
    offset = (1 - contrast) * brightness * pixels.mean((1, 2, 3))  # (B,)
    scale = contrast * brightness
    return (pixels * scale[:, None, None, None] + offset[:, None, None, None]).clamp_(0, 1)


def _map_colours(
    pixels: torch.Tensor,
    brightness: torch.Tensor,
    contrast: torch.Tensor,
    saturation: torch.Tensor,
    angle: torch.Tensor,
    grey: torch.Tensor,
) -> torch.Tensor:
    """Apply one affine map of the colours a sample to (B, 3, H, W) pixels in [0, 1] and clamp.

    Args:
        pixels: (B, 3, H, W).
        brightness: (B,) factor.
        contrast: (B,) factor about the mean luma.
        saturation: (B,) factor about each pixel's luma.
        angle: (B,) turn of the hue, in turns.
        grey: (B,) bool, whether only the luma remains.
    """
    batch, _, height, width = pixels.shape
    luma = _constant(_LUMA, pixels.device)
    luma_rows = luma.expand(3, 3)  # every output channel is the luma
    saturate = torch.lerp(luma_rows, torch.eye(3, device=pixels.device), saturation[:, None, None])  # (B, 3, 3)
    cosine, sine = torch.cos(2 * torch.pi * angle), torch.sin(2 * torch.pi * angle)
    turn = torch.zeros(batch, 3, 3, device=pixels.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1], turn[:, 1, 2] = cosine, -sine
    turn[:, 2, 1], turn[:, 2, 2] = sine, cosine
    turn = _constant(_YIQ_TO_RGB, pixels.device) @ turn @ _constant(_RGB_TO_YIQ, pixels.device)
    turn = torch.where((angle == 0)[:, None, None], torch.eye(3, device=pixels.device), turn)  # exactly no change
    matrix = turn @ saturate
    matrix = torch.where(grey[:, None, None], luma_rows @ matrix, matrix)
    mean_luma = (pixels.mean((2, 3)) @ luma) * brightness  # (B,)
    offset = matrix @ ((1 - contrast) * mean_luma)[:, None, None].expand(batch, 3, 1)  # (B, 3, 1)
    scaled = matrix * (brightness * contrast)[:, None, None]
    flat = pixels.reshape(batch, 3, height * width)
    return torch.baddbmm(offset, scaled, flat).clamp_(0, 1).reshape(pixels.shape)
