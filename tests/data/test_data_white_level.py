"""Sensors of 10, 12 and 14 bits whose pixels lie in 16-bit files."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyedge.data.decode import decode_image
from tinyedge.data.registry import load_dataset
from tinyedge.data.white_level import find_white_level


def ramp(most: int, side: int = 33) -> np.ndarray:
    """(side, side) uint16 from 0 to `most`."""
    return np.linspace(0, most, side * side).round().astype(np.uint16).reshape(side, side)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("most", "white"),
    [(0, 255), (255, 255), (256, 1023), (1023, 1023), (1024, 4095), (4095, 4095), (4096, 16383), (16384, 65535)],
)
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_the_white_is_the_least_that_no_pixel_is_above(tmp_path, most, white, suffix):
    dark = save(tmp_path / f"dark.{suffix}", ramp(most // 2))
    bright = save(tmp_path / f"bright.{suffix}", ramp(most))
    assert find_white_level([dark, bright]) == white
    assert find_white_level([bright.open("rb")]) == white


def test_files_without_16_bits_have_no_white(tmp_path):
    save(tmp_path / "grey.png", ramp(255).astype(np.uint8))
    save(tmp_path / "colour.jpg", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert find_white_level(sorted(tmp_path.iterdir())) is None


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_every_pixel_is_rounded_to_the_nearest_of_256(tmp_path, white):
    pixels = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
    decoded = decode_image(save(tmp_path / "all.png", pixels), 256, white)[..., 0].reshape(-1)
    exact = np.minimum(np.arange(65536) * 255 / white, 255)
    assert np.abs(decoded - exact).max() <= 0.5
    assert (np.diff(decoded.astype(int)) >= 0).all()


def test_a_pgm_says_itself_what_is_white(tmp_path):
    file = tmp_path / "grey.pgm"
    file.write_bytes(b"P5 33 33 4095\n" + ramp(4095).astype(">u2").tobytes())
    assert find_white_level([file]) is None
    assert find_white_level([file.open("rb")]) is None
    for white in (None, 1023, 4095):  # As that of the PNG files beside it.
        exact = ramp(4095) * (255 / 4095)
        assert np.abs(decode_image(file, 33, white)[..., 0] - exact).max() <= 0.51


def test_a_folder_has_one_white_which_its_train_split_says(tmp_path):
    for name in "ab":
        for index, most in enumerate((900, 4000)):
            save(tmp_path / "train" / name / f"{index}.png", ramp(most))
        save(tmp_path / "test" / name / "0.png", ramp(8000))
    dataset = load_dataset(str(tmp_path), image_size=33, channels=1)
    assert dataset.white_level == 4095
    assert dataset.train.images.shape == (4, 1, 33, 33)
    assert [int(image.max()) for image in dataset.train.images] == [56, 249, 56, 249]
    assert int(dataset.test.images.max()) == 255
    given = load_dataset(str(tmp_path), image_size=33, white_level=16383)
    assert given.white_level == 16383
    assert int(given.train.images.max()) == 62


def test_shards_have_one_white_too(tmp_path):
    pytest.importorskip("webdataset", reason="the extra `shards` is not installed")
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for index, most in enumerate((900, 4000)):
            content = io.BytesIO()
            Image.fromarray(ramp(most)).save(content, "png")
            member = tarfile.TarInfo(f"{index}.png")
            member.size = len(content.getvalue())
            content.seek(0)
            tar.addfile(member, content)
    dataset = load_dataset(str(tmp_path / "0.tar"), image_size=33)
    assert dataset.white_level == 4095
    assert sorted(int(image.max()) for image in dataset.train.images) == [56, 249]
