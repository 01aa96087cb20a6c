"""Options that converters leave unset, and interpreters read all the same.

A channel multiplier of 0 makes TFLite Micro's DEPTHWISE_CONV_2D compute nothing: the shapes say what it is. LiteRT's
int16 operators take int32 biases only where `quantized_bias_type` says so; TFLite Micro asks the bias itself.
"""

import dataclasses

import numpy as np

from tinyedge.tflite.graph import Graph, Operator

_OF_INT16 = frozenset({"CONV_2D", "FULLY_CONNECTED"})


def unset_option(operator: Operator) -> tuple[str, object] | None:
    """Return the option that an operator lacks, by its schema name, and its value; None if it lacks none."""
    source, weights, bias = (operator.optional_input(position) for position in range(3))
    if source is None or weights is None or not source.shape or not weights.shape:
        return None
    if operator.op == "DEPTHWISE_CONV_2D" and operator.options.get("depth_multiplier") == 0 and source.shape[-1]:
        return "depth_multiplier", weights.shape[-1] // source.shape[-1]
    if (
        operator.op in _OF_INT16
        and source.dtype == np.int16
        and bias is not None
        and bias.dtype == np.int32
        and operator.options.get("quantized_bias_type", "FLOAT32") == "FLOAT32"
    ):
        return "quantized_bias_type", "INT32"
    return None


def has_unset_options(graph: Graph) -> bool:
    """Whether an operator lacks an option."""
    return any(unset_option(operator) is not None for operator in graph.operators)


def with_options_set(operator: Operator) -> Operator:
    """Return an operator with the option that it lacks, or itself."""
    unset = unset_option(operator)
    if unset is None:
        return operator
    name, value = unset
    return dataclasses.replace(operator, options={**operator.options, name: value})
