"""Each form that has no kernel is one sentence that names the operator, the tensor and what there is instead."""

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import descriptor_of, lower, operator_macs, supported_operators
from tinyedge.tflite.graph import Operator, Quantisation, Tensor


def tensor(spec: TensorSpec, name: str) -> Tensor:
    scales = np.atleast_1d(np.asarray(spec.scales, dtype=np.float32))
    zero_points = np.broadcast_to(np.atleast_1d(np.asarray(spec.zero_points, dtype=np.int32)), scales.shape)
    quantisation = Quantisation(scales, zero_points, spec.axis) if scales.size else None
    return Tensor(name, tuple(spec.shape), np.dtype(spec.dtype), quantisation, spec.data)


def operator(op: str, inputs: list[TensorSpec | None], output: TensorSpec, **options: object) -> Operator:
    """Built by hand, since the reader already refuses some of these files as a whole."""
    tensors = tuple(None if spec is None else tensor(spec, f"input_{i}") for i, spec in enumerate(inputs))
    return Operator(op, tensors, (tensor(output, "result"),), options, index=7)


def apart(op: str, inputs: list[TensorSpec | None], count: int, **options: object) -> Operator:
    """Of several outputs, each four long."""
    single = operator(op, inputs, VECTOR, **options)
    single.outputs = tuple(tensor(TensorSpec((1, 4), 0.1, 3), f"part_{index}") for index in range(count))
    return single


def integers(*values: int) -> TensorSpec:
    return constant(np.array(values, dtype=np.int32))


IMAGE = TensorSpec((1, 4, 4, 2), 0.1, 3)
VECTOR = TensorSpec((1, 8), 0.1, 3)
WEIGHTS = constant(np.ones((3, 1, 1, 2), np.int8), 0.01)
WIDE = constant(np.ones((3, 1, 3, 2), np.int8), 0.01)
EMPTY = constant(np.ones((3, 0), np.int8), 0.01)
MATRIX = constant(np.ones((3, 8), np.int8), 0.01)
REAL = TensorSpec((1, 8), dtype=np.float32)
WIDE_IMAGE = TensorSpec((1, 4, 4, 2), 0.001, dtype=np.int16)
WIDE_VECTOR = TensorSpec((1, 8), 0.001, dtype=np.int16)
WIDE_RESULT = TensorSpec((1, 4, 4, 3), 0.001, dtype=np.int16)


