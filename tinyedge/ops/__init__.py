"""Operators, one file each or one for those that share a kernel: see `tinyedge.ops.descriptor`."""

import dataclasses

import numpy as np

from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops.descriptor import INT4
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.registry import OPERATORS, descriptor_of
from tinyedge.ops.rules import unsupported
from tinyedge.ops.single_precision import makes_floats
from tinyedge.tflite.accelerator_files import vendor_compiler
from tinyedge.tflite.graph import Operator, Tensor

__all__ = [
    "OPERATORS",
    "check_arity",
    "descriptor_of",
    "is_function_of_one",
    "lower",
    "operator_macs",
    "operator_parameters",
    "supported_operators",
    "tflm_operators",
]

# Which input the weights are.
_WEIGHTS = 1
# Where there are no weights, an integer constant is a shape, an axis or an index.
_INDEX_TYPES = (np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_))


def supported_operators() -> list[str]:
    """TFLite's names of the operators that have a kernel, sorted."""
    return [name for name, descriptor in OPERATORS.items() if descriptor.lower is not None]


def tflm_operators(dtype: str) -> frozenset[str]:
    """The operators for which TFLite Micro has a kernel of int8 or int16 activations that equals TFLite's reference."""
    return frozenset(name for name, descriptor in OPERATORS.items() if dtype in descriptor.tflm_types)


def is_function_of_one(operator: Operator) -> bool:
    """Return whether, in float, element i of the output depends on element i of the only input alone."""
    return descriptor_of(operator).is_function and len(operator.inputs) == 1


def check_arity(operator: Operator) -> None:
    """Refuse an operator that has fewer or more inputs or outputs than its kind.

    Args:
        operator: As read; of one that tinyedge does not have nothing is known.

    Raises:
        ModelError: The file is damaged.
    """
    descriptor = OPERATORS.get(operator.op)
    if descriptor is None:
        return
    for what, count, limits in (
        ("inputs", len(operator.inputs), descriptor.inputs),
        ("outputs", len(operator.outputs), descriptor.outputs),
    ):
        fewest, most = limits
        if count < fewest or (most is not None and count > most):
            takes = f"{fewest} or more" if most is None else str(fewest) if most == fewest else f"{fewest} to {most}"
            raise ModelError(
                f"operator {operator.index} ({operator.op}) has {count} {what} and not {takes}: the file is damaged, "
                "copy or export it again"
            )


def operator_macs(operator: Operator) -> int:
    """Count the multiply-accumulates of an operator, padded positions among them, whatever is wrong with it."""
    has_operands = len(operator.inputs) > 1 and None not in operator.inputs[:2]
    if not has_operands or len(operator.outputs) != 1:
        return 0
    try:
        return descriptor_of(operator).macs(operator)
    except (IndexError, ValueError):  # Of tensors that lack an axis.
        return 0


def operator_parameters(operator: Operator) -> list[Tensor]:
    """Return the constants that an operator computes with: weights, biases, operands, anchors; no shapes or axes."""
    constants = dict.fromkeys(tensor for tensor in operator.inputs if tensor is not None and tensor.is_constant)
    weighted = descriptor_of(operator).weights is not None
    return [tensor for tensor in constants if weighted or tensor.dtype not in _INDEX_TYPES]


def lower(operator: Operator) -> KernelCall:
    """Choose the kernel for an operator and compute its parameters.

    Args:
        operator: Int8 or int16 activations with one scale each; weights and shape-like inputs constant.

    Returns:
        The call. Its `inputs` name the activations in the kernel's order; where a kernel of two inputs takes a
        constant, which is then among the fields, the one activation stands in both places.

    Raises:
        UnsupportedOpError: There is no kernel for the operator or for this form of it.
    """
    descriptor = descriptor_of(operator)
    if descriptor.lower is None:
        tensor = operator.outputs[0].name if operator.outputs else ""
        compiler = vendor_compiler(operator.op)
        if compiler is not None:
            raise UnsupportedOpError(
                f"operator {operator.index} ({operator.op}), tensor '{tensor}' holds code for an accelerator: "
                f"give the file from before {compiler}"
            )
        if makes_floats(operator):
            raise UnsupportedOpError(
                f"operator {operator.index} ({operator.op}), tensor '{tensor}' computes in float32 with what is no one "
                "int8 value: quantise the whole model, or let only functions of one value lie between a DEQUANTIZE and "
                "a QUANTIZE"
            )
        raise UnsupportedOpError(
            f"operator {operator.index} ({operator.op}), tensor '{tensor}' has no kernel: "
            f"the compiler supports {', '.join(supported_operators())}"
        )
    for position, constant in enumerate(operator.inputs):
        if constant is not None and constant.is_int4 and (INT4 not in descriptor.versions or position != _WEIGHTS):
            takers = ", ".join(name for name, other in OPERATORS.items() if INT4 in other.versions)
            raise unsupported(operator, constant, "is INT4", f"INT4 weights of {takers}")
    return dataclasses.replace(descriptor.lower(operator), macs=operator_macs(operator))
