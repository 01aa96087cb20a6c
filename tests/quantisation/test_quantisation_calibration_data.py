"""Folders of images and arrays of any rank as a graph takes them, and what fits no graph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyedge.conversion.network import Layout
from tinyedge.errors import ConfigError, DataError
from tinyedge.quantisation.calibration_data import check_calibration, examples, first_samples, open_calibration
from tinyedge.quantisation.normalisation import Normalisation, parse_normalisation
from tinyedge.tflite.graph import Tensor

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(0)
ALL = np.arange(16)


def image_input(height: int, width: int, channels: int) -> tuple[list[Tensor], list[Layout]]:
    """Channels first in the source, last in the graph."""
    tensor = Tensor("image", (1, height, width, channels), F32)
    return [tensor], [Layout("image", (1, channels, height, width), (0, 2, 3, 1))]


def plain_input(*shape: int, name: str = "x") -> tuple[Tensor, Layout]:
    return Tensor(name, shape, F32), Layout(name, shape, tuple(range(len(shape))))


@pytest.mark.parametrize("shape", [(1, 7), (1, 5, 3), (1, 4, 3, 2), (1, 2, 2, 3, 2), (4, 3)])
def test_an_array_of_any_rank_is_taken_as_it_is(shape):
    tensor, layout = plain_input(*shape)
    samples = RNG.normal(size=(16, *(shape[1:] if shape[0] == 1 else shape)))
    (found,) = open_calibration(samples, [tensor], [layout]).read(np.array([3, 1]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, samples[[3, 1]].astype(np.float32))


def test_the_shape_tells_channels_first_from_channels_last():
    planes = RNG.normal(size=(16, 3, 5, 4)).astype(np.float32)
    for samples, name in ((planes, "NCHW"), (planes.transpose(0, 2, 3, 1), "NHWC")):
        data = open_calibration(samples, *image_input(5, 4, 3))
        np.testing.assert_array_equal(data.read(ALL)[0], planes.transpose(0, 2, 3, 1))
        assert data.notes == (f"arrays: {samples.shape} was read as {name}",)


def test_where_both_orders_fit_the_sources_is_taken_and_said():
    samples = RNG.normal(size=(16, 3, 3, 3)).astype(np.float32)
    data = open_calibration(samples, *image_input(3, 3, 3))
    np.testing.assert_array_equal(data.read(ALL)[0], samples.transpose(0, 2, 3, 1))
    assert "fits NCHW and NHWC; it was read as NCHW" in data.notes[0]
    last = open_calibration(samples, *image_input(3, 3, 3), layout="nhwc")
    np.testing.assert_array_equal(last.read(ALL)[0], samples)
    assert last.notes == ()


def test_a_channel_of_one_may_be_left_out():
    samples = RNG.normal(size=(16, 6, 5)).astype(np.float32)
    (found,) = open_calibration(samples, *image_input(6, 5, 1)).read(ALL)
    np.testing.assert_array_equal(found, samples[..., None])


def test_a_layout_that_is_asked_for():
    samples = RNG.normal(size=(16, 5, 3, 4)).astype(np.float32)  # Height, channels, width.
    (found,) = open_calibration(samples, *image_input(5, 4, 3), layout="nhcw").read(ALL)
    np.testing.assert_array_equal(found, samples.transpose(0, 1, 3, 2))
    with pytest.raises(ConfigError, match=r"--layout nwc does not fit input 'image' of .*: give nhwc or nchw$"):
        open_calibration(samples, *image_input(5, 4, 3), layout="nwc")
    with pytest.raises(DataError, match=r"\(16, 5, 3, 4\), and input 'image' takes \(n, 3, 5, 4\) as nchw"):
        open_calibration(samples, *image_input(5, 4, 3), layout="nchw")


def test_channels_first_for_a_source_of_channels_last_ask_for_the_layout():
    samples = RNG.normal(size=(16, 3, 5, 4)).astype(np.float32)
    (tensor,), _ = image_input(5, 4, 3)
    kept = Layout("image", (1, 5, 4, 3), (0, 1, 2, 3))
    with pytest.raises(DataError, match=r"takes \(n, 5, 4, 3\): pass --layout nchw"):
        open_calibration(samples, [tensor], [kept])
    (found,) = open_calibration(samples, [tensor], [kept], layout="nchw").read(ALL)
    np.testing.assert_array_equal(found, samples.transpose(0, 2, 3, 1))


def test_a_shape_that_fits_nothing_names_both():
    samples = RNG.normal(size=(16, 3, 6, 4)).astype(np.float32)
    with pytest.raises(DataError, match=r"\(16, 3, 6, 4\).*\(n, 3, 5, 4\) \(NCHW\) or \(n, 5, 4, 3\) \(NHWC\)"):
        open_calibration(samples, *image_input(5, 4, 3))
    tensor, layout = plain_input(1, 9)
    with pytest.raises(DataError, match=r"\(16, 8\) and input 'x' takes \(n, 9\)"):
        open_calibration(np.zeros((16, 8)), [tensor], [layout])


def test_several_inputs_by_name_or_in_order(tmp_path):
    (x, x_layout), (y, y_layout) = plain_input(1, 3, name="x"), plain_input(1, 2, 2, name="y")
    arrays = {"y": RNG.normal(size=(20, 2, 2)), "x": RNG.normal(size=(20, 3))}
    np.savez(tmp_path / "both.npz", **arrays)
    for given in (tmp_path / "both.npz", arrays, [arrays["x"], arrays["y"]]):
        found = open_calibration(given, [x, y], [x_layout, y_layout]).read(np.array([7]))
        for values, name in zip(found, ("x", "y"), strict=True):
            np.testing.assert_array_equal(values, arrays[name][[7]].astype(np.float32))
    with pytest.raises(DataError, match="holds y, and the network takes x, y"):
        open_calibration({"y": arrays["y"]}, [x, y], [x_layout, y_layout])
    with pytest.raises(DataError, match=r"different lengths \(x: 20, y: 19\)"):
        open_calibration({"x": arrays["x"], "y": arrays["y"][:19]}, [x, y], [x_layout, y_layout])


def test_a_module_is_traced_by_arrays_in_the_order_of_its_arguments(tmp_path):
    arrays = {"meta": np.ones((20, 3), np.float32), "image": np.zeros((20, 4), np.float32)}
    np.savez(tmp_path / "both.npz", **arrays)
    for given in (arrays, tmp_path / "both.npz"):
        assert [array.shape for array in first_samples(given, ["image", "meta", "scale"])] == [(1, 4), (1, 3)]
        assert [array.shape for array in first_samples(given, ["x", "y"])] == [(1, 3), (1, 4)]
    shapes = {name: (1, *array.shape[1:]) for name, array in arrays.items()}
    assert [array.shape for array in examples(shapes, ["image", "meta"])] == [(1, 4), (1, 3)]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_named(broken):
    samples = np.zeros((20, 4), np.float32)
    samples[17, 2] = broken
    tensor, layout = plain_input(1, 4)
    data = open_calibration(samples, [tensor], [layout])
    with pytest.raises(DataError, match=r"sample 17 of arrays holds a value that is not finite \(NaN or infinite\): "):
        data.read(np.arange(20))
    samples[3:5] = broken
    with pytest.raises(DataError, match=r"sample 3 of arrays .*, as 2 more of those drawn do: "):
        data.read(np.arange(20))


def test_pixels_of_uint8_arrays_are_normalised():
    pixels = RNG.integers(0, 256, (16, 5, 4, 3), np.uint8)
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    data = open_calibration(pixels, *image_input(5, 4, 3), normalisation=normalisation)
    expected = (pixels / 255 - np.array(normalisation.mean)) / np.array(normalisation.std)
    np.testing.assert_allclose(data.read(ALL)[0], expected, rtol=1e-5, atol=1e-6)
    assert data.normalisation == normalisation
    with pytest.raises(ConfigError, match="holds float32"):
        open_calibration(pixels.astype(np.float32), *image_input(5, 4, 3), normalisation=normalisation)
    assert "taken as they are" in open_calibration(pixels, *image_input(5, 4, 3)).notes[1]


def folder_of_images(folder: Path, count: int, mode: str = "RGB") -> Path:
    folder.mkdir()
    for index in range(count):
        (folder / str(index % 2)).mkdir(exist_ok=True)
        colour = index if mode == "L" else (index, 2 * index, 3 * index)
        Image.new(mode, (9, 7), colour).save(folder / str(index % 2) / f"{index:03}.png")
    return folder


def test_a_folder_of_images_is_resized_and_normalised(tmp_path):
    folder = folder_of_images(tmp_path / "photos", 20)
    data = open_calibration(folder, *image_input(5, 4, 3), normalisation=parse_normalisation("0.5", "0.25"))
    (found,) = data.read(np.array([0, 12]))  # 000.png, and in the second folder 005.png.
    assert data.count == 20
    assert found.shape == (2, 5, 4, 3)
    np.testing.assert_allclose(
        found[1], np.broadcast_to((np.array([5, 10, 15]) / 255 - 0.5) / 0.25, (5, 4, 3)), rtol=1e-5
    )
    grey = open_calibration(folder_of_images(tmp_path / "grey", 16, "L"), *image_input(7, 9, 1))
    assert grey.read(np.array([3]))[0][0, 0, 0] == pytest.approx(6 / 255)
    assert "no --mean and --std were given" in grey.notes[0]


def test_a_folder_is_for_one_image_input(tmp_path):
    folder = folder_of_images(tmp_path / "photos", 16)
    tensor, layout = plain_input(1, 40)
    with pytest.raises(DataError, match=r"input 'x' takes \[1, 40\], no image"):
        open_calibration(folder, [tensor], [layout])
    with pytest.raises(DataError, match=r"takes 2 inputs \(x, x\)"):
        open_calibration(folder, [tensor, tensor], [layout, layout])
    with pytest.raises(ConfigError, match="--layout nchw"):
        open_calibration(folder, *image_input(5, 4, 3), layout="nchw")
    (folder / "0" / "000.png").write_bytes(b"no image")
    data = open_calibration(folder, *image_input(5, 4, 3))
    with pytest.raises(DataError, match=r"000\.png cannot be read as an image .*\): take out"):
        data.read(ALL)
    (folder / "0" / sorted(path.name for path in (folder / "0").iterdir())[1]).write_bytes(b"")
    with pytest.raises(DataError, match=r"000\.png cannot be read .*, nor can 1 more of those drawn: "):
        data.read(ALL)


def test_what_is_no_calibration_data_is_refused_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "samples.csv").write_text("1,2", encoding="utf-8")
    np.save(tmp_path / "few.npy", np.zeros((15, 4), np.float32))
    for name, kind, said in (
        ("none.npy", ConfigError, "does not exist"),
        ("samples.csv", ConfigError, "no .npy or .npz"),
        ("empty", DataError, "no images"),
        ("few.npy", DataError, "15 samples, too few"),
    ):
        with pytest.raises(kind, match=said):
            check_calibration(tmp_path / name)


def test_presets_and_numbers_of_a_normalisation():
    assert parse_normalisation(None, None) is None
    assert parse_normalisation("0.5", "0.5") == Normalisation((0.5,), (0.5,))
    assert parse_normalisation("imagenet", None).std == (0.229, 0.224, 0.225)
    np.testing.assert_allclose(parse_normalisation("pixels", None).table()[0], np.arange(256), rtol=1e-6)
    for mean, std, said in (
        ("127.5", None, "127.5 is 0.5"),
        ("cifar", None, "imagenet or pixels"),
        ("0.5", "0", "between 0 and 1"),
        ("0.1,0.2,0.3", "0.1,0.2", "3 numbers and --std 2"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse_normalisation(mean, std)
    with pytest.raises(ConfigError, match="3 numbers and the images 1 channels"):
        parse_normalisation("imagenet", None).for_channels(1)
