"""A PyTorch module as an ONNX file, the module itself left as it is."""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyedge.conversion.network import stacked
from tinyedge.conversion.onnx import quiet_exporter
from tinyedge.errors import ModelError

_OPSET = 20  # The first with Gelu, and the last of the exporter by traces.
_SHAPES_NAMED = 4


def inference_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module in evaluation mode, in float32 on the CPU.

    Raises:
        ModelError: It cannot be copied.
    """
    try:
        return copy.deepcopy(module).eval().float().cpu()
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} cannot be copied ({_one_line(error)}): export it with torch.onnx.export and give "
            "the ONNX file"
        ) from error


def export_module(module: nn.Module, example_inputs: Sequence[np.ndarray], path: Path) -> None:
    """Write a module as ONNX of static shapes.

    Args:
        module: From `inference_copy`.
        example_inputs: An array (1, ...) float32 for each argument of its `forward`.
        path: The file. Its inputs are called as the arguments.

    Raises:
        ModelError: The module does not take these inputs, or the exporter gives up.
    """
    examples = tuple(torch.from_numpy(np.ascontiguousarray(values, np.float32)) for values in example_inputs)
    shapes = ", ".join(str(tuple(example.shape)) for example in examples[:_SHAPES_NAMED])
    if len(examples) > _SHAPES_NAMED:
        shapes += f" and {len(examples) - _SHAPES_NAMED} more"
    with torch.no_grad():
        try:
            outputs = list(_flat(module(*examples)))
        except Exception as error:
            raise ModelError(
                f"{type(module).__name__} does not take inputs of {shapes} ({_one_line(error)}): give calibration "
                "samples as it takes them, an array (n, ...) an input, or the shapes as input_shapes={'x': (1, ...)}"
            ) from error
        try:
            with quiet_exporter():
                torch.onnx.export(
                    module,
                    examples,
                    str(path),
                    opset_version=_OPSET,
                    dynamo=False,
                    input_names=_argument_names(module, len(examples)),
                    output_names=["output"] if len(outputs) == 1 else [f"output_{at}" for at in range(len(outputs))],
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            raise ModelError(
                f"PyTorch cannot export {type(module).__name__} to ONNX ({_one_line(error)}): export it yourself with "
                "torch.onnx.export and give the ONNX file"
            ) from error


def runner(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """Return what runs a module on arrays (n, ...), an input each, and returns an array an output.

    Args:
        module: From `inference_copy`.
        shapes: Of its inputs, as it takes them one by one.
    """

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        samples = []
        with torch.no_grad():
            for at in range(len(inputs[0])):
                pairs = zip(inputs, shapes, strict=True)
                found = module(*(torch.from_numpy(values[at].reshape(shape)) for values, shape in pairs))
                samples.append([tensor.numpy() for tensor in _flat(found)])
        return stacked(samples)

    return run


def _flat(found: object) -> Iterator[torch.Tensor]:
    """Yield the tensors of what a module returned, in the order of ONNX's outputs."""
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _flat(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _flat(value)


def _argument_names(module: nn.Module, count: int) -> list[str]:
    names = list(inspect.signature(module.forward).parameters)[:count]
    return names if len(names) == count else [f"input_{at}" for at in range(count)]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
