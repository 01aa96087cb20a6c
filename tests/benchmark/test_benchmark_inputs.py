import shutil
from pathlib import Path

import numpy as np
import pytest

from tinyedge.benchmark.bench import open_subject
from tinyedge.benchmark.inputs import first_per_class_round, read_inputs
from tinyedge.errors import ConfigError
from tinyedge.tflite.frames import random_frames
from tinyedge.tflite.graph import Tensor

TENSOR = Tensor("input", (1, 3, 5, 2), np.dtype(np.int8))
SEVERAL = (TENSOR, Tensor("level", (1, 4), np.dtype(np.float32)))


def test_a_file_comes_back_as_it_was_written(tmp_path):
    values = random_frames([TENSOR], 2, seed=0)
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.npy", [TENSOR]), values)


@pytest.mark.parametrize("named", [True, False])
def test_several_inputs_come_from_an_archive(tmp_path, named):
    frames = random_frames(SEVERAL, 3, seed=0)
    arrays = {"level": frames["level"], "input": frames["input"]}
    if named:  # In whatever order.
        np.savez(tmp_path / "x.npz", **arrays)
    else:
        np.savez(tmp_path / "x.npz", frames["input"], frames["level"])
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.npz", SEVERAL), frames)


def test_an_archive_has_to_hold_all_inputs_equally_often(tmp_path):
    frames = random_frames(SEVERAL, 3, seed=0)
    np.save(tmp_path / "x.npy", frames["input"])
    with pytest.raises(ConfigError, match=r"1 array, but the model has 2 inputs \('input', 'level'\)"):
        read_inputs(tmp_path / "x.npy", SEVERAL)
    np.savez(tmp_path / "x.npz", input=frames["input"], level=frames["level"][:2])
    with pytest.raises(ConfigError, match="have 3, 2 entries"):
        read_inputs(tmp_path / "x.npz", SEVERAL)
    np.savez(tmp_path / "x.npz", input=frames["input"], level=frames["level"].astype(np.float64))
    with pytest.raises(ConfigError, match=r"float64 .* 'level' takes float32"):
        read_inputs(tmp_path / "x.npz", SEVERAL)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3, 5, 2), np.float32), "float32"),
        (np.zeros((2, 3, 5, 3), np.int8), r"\(n, 3, 5, 2\)"),
        (np.zeros((3, 5, 2), np.int8), r"\(3, 5, 2\)"),
        (np.zeros((0, 3, 5, 2), np.int8), "shape"),
        (np.int8(3), r"shape \(\)"),
    ],
)
def test_what_the_model_cannot_take_is_refused(tmp_path, values, message):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ConfigError, match=message):
        read_inputs(tmp_path / "x.npy", [TENSOR])


def test_a_file_that_is_no_array_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_inputs(tmp_path / "x.npy", [TENSOR])
    np.savez(tmp_path / "archive.npz", np.zeros((2, 3, 5, 2), np.int8))
    archive = (tmp_path / "archive.npz").read_bytes()
    for content in (b"\x93NUMPY", b"", archive, archive[:30]):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(ConfigError, match=r"not a \.npy file"):
            read_inputs(tmp_path / "x.npy", [TENSOR])


def test_a_small_sample_goes_round_the_classes():
    labels = np.array([0, 0, 0, 0, 2, 2, 1, 1])
    chosen = first_per_class_round(labels, 4)
    np.testing.assert_array_equal(labels[chosen], [0, 1, 2, 0])
    np.testing.assert_array_equal(np.sort(first_per_class_round(labels, 99)), np.arange(8))


ZOO = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_images(folder: Path, classes: tuple[str, ...]) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / split / name / "a.png")


def test_a_file_with_its_manifest_takes_test_images_from_a_folder(tmp_path):
    from tinyedge.manifest.manifest import read_manifest
    from tinyedge.manifest.preprocess import quantise_images

    write_images(tmp_path / "images", CLASSES)
    test = open_subject(ZOO / "model_int8.tflite", str(tmp_path / "images")).test
    assert test.labels.tolist() == list(range(10))
    from PIL import Image

    cat = np.asarray(Image.open(tmp_path / "images" / "test" / "cat" / "a.png"))
    np.testing.assert_array_equal(test.values[3], quantise_images(cat[None], read_manifest(ZOO))[0])


def test_images_of_other_classes_are_refused(tmp_path):
    write_images(tmp_path / "images", ("cat", "dog"))
    with pytest.raises(ConfigError, match=r"the classes of .* are not those of .*: airplane, automobile"):
        open_subject(ZOO / "model_int8.tflite", str(tmp_path / "images"))


def test_a_model_without_a_manifest_takes_no_images(tmp_path):
    from tinyedge.errors import ModelError

    shutil.copyfile(ZOO / "model_int8.tflite", tmp_path / "m.tflite")
    write_images(tmp_path / "images", ("cat", "dog"))
    with pytest.raises(ModelError, match=r"export\.json"):
        open_subject(tmp_path / "m.tflite", str(tmp_path / "images"))
