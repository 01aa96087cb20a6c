"""Calibration samples of any network: a folder of images, or arrays of any rank, as the network's graph takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from tinyedge.conversion.network import Layout
from tinyedge.data.layout import IMAGE_SUFFIXES
from tinyedge.errors import ConfigError, DataError
from tinyedge.quantisation.calibration import FEWEST_CALIBRATION_IMAGES
from tinyedge.quantisation.normalisation import Normalisation
from tinyedge.tflite.frames import frame_shape
from tinyedge.tflite.graph import Tensor

_AXES = {3: "nwc", 4: "nhwc", 5: "ndhwc"}
"""What the axes of a graph's input are called, by how many there are."""


class CalibrationData(Protocol):
    """Samples that are read when they are needed.

    Attributes:
        count: How many there are.
        origin: Where they come from, for the record.
        notes: How they were understood, a sentence each.
        normalisation: What made them of pixels; None of other samples.
    """

    count: int
    origin: str
    notes: tuple[str, ...]
    normalisation: Normalisation | None

    def read(self, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the samples at some positions: of each input, (n, ...) float32 as the graph takes it.

        Raises:
            DataError: One is broken or holds a value that is no finite number.
        """
        ...

    def pixels(self, positions: np.ndarray) -> np.ndarray | None:
        """Return the pixels (n, H, W, C) uint8 that samples are made of; None of other samples."""
        ...


Given = Path | np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray]
"""A folder of images, a .npy or .npz file, one array, or one an input by name or in order."""


def check_calibration(given: Given) -> None:
    """Refuse what is no calibration data, before anything heavy is loaded.

    Raises:
        ConfigError: There is no such file, or it is of another kind.
        DataError: A folder without images, too few samples, or a damaged file.
    """
    if isinstance(given, Path):
        if given.is_dir():
            _check_count(len(_image_files(given)), str(given))
        else:
            for name, array in _open_arrays(given).items():
                _check_array(array, f"{given}{f' ({name})' if name else ''}")


def check_fits(
    given: Given,
    inputs: Sequence[tuple[str, tuple[int, ...]]],
    *,
    normalisation: Normalisation | None = None,
) -> None:
    """Refuse samples that fit a network's inputs in no order of their axes, before it is converted.

    Args:
        given: Where they are; `check_calibration` has taken them.
        inputs: The name and the shape of each input in the network's source.
        normalisation: Of pixels.

    Raises:
        ConfigError: A normalisation is given of what are no pixels.
        DataError: The samples do not fit, or the inputs have not as many each.
    """
    if isinstance(given, Path) and given.is_dir():
        name, shape = _single_input(inputs)
        if len(shape) != 4 or shape[0] != 1 or not {shape[1], shape[3]} & {1, 3}:
            raise DataError(_no_image(given, name, shape))
        return
    names = [name for name, _ in inputs]
    origin, arrays = _origin(given), _named_arrays(given, names)
    chosen = _by_input(arrays, names, origin)
    for (name, array), (port, shape) in zip(chosen, inputs, strict=True):
        where = _where(origin, name)
        _check_array(array, where)
        wanted = shape[1:] if shape[:1] == (1,) else shape
        if sorted(_squeezed(array.shape[1:])) != sorted(_squeezed(wanted)):
            sizes = ", ".join(map(str, wanted))
            raise DataError(
                f"{where} is {array.shape} and input '{port}' takes (n, {sizes}): give samples of that shape"
            )
        if normalisation is not None:
            _check_pixels(array, where, wanted)
    _check_lengths(names, [array for _, array in chosen], origin)


def open_calibration(
    given: Given,
    tensors: Sequence[Tensor],
    layouts: Sequence[Layout],
    *,
    normalisation: Normalisation | None = None,
    layout: str | None = None,
) -> CalibrationData:
    """Open calibration samples for a graph.

    Args:
        given: Where they are.
        tensors: The graph's inputs.
        layouts: How each of them lies in the network's source.
        normalisation: Of pixels; None takes arrays as they are, and scales images to [0, 1].
        layout: Of the arrays, "nchw"; None lets their shape decide.

    Raises:
        ConfigError: An option does not fit what is given.
        DataError: The samples do not fit the inputs, or are too few.
    """
    if isinstance(given, Path) and given.is_dir():
        if layout is not None:
            raise ConfigError(f"--layout {layout} is of arrays, and {given} holds images, whose layout is known")
        return _ImageFolder(given, tensors, normalisation)
    return _Arrays(given, tensors, layouts, normalisation, layout)


def examples(shapes: Mapping[str, tuple[int, ...]], arguments: Sequence[str] = ()) -> tuple[np.ndarray, ...]:
    """Return a random input of each shape, float32, by which a module of these arguments is traced."""
    generator = np.random.default_rng(0)
    return tuple(generator.standard_normal(shape, np.float32) for shape in _in_order(shapes, arguments))


def first_samples(given: Given | None, arguments: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Return the first sample of each array, (1, ...) float32, by which a module is traced.

    Args:
        given: The samples.
        arguments: Of the module, whose order arrays of these names are brought into.

    Raises:
        ConfigError: They are images, whose size the module does not tell.
    """
    if given is None or (isinstance(given, Path) and given.is_dir()):
        raise ConfigError(
            f"{given} holds images and a module does not tell the size that it takes: say it with "
            "input_shapes={'image': (1, 3, 224, 224)}"
        )
    if isinstance(given, np.ndarray):
        arrays: list[np.ndarray] = [given]
    elif isinstance(given, Path):
        arrays = _in_order(_open_arrays(given), arguments)
    else:
        arrays = _in_order(given, arguments) if isinstance(given, Mapping) else list(given)
    return tuple(np.array(array[:1], np.float32) for array in arrays)


_Named = TypeVar("_Named")


def _in_order(values: Mapping[str, _Named], arguments: Sequence[str]) -> list[_Named]:
    """Return values in the order of the arguments that they are called as; in their own if some are no arguments."""
    names = sorted(values, key=arguments.index) if set(values) <= set(arguments) else values
    return [values[name] for name in names]


class _ImageFolder:
    """The image files of a folder and the folders in it, in the order of their paths."""

    def __init__(self, folder: Path, tensors: Sequence[Tensor], normalisation: Normalisation | None) -> None:
        name, shape = _single_input([(tensor.name, tensor.shape) for tensor in tensors])
        if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
            raise DataError(_no_image(folder, name, shape))
        self._files = _image_files(folder)
        _, self._height, self._width, channels = shape
        self.count = len(self._files)
        self.origin = str(folder)
        chosen = replace(normalisation or Normalisation(), white_level=_white_level(self._files))
        self.normalisation: Normalisation | None = chosen.for_channels(channels)
        colours = "RGB" if channels == 3 else "grey"
        assumed = "" if normalisation else ", for no --mean and --std were given"
        self.notes: tuple[str, ...] = (
            f"images: resized to cover {self._height}x{self._width} and cropped at the centre, {colours}, "
            f"{self.normalisation.describe()}{assumed}",
        )

    def read(self, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        assert self.normalisation is not None
        return (self.normalisation.apply(self.pixels(positions)),)

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        images, broken = [], []
        for file in (self._files[position] for position in positions):
            try:
                images.append(self._pixels(file))
            except Exception as error:  # Pillow raises what each format's reader does.
                broken.append(f"{file} cannot be read as an image ({error})")
        if broken:
            others = f", nor can {len(broken) - 1} more of those drawn" if len(broken) > 1 else ""
            raise DataError(f"{broken[0]}{others}: take out of the folder what is broken")
        return np.stack(images)

    def _pixels(self, file: Path) -> np.ndarray:
        from tinyedge.data.decode import decode_image  # Pillow, which arrays do without.

        assert self.normalisation is not None
        white, channels = self.normalisation.white_level, len(self.normalisation.mean)
        return decode_image(file, (self._height, self._width), white, channels)


def _white_level(files: Sequence[Path]) -> int | None:
    from tinyedge.data.white_level import find_white_level  # Pillow, which arrays do without.

    return find_white_level(files)


class _Arrays:
    """One array an input, each sample as the source or as the graph takes it."""

    def __init__(
        self,
        given: Given,
        tensors: Sequence[Tensor],
        layouts: Sequence[Layout],
        normalisation: Normalisation | None,
        layout: str | None,
    ) -> None:
        self.origin = _origin(given)
        names = [tensor.name for tensor in tensors]
        self._inputs = []
        self.normalisation = None
        notes = []
        for (name, array), tensor, source in zip(
            _by_input(_named_arrays(given, names), names, self.origin), tensors, layouts, strict=True
        ):
            where = _where(self.origin, name)
            _check_array(array, where)
            arrangement = _arrange(array, tensor, source, layout, where)
            if arrangement.note:
                notes.append(arrangement.note)
            self._inputs.append(_Input(array, arrangement.order, tensor, where))
            if normalisation is not None:
                _check_pixels(array, where, tensor.shape[-1:])
                self.normalisation = normalisation.for_channels(tensor.shape[-1])
                notes.append(f"pixels: {self.normalisation.describe()}")
            elif array.dtype.kind != "f":
                notes.append(f"{where} holds {array.dtype}, and its numbers are taken as they are")
        self.count = _check_lengths(names, [one.array for one in self._inputs], self.origin)
        self.notes = tuple(dict.fromkeys(notes))

    def read(self, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(one.read(positions, self.normalisation) for one in self._inputs)

    def pixels(self, positions: np.ndarray) -> np.ndarray | None:
        return None if self.normalisation is None else self._inputs[0].samples(positions)


@dataclass(frozen=True, eq=False)
class _Input:
    """The samples of one input.

    Attributes:
        array: (n, ...) of any numbers, perhaps a file that is mapped into memory.
        order: Which of its axes each axis of the graph's samples is, the samples' own 0 included.
        tensor: The graph's input.
        where: For messages.
    """

    array: np.ndarray
    order: tuple[int, ...]
    tensor: Tensor
    where: str

    def samples(self, positions: np.ndarray) -> np.ndarray:
        """Return samples in the shape of the graph's input, in the array's type."""
        samples = np.asarray(self.array[positions]).transpose(self.order)
        return samples.reshape(len(positions), *frame_shape(self.tensor))

    def read(self, positions: np.ndarray, normalisation: Normalisation | None) -> np.ndarray:
        samples = self.samples(positions)
        if normalisation is not None:
            return normalisation.apply(samples)
        values = np.ascontiguousarray(samples, np.float32)
        broken = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if broken.any():
            others = int(broken.sum()) - 1
            raise DataError(
                f"sample {int(positions[broken.argmax()])} of {self.where} holds a value that is not finite (NaN or "
                f"infinite){f', as {others} more of those drawn do' if others else ''}: leave out what is not finite"
            )
        return values


@dataclass(frozen=True)
class _Arrangement:
    order: tuple[int, ...]
    note: str


def _arrange(array: np.ndarray, tensor: Tensor, source: Layout, asked: str | None, where: str) -> _Arrangement:
    """Return how the axes of samples become those of the graph's input, and what a reader has to know of that."""
    graph_shape = frame_shape(tensor)
    batched = tensor.shape[:1] == (1,)
    kept = tuple(range(array.ndim))
    letters = _AXES.get(len(tensor.shape)) if batched else None
    if asked is not None:
        return _Arrangement(_asked_order(array, tensor, asked, letters, where), "")
    if source.is_kept or not batched:
        if array.shape[1:] == graph_shape or _squeezed(array.shape[1:]) == _squeezed(graph_shape):
            return _Arrangement(kept, "")
        wanted = f"(n, {', '.join(map(str, graph_shape))})"
        remedy = "give samples of that shape"
        if letters is not None and (*array.shape[2:], *array.shape[1:2]) == graph_shape:
            remedy = f"pass --layout {letters[0]}{letters[-1]}{letters[1:-1]} if they are channels first"
        raise DataError(f"{where} is {array.shape} and input '{tensor.name}' takes {wanted}: {remedy}")
    as_source, as_graph = source.shape[1:], graph_shape
    names = _layout_names(source, letters)
    fits = [array.shape[1:] == shape for shape in (as_source, as_graph)]
    # A channel of 1 that is left out says nothing of an order.
    if array.ndim < len(tensor.shape) and _squeezed(array.shape[1:]) == _squeezed(as_graph) == _squeezed(as_source):
        return _Arrangement(kept, "")
    if all(fits):
        note = (
            f"{where}: {array.shape} fits {names[0]} and {names[1]}; it was read as {names[0]}, as the source takes "
            f"it (--layout {names[1].lower()} reads it the other way)"
        )
        return _Arrangement(source.order, note)
    if fits[0]:
        return _Arrangement(source.order, f"{where}: {array.shape} was read as {names[0]}")
    if fits[1]:
        return _Arrangement(kept, f"{where}: {array.shape} was read as {names[1]}")
    shapes = " or ".join(
        f"(n, {', '.join(map(str, shape))}) ({name})" for shape, name in zip((as_source, as_graph), names, strict=True)
    )
    raise DataError(f"{where} is {array.shape} and input '{tensor.name}' takes {shapes}: give samples of that shape")


def _asked_order(array: np.ndarray, tensor: Tensor, asked: str, letters: str | None, where: str) -> tuple[int, ...]:
    if letters is None or sorted(asked) != sorted(letters) or asked[0] != "n":
        remedy = f"give {letters} or {letters[0]}{letters[-1]}{letters[1:-1]}" if letters else "leave it out"
        raise ConfigError(f"--layout {asked} does not fit input '{tensor.name}' of {list(tensor.shape)}: {remedy}")
    if array.ndim != len(asked):
        raise DataError(f"{where} is {array.shape}, which has no axes {asked}: give samples of rank {len(asked)}")
    order = tuple(asked.index(letter) for letter in letters)
    shape = tuple(array.shape[axis] for axis in order)[1:]
    if shape != frame_shape(tensor):
        wanted = ", ".join(str(tensor.shape[letters.index(letter)]) for letter in asked[1:])
        raise DataError(
            f"{where} is {array.shape}, and input '{tensor.name}' takes (n, {wanted}) as {asked}: give samples of that "
            "shape, or another --layout"
        )
    return order


def _layout_names(source: Layout, letters: str | None) -> tuple[str, str]:
    if letters is None:
        return "the source's order", "the graph's order"
    positions = {axis: letter for letter, axis in zip(letters, source.order, strict=True)}
    return "".join(positions[axis] for axis in range(len(letters))).upper(), letters.upper()


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _image_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        raise DataError(
            f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): give a folder of them, or X.npy"
        )
    return files


def _open_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, or the one of a .npy file under ""."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: give a folder of images, X.npy or X.npz to --calibration")
    if path.suffix not in (".npy", ".npz"):
        raise ConfigError(f"{path} is no .npy or .npz file: give one, or a folder of images, to --calibration")
    try:
        opened = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(opened, np.ndarray):
            return {"": opened}
        with opened:
            return {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path} is not a {path.suffix} file of numbers: write one with numpy.save or savez") from error
    except Exception as error:  # zipfile has errors of its own.
        raise DataError(f"{path} is damaged ({error}): write it again with numpy.savez") from error


def _named_arrays(given: Given, names: Sequence[str]) -> dict[str, np.ndarray]:
    if isinstance(given, Path):
        return _open_arrays(given)
    if isinstance(given, np.ndarray):
        return {"": given}
    if isinstance(given, Mapping):
        return {name: np.asarray(array) for name, array in given.items()}
    if len(given) != len(names):
        raise DataError(f"{len(given)} arrays are given and the network takes {len(names)} inputs: give one each")
    return {name: np.asarray(array) for name, array in zip(names, given, strict=True)}


def _by_input(arrays: Mapping[str, np.ndarray], names: Sequence[str], origin: str) -> list[tuple[str, np.ndarray]]:
    """Return name and array of each input, in the order of their names."""
    if len(names) == 1 and len(arrays) == 1:
        return list(arrays.items())
    missing = [name for name in names if name not in arrays]
    if missing:
        held = ", ".join(filter(None, arrays)) or "one array without a name"
        raise DataError(
            f"{origin} holds {held}, and the network takes {', '.join(names)}: give X.npz with an array of each name"
        )
    return [(name, arrays[name]) for name in names]


def _origin(given: Given) -> str:
    return str(given) if isinstance(given, Path) else "arrays"


def _where(origin: str, name: str) -> str:
    return f"{origin}{f' ({name})' if name else ''}"


def _single_input(inputs: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape of the one input that images go to."""
    if len(inputs) != 1:
        names = ", ".join(name for name, _ in inputs)
        raise DataError(f"the network takes {len(inputs)} inputs ({names}): give X.npz with an array of each name")
    return inputs[0]


def _no_image(folder: Path, name: str, shape: tuple[int, ...]) -> str:
    return (
        f"{folder} holds images and input '{name}' takes {list(shape)}, no image of 1 or 3 channels: give X.npy with "
        "samples of that shape"
    )


def _check_pixels(array: np.ndarray, where: str, channels: Sequence[int]) -> None:
    """Refuse a normalisation of what are no pixels; `channels` are the sizes that may be theirs."""
    if array.dtype != np.uint8 or not set(channels) & {1, 3}:
        raise ConfigError(
            f"--mean and --std are of pixels, uint8 of 1 or 3 channels, and {where} holds {array.dtype} of shape "
            f"{array.shape}, which is taken as it is: leave them out"
        )


def _check_lengths(names: Sequence[str], arrays: Sequence[np.ndarray], origin: str) -> int:
    """Return how many samples there are, of each input as many."""
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{name}: {len(array)}" for name, array in zip(names, arrays, strict=True))
        raise DataError(f"{origin} has inputs of different lengths ({lengths}): give as many samples of each")
    return len(arrays[0])


def _check_array(array: np.ndarray, where: str) -> None:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{where} holds {array.dtype}: give numbers, float32 as the network takes them")
    if array.ndim == 0:
        raise DataError(f"{where} holds one number: give samples, (n, ...)")
    _check_count(len(array), where)


def _check_count(count: int, where: str) -> None:
    if count < FEWEST_CALIBRATION_IMAGES:
        raise DataError(
            f"{where} holds {count} samples, too few to calibrate on: give {FEWEST_CALIBRATION_IMAGES} or more, better "
            "some hundreds"
        )
