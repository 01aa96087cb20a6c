"""How a kernel makes some rows of its output image: what it takes to run a layer a stripe of rows at a time.

A stripe is the same call for other heights, from the first row under it to the last. All that varies from stripe to
stripe is members of the kernel's struct; its constants stay.
"""

from dataclasses import dataclass

from tinyedge.compiler.kernels.fields import integers
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.window import PIXEL, Window
from tinyedge.tflite.graph import Tensor

_WINDOWED = ("te_conv2d_", "te_depthwise_conv2d_", "te_average_pool_", "te_max_pool_")
_NARROW = frozenset({"te_depthwise_conv2d_s8_dsp"})  # Sizes in 16 bits.
_PIXELS = "te_fully_connected_"
_COUNTED = frozenset(
    {
        *("te_table_s8", "te_rescale_s16", "te_rescale_s8_s16", "te_rescale_s16_s8", "te_logistic_s16", "te_tanh_s16"),
        *("te_add_s8_dsp", "te_add_s8_mve"),
    }
)
_BROADCASTING = frozenset(f"te_{name}_{element}" for name in ("add", "sub", "mul") for element in ("s8", "s16"))


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
class StripForm:
    """How a call makes a stripe.

    Attributes:
        window: From the rows of its inputs to those of its output.
        varying: What to change in its struct.
    """

    window: Window
    varying: tuple[Varying, ...]


def stripe_form(call: KernelCall) -> StripForm | None:
    """Return how a call makes a stripe of rows; None where it cannot, as it needs more than the rows under a window."""
    output = call.output
    if call.inputs_as_array or not all(_is_image(tensor) for tensor in (output, *call.inputs)):
        return None
    if call.function.startswith(_WINDOWED):
        return _windowed(call)
    row = output.elements // output.shape[1]
    if call.function.startswith(_PIXELS):
        pixels = call.inputs[0].shape[1:3] == output.shape[1:3]
        return StripForm(PIXEL, (Varying("batches", "out_h", output.shape[2]),)) if pixels else None
    if any(tensor.shape != output.shape for tensor in call.inputs):
        return None
    if call.function in _COUNTED:
        return StripForm(PIXEL, (Varying("count", "out_h", row),))
    constant = call.fields.get("constant1") is not None or call.fields.get("constant2") is not None
    if call.function in _BROADCASTING and not constant:
        return StripForm(PIXEL, (Varying("dims[3]", "out_h", row),))
    return None


def _windowed(call: KernelCall) -> StripForm | None:
    fields, source, output = call.fields, call.inputs[0], call.output
    batches, in_h, out_h, pad_top, kernel_h, stride_h = integers(
        fields, "batches", "in_h", "out_h", "pad_top", "kernel_h", "stride_h"
    )
    (dilation_h,) = integers({"dilation_h": 1, **fields}, "dilation_h")
    window = Window(stride_h, dilation_h, pad_top, kernel_h)
    reach = (kernel_h - 1) * dilation_h + 1
    # Where only padding lies under a window, there is no first row to begin at.
    covered = pad_top < reach and (out_h - 1) * stride_h - pad_top < in_h
    if batches != 1 or (source.shape[1], output.shape[1]) != (in_h, out_h) or not covered:
        return None
    kind = "int16_t" if call.function in _NARROW else "int32_t"
    return StripForm(window, tuple(Varying(name, name, kind=kind) for name in ("in_h", "out_h", "pad_top")))


def _is_image(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1
