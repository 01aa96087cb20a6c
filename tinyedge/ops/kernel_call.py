"""What a lowering makes of an operator: one call of one C kernel, ready to be planned and printed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyedge.ops.window import Window
from tinyedge.tflite.graph import Tensor

PORTABLE = "portable"
"""The instruction set of kernels in plain C99."""


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """Read-only data of a layer; it becomes one `static const` array in flash.

    Attributes:
        values: Integers of 8 to 64 bits, float32 or float64; printed flat in C order.
    """

    values: np.ndarray


@dataclass(frozen=True)
class Overlap:
    """How a kernel's output may lie over one of its inputs, if nothing needs that input any more.

    It may always lie apart from it. `write_ahead_bytes` is how far the writing is ahead of the reading at most: the
    largest difference, at any moment of the kernel, of the end of what is already written, from the output's start, and
    the start of what is still to be read, from the input's. So the output may begin at `write_ahead_bytes` below the
    input or lower, and nothing is lost (row lag). A kernel of another order has no such number; it may still run in
    place.

    Attributes:
        input: Which of the call's inputs.
        write_ahead_bytes: For output_offset + write_ahead_bytes <= input_offset, from 0 to the output's size. None
            where the output may only begin exactly where the input does (in place).
    """

    input: int
    write_ahead_bytes: int | None


# The members of a kernel's struct by name, "cell.units" for one of a struct inside. A ConstantArray is printed as an
# array and passed as a pointer; None is a null pointer; a tuple is an array member inside the struct.
Fields = dict[str, int | float | ConstantArray | tuple[int, ...] | None]


@dataclass(frozen=True)
class Varying:
    """A member of a kernel's struct that depends on the stripe.

    Attributes:
        member: In C: "in_h", "dims[3]".
        figure: What it is a multiple of, a member of `te_cascade_stripe`: "in_h", "out_h" or "pad_top".
        factor: How many times.
        kind: The member's type in C, which holds every value that it can have.
    """

    member: str
    figure: str
    factor: int = 1
    kind: str = "int32_t"


@dataclass(frozen=True)
class StripeForm:
    """How a call makes a stripe.

    Attributes:
        window: From the rows of its inputs to those of its output.
        varying: What to change in its struct.
    """

    window: Window
    varying: tuple[Varying, ...]


WINDOW_MEMBERS = frozenset(
    {
        *("batches", "in_h", "in_w", "in_c", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w"),
        *("dilation_h", "dilation_w", "pad_top", "pad_left"),
    }
)
"""The members of `te_window`."""


@dataclass(frozen=True)
class Kernel:
    """A C kernel.

    Attributes:
        function: Its name, which is also its source file's stem: "te_conv2d_s8".
        struct: The type of its parameters: "te_conv2d_params".
        instruction_set: What it is written for, see `tinyedge.compiler.kernels`.
        stripes: Says how a call of it makes some rows of its output image, or that this one cannot; None if none can.
        fit: Gives a call of it the scratch for stripes of so many rows, in any order, where that depends on them.
        prepares_table: Whether it makes a table before its first output, in each stripe anew.
        loads_rows: Whether it loads the rows under its window before its first output, in each stripe anew.
        has_window: Whether its struct has a `te_window`, of which `WINDOW_MEMBERS` are members.
        calls: Other kernels that it calls.
    """

    function: str
    struct: str
    instruction_set: str = PORTABLE
    stripes: "Callable[[KernelCall], StripeForm | None] | None" = None
    fit: "Callable[[KernelCall, Collection[int]], KernelCall] | None" = None
    prepares_table: bool = False
    loads_rows: bool = False
    has_window: bool = False
    calls: tuple[str, ...] = ()

    def member(self, name: str) -> str:
        """A field of a call as a member of the struct in C: "window.in_h"."""
        return f"window.{name}" if self.has_window and name in WINDOW_MEMBERS else name


@dataclass(frozen=True, eq=False)
class KernelCall:
    """A call `function(&params, inputs..., output, scratch)`.

    A kernel of two inputs of which one is constant has the constant among its fields; the one activation then stands
    twice in `inputs`, so that a kernel always has the same prototype.

    Attributes:
        kernel: What is called.
        fields: The members of its struct, those of its `te_window` among them.
        inputs: Activations, passed as pointers in this order.
        output: The activation written.
        op: TFLite's name of the operator it came from, for profiles.
        name: A short unique name for profiles: the output tensor's.
        macs: Multiply-accumulates it stands for.
        scratch_bytes: Working memory it needs while it runs, 4-byte aligned; 0 passes a null pointer.
        overlaps: For each input that the output may be written over, how; an input that is not listed has to lie apart.
            A call that reads one tensor in several places names all of them. Scratch always lies apart.
        inputs_as_array: Whether the inputs are passed as one array of pointers, for kernels of any number of inputs:
            `function(&params, (const int8_t *const[]){a, b, c}, output, scratch)`, or int16_t.
        states: What it changes in place, and finds so when it is called again; passed as pointers after the scratch.
        kept_because: Why no kernel of the instruction set that was asked for runs it, where one might have; else empty.
        smaller: The same by a kernel that takes more time, and less flash or scratch; None where there is no other.
        saved_cycles: How many cycles it takes less than the last of its `smaller` ones, by an estimate.
    """

    kernel: Kernel
    fields: Fields
    inputs: tuple[Tensor, ...]
    output: Tensor
    op: str
    name: str
    macs: int = 0
    scratch_bytes: int = 0
    overlaps: tuple[Overlap, ...] = ()
    inputs_as_array: bool = False
    states: tuple[Tensor, ...] = ()
    kept_because: str = ""
    smaller: "KernelCall | None" = None
    saved_cycles: float = 0.0

    @property
    def function(self) -> str:
        """The kernel's name."""
        return self.kernel.function

    @cached_property
    def stripe_form(self) -> StripeForm | None:
        """How it makes a stripe of rows; None where it cannot, as it needs more than the rows under a window."""
        stripes = self.kernel.stripes
        if stripes is None or not all(map(_is_image, (self.output, *self.inputs))):
            return None
        return stripes(self)


def _is_image(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1


def integer_fields(call: KernelCall) -> dict[str, int]:
    """Those members of a call's struct that are one integer."""
    return {name: value for name, value in call.fields.items() if isinstance(value, int)}
