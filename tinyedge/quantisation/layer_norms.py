"""A LayerNormalization, which converters write out as nine operators, as one that int8 has steps for.

The variances of rows differ by orders of magnitude, and in 255 steps of the largest the small ones are lost, and their
roots with them. L2_NORMALIZATION computes each row's own root in its accumulator, and rounds the result only.
"""

import dataclasses

import numpy as np
import torch

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_FLOAT = np.dtype(np.float32)
_PROBES = (0.0, 1e-3, 0.1, 1.0, 10.0)


def standardise_rows(graph: Graph) -> None:
    """Replace, in a float graph, in place, differences over their standard deviation along the last axis.

    Its FUNCTION operators are those of `fuse_functions`. A STANDARDISE keeps within 1, so that a product with the root
    of the number of values follows it, in a constant that follows anyway if there is one.
    """
    readers = graph.readers()
    writers = {operator.output: operator for operator in graph.operators}
    replaced: dict[Operator, list[Operator]] = {}
    for operator in graph.operators:
        found = _standardised(operator, writers, readers)
        if found is None:
            continue
        difference, epsilon = found
        output = operator.output
        unit = dataclasses.replace(output, name=f"{output.name}/standardised")
        root = np.float32(np.sqrt(output.shape[-1]))
        replaced[operator] = [
            Operator("STANDARDISE", (difference,), (unit,), {"epsilon": epsilon}, index=operator.index)
        ]
        scaled = _constant_product(readers.get(output, []), output)
        if scaled is None or output in graph.outputs:
            factor = Tensor(f"{output.name}/root", (1,), _FLOAT, data=root.reshape(1))
            replaced[operator].append(dataclasses.replace(operator, op="MUL", inputs=(unit, factor)))
        else:
            follower, constant = scaled
            replaced[follower] = [
                dataclasses.replace(follower, inputs=(unit, dataclasses.replace(constant, data=constant.values * root)))
            ]
    graph.operators[:] = [new for operator in graph.operators for new in replaced.get(operator, [operator])]
    remove_unread(graph)


def remove_unread(graph: Graph) -> None:
    """Take out of a graph what no output depends on."""
    needed = set(graph.outputs)
    kept = []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(tensor for tensor in operator.inputs if tensor is not None)
    graph.operators[:] = reversed(kept)


def _standardised(
    product: Operator, writers: dict[Tensor, Operator], readers: dict[Tensor, list[Operator]]
) -> tuple[Tensor, float] | None:
    """What a product standardises and what it adds to the variance; None if it is another product."""
    if product.op != "MUL" or product.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    for difference, inverse in (product.inputs, product.inputs[::-1]):
        root = writers.get(inverse) if inverse is not None else None
        if difference is None or root is None or difference.is_constant:
            continue
        mean = writers.get(root.input(0))
        square = writers.get(mean.input(0)) if mean is not None and _is_mean_of_rows(mean) else None
        epsilon = _added_to_variance(root)
        if square is not None and epsilon is not None and _is_square(square, difference):
            return difference, epsilon
    return None


def _is_mean_of_rows(operator: Operator) -> bool:
    rank = len(operator.input(0).shape)
    axes = operator.optional_input(1)
    along = None if axes is None or axes.data is None else [int(axis) % rank for axis in axes.data.reshape(-1)]
    return operator.op == "MEAN" and along == [rank - 1] and len(operator.output.shape) == rank


def _is_square(operator: Operator, of: Tensor) -> bool:
    if operator.options.get("fused_activation_function", "NONE") != "NONE":
        return False
    return (operator.op, operator.inputs) in (("MUL", (of, of)), ("SQUARE", (of,)))


def _added_to_variance(operator: Operator) -> float | None:
    """The e of 1 / sqrt(x + e), which an operator of one value may be; None if it is another function."""
    descriptor = descriptor_of(operator)
    if not descriptor.is_function or descriptor.float_function is None or operator.op not in ("FUNCTION", "RSQRT"):
        return None
    found = descriptor.float_function(operator, torch.tensor(_PROBES, dtype=torch.float64)).numpy()
    with np.errstate(all="ignore"):
        epsilon = float(found[0] ** -2)
        wanted = 1 / np.sqrt(np.array(_PROBES) + epsilon)
    return epsilon if np.allclose(found, wanted, rtol=1e-3) else None


def _constant_product(readers: list[Operator], tensor: Tensor) -> tuple[Operator, Tensor] | None:
    """The only reader of a tensor, if it multiplies it by a constant, and that constant."""
    if len(readers) != 1 or readers[0].op != "MUL":
        return None
    constant = next((other for other in readers[0].inputs if other is not None and other.is_constant), None)
    return None if constant is None else (readers[0], constant)
