"""How kernels make some rows of an output image: what it takes to run a layer a stripe of rows at a time.

A stripe is the same call for other heights, from the first row under it to the last. All that varies from stripe to
stripe is members of the kernel's struct; its constants stay.
"""

from tinyedge.ops.fields import integers
from tinyedge.ops.kernel_call import KernelCall, StripeForm, Varying
from tinyedge.ops.window import PIXEL, Window

# What describes a window along an axis, the heights' axis first.
_AXES = (
    ("in_h", "out_h", "pad_top", "kernel_h", "stride_h", "dilation_h"),
    ("in_w", "out_w", "pad_left", "kernel_w", "stride_w", "dilation_w"),
)


def windowed(call: KernelCall, kind: str = "int32_t") -> StripeForm | None:
    """The stripes of a kernel whose window slides over an image; `kind` is the type of its heights.

    An image of one column may be one row to the kernel.
    """
    source, output = call.inputs[0], call.output
    fields = {"dilation_h": 1, "dilation_w": 1, **call.fields}
    heights = source.shape[1], output.shape[1]
    for in_size, out_size, pad, *taps in _AXES:
        in_h, out_h, pad_top, kernel_h, stride_h, dilation_h = integers(fields, in_size, out_size, pad, *taps)
        if (in_h, out_h) == heights and (in_size == "in_h" or source.shape[2] == output.shape[2] == 1):
            break
    else:
        return None
    reach = (kernel_h - 1) * dilation_h + 1
    # Where only padding lies under a window, there is no first row to begin at.
    covered = pad_top < reach and (out_h - 1) * stride_h - pad_top < in_h
    if fields["batches"] != 1 or not covered:
        return None
    members = zip((in_size, out_size, pad), ("in_h", "out_h", "pad_top"), strict=True)
    return StripeForm(
        Window(stride_h, dilation_h, pad_top, kernel_h),
        tuple(Varying(member, figure, kind=kind) for member, figure in members),
    )


def pixelwise(call: KernelCall) -> StripeForm | None:
    """The stripes of a kernel that makes each of `batches` rows of channels of one."""
    pixels = call.inputs[0].shape[1:3] == call.output.shape[1:3]
    return StripeForm(PIXEL, (Varying("batches", "out_h", call.output.shape[2]),)) if pixels else None


def counted(call: KernelCall) -> StripeForm | None:
    """The stripes of a kernel that makes each of `count` values of those in the same place."""
    return _elementwise(call, "count")


def broadcast(call: KernelCall) -> StripeForm | None:
    """The stripes of a kernel of nested loops over two operands, where it neither repeats one nor has a constant."""
    constant = call.fields["constant1"] is not None or call.fields["constant2"] is not None
    return None if constant else _elementwise(call, "dims[3]")


def _elementwise(call: KernelCall, member: str) -> StripeForm | None:
    if any(tensor.shape != call.output.shape for tensor in call.inputs):
        return None
    row = call.output.elements // call.output.shape[1]
    return StripeForm(PIXEL, (Varying(member, "out_h", row),))
