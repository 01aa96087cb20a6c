"""What the operators that give an image another size ask of it."""

from tinyedge.ops.rules import constant_integers, output_like, quantised_activation, unsupported
from tinyedge.tflite.graph import Operator, Tensor


def resized_image(operator: Operator) -> Tensor:
    """The images (NHWC) that an operator resizes, of whose options and shapes everything fits.

    Raises:
        UnsupportedOpError: It does not.
    """
    source = quantised_activation(operator)
    output = output_like(operator, source)
    size = constant_integers(operator, 1, "size")
    if len(source.shape) != 4 or len(size) != 2 or min(size) < 1:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)}, resized to {size}",
            "images (NHWC) of a height and width",
        )
    expected = (source.shape[0], *size, source.shape[3])
    if output.shape != expected:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the resized input's, {list(expected)}")
    if operator.options.get("align_corners", False) and operator.options.get("half_pixel_centers", False):
        raise unsupported(operator, source, "is resized with aligned corners and half-pixel centres", "one of the two")
    return source
