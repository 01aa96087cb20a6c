"""Blocks of pixels: DEPTH_TO_SPACE and SPACE_TO_DEPTH, BATCH_TO_SPACE_ND and SPACE_TO_BATCH_ND."""

from collections.abc import Sequence

import numpy as np

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.moves import in_torch
from tinyedge.ops.rules import constant_integers, output_like, quantised_activation, unsupported
from tinyedge.ops.strided_copy import strided_copy
from tinyedge.tflite.graph import Operator, Tensor


def _image_and_block(operator: Operator) -> tuple[Tensor, int]:
    source = quantised_activation(operator)
    output_like(operator, source)
    block = operator.options.get("block_size", 0)
    if len(source.shape) != 4 or block < 1:
        raise unsupported(
            operator, source, f"has shape {list(source.shape)} in blocks of {block}", "images (NHWC), blocks from 1 on"
        )
    return source, block


def _check_shape(operator: Operator, expected: Sequence[int]) -> None:
    if operator.output.shape != tuple(expected):
        raise unsupported(
            operator,
            operator.output,
            f"has shape {list(operator.output.shape)}",
            f"the moved input's, {list(expected)}",
        )


def _lower_depth_to_space(operator: Operator) -> KernelCall:
    """Lower DEPTH_TO_SPACE: the channels of a pixel become a block of pixels."""
    source, block = _image_and_block(operator)
    batches, height, width, channels = source.shape
    if channels % block**2:
        raise unsupported(operator, source, f"has {channels} channels", f"a multiple of {block**2}, those of a block")
    row = channels // block  # Of one block, of `block` pixels.
    _check_shape(operator, (batches, height * block, width * block, channels // block**2))
    return strided_copy(operator, source, [batches * height, block, width, row], [width * channels, row, channels, 1])


def _lower_space_to_depth(operator: Operator) -> KernelCall:
    """Lower SPACE_TO_DEPTH: a block of pixels becomes the channels of one."""
    source, block = _image_and_block(operator)
    batches, height, width, channels = source.shape
    if height % block or width % block:
        raise unsupported(operator, source, f"is {height}x{width} pixels", f"multiples of the block's size, {block}")
    row = block * channels
    _check_shape(operator, (batches, height // block, width // block, channels * block**2))
    return strided_copy(
        operator,
        source,
        [batches * height // block, width // block, block, row],
        [block * width * channels, row, width * channels, 1],
    )


def _block_shape(operator: Operator, source: Tensor, meaning: str) -> tuple[list[int], list[int]]:
    """The block's sizes along the axes after the batch, and an amount before and after each of them."""
    block, amounts = constant_integers(operator, 1, "block shape"), constant_integers(operator, 2, meaning)
    if len(source.shape) <= len(block) or len(amounts) != 2 * len(block) or min([*block, 1]) < 1:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)} in blocks of {block} with {meaning} {amounts}",
            f"blocks from 1 on of axes after the batch, with two {meaning} each",
        )
    return block, amounts


def _lower_space_to_batch(operator: Operator) -> KernelCall:
    """Lower SPACE_TO_BATCH_ND without paddings: each position in a block becomes an image of the batch."""
    source = quantised_activation(operator)
    output_like(operator, source)
    block, paddings = _block_shape(operator, source, "paddings")
    if any(paddings):
        raise unsupported(
            operator, source, f"is padded by {paddings}", "blocks without paddings, or around a convolution to dilate"
        )
    batches, *sizes = source.shape
    sizes, rest = sizes[: len(block)], sizes[len(block) :]
    if any(size % step for size, step in zip(sizes, block, strict=True)):
        raise unsupported(operator, source, f"has shape {list(source.shape)}", f"multiples of the block, {block}")
    counts = [size // step for size, step in zip(sizes, block, strict=True)]
    _check_shape(operator, (int(np.prod(block)) * batches, *counts, *rest))
    batch, *strides = dense_strides(source.shape)
    inner = strides[: len(block)]
    steps = [step * stride for step, stride in zip(block, inner, strict=True)]
    return strided_copy(
        operator, source, [*block, batches, *counts, *rest], [*inner, batch, *steps, *strides[len(block) :]]
    )


def _lower_batch_to_space(operator: Operator) -> KernelCall:
    """Lower BATCH_TO_SPACE_ND without crops: the images of a batch become the positions in blocks of one image."""
    source = quantised_activation(operator)
    output_like(operator, source)
    block, crops = _block_shape(operator, source, "crops")
    if any(crops):
        raise unsupported(
            operator, source, f"is cropped by {crops}", "blocks without crops, or around a convolution to dilate"
        )
    images, *sizes = source.shape
    sizes, rest = sizes[: len(block)], sizes[len(block) :]
    count = int(np.prod(block))
    if images % count:
        raise unsupported(operator, source, f"has a batch of {images}", f"a multiple of the block's {count} positions")
    batches = images // count
    whole = [size * step for size, step in zip(sizes, block, strict=True)]
    _check_shape(operator, (batches, *whole, *rest))
    # The input is (positions in the block, batch, sizes, rest), read as (batch, each size and its positions, rest).
    strides = dense_strides([*block, batches, *sizes, *rest])
    positions, batch, steps = strides[: len(block)], strides[len(block)], strides[len(block) + 1 :]
    dims, moves = [batches], [batch]
    for size, step, position, stride in zip(sizes, block, positions, steps[: len(block)], strict=True):
        dims += [size, step]
        moves += [stride, position]
    return strided_copy(operator, source, [*dims, *rest], [*moves, *steps[len(block) :]])


OPERATORS = tuple(
    OperatorDescriptor(
        name=name,
        inputs=inputs,
        lower=lowering,
        versions={"int8": 2},
        tflm_types=INT8,
        keeps_quantisation=True,
        **in_torch(lowering),
    )
    for name, inputs, lowering in (
        ("BATCH_TO_SPACE_ND", (3, 3), _lower_batch_to_space),
        ("DEPTH_TO_SPACE", (1, 1), _lower_depth_to_space),
        ("SPACE_TO_BATCH_ND", (3, 3), _lower_space_to_batch),
        ("SPACE_TO_DEPTH", (1, 1), _lower_space_to_depth),
    )
)
