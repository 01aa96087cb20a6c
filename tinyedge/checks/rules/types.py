"""Types of tensors: what is not int8, and what it costs."""

from collections.abc import Iterator

import numpy as np

from tinyedge.checks.hints import is_custom, is_flex, is_hybrid
from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.ops import descriptor_of
from tinyedge.ops.single_precision import makes_floats
from tinyedge.tflite.detection import DETECTION_POSTPROCESS
from tinyedge.tflite.full_int8 import has_int8, is_uint8
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.inspection import Inspection

_INT8 = "set the converter's inference_input_type and inference_output_type to int8"


def check_types(inspection: Inspection) -> Iterator[LintWarning]:
    """Find floats, 8-bit unsigned, 16-bit and 64-bit integers, and operators of other frameworks."""
    graph = inspection.graphs[0]
    activations = list(
        dict.fromkeys([*graph.inputs, *(tensor for operator in graph.operators for tensor in operator.outputs)])
    )
    types = {tensor.dtype for tensor in activations}
    of_uint8, of_int8 = is_uint8(graph), has_int8(graph)
    quantised = of_uint8 or of_int8
    yield from _custom(graph)
    hybrid = [operator for operator in graph.operators if is_hybrid(operator)]
    if hybrid:
        yield about(
            "hybrid",
            hybrid,
            "float activations with int8 weights (dynamic-range quantisation), which save flash but neither RAM nor "
            "time and which microcontrollers lack",
            "quantise the activations too, with a representative data set",
        )
    half = [o for o in graph.operators if o.op == "DEQUANTIZE" and o.inputs and _is_half(o.inputs[0])]
    if half:
        yield about("float16", half, "float16 weights that are unpacked into RAM", "quantise to int8 instead")
    if not quantised and np.dtype(np.float32) in types and not hybrid:
        yield LintWarning(
            "float-model",
            "the model computes in float32, at four times the flash and RAM of int8: quantise it with a representative "
            "data set (`tinyedge quantise`)",
        )
    if quantised:
        yield from _floats_among_integers(graph)
    if np.dtype(np.uint8) in types:
        if of_uint8:
            yield about(
                "uint8",
                [o for o in graph.operators if any(t.dtype == np.uint8 for t in o.outputs)],
                "uint8, the quantisation of before 2020, for which microcontrollers have no kernels any more",
                "`tinyedge requantise` makes int8 of it, without samples",
            )
        elif of_int8:
            for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
                for tensor in (tensor for tensor in tensors if tensor.dtype == np.uint8):
                    yield LintWarning(
                        f"uint8-{role}",
                        f"{role} '{tensor.name}' is uint8 around an int8 network, which costs a look at each value: "
                        f"{_INT8}, or compile with --quantised-ends",
                    )
    int16 = [o for o in graph.operators if any(t.dtype == np.int16 for t in o.outputs)]
    if len(int16) > len(graph.operators) / 2:  # Mixed with int8, they are there for a reason.
        yield about(
            "int16",
            int16,
            "int16 activations (16x8 quantisation), which take twice the RAM of int8 and have fewer kernels",
            "use int8 where the accuracy allows it",
        )
    long = [operator for operator in graph.operators if _has_int64(operator)]
    if long:
        yield about(
            "int64",
            long,
            "int64 tensors, for which microcontrollers have few kernels",
            "cast shapes and indices to int32 before the conversion",
        )


def _custom(graph: Graph) -> Iterator[LintWarning]:
    flex = [operator for operator in graph.operators if is_flex(operator)]
    if flex:
        yield about(
            "flex",
            flex,
            "operators that need TensorFlow itself",
            "replace them in the network and convert without SELECT_TF_OPS",
        )
    custom = [operator for operator in graph.operators if is_custom(operator)]
    if custom:
        yield about(
            "custom",
            custom,
            "custom operators, whose kernels only their maker has",
            "leave them outside the model, or use builtin ones",
        )


def _has_int64(operator: Operator) -> bool:
    # The biases of int16 convolutions are int64 by TFLite's own specification.
    inputs = operator.inputs[:1] if descriptor_of(operator).weights is not None else operator.inputs
    return any(tensor is not None and tensor.dtype == np.int64 for tensor in (*inputs, *operator.outputs))


def _is_half(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.is_constant and tensor.dtype == np.float16


def _floats_among_integers(graph: Graph) -> Iterator[LintWarning]:
    """Find float inputs, float outputs, and the islands between: floats that begin and end in integers."""
    detections = {t for operator in graph.operators if operator.op == DETECTION_POSTPROCESS for t in operator.outputs}
    for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            if tensor.dtype == np.float32 and tensor not in detections:
                yield LintWarning(
                    f"float-{role}",
                    f"{role} '{tensor.name}' is float32 while the network inside is quantised, which costs four times "
                    f"its RAM and a conversion: {_INT8}, or compile with --quantised-ends",
                )
    for island in _float_islands(graph):
        if all(makes_floats(operator) for operator in island):
            hint = "run the model ahead of time, where it becomes a table if it is a function of one int8 value"
        else:
            hint = "replace what has no integer kernel in it, or compute it outside the model"
        problem = "a float32 island among quantised operators, which TFLite Micro computes in float"
        yield about("float-island", island, problem, hint)


def _float_islands(graph: Graph) -> list[list[Operator]]:
    """Group the operators that share float activations; those that touch the model's inputs or outputs are left out."""
    group_of: dict[Tensor, list[Operator]] = {}
    groups: list[list[Operator]] = []
    for operator in graph.operators:
        floats = [
            tensor
            for tensor in (*operator.inputs, *operator.outputs)
            if tensor is not None and not tensor.is_constant and tensor.dtype == np.float32
        ]
        if not floats:
            continue
        group = [operator]
        for other in {id(found): found for t in floats if (found := group_of.get(t)) is not None}.values():
            group = other + group
            groups = [kept for kept in groups if kept is not other]
        groups.append(group)
        for member in group:
            group_of.update({t: group for t in (*member.inputs, *member.outputs) if t is not None and _is_float(t)})
    outside = {tensor for tensor in (*graph.inputs, *graph.outputs) if tensor.dtype == np.float32}
    return [
        sorted(group, key=lambda operator: operator.index)
        for group in groups
        if len(group) > 1 and not any(t in outside for o in group for t in (*o.inputs, *o.outputs) if t is not None)
    ]


def _is_float(tensor: Tensor) -> bool:
    return not tensor.is_constant and tensor.dtype == np.float32
