"""The published sets in their own file formats, a few images each; only torchvision's checksums are put aside."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image

from tinyedge.data.registry import load_dataset
from tinyedge.errors import DataError


def _pixels(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.STL10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)


def _write_cifar(root: Path, folder: str, files: list[str], label_key: str, meta: tuple[str, str]) -> np.ndarray:
    (root / folder).mkdir(parents=True)
    pixels = _pixels(4 * len(files), 32, 0)
    for index, file in enumerate(files):
        batch = {"data": pixels[4 * index : 4 * index + 4].reshape(4, -1), label_key: [0, 1, 1, 0]}
        (root / folder / file).write_bytes(pickle.dumps(batch))
    (root / folder / meta[0]).write_bytes(pickle.dumps({meta[1]: ["plane", "car"]}))
    return pixels


def test_cifar10(tmp_path: Path) -> None:
    files = [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch"]
    pixels = _write_cifar(tmp_path, "cifar-10-batches-py", files, "labels", ("batches.meta", "label_names"))
    dataset = load_dataset("cifar10", root=tmp_path, labels_required=True)
    assert dataset.test is not None
    assert dataset.train.labels is not None
    np.testing.assert_array_equal(dataset.train.images.numpy(), pixels[:20])
    np.testing.assert_array_equal(dataset.test.images.numpy(), pixels[20:])
    assert dataset.train.labels.tolist() == [0, 1, 1, 0] * 5
    assert dataset.classes == ("plane", "car")
    assert dataset.train.images.is_contiguous()


def test_cifar100_resized(tmp_path: Path) -> None:
    pixels = _write_cifar(tmp_path, "cifar-100-python", ["train", "test"], "fine_labels", ("meta", "fine_label_names"))
    dataset = load_dataset("cifar100", root=tmp_path, image_size=64)
    assert dataset.train.images.shape == (4, 3, 64, 64)
    assert dataset.train.images.dtype == torch.uint8
    reduced = torch.nn.functional.avg_pool2d(dataset.train.images.float(), 2)
    assert (reduced - torch.from_numpy(pixels[:4]).float()).abs().mean() < 20  # the same images, enlarged


def test_folder_that_cifar_is_unpacked_in(tmp_path: Path) -> None:
    files = [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch"]
    pixels = _write_cifar(tmp_path, "cifar-10-batches-py", files, "labels", ("batches.meta", "label_names"))
    for given in (tmp_path, tmp_path / "cifar-10-batches-py"):
        dataset = load_dataset(str(given), labels_required=True)
        assert dataset.name == "cifar10"
        np.testing.assert_array_equal(dataset.train.images.numpy(), pixels[:20])
    _write_cifar(tmp_path, "cifar-100-python", ["train", "test"], "fine_labels", ("meta", "fine_label_names"))
    with pytest.raises(DataError, match="holds cifar-10-batches-py and cifar-100-python: give one of them"):
        load_dataset(str(tmp_path))
    assert load_dataset(str(tmp_path / "cifar-100-python"), labels_required=True).name == "cifar100"
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.png")
    assert len(load_dataset(str(tmp_path)).train) == 1


def test_stl10_marks_the_unlabelled(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    parts = {
        name: _pixels(count, 96, seed)
        for seed, (name, count) in enumerate({"train": 3, "unlabeled": 2, "test": 2}.items())
    }
    for name, pixels in parts.items():
        pixels.transpose(0, 1, 3, 2).tofile(folder / f"{name}_X.bin")  # stored column by column
    np.array([1, 2, 2], dtype=np.uint8).tofile(folder / "train_y.bin")
    np.array([2, 1], dtype=np.uint8).tofile(folder / "test_y.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    dataset = load_dataset("stl10", root=tmp_path)
    assert dataset.test is not None
    assert dataset.train.labels is not None
    assert dataset.test.labels is not None
    np.testing.assert_array_equal(dataset.train.images.numpy(), np.concatenate([parts["train"], parts["unlabeled"]]))
    np.testing.assert_array_equal(dataset.test.images.numpy(), parts["test"])
    assert dataset.train.labels.tolist() == [0, 1, 1, -1, -1]
    assert dataset.test.labels.tolist() == [1, 0]
    assert dataset.classes == ("airplane", "bird")
