"""What tinyedge knows of an operator, in one place: how it is written, quantised, computed, lowered and counted.

Passes, quantiser, executors, checks and reports ask the descriptor and know no operator by name. PyTorch is imported by
the functions that compute with it, when they are called: the compiler and the checks run without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.ops.kernel_call import KernelCall
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

if TYPE_CHECKING:
    import torch

Lowering = Callable[[Operator], KernelCall]

CodeFunction = Callable[[Operator, Sequence[np.ndarray]], np.ndarray]
"""From the codes of an operator's inputs, int64 arrays that broadcast against each other, to those of its output. A
constant is given as the one value that it has. Raises UnsupportedOpError for a form that has no such function."""

FloatFunction = Callable[..., "torch.Tensor"]
"""Takes an operator and the float values of its inputs, batch first and None for one that is absent, and returns that
of its output."""

IntegerLayer = Callable[["list[torch.Tensor]"], "torch.Tensor"]
"""Takes the codes of an operator's activations, in its own order, and returns those of its output, with gradients."""


@dataclass(frozen=True)
class WeightsLayout:
    """How the weights lie that are an operator's second input.

    Attributes:
        rank: How many axes they have.
        channel_axis: The axis of the output channels, each of which has its own scale.
        depthwise: Whether each filter sees one channel of the input.
        source: Which input is the activation.
        bias: Which input is the bias, if there is one.
    """

    rank: int
    channel_axis: int
    depthwise: bool = False
    source: int = 0
    bias: int = 2


@dataclass(frozen=True)
class TorchForm:
    """The functions of PyTorch that an operator stands for, where it takes their operands as they are.

    Attributes:
        functions: Their full names: "torch.nn.functional.relu".
        operands: How many tensors they take, which broadcast against each other.
        options: The operator's.
    """

    functions: tuple[str, ...]
    operands: int = 1
    options: Mapping[str, object] = field(default_factory=dict)


def no_macs(_: Operator) -> int:
    """The multiply-accumulates of an operator that multiplies no weights or matrices."""
    return 0


@dataclass(frozen=True, kw_only=True)
class OperatorDescriptor:
    """One operator.

    Types of activations are given by NumPy's names, "int8" and "int16".

    Attributes:
        name: TFLite's.
        inputs: The fewest and the most that it has in a file, absent ones counted; None: as many as there are.
        outputs: The same of its outputs.
        lower: Chooses its kernel; None where it has none.
        macs: Counts multiply-accumulates: outputs times kernel volume, padded positions counted.
        versions: The operator's version in a file, by the type of its activations; none for a type that tinyedge does
            not write. `INT4` is that of INT4 weights under int8 activations, in operators that take them.
        tflm_types: The types of activations for which TFLite Micro has a kernel that equals TFLite's reference.
        output_quantisation: What its kernel writes whatever the values, by type; none where their range decides.
        keeps_quantisation: Whether its kernel copies codes, so that inputs and output share one quantisation.
        bounds_values: Whether, of one activation beside constants, it keeps what lies within bounds, and of the rest
            makes the bound.
        takes_int8_constants: Whether its constant operands are int8 beside int16 activations too.
        converts_types: Whether its input and output may have different types.
        passes_offsets: Whether a number added to its input is added to its output.
        expand: What a float operator becomes in INT8, from it and the int8 tensors of its float ones, where that is
            something else than itself.
        weights: How its weights lie; None if it has none.
        is_convolution: Whether windows slide over an image that may be padded and dilated.
        fuses_activation: Whether it has a fused activation function.
        is_reshape: Whether it copies all bytes as they are, whatever the shapes.
        moves_nothing: Whether its output, of its input's type, is the same bytes as its first input.
        fold: The value of its output where its inputs are constant; None where it cannot tell.
        folds_shapes: Whether that value follows from the shapes of its inputs alone.
        separate: What an operator of several outputs becomes: operators of one each. Raises UnsupportedOpError for a
            form that it does not know.
        constant_channel: What becomes of a channel of one value, if each output channel is made of the same channel
            of the input and it is known how.
        is_function: Whether, in float, element i of the output depends on element i of the activations alone.
        codes: Its function where element i of the output depends on element i of the activations alone.
        table_input: The input of `codes` that is a constant with many values, read wherever another input says.
        torch: What it is called in PyTorch.
        float_function: It in PyTorch, in float.
        integer_layer: It in PyTorch, in its kernel's integers; operators with weights have one in common.
    """

    name: str
    inputs: tuple[int, int | None] = (1, 1)
    outputs: tuple[int, int | None] = (1, 1)
    lower: Lowering | None = None
    macs: Callable[[Operator], int] = no_macs
    versions: Mapping[str, int] = field(default_factory=dict)
    tflm_types: frozenset[str] = frozenset()
    output_quantisation: Mapping[str, Quantisation] = field(default_factory=dict)
    keeps_quantisation: bool = False
    bounds_values: bool = False
    takes_int8_constants: bool = False
    converts_types: bool = False
    passes_offsets: bool = False
    expand: Callable[[Operator, Mapping[Tensor, Tensor]], list[Operator]] | None = None
    weights: WeightsLayout | None = None
    is_convolution: bool = False
    fuses_activation: bool = False
    is_reshape: bool = False
    moves_nothing: Callable[[Operator, Tensor], bool] | None = None
    fold: Callable[[Operator], np.ndarray | None] | None = None
    folds_shapes: bool = False
    separate: Callable[[Operator], list[Operator]] | None = None
    constant_channel: Callable[[Operator, int], int] | None = None
    is_function: bool = False
    codes: CodeFunction | None = None
    table_input: int | None = None
    torch: TorchForm | None = None
    float_function: FloatFunction | None = None
    integer_layer: Callable[[Operator], IntegerLayer] | None = None


INT4 = "int4"
INT8 = frozenset({"int8"})
INT8_AND_INT16 = frozenset({"int8", "int16"})


def one_scale(scale: float, zero_point: int) -> Quantisation:
    """A quantisation of a whole tensor."""
    return Quantisation(np.array([scale], np.float32), np.array([zero_point], np.int32))