@pytest.mark.parametrize(
    ("named", "fragment", "broken"),
    [
        ("result", "no kernel", operator("FLOOR", [IMAGE], IMAGE)),
        ("result", "int8 from int16", operator("RELU", [WIDE_VECTOR], VECTOR)),
        ("result", "int16 from int8", operator("CONV_2D", [IMAGE, WEIGHTS], WIDE_RESULT)),
        ("input_0", "int32", operator("QUANTIZE", [TensorSpec((1, 8), 0.1, dtype=np.int32)], VECTOR)),
        ("input_1", "int16 beside int8", operator("ADD", [VECTOR, WIDE_VECTOR], VECTOR)),
        ("input_0", "zero point 3", operator("RELU", [TensorSpec((1, 8), 0.1, 3, np.int16)], WIDE_VECTOR)),
        ("input_0", "int16", operator("HARD_SWISH", [WIDE_VECTOR], WIDE_VECTOR)),
        (
            "input_2",
            "3 int64 or int32 values",
            operator("CONV_2D", [WIDE_IMAGE, WEIGHTS, constant(np.ones(3, np.int16))], WIDE_RESULT),
        ),
        (
            "input_2",
            "2 int64 values",
            operator(
                "DEPTHWISE_CONV_2D",
                [WIDE_IMAGE, constant(np.ones((1, 1, 1, 2), np.int8), 0.01), integers(1, 2)],
                WIDE_IMAGE,
            ),
        ),
        (
            "input_1",
            "bias of up to 140737488355328",
            operator("CONV_2D", [WIDE_IMAGE, WEIGHTS, constant(np.full(3, -(2**47)))], WIDE_RESULT),
        ),
        (
            "input_1",
            "511 wide",
            operator("DEPTHWISE_CONV_2D", [WIDE_IMAGE, constant(np.ones((1, 1, 512, 2), np.int8), 0.01)], WIDE_IMAGE),
        ),
        (
            "result",
            "less than 2^7",
            operator("CONV_2D", [WIDE_IMAGE, WEIGHTS], TensorSpec((1, 4, 4, 3), 7e-8, dtype=np.int16)),
        ),
        ("result", "2^-15", operator("SOFTMAX", [WIDE_VECTOR], WIDE_VECTOR)),
        (
            "input_0",
            "below 5",
            operator("SOFTMAX", [TensorSpec((1, 8), 5.01, dtype=np.int16)], TensorSpec((1, 8), 2**-15, dtype=np.int16)),
        ),
        ("result", "2^-15", operator("LOGISTIC", [WIDE_VECTOR], WIDE_VECTOR)),
        (
            "input_0",
            "2^-29",
            operator("TANH", [TensorSpec((1, 8), 2.7, dtype=np.int16)], TensorSpec((1, 8), 2**-15, dtype=np.int16)),
        ),
        (
            "input_0",
            "65535 values",
            operator("MEAN", [TensorSpec((1, 2**16), 0.1, dtype=np.int16), integers(1)], WIDE_VECTOR),
        ),
        ("result", "float32", operator("RELU", [VECTOR], TensorSpec((1, 8), dtype=np.float32))),
        ("input_0", "single scale", operator("RELU", [TensorSpec((1, 2), [0.1, 0.2])], TensorSpec((1, 2), 0.1))),
        ("input_1", "computed", operator("CONV_2D", [IMAGE, TensorSpec((3, 1, 1, 2), 0.1)], IMAGE)),
        (
            "input_1",
            "int16 weights",
            operator("CONV_2D", [IMAGE, constant(np.ones((3, 1, 1, 2), np.int16), 0.1)], IMAGE),
        ),
        ("result", "weights", operator("CONV_2D", [IMAGE, None], IMAGE)),
        (
            "input_1",
            "zero point other than 0",
            operator("CONV_2D", [IMAGE, constant(WEIGHTS.data, 0.01, 1)], TensorSpec((1, 4, 4, 3), 0.1)),
        ),
        (
            "input_1",
            "2 scales along axis 3",
            operator("CONV_2D", [IMAGE, constant(WEIGHTS.data, [0.1, 0.2], 0, 3)], TensorSpec((1, 4, 4, 3), 0.1)),
        ),
        (
            "input_2",
            "bias of 2 int32",
            operator("CONV_2D", [IMAGE, WEIGHTS, integers(1, 2)], TensorSpec((1, 4, 4, 3), 0.1)),
        ),
        ("result", "the size 4", operator("CONV_2D", [IMAGE, WEIGHTS], TensorSpec((1, 5, 4, 3), 0.1))),
        ("result", "stride 0", operator("CONV_2D", [IMAGE, WEIGHTS], TensorSpec((1, 4, 4, 3), 0.1), stride_h=0)),
        (
            "result",
            "SIGN_BIT",
            operator("CONV_2D", [IMAGE, WEIGHTS], TensorSpec((1, 4, 4, 3), 0.1), fused_activation_function="SIGN_BIT"),
        ),
        (
            "result",
            "window of 2147483647 positions",
            operator("CONV_2D", [IMAGE, WIDE], TensorSpec((1, 4, 4, 3), 0.1), dilation_w_factor=2**30 - 1),
        ),
        ("input_1", "empty shape [3, 0]", operator("FULLY_CONNECTED", [VECTOR, EMPTY], TensorSpec((1, 3), 0.1))),
        ("result", "rescaled by", operator("CONV_2D", [IMAGE, WEIGHTS], TensorSpec((1, 4, 4, 3), 1e-20))),
        ("input_1", "(1, h, w, channels)", operator("DEPTHWISE_CONV_2D", [IMAGE, WEIGHTS], IMAGE)),
        (
            "input_1",
            "SHUFFLED",
            operator("FULLY_CONNECTED", [VECTOR, MATRIX], TensorSpec((1, 3), 0.1), weights_format="SHUFFLED4x16INT8"),
        ),
        ("input_1", "[3, 8]", operator("FULLY_CONNECTED", [VECTOR, MATRIX], TensorSpec((1, 4), 0.1))),
        ("result", "broadcast", operator("ADD", [VECTOR, TensorSpec((1, 3), 0.1)], VECTOR)),
        # No kernel repeats both operands along one axis: the one for MVE read behind them.
        *(
            ("result", "broadcast", operator(op, [TensorSpec((1,), 0.1, 3), TensorSpec((), 0.1, 3)], VECTOR))
            for op in ("ADD", "SUB", "MUL", "MINIMUM", "SQUARED_DIFFERENCE")
        ),
        ("result", "coarser", operator("ADD", [VECTOR, VECTOR], TensorSpec((1, 8), 1e-9))),
        (
            "result",
            "constants only",
            operator("MUL", [constant(np.ones(8, np.int8), 0.1), constant(np.ones(8, np.int8), 0.1)], VECTOR),
        ),
        (
            "result",
            "6 overflows",
            operator("MUL", [VECTOR, VECTOR], TensorSpec((1, 8), 1e-10), fused_activation_function="RELU6"),
        ),
        ("input_0", "6 overflows", operator("RELU6", [TensorSpec((1, 8), 1e-39)], VECTOR)),
        ("result", "change of scale", operator("MAX_POOL_2D", [IMAGE], TensorSpec((1, 4, 4, 2), 0.2, 3))),
        ("result", "scale 1/256", operator("SOFTMAX", [VECTOR], VECTOR)),
        ("input_0", "4095", operator("SOFTMAX", [TensorSpec((1, 5000), 0.1)], TensorSpec((1, 5000), 1 / 256, -128))),
        ("result", "2^-26", operator("SOFTMAX", [TensorSpec((1, 8), 1e-9)], TensorSpec((1, 8), 1 / 256, -128))),
        ("result", "-128", operator("LOGISTIC", [VECTOR], VECTOR)),
        ("result", "64 times", operator("HARD_SWISH", [VECTOR], TensorSpec((1, 8), 1e-5))),
        ("input_1", "constant axes", operator("MEAN", [IMAGE, TensorSpec((2,), dtype=np.int32)], VECTOR)),
        ("input_0", "axes from -4 to 3", operator("MEAN", [IMAGE, integers(4)], VECTOR)),
        ("result", "[1, 7]", operator("MEAN", [IMAGE, integers(1)], TensorSpec((1, 7), 0.1))),
        (
            "input_1",
            "a filter for each output channel",
            operator("TRANSPOSE_CONV", [integers(1, 4, 4, 2), WEIGHTS, IMAGE], IMAGE),
        ),
        (
            "result",
            "its first input",
            operator("TRANSPOSE_CONV", [integers(1, 4, 4, 2), WEIGHTS, IMAGE], TensorSpec((1, 4, 4, 3), 0.1)),
        ),
        (
            "result",
            "stride 0",
            operator(
                "TRANSPOSE_CONV", [integers(1, 4, 4, 3), WEIGHTS, IMAGE], TensorSpec((1, 4, 4, 3), 0.1), stride_h=0
            ),
        ),
        ("input_0", "float32 activations", operator("DIV", [VECTOR, VECTOR], VECTOR)),
        (
            "result",
            "has the fused activation RELU",
            operator("DIV", [REAL, REAL], REAL, fused_activation_function="RELU"),
        ),
        ("result", "scale 1/16", operator("LOG_SOFTMAX", [VECTOR], VECTOR)),
        ("input_1", "computed int8 slopes", operator("PRELU", [VECTOR, TensorSpec((1, 8), 0.1)], VECTOR)),
        ("result", "broadcast", operator("PRELU", [VECTOR, constant(np.ones(3, np.int8), 0.1)], VECTOR)),
        ("result", "scale 1/128", operator("L2_NORMALIZATION", [VECTOR], VECTOR)),
        ("result", "nan", operator("LEAKY_RELU", [VECTOR], VECTOR, alpha=float("nan"))),
        ("result", "1 / sqrt", operator("RSQRT", [VECTOR], TensorSpec((1, 8), 1e5))),
        ("input_0", "int8", operator("ELU", [WIDE_VECTOR], WIDE_VECTOR)),
        ("input_0", "int8", operator("REDUCE_MAX", [WIDE_IMAGE, integers(1)], WIDE_IMAGE)),
        ("result", "change of scale", operator("REDUCE_MIN", [IMAGE, integers(1)], TensorSpec((1, 1, 4, 2), 0.2, 3))),
        ("input_1", "int16 beside int8", operator("MAXIMUM", [VECTOR, WIDE_VECTOR], VECTOR)),
        ("result", "broadcast", operator("MINIMUM", [VECTOR, TensorSpec((1, 3), 0.1)], VECTOR)),
        ("input_0", "one axis", operator("ARG_MAX", [VECTOR, integers(0, 1)], TensorSpec((1,), dtype=np.int32))),
        ("result", "int32 indices", operator("ARG_MIN", [VECTOR, integers(1)], TensorSpec((1,), dtype=np.int64))),
        ("result", "without the axis", operator("ARG_MIN", [VECTOR, integers(1)], TensorSpec((8,), dtype=np.int32))),
        ("result", "match each other", operator("BATCH_MATMUL", [VECTOR, VECTOR], VECTOR)),
        ("input_0", "permuted by [0, 0]", operator("TRANSPOSE", [VECTOR, integers(0, 0)], VECTOR)),
        (
            "input_0",
            "strides not 0",
            operator("STRIDED_SLICE", [VECTOR, integers(0, 0), integers(1, 8), integers(1, 0)], VECTOR),
        ),
        (
            "input_0",
            "up to 2 bounds",
            operator("STRIDED_SLICE", [VECTOR, integers(0, 0, 0), integers(1, 8, 1), integers(1, 1, 1)], VECTOR),
        ),
        (
            "input_0",
            "up to 2 bounds",
            operator(
                "STRIDED_SLICE", [VECTOR, integers(0, 0), integers(1, 8), integers(1, 1)], VECTOR, ellipsis_mask=3
            ),
        ),
        ("input_0", "within it", operator("SLICE", [VECTOR, integers(0, 5), integers(1, 4)], TensorSpec((1, 4), 0.1))),
        ("result", "slice's, [1, 3]", operator("SLICE", [VECTOR, integers(0, 5), integers(1, -1)], VECTOR)),
        (
            "input_2",
            "constant size",
            operator("SLICE", [VECTOR, integers(0, 5), TensorSpec((2,), dtype=np.int32)], VECTOR),
        ),
        ("input_0", "axes from -2 to 1", operator("REVERSE_V2", [VECTOR, integers(2)], VECTOR)),
        ("input_0", "multiple from 1 on", operator("TILE", [VECTOR, integers(1, 0)], VECTOR)),
        ("result", "[1, 16]", operator("TILE", [VECTOR, integers(1, 2)], VECTOR)),
        ("input_0", "size 1 repeated", operator("BROADCAST_TO", [VECTOR, integers(2, 4)], TensorSpec((2, 4), 0.1))),
        ("input_0", "multiple of 4", operator("DEPTH_TO_SPACE", [IMAGE], IMAGE, block_size=2)),
        ("input_0", "multiples of the block's size, 3", operator("SPACE_TO_DEPTH", [IMAGE], IMAGE, block_size=3)),
        ("input_0", "blocks from 1 on", operator("SPACE_TO_DEPTH", [IMAGE], IMAGE, block_size=0)),
        (
            "input_0",
            "padded by [1, 1, 0, 0]",
            operator("SPACE_TO_BATCH_ND", [IMAGE, integers(2, 2), integers(1, 1, 0, 0)], IMAGE),
        ),
        (
            "input_0",
            "block's 4 positions",
            operator("BATCH_TO_SPACE_ND", [IMAGE, integers(2, 2), integers(0, 0, 0, 0)], IMAGE),
        ),
        ("input_0", "indices from 0 to 7", operator("GATHER", [VECTOR, integers(8)], TensorSpec((1, 1), 0.1), axis=1)),
        ("input_0", "without batch axes", operator("GATHER", [VECTOR, integers(0)], VECTOR, axis=1, batch_dims=1)),
        ("input_1", "constant indices", operator("GATHER", [VECTOR, TensorSpec((1,), dtype=np.int32)], VECTOR)),
        (
            "input_0",
            "up to [0, 7]",
            operator("MIRROR_PAD", [VECTOR, integers(0, 0, 8, 0)], TensorSpec((1, 16), 0.1), mode="REFLECT"),
        ),
        ("result", "[1, 8, 8, 2]", operator("RESIZE_BILINEAR", [IMAGE, integers(8, 8)], IMAGE)),
        (
            "input_0",
            "one of the two",
            operator(
                "RESIZE_NEAREST_NEIGHBOR", [IMAGE, integers(4, 4)], IMAGE, align_corners=True, half_pixel_centers=True
            ),
        ),
        ("input_0", "int16", operator("RESIZE_BILINEAR", [WIDE_IMAGE, integers(4, 4)], WIDE_IMAGE)),
        ("result", "constants only", operator("PACK", [constant(np.ones(8, np.int8), 0.1)], VECTOR)),
        ("result", "stack", operator("PACK", [VECTOR, VECTOR], VECTOR)),
        ("input_1", "multiple of 3", apart("SPLIT", [integers(1), VECTOR], 3)),
        ("input_1", "one of its axes", apart("SPLIT", [integers(2), VECTOR], 2)),
        ("input_0", "2 sizes that add up", apart("SPLIT_V", [VECTOR, integers(3, 4), integers(1)], 2)),
        ("input_0", "as many as outputs", apart("UNPACK", [VECTOR], 3, axis=1)),
        ("part_1", "[1, 2]", apart("SPLIT_V", [VECTOR, integers(4, 2, 2), integers(1)], 3)),
        ("input_0", "paddings", operator("PAD", [VECTOR, integers(0, 0, -1, 0)], VECTOR)),
        (
            "input_1",
            "rescaled",
            operator("CONCATENATION", [VECTOR, TensorSpec((1, 8), 0.2, 3)], TensorSpec((2, 8), 0.1, 3)),
        ),
        ("result", "join", operator("CONCATENATION", [VECTOR, VECTOR], VECTOR)),
    ],
    ids=lambda value: value.op if isinstance(value, Operator) else None,
)
def test_unsupported_forms(named, fragment, broken):
    with pytest.raises(UnsupportedOpError) as caught:
        lower(broken)
    message = str(caught.value)
    assert fragment in message
    assert f"operator 7 ({broken.op}), tensor '{named}'" in message
    assert "the compiler supports" in message
    assert "\n" not in message


