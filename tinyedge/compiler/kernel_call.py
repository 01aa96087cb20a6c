"""What a lowering makes of an operator: one call of one C kernel, ready to be planned and printed."""

from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.graph import Tensor


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """Read-only data of a layer; it becomes one `static const` array in flash.

    Attributes:
        values: Integers of 8 to 64 bits; printed flat in C order.
    """

    values: np.ndarray


# The members of a kernel's struct by name. A ConstantArray is printed as an array and passed as a pointer; None is a
# null pointer; a tuple is an array member inside the struct.
Fields = dict[str, int | ConstantArray | tuple[int, ...] | None]


@dataclass(frozen=True, eq=False)
class KernelCall:
    """A call `function(&params, inputs..., output, scratch)`.

    A kernel of two inputs of which one is constant has the constant among its fields; the one activation then stands
    twice in `inputs`, so that a kernel always has the same prototype.

    Attributes:
        function: The kernel, which is also its source file's stem: "te_conv2d_s8".
        struct: The type of its parameters: "te_conv2d_params".
        fields: The members of that struct.
        inputs: Activations, passed as pointers in this order.
        output: The activation written.
        op: TFLite's name of the operator it came from, for profiles.
        name: A short unique name for profiles: the output tensor's.
        macs: Multiply-accumulates it stands for.
        scratch_bytes: Working memory it needs while it runs, 4-byte aligned; 0 passes a null pointer.
        inputs_as_array: Whether the inputs are passed as one array of pointers, for kernels of any number of inputs:
            `function(&params, (const int8_t *const[]){a, b, c}, output, scratch)`, or int16_t.
    """

    function: str
    struct: str
    fields: Fields
    inputs: tuple[Tensor, ...]
    output: Tensor
    op: str
    name: str
    macs: int = 0
    scratch_bytes: int = 0
    inputs_as_array: bool = False
