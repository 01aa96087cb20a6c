"""A float graph in the form that is quantised: operators of one output, no move of constants, and scales set apart.

What operators join in one quantisation has the widest range of it all. That is right for what they make, and wrong for
what else reads their inputs, and for a SOFTMAX or LOGISTIC, whose kernel writes one scale only. A QUANTIZE, which
changes nothing in float, takes such an input to the common scale.
"""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.fold_constants import fold_constants
from tinyedge.compiler.passes.separate_outputs import separate_outputs
from tinyedge.ops import descriptor_of
from tinyedge.quantisation.channel_scales import fold_channel_scales
from tinyedge.quantisation.functions import fuse_functions
from tinyedge.quantisation.layer_norms import standardise_rows
from tinyedge.tflite.graph import Graph, Operator, Tensor

_TFLM_MOST_JOINED = 10
"""Tensors in one CONCATENATION."""


def prepare(graph: Graph) -> Graph:
    """Return a float graph as `FloatExecutor` and `quantise` take it; the given one is not changed."""
    prepared = graph.copy()
    separate_outputs(prepared)
    fold_constants(prepared)
    fuse_functions(prepared)
    standardise_rows(prepared)
    fold_channel_scales(prepared)
    _limit_joins(prepared)
    _set_scales_apart(prepared)
    prepared.operators[:] = [
        dataclasses.replace(operator, index=index) for index, operator in enumerate(prepared.operators)
    ]
    return prepared


def _limit_joins(graph: Graph) -> None:
    """Let a CONCATENATION of more tensors than TFLite Micro takes join what others have joined."""
    operators: list[Operator] = []
    for operator in graph.operators:
        while operator.op == "CONCATENATION" and len(operator.inputs) > _TFLM_MOST_JOINED:
            first, rest = operator.inputs[:_TFLM_MOST_JOINED], operator.inputs[_TFLM_MOST_JOINED:]
            axis = operator.options["axis"]
            shape = list(operator.output.shape)
            shape[axis] = sum(tensor.shape[axis] for tensor in first if tensor is not None)
            joined = dataclasses.replace(
                operator.output, name=f"{operator.output.name}/first_{len(rest)}", shape=tuple(shape)
            )
            operators.append(dataclasses.replace(operator, inputs=first, outputs=(joined,)))
            operator = dataclasses.replace(operator, inputs=(joined, *rest))
        operators.append(operator)
    graph.operators[:] = operators


def _set_scales_apart(graph: Graph) -> None:
    """Place a QUANTIZE before what joins several activations, where one of them has a scale of its own."""
    writers = {output: operator for operator in graph.operators for output in operator.outputs}
    readers = graph.readers()
    operators: list[Operator] = []
    for operator in graph.operators:
        activations = [tensor for tensor in operator.inputs if _is_activation(tensor)]
        if descriptor_of(operator).keeps_quantisation and len(activations) > 1:
            inputs: list[Tensor | None] = []
            rescaled: dict[Tensor, Tensor] = {}
            for tensor in operator.inputs:
                if tensor is None or tensor.is_constant or not _has_own_scale(graph, writers, readers, tensor):
                    inputs.append(tensor)
                    continue
                if tensor not in rescaled:
                    rescaled[tensor] = dataclasses.replace(tensor, name=f"{tensor.name}/rescaled_{operator.index}")
                    operators.append(Operator("QUANTIZE", (tensor,), (rescaled[tensor],), index=operator.index))
                inputs.append(rescaled[tensor])
            operator.inputs = tuple(inputs)
        operators.append(operator)
    graph.operators[:] = operators


def _has_own_scale(
    graph: Graph, writers: dict[Tensor, Operator], readers: dict[Tensor, list[Operator]], tensor: Tensor
) -> bool:
    """Whether something else reads a tensor, or what it is a copy of, or its kernel writes one scale only."""
    while True:
        if tensor not in writers or tensor in graph.outputs or len(readers[tensor]) > 1:
            return True
        writer = writers[tensor]
        sources = [source for source in writer.inputs if source is not None and _is_activation(source)]
        if not descriptor_of(writer).keeps_quantisation or len(sources) != 1:
            return bool(descriptor_of(writer).output_quantisation)
        (tensor,) = sources


def _is_activation(tensor: Tensor | None) -> bool:
    return tensor is not None and not tensor.is_constant and tensor.dtype == np.float32