def test_supported_operators_are_those_of_the_issue():
    needed = (
        "ADD AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED HARD_SWISH LOGISTIC "
        "MAX_POOL_2D MEAN MUL PAD PADV2 QUANTIZE RELU RELU6 RESHAPE SOFTMAX STRIDED_SLICE SUB TANH TRANSPOSE"
    )
    assert set(needed.split()) <= set(supported_operators())
    assert supported_operators() == sorted(supported_operators())


def test_a_permutation_of_texts_moves_nothing_that_is_known():
    """A stranger's file may give the permutation any type; passes ask of it before the lowering refuses it."""
    texts = Tensor("input_1", (4,), np.dtype("S1"), None, np.array([b"\0", b"1", b"2", b"3"]))
    odd = operator("TRANSPOSE", [IMAGE], IMAGE)
    odd.inputs = (odd.inputs[0], texts)
    moves_nothing = descriptor_of(odd).moves_nothing
    assert moves_nothing is not None
    assert not moves_nothing(odd, odd.inputs[0])
    with pytest.raises(UnsupportedOpError, match=r"input_1.*not a constant permutation"):
        lower(odd)


@pytest.mark.parametrize("shape", [(), (4,), (0,), (1, 2, 3, 4, 5)])
def test_an_operator_of_tensors_of_any_rank_has_a_count_of_products(shape):
    """`check` counts what the lowering refuses, too: an LSTM of a tensor without axes was an IndexError."""
    tensor = Tensor("t", shape, np.dtype(np.int8))
    for op in supported_operators():
        assert operator_macs(Operator(op, (tensor,) * 20, (tensor,), {})) >= 0
