"""`tinyedge.quantise`: anybody's float network to INT8 by calibration samples."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyedge.announce import silent
from tinyedge.destination import check_file
from tinyedge.errors import ConfigError, GateFailed, ModelError
from tinyedge.exporter.options import QuantiseOptions
from tinyedge.installation import missing_packages_told, require
from tinyedge.manifest.manifest import EXPORT_FOLDER, FLOAT_FILE
from tinyedge.manifest.quantised import is_of_quantise, is_quantised_manifest, quantised_file, quantised_manifest_path
from tinyedge.parity.gate_limits import NetworkGates
from tinyedge.quantisation.calibration_data import (
    Given,
    check_calibration,
    check_fits,
    examples,
    first_samples,
    open_calibration,
)
from tinyedge.quantisation.normalisation import parse_normalisation
from tinyedge.tflite.graph import Tensor
from tinyedge.training.run import CONFIG_FILE as RUN_FILE
from tinyedge.training.run import load_run
from tinyedge.zoo import locate, zoo_hint

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from tinyedge.exporter.quantise_model import QuantisedModel

    Array = np.ndarray | torch.Tensor
    Calibration = Path | str | Array | Mapping[str, Array] | Sequence[Array]

RUNTIMES = {".onnx": "ONNX Runtime", ".tflite": "LiteRT"}
"""What runs the float models of each kind of file."""


@missing_packages_told()
def quantise(
    model: "nn.Module | Path | str",
    calibration: "Calibration | None" = None,
    *,
    out: Path | str | None = None,
    mean: str | float | Sequence[float] | None = None,
    std: str | float | Sequence[float] | None = None,
    layout: str | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    calibration_count: int = 512,
    precision: str = "int8",
    qat: float = 0.0,
    layers: bool = False,
    classes: Sequence[str] = (),
    min_cosine: float = 0.99,
    max_float_difference: float = 1e-3,
    seed: int = 0,
    data: str | None = None,
    images: "np.ndarray | Path | str | None" = None,
    command: str | None = None,
    announce: Callable[[str], None] = silent,
    detail: Callable[[str], None] = silent,
) -> "QuantisedModel":
    """Quantise a float network after training, and prove that the file still computes it.

    Writes `NAME_PRECISION.tflite` and its manifest, `NAME_PRECISION.json`: both, or neither.

    Args:
        model: An ONNX file, a float, float16 or dynamic-range .tflite file, a `torch.nn.Module`, or a run directory.
        calibration: What the network usually sees, unlabelled: a folder of images; a .npy or .npz file; an array or a
            tensor (n, ...); or for several inputs one each, by name or in order. None, for a run, is its own train
            images.
        out: The .tflite file to write; None is `NAME_PRECISION.tflite` in the current folder.
        mean: Of each channel, for pixels scaled to [0, 1], of images and of uint8 arrays; "imagenet", or "pixels" for a
            network that takes 0 to 255. None takes images as [0, 1] and arrays as they are.
        std: Of each channel, likewise.
        layout: Of the arrays: "nchw", "nhwc", "ncw". None lets their shape decide.
        input_shapes: By input name, of inputs whose dimensions the ONNX file leaves open.
        calibration_count: At most so many samples set the activations' ranges, drawn at random; others of them, a fifth
            of few, choose among several ways to set them and measure the result.
        precision: `int8`; `mixed`: 16x8 (int16 activations) where it is worth its cost; `16x8` wherever it exists.
        qat: Epochs of a finish that trains the INT8 codes, without labels, towards the float output; 0 is none.
        layers: Whether to compare the float and the quantised network layer by layer.
        classes: Names of the classes by index of the output, for `predict` and the generated C.
        min_cosine: Gate: the least cosine between the float and the quantised outputs.
        max_float_difference: Gate: the most that the source and the float graph may differ, relative to the largest
            output.
        seed: Of the draw and of the finish.
        data: Data set in place of a run's own.
        images: The name of `calibration` until 0.2.0.
        command: The command line, for the manifest.
        announce: Called with the name of each step when it begins.
        detail: Called with how far a long step is.

    Raises:
        ModelError: The network cannot be read, is not float, or holds an operator that cannot be quantised.
        DataError: The samples do not fit the network, are too few, or are not finite.
        ConfigError: An option contradicts another, or the file cannot be written.
        ToolMissing: A package of the extra `export`, for a .tflite file of `train` and `bench`, is not installed.
        GateFailed: Everything was written, but a gate does not hold.
    """
    if images is not None:
        if calibration is not None:
            raise ConfigError("images is calibration by its old name: give one of them")
        calibration = images
    options = QuantiseOptions(
        precision=precision,
        calibration_count=calibration_count,
        seed=seed,
        qat_epochs=qat,
        layers=layers,
        gates=NetworkGates(max_float_difference, min_cosine),
    )
    normalisation = parse_normalisation(_as_text(mean), _as_text(std))
    source = locate(model) if isinstance(model, Path | str) else model
    if not isinstance(source, Path):
        _check_module(source)
    name = type(source).__name__ if not isinstance(source, Path) else source.resolve().stem
    file = _model_file(source) if isinstance(source, Path) else None
    run = source if isinstance(source, Path) and source.is_dir() else None
    if calibration is None and run is None:
        raise ConfigError("no calibration samples: give a folder of images, X.npy or X.npz with --calibration")
    given = None if calibration is None else _as_given(calibration)
    target = quantised_file(name, precision) if out is None else Path(out)
    _check_target(target)
    require(
        "a quantisation",
        *(("train", "bench") if file is not None and file.suffix.lower() == ".tflite" else ("export",)),
    )
    if given is not None:
        check_calibration(given)
        if file is not None:
            from tinyedge.conversion.ports import read_inputs

            check_fits(given, read_inputs(file, input_shapes or {}), normalisation=normalisation)
    if run is not None:
        found = load_run(run, data)
        found.check_trained()
        if given is None:
            found.check_dataset()

    announce("loading")
    from tinyedge.conversion.intake import read_network
    from tinyedge.exporter.quantise_model import Source, quantise_model

    announce("float network")
    if file is not None:
        network = read_network(file, input_shapes)
    elif run is not None:
        from tinyedge.exporter.run_source import folded_network

        folded, shape = folded_network(run)
        network = read_network(folded, None, examples({"image": shape}))
    else:
        assert not isinstance(source, Path)
        arguments = list(signature(source.forward).parameters)
        traced_by = examples(input_shapes, arguments) if input_shapes else first_samples(given, arguments)
        network = read_network(source, None, traced_by)
    if classes:
        _check_classes(classes, network.graph.outputs)
    if given is None:
        from tinyedge.exporter.run_source import train_samples

        assert run is not None
        given, normalisation, classes = train_samples(run, data)
    samples = open_calibration(
        given, network.graph.inputs, network.inputs, normalisation=normalisation, layout=layout and layout.lower()
    )
    quantised = quantise_model(
        Source(
            name if file is None else file.name,
            None if file is None else sha256(file.read_bytes()).hexdigest(),
            "PyTorch" if file is None else RUNTIMES[file.suffix.lower()],
            tuple(classes),
            command,
        ),
        network,
        samples,
        target,
        options,
        announce,
        detail,
    )
    if quantised.failures:
        raise GateFailed(
            f"the model is in {target}, but {'; '.join(quantised.failures)}; see {quantised.manifest_path}"
        )
    return quantised


def _model_file(source: Path) -> Path | None:
    """Return the file of the float model; None for a run or a model of the zoo without one."""
    if source.is_dir():
        if not (source / RUN_FILE).is_file():
            raise ModelError(f"{source} is no run: give a float .onnx or .tflite file, or a run of `tinyedge train`")
        file = source / EXPORT_FOLDER / FLOAT_FILE
        return file if file.is_file() else None
    if not source.is_file():
        raise ModelError(f"{source} does not exist: give a float .onnx or .tflite file, or a run{zoo_hint(source)}")
    kind = source.suffix.lower()
    if kind not in RUNTIMES:
        raise ModelError(f"{source} is no .onnx or .tflite file: {_EXPORT_ADVICE.get(kind, _OTHER_ADVICE)}")
    return source


_PYTORCH_ADVICE = "write it with torch.onnx.export, or give the module itself to tinyedge.quantise in Python"
_KERAS_ADVICE = "write a float .tflite file with tf.lite.TFLiteConverter.from_keras_model(model).convert()"
_OTHER_ADVICE = "export the float model to ONNX"
_EXPORT_ADVICE = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), _PYTORCH_ADVICE),
    **dict.fromkeys((".h5", ".keras", ".pb"), _KERAS_ADVICE),
}


def _check_module(model: object) -> None:
    if not callable(getattr(model, "forward", None)):
        remedy = "load the weights into their torch.nn.Module" if isinstance(model, Mapping) else "give one of these"
        raise ModelError(
            f"{type(model).__name__} is no path of a float .onnx or .tflite file or of a run, and no torch.nn.Module: "
            f"{remedy}"
        )


def _as_given(calibration: "Calibration") -> Given:
    """Return calibration samples with NumPy's arrays in place of all others.

    Raises:
        ConfigError: They are of another kind, such as a DataLoader.
    """
    if isinstance(calibration, Path | str):
        return Path(calibration)
    if isinstance(calibration, Mapping):
        return {name: _as_array(array) for name, array in calibration.items()}
    if isinstance(calibration, Sequence):
        return [_as_array(array) for array in calibration]
    return _as_array(calibration)


def _as_array(values: Any) -> "np.ndarray":
    import numpy as np

    on_host = values.detach().cpu() if hasattr(values, "detach") else values  # A tensor, without importing PyTorch.
    if not hasattr(on_host, "__array__"):
        raise ConfigError(
            f"calibration holds a {type(values).__name__}: give an array or a tensor (n, ...), several by name or in "
            "order for several inputs, or a path"
        )
    return np.asarray(on_host)


def _check_classes(classes: Sequence[str], outputs: Sequence[Tensor]) -> None:
    if not any(output.shape[-1:] == (len(classes),) for output in outputs):
        ends = ", ".join(f"'{output.name}' {list(output.shape)}" for output in outputs)
        raise ConfigError(
            f"{len(classes)} classes are named, and the network's outputs are {ends}: name each value once"
        )


def _check_target(target: Path) -> None:
    """Refuse to write over what tinyedge did not write."""
    check_file(target, "--out", ".tflite")
    beside = quantised_manifest_path(target)
    if beside.exists() and not is_quantised_manifest(beside):
        raise ConfigError(f"{beside} would be overwritten, and tinyedge did not write it: name another file with --out")
    if target.exists() and not is_of_quantise(target):
        raise ConfigError(
            f"{target} would be overwritten, and tinyedge did not write it: move it away, or name another file with "
            "--out"
        )


def _as_text(values: "str | float | Sequence[float] | None") -> str | None:
    """Return numbers as the command line has them."""
    if values is None or isinstance(values, str):
        return values
    numbers = [values] if isinstance(values, int | float) else values
    return ",".join(map(repr, map(float, numbers)))
