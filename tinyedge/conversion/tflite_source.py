"""Anybody's float .tflite file: checked, and float32 throughout."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tinyedge.conversion.sequence_lstm import LSTM, written_out
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.runtimes.litert_session import BUILT_IN, LitertSession
from tinyedge.shell import command_line
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.full_int8 import has_int8, is_uint8
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.schema import enumeration_values
from tinyedge.tflite.states import CONTROL_FLOW
from tinyedge.tflite.writer import tflite_bytes

_FLOAT32, _FLOAT16 = np.dtype(np.float32), np.dtype(np.float16)
_INTEGERS = (np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int16))


def read_float_tflite(path: Path) -> tuple[Graph, tuple[str, ...]]:
    """Read a float .tflite file, also one whose weights are float16, or integers under float activations.

    Returns:
        The graph, float32, of a batch of 1 and without states, and a sentence for each thing that was changed.

    Raises:
        ModelError: It is no TFLite file, is damaged, quantised already, or not of batch 1.
        UnsupportedOpError: It has control flow, custom operators or states.
    """
    graph = Model(path).any_graph()
    for tensor in graph.inputs:
        if tensor.dtype == np.uint8 and is_uint8(graph):
            requantise = command_line("tinyedge", "requantise", path)
            raise ModelError(f"{path} is quantised to uint8 already: `{requantise}` makes int8 of it")
        if tensor.dtype in _INTEGERS and has_int8(graph):
            raise ModelError(f"{path} takes {tensor.dtype} and is quantised already: give the float model")
        if tensor.dtype != _FLOAT32:
            raise ModelError(f"input {tensor.name} of {path} is {tensor.dtype}, and quantisation takes float32 inputs")
        if all(one.shape[:1] != (1,) for one in graph.inputs):
            raise ModelError(
                f"input {tensor.name} of {path} is {tensor.shape}, and its first dimension has to be a batch of 1: "
                "convert the model again with one"
            )
    for operator in graph.operators:
        _check(operator, path)
    operators, notes = _in_float32(graph.operators, path)
    unrolled = []
    for operator in operators:
        if operator.op == LSTM:
            unrolled.extend(written_out(operator, path))
            notes.append(f"operator {operator.index} ({LSTM}) is written out step by step")
        else:
            unrolled.append(operator)
    graph, put = _with_batches(dataclasses.replace(graph, operators=unrolled))
    notes += put
    used = {tensor for operator in unrolled for tensor in operator.inputs}
    if kept := [state.name for state in graph.states if state.before in used or state.after is not state.before]:
        raise UnsupportedOpError(
            f"{path} keeps the state {kept[0]} from one inference to the next, which quantisation does not take: "
            "export it with its state as an input and an output"
        )
    return dataclasses.replace(graph, states=()), tuple(notes)


def _with_batches(graph: Graph) -> tuple[Graph, list[str]]:
    """Put a batch of 1 in front of an input without one, as the state of a streaming network is; say so."""
    inputs, reshapes, notes = [], [], []
    for tensor in graph.inputs:
        if tensor.shape[:1] == (1,):
            inputs.append(tensor)
            continue
        batched = dataclasses.replace(tensor, shape=(1, *tensor.shape))
        whole = np.array(tensor.shape, np.int32)
        shape = Tensor(f"{tensor.name}/shape", whole.shape, whole.dtype, data=whole)
        inputs.append(batched)
        reshapes.append(Operator("RESHAPE", (batched, shape), (tensor,)))
        notes.append(
            f"input {tensor.name}, {tensor.shape} in the file, is {batched.shape} in the model: a sample is all of it"
        )
    return dataclasses.replace(graph, operators=[*reshapes, *graph.operators], inputs=tuple(inputs)), notes


def runner(path: Path) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """Return what runs a file on arrays (n, ...), an input each, and returns an array an output.

    Integer weights of float activations are float32 then: interpreters round the activations beside them.
    """
    model = Model(path)
    graph, content = model.any_graph(), model.content
    if any(map(_holds_codes, graph.tensors())):
        content = tflite_bytes(dataclasses.replace(graph, operators=_in_float32(graph.operators, path)[0]))

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = []
        for at in range(len(inputs[0])):  # A session each, as an LSTM's state is zero before a sequence.
            frames = empty_frames(1, graph.inputs)
            for part, values in zip(parts_of(frames), inputs, strict=True):
                part[...] = values[at : at + 1]
            try:
                outputs.append(LitertSession(content, BUILT_IN).run_frames(frames, graph.outputs))
            except (RuntimeError, ValueError) as error:
                reason = " ".join(str(error).split())[:300]
                raise ModelError(f"LiteRT does not run {path} ({reason}): export the network anew") from error
        return list(parts_of(np.concatenate(outputs)))

    return run


def _check(operator: Operator, path: Path) -> None:
    if operator.op in CONTROL_FLOW:
        raise UnsupportedOpError(
            f"operator {operator.index} ({operator.op}) of {path} is control flow, as of a recurrent layer that is not "
            "unrolled: export the network without it (unroll=True of a Keras layer)"
        )
    if operator.op.startswith("Flex"):
        raise UnsupportedOpError(
            f"operator {operator.index} ({operator.op}) of {path} is TensorFlow's own and not TFLite's: convert the "
            "network without SELECT_TF_OPS"
        )
    if operator.op not in enumeration_values("BuiltinOperator"):
        raise UnsupportedOpError(
            f"operator {operator.index} of {path} is the custom operator {operator.op}, which only its own runtime "
            "knows: leave it outside the model, or write it with builtin operators"
        )


def _in_float32(operators: Sequence[Operator], path: Path) -> tuple[list[Operator], list[str]]:
    """Make float32 of float16 constants, and of integer weights of float activations; say so."""
    constants: dict[Tensor, Tensor] = {}
    kept = []
    for operator in operators:
        source = operator.inputs[0] if operator.op == "DEQUANTIZE" else None
        if source is None:
            kept.append(operator)
        elif source.data is None:
            raise ModelError(
                f"operator {operator.index} (DEQUANTIZE) of {path} reads the activation {source.name}: the model is "
                "quantised already, give the float model"
            )
        else:
            constants[operator.output] = dataclasses.replace(_reals(source), name=operator.output.name)
    of_float = [operator for operator in kept if any(tensor.dtype == _FLOAT32 for tensor in operator.outputs)]
    weights = {
        tensor for operator in of_float for tensor in operator.inputs if tensor is not None and _holds_codes(tensor)
    }
    constants |= {tensor: _reals(tensor) for tensor in weights}
    replaced = [
        dataclasses.replace(
            operator,
            inputs=tuple(None if tensor is None else constants.get(tensor, tensor) for tensor in operator.inputs),
        )
        for operator in kept
    ]
    unpacked = [source for operator in operators if operator.op == "DEQUANTIZE" for source in operator.inputs if source]
    half = sum(source.dtype == _FLOAT16 for source in unpacked)
    integers = len(constants) - half
    notes = [f"{half} float16 constants became float32"] if half else []
    if integers:
        notes.append(
            f"{integers} integer weights became float32; the source is the file with them, as interpreters round the "
            "activations of such weights while they run"
        )
    return replaced, notes


def _holds_codes(tensor: Tensor) -> bool:
    """Whether a tensor is a constant of codes, as dynamic-range quantisation leaves weights."""
    return tensor.is_constant and tensor.dtype in _INTEGERS and tensor.quantisation is not None


def _reals(constant: Tensor) -> Tensor:
    """Return a constant of float16 or of codes as float32."""
    values = constant.values
    if constant.quantisation is not None and constant.dtype in _INTEGERS:
        values = constant.quantisation.reals(values)
    return Tensor(constant.name, constant.shape, _FLOAT32, data=values.astype(_FLOAT32))
