import hashlib
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tinyedge.data import images as images_module
from tinyedge.data.dataset import ImageDataset, labelled_splits
from tinyedge.data.folder import load_folder
from tinyedge.data.registry import dataset_names, load_dataset
from tinyedge.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))


def _write(path: Path, seed: int, size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _labelled_folder(root: Path, train: int = 6, test: int = 3, held_out: str = "test") -> Path:
    seed = 0
    for split, count in (("train", train), (held_out, test)):
        for name in ("cat", "dog"):
            for index in range(count):
                seed += 1
                _write(root / split / name / f"{index:02}.png", seed)
    return root


def _hashes(images: torch.Tensor) -> set[str]:
    return {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images}


def _assert_splits_are_disjoint(dataset: ImageDataset) -> None:
    assert dataset.test is not None
    train, test = _hashes(dataset.train.images), _hashes(dataset.test.images)
    assert len(train) == len(dataset.train)
    assert len(test) == len(dataset.test)
    assert not train & test


@pytest.mark.parametrize("held_out", ["test", "val", "valid"])
def test_image_folder_layout(tmp_path: Path, held_out: str) -> None:
    root = _labelled_folder(tmp_path / "pets", held_out=held_out)
    dataset = load_folder(root)
    assert dataset.name == "pets"
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.images.shape == (12, 3, 32, 32)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels is not None
    assert dataset.train.labels.tolist() == [0] * 6 + [1] * 6
    assert dataset.test is not None
    assert dataset.test.labels is not None
    assert dataset.test.labels.tolist() == [0] * 3 + [1] * 3
    _assert_splits_are_disjoint(dataset)
    on_disk = np.asarray(Image.open(root / "train" / "dog" / "00.png"))
    np.testing.assert_array_equal(dataset.train.images[6].permute(1, 2, 0).numpy(), on_disk)


def test_test_is_preferred_to_val(tmp_path: Path) -> None:
    root = _labelled_folder(tmp_path / "pets")
    for name in ("cat", "dog"):
        _write(root / "val" / name / "0.png", 99)
    dataset = load_folder(root)
    assert dataset.test is not None
    assert len(dataset.test) == 6


def test_tiny_imagenet_official_layout(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    classes = ["n02", "n01"]
    for position, name in enumerate(classes):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / f"{name}_boxes.txt").write_text("x.JPEG\t0\t0\t1\t1\n")
        for index in range(3):
            _write(root / "train" / name / "images" / f"{name}_{index}.JPEG", 10 * position + index, (64, 64))
    lines = []
    for index, name in enumerate(["n01", "n02", "n02"]):
        _write(root / "val" / "images" / f"val_{index}.JPEG", 50 + index, (64, 64))
        lines.append(f"val_{index}.JPEG\t{name}\t0\t0\t62\t62")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    _write(root / "test" / "images" / "test_0.JPEG", 70, (64, 64))
    dataset = load_dataset("tiny-imagenet", root=tmp_path)
    assert dataset.name == "tiny-imagenet"
    assert dataset.classes == ("n01", "n02")
    assert dataset.train.images.shape == (6, 3, 64, 64)
    assert dataset.train.labels is not None
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test is not None
    assert dataset.test.labels is not None
    assert dataset.test.labels.tolist() == [0, 1, 1]
    _assert_splits_are_disjoint(dataset)

    (root / "val" / "val_annotations.txt").write_text(lines[0] + "\n")
    with pytest.raises(DataError, match=r"val_annotations.txt names no class for .*val_1.JPEG \(2 such files\)"):
        load_folder(root)


def test_unlabelled_images_flat_and_nested(tmp_path: Path) -> None:
    _write(tmp_path / "photos" / "b.png", 1)
    _write(tmp_path / "photos" / "2024" / "may" / "a.PNG", 2)
    _write(tmp_path / "photos" / ".thumbnails" / "a.png", 3)
    _write(tmp_path / "photos" / "._b.png", 4)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    dataset = load_dataset(str(tmp_path / "photos"))
    assert len(dataset.train) == 2
    assert dataset.train.labels is None
    assert dataset.test is None
    assert dataset.classes == ()
    with pytest.raises(DataError, match="no labels"):
        labelled_splits(dataset)


def test_unlabelled_train_beside_unlabelled_test(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "a.png", 1)
    _write(tmp_path / "test" / "b.png", 2)
    dataset = load_folder(tmp_path)
    assert dataset.test is not None
    assert dataset.test.labels is None
    assert len(dataset.train) == 1


def test_mixed_forms_come_out_as_rgb(tmp_path: Path) -> None:
    ramp = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64)
    grey = Image.fromarray((ramp // 16).astype(np.uint8))
    grey.save(tmp_path / "0_grey.png")
    Image.fromarray((ramp * 16).astype(np.uint16)).save(tmp_path / "1_sixteen.png")
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[:, :32] = (200, 10, 20, 255)  # right half: transparent black
    Image.fromarray(rgba).save(tmp_path / "2_rgba.png")
    palette = Image.fromarray(rgba[..., :3]).quantize(4)
    palette.save(tmp_path / "3_palette.png")
    grey.convert("LA").save(tmp_path / "4_grey_alpha.png")
    grey.convert("1").save(tmp_path / "5_bilevel.png")
    Image.fromarray(rgba[..., :3]).convert("CMYK").save(tmp_path / "6_cmyk.jpg", quality=95)
    palette.save(tmp_path / "7_transparent.png", transparency=palette.getpixel((63, 0)))
    images = load_folder(tmp_path, image_size=64).train.images.permute(0, 2, 3, 1).numpy()
    expected_grey = np.repeat((ramp // 16).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(images[0], expected_grey)
    np.testing.assert_array_equal(images[1], np.repeat(((ramp * 16 + 128) // 257).astype(np.uint8)[..., None], 3, 2))
    assert images[2][0, 0].tolist() == [200, 10, 20]
    assert images[2][0, 63].tolist() == [255, 255, 255]
    np.testing.assert_allclose(images[3].astype(int), rgba[..., :3].astype(int), atol=4)
    np.testing.assert_array_equal(images[4], expected_grey)
    assert set(np.unique(images[5])) == {0, 255}
    np.testing.assert_allclose(images[6].astype(int), rgba[..., :3].astype(int), atol=40)
    assert images[7][0, 63].tolist() == [255, 255, 255]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30] = 255  # left half white, as stored
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise: the white half comes to the top
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    shown = load_folder(tmp_path, image_size=40).train.images[0].float().mean(0)  # (40, 40), the centre of 40x60
    assert shown[:18].mean() > 240
    assert shown[22:].mean() < 15


@pytest.mark.parametrize(("width", "height"), [(32, 47), (99, 64), (1000, 33), (7, 300), (31, 31), (2000, 1500)])
def test_short_side_is_resized_and_the_centre_cropped(tmp_path: Path, width: int, height: int) -> None:
    ramp = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "ramp.jpg", quality=95)
    image = load_folder(tmp_path, image_size=32).train.images[0].float()
    assert image.shape == (3, 32, 32)
    # The centre square's own grey values, whatever part of the width it shows.
    half = min(width, height) / width * 127.5
    assert image[:, :, :2].mean() == pytest.approx(127.5 - half, abs=14)
    assert image[:, :, -2:].mean() == pytest.approx(127.5 + half, abs=14)


@pytest.mark.parametrize(
    ("native", "expected"),
    [((8, 8), 32), ((32, 32), 32), ((28, 28), 32), ((64, 80), 64), ((96, 96), 96), ((640, 480), 96)],
)
def test_default_size(tmp_path: Path, native: tuple[int, int], expected: int) -> None:
    for index in range(3):
        _write(tmp_path / f"{index}.png", index, native)
    _write(tmp_path / "odd.png", 9, (17, 23))
    assert load_folder(tmp_path).train.images.shape == (4, 3, expected, expected)


def test_broken_files_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = _labelled_folder(tmp_path, train=100, test=50)
    whole = (root / "train" / "cat" / "03.png").read_bytes()
    (root / "train" / "cat" / "03.png").write_bytes(whole[: len(whole) // 2])
    (root / "test" / "dog" / "07.png").write_bytes(b"no image at all")
    (root / "train" / "dog" / "05.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        dataset = load_folder(root)
    assert [Path(path).relative_to(root).as_posix() for path in dataset.skipped_files] == [
        "train/cat/03.png",
        "train/dog/05.png",
        "test/dog/07.png",
    ]
    assert "left out 3 broken of 300 images" in caplog.text
    assert "train/cat/03.png" in caplog.text
    assert dataset.train.labels is not None
    assert dataset.train.labels.tolist() == [0] * 99 + [1] * 99
    assert dataset.test is not None
    assert len(dataset.test) == 99
    on_disk = np.asarray(Image.open(root / "train" / "cat" / "04.png"))  # the image after the broken one
    np.testing.assert_array_equal(dataset.train.images[3].permute(1, 2, 0).numpy(), on_disk)


def test_a_few_broken_of_a_small_set_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for index in range(42):
        _write(tmp_path / f"{index:02}.png", index)
    for index in (7, 30, 31, 32, 33):
        (tmp_path / f"{index:02}.png").write_bytes(b"x")
    assert len(load_folder(tmp_path).train) == 37
    assert "left out 5 broken of 42 images" in caplog.text
    assert caplog.text.count(".png (") == 3
    assert "and 2 more" in caplog.text


def test_a_set_of_which_most_is_broken_is_refused(tmp_path: Path) -> None:
    for index in range(4):
        _write(tmp_path / f"{index}.png", index)
    for index in range(4, 9):
        (tmp_path / f"{index}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"5 of 9 images .* are broken: .*4.png .*delete or replace them"):
        load_folder(tmp_path)


def test_a_split_of_which_all_is_broken_is_refused(tmp_path: Path) -> None:
    root = _labelled_folder(tmp_path)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="6 of 18 images"):
        load_folder(root)


def test_all_broken(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(DataError, match="1 of 1 images"):
        load_folder(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(DataError, match="no image in"):
        load_folder(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no image in .*train"):
        load_folder(tmp_path)


def test_missing_folder_names_the_known_sets(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="digits, cifar10"):
        load_dataset(str(tmp_path / "nowhere"))


def test_file_instead_of_folder(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"x")
    with pytest.raises(DataError, match="unpack it"):
        load_dataset(str(tmp_path / "images.zip"))


def test_one_class_pretrains_but_does_not_probe(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "only" / "a.png", 1)
    _write(tmp_path / "test" / "only" / "b.png", 2)
    dataset = load_dataset(str(tmp_path))
    assert dataset.classes == ("only",)
    with pytest.raises(DataError, match=r"1 class \(only\): a probe needs at least 2"):
        load_dataset(str(tmp_path), labels_required=True)


def test_labels_required_names_a_missing_test_split(tmp_path: Path) -> None:
    for name in "ab":
        _write(tmp_path / "train" / name / "0.png", 1)
    with pytest.raises(DataError, match="no test split"):
        load_dataset(str(tmp_path), labels_required=True)


def test_classes_that_differ(tmp_path: Path) -> None:
    root = _labelled_folder(tmp_path)
    _write(root / "test" / "eel" / "0.png", 1)
    _write(root / "train" / "ant" / "0.png", 1)
    with pytest.raises(DataError, match=r"differ: 1 only in train \(ant\) and 1 only in test \(eel\)"):
        load_folder(root)


def test_stray_image_beside_class_folders(tmp_path: Path) -> None:
    root = _labelled_folder(tmp_path)
    _write(root / "train" / "stray.png", 1)
    with pytest.raises(DataError, match=r"stray.png lies beside the class folders of .*train \(1 such files\)"):
        load_folder(root)


def test_test_folder_without_train_is_never_pretrained_on(tmp_path: Path) -> None:
    _write(tmp_path / "a.png", 1)
    _write(tmp_path / "test" / "cat" / "b.png", 2)
    with pytest.raises(DataError, match="has test/ but no train/"):
        load_folder(tmp_path)


@pytest.mark.parametrize(("train", "held_out"), [("Train", "Test"), ("TRAIN", "test"), ("train", "Val")])
def test_split_folders_in_any_case(tmp_path: Path, train: str, held_out: str) -> None:
    root = _labelled_folder(tmp_path / "pets", held_out=held_out)
    (root / "train").rename(root / train)
    dataset = load_folder(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    _assert_splits_are_disjoint(dataset)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("TrainImages", "TestImages"),
        ("images", "my-val"),
        ("images", "Valid"),
        ("train2017", "val2017"),
    ],
)
def test_folders_named_like_splits_are_not_all_pretrained_on(tmp_path: Path, train: str, held_out: str) -> None:
    _write(tmp_path / train / "cat" / "a.png", 1)
    _write(tmp_path / held_out / "cat" / "b.png", 2)
    with pytest.raises(DataError, match=rf"{held_out}/.* but no train/: rename .* train/ and .* test/"):
        load_folder(tmp_path)


def test_words_that_contain_a_split_s_name_are_none(tmp_path: Path) -> None:
    for name in ("trains", "valley", "Contest", "trainers", ".test"):
        _write(tmp_path / name / "a.png", 1)
    assert len(load_folder(tmp_path).train) == 4


def test_two_train_folders(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "a.png", 1)
    _write(tmp_path / "Train" / "b.png", 2)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell train from Train")
    with pytest.raises(DataError, match="both Train/ and train/"):
        load_folder(tmp_path)


def test_the_folder_above_the_splits_is_not_all_pretrained_on(tmp_path: Path) -> None:
    _write(tmp_path / "archive" / "train" / "a.png", 1)
    _write(tmp_path / "archive" / "test" / "b.png", 2)
    _write(tmp_path / "notes" / "c.png", 3)
    with pytest.raises(DataError, match="archive has: give that folder"):
        load_folder(tmp_path)


def test_labelled_test_needs_labelled_train(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "a.png", 1)
    _write(tmp_path / "test" / "cat" / "b.png", 2)
    with pytest.raises(DataError, match="none below train/"):
        load_folder(tmp_path)


@pytest.mark.parametrize("size", [0, 7, 513, -32])
def test_image_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match="image size"):
        load_dataset("digits", image_size=size)


def test_published_set_that_is_not_there_says_what_helps_every_command(tmp_path: Path) -> None:
    for name in dataset_names()[1:]:
        message = f"{name} is not whole in .* with --data, or let `tinyedge train --data {name} --download` fetch it"
        with pytest.raises(DataError, match=message):
            load_dataset(name, root=tmp_path / "none")


def test_cache_returns_the_same_and_notices_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "set"
    for index in range(200):
        _write(root / f"{index:03}.png", index)
    (root / "050.png").write_bytes(b"broken")
    uncached = load_folder(root)
    assert not list((tmp_path / "cache").rglob("*"))  # a short list is not worth a cache
    monkeypatch.setattr(images_module, "_CACHE_MIN_FILES", 100)
    first = load_folder(root)
    (stored,) = (tmp_path / "cache").rglob("*.safetensors")

    def refuse(*_: object) -> None:
        raise AssertionError("decoded although cached")

    with monkeypatch.context() as cached_only:
        cached_only.setattr(images_module, "_decode", refuse)
        second = load_folder(root)
    for dataset in (first, second):
        assert torch.equal(dataset.train.images, uncached.train.images)
        assert dataset.skipped_files == uncached.skipped_files
        assert dataset.mean == uncached.mean
    _write(root / "000.png", 1000, (33, 32))
    changed = load_folder(root)
    assert not torch.equal(changed.train.images[0], first.train.images[0])
    assert torch.equal(changed.train.images[1:], first.train.images[1:])

    _write(root / "000.png", 0)
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    assert stored.exists()
    assert torch.equal(load_folder(root).train.images, first.train.images)


def test_unwritable_cache_does_not_stop_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "set" / "a.png", 1)
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "occupied"))
    monkeypatch.setattr(images_module, "_CACHE_MIN_FILES", 1)
    assert len(load_folder(tmp_path / "set").train) == 1
    assert "not cached" in caplog.text


def test_channel_statistics_against_numpy(tmp_path: Path) -> None:
    dataset = load_folder(_labelled_folder(tmp_path))
    values = dataset.train.images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, values.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(dataset.std, values.std((0, 2, 3)), atol=1e-6)


def test_constant_images_can_be_normalised(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), (10, 20, 30)).save(tmp_path / "flat.png")
    assert min(load_folder(tmp_path).std) > 0


def test_digits() -> None:
    dataset = load_dataset("digits", labels_required=True)
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert dataset.train.images.shape[1:] == (3, 32, 32)
    assert dataset.classes == tuple("0123456789")
    _assert_splits_are_disjoint(dataset)
    assert dataset.train.labels is not None
    assert dataset.test.labels is not None
    per_class = torch.bincount(torch.cat([dataset.train.labels, dataset.test.labels]))
    assert (torch.bincount(dataset.test.labels) - 0.2 * per_class).abs().max() <= 0.5
    again = load_dataset("digits")
    assert torch.equal(again.train.images, dataset.train.images)


def test_digits_keep_scikit_learns_images_and_labels() -> None:
    from sklearn.datasets import load_digits

    bundled = load_digits()
    dataset = load_dataset("digits", image_size=8)
    assert dataset.test is not None
    assert dataset.train.labels is not None
    assert dataset.test.labels is not None
    ours = sorted(
        (image[0].flatten().tolist(), int(label))
        for split in (dataset.train, dataset.test)
        for image, label in zip(split.images, split.labels if split.labels is not None else [], strict=True)
    )
    theirs = sorted(
        (np.rint(image.flatten() * 255 / 16).astype(int).tolist(), int(label))
        for image, label in zip(bundled.images, bundled.target, strict=True)
    )
    assert ours == theirs


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (12_000, 12_000)])
def test_an_image_whose_pixels_would_take_gigabytes_is_left_out(
    tmp_path: Path, size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Its file is of some kilobytes: what it says of its size is looked at before a pixel is."""
    for index in range(9):
        _write(tmp_path / f"{index}.png", index)
    header = struct.pack(">4sIIBBBBB", b"IHDR", *size, 8, 0, 0, 0, 0)
    pixels = struct.pack(">4s", b"IDAT") + zlib.compress(bytes(64))
    parts = [header, pixels, b"IEND"]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
    )
    (tmp_path / "long.png").write_bytes(content)
    dataset = load_folder(tmp_path, image_size=32)
    assert len(dataset.train) == 9
    assert dataset.skipped_files == (str(tmp_path / "long.png"),)
    assert f"{size[0]} x {size[1]} pixels are too many, or too long and narrow for 32 x 32" in caplog.text
