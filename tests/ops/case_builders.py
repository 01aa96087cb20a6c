"""One function an operator that makes a random one-operator model and inputs for it.

In int16 the zero points are 0, whatever the arguments say.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator
from ops.kernel_cases import Case, int8_values, int16_values, tflite_micro_outputs

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
RUNS = 2

_VALUES = {
    np.dtype(np.int8): int8_values,
    np.dtype(np.int16): int16_values,
    np.dtype(np.int32): lambda rng, *shape: rng.integers(-(2**31), 2**31, shape).astype(np.int32),
    np.dtype(np.bool_): lambda rng, *shape: rng.random(shape) < 0.5,
}
# About the standard deviation of such values, and that of results that fill the range without clipping much.
_SPREADS = {np.dtype(np.int8): (75.0, 50.0), np.dtype(np.int16): (11_000.0, 8_000.0)}
# Of biases: (largest, type).
_BIASES = {np.dtype(np.int8): (20_000, np.int32), np.dtype(np.int16): (3_000_000, np.int64)}


def _label(op: str, **values: object) -> str:
    return f"{op}(" + ", ".join(f"{name}={value}" for name, value in values.items()) + ")"


def _inputs(rng: np.random.Generator, *specs: TensorSpec) -> list[np.ndarray]:
    return [_values(rng, spec.dtype, RUNS, *spec.shape) for spec in dict.fromkeys(specs) if spec.data is None]


def _values(rng: np.random.Generator, dtype: type, *shape: int) -> np.ndarray:
    return _VALUES[np.dtype(dtype)](rng, *shape)


def _tensor(shape: Sequence[int], scale: float, zero_point: int, dtype: type) -> TensorSpec:
    return TensorSpec(shape, scale, 0 if dtype == np.int16 else zero_point, dtype)


def _bias(
    rng: np.random.Generator, scales: np.ndarray, channels: int, dtype: type, bias_type: type | None
) -> TensorSpec:
    largest, usual_type = _BIASES[np.dtype(dtype)]
    values = rng.integers(-largest, largest, channels).astype(bias_type or usual_type)
    return constant(values, scales.astype(np.float32))


def _weights(
    rng: np.random.Generator,
    shape: Sequence[int],
    scales: np.ndarray,
    int4: bool,
    zero_point: int = 0,
    axis: int = 0,
    symmetric: bool = False,
) -> TensorSpec:
    """`symmetric` ones are as converters make them: -127 is the least, of INT4 -7."""
    values = int8_values(rng, *shape) >> (4 if int4 else 0)
    values = np.maximum(values, -7 if int4 else -127) if symmetric else values
    return dataclasses.replace(constant(values, scales, zero_point, axis), is_int4=int4)


def _windowed(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    covered = size if padding == "SAME" else size - (kernel - 1) * dilation
    return -(-covered // stride)


def weighted_scales(
    rng: np.random.Generator, channels: int, per_channel: bool, depth: int, gain: float, dtype: type
) -> tuple[float, np.ndarray, float]:
    """Scales of input, weights and output; gain 1 makes outputs fill their range without clipping much."""
    source = float(np.exp(rng.uniform(-6, 2)))
    weights = np.exp(rng.uniform(-8, -4, size=channels if per_channel else 1)).astype(np.float32)
    spread, wanted = _SPREADS[np.dtype(dtype)]
    output = source * float(weights.max()) * 75.0 * np.sqrt(depth) * spread / wanted / gain
    return source, weights, output


def conv2d(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int] = (1, 7, 5, 3),
    filters: int = 4,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    groups: int = 1,
    activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
    gain: float = 1.0,
    zero_points: tuple[int, int] = (3, -4),
    dtype: type = np.int8,
    bias_type: type | None = None,
    int4: bool = False,
    symmetric: bool = False,
) -> Case:
    label = _label(
        "CONV_2D",
        dtype=dtype.__name__,
        bias_type=bias_type,
        shape=shape,
        filters=filters,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        groups=groups,
        activation=activation,
        per_channel=per_channel,
        bias=bias,
        gain=gain,
        int4=int4,
        zero_points=zero_points,
        symmetric=symmetric,
    )
    depth = kernel[0] * kernel[1] * shape[3] // groups
    source_scale, weight_scales, output_scale = weighted_scales(
        rng, filters, per_channel, depth, 16 * gain if int4 else gain, dtype
    )
    source = _tensor(shape, source_scale, zero_points[0], dtype)
    weights = _weights(rng, (filters, *kernel, shape[3] // groups), weight_scales, int4, symmetric=symmetric)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        inputs.append(_bias(rng, source_scale * weight_scales, filters, dtype, bias_type))
    out_h, out_w = (_windowed(shape[1 + i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    output = _tensor((shape[0], out_h, out_w, filters), output_scale, zero_points[1], dtype)
    model = one_operator(
        "CONV_2D",
        inputs,
        output,
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=activation,
    )
    return Case(label, model, _inputs(rng, source))


def transpose_conv(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int] = (1, 4, 5, 3),
    filters: int = 4,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
    gain: float = 1.0,
    zero_points: tuple[int, int] = (3, -4),
    dtype: type = np.int8,
    symmetric: bool = False,
) -> Case:
    label = _label(
        "TRANSPOSE_CONV",
        dtype=dtype.__name__,
        shape=shape,
        filters=filters,
        kernel=kernel,
        stride=stride,
        padding=padding,
        activation=activation,
        per_channel=per_channel,
        bias=bias,
        gain=gain,
        zero_points=zero_points,
        symmetric=symmetric,
    )
    depth = max(kernel[0] * kernel[1] * shape[3] // (stride[0] * stride[1]), 1)
    source_scale, weight_scales, output_scale = weighted_scales(rng, filters, per_channel, depth, gain, dtype)
    source = _tensor(shape, source_scale, zero_points[0], dtype)
    sizes = [
        size * step if padding == "SAME" else (size - 1) * step + taps
        for size, step, taps in zip(shape[1:3], stride, kernel, strict=True)
    ]
    output = _tensor((shape[0], *sizes, filters), output_scale, zero_points[1], dtype)
    weights = _weights(rng, (filters, *kernel, shape[3]), weight_scales, int4=False, symmetric=symmetric)
    inputs: list[TensorSpec | None] = [constant(np.array(output.shape, np.int32)), weights, source]
    if bias:
        inputs.append(_bias(rng, source_scale * weight_scales, filters, dtype, None))
    model = one_operator(
        "TRANSPOSE_CONV",
        inputs,
        output,
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        fusedActivationFunction=activation,
    )
    return Case(label, model, _inputs(rng, source))


def depthwise_conv2d(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int] = (1, 7, 5, 3),
    multiplier: int = 1,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    activation: str = "NONE",
    per_channel: bool = True,
    bias: bool = True,
    gain: float = 1.0,
    zero_points: tuple[int, int] = (3, -4),
    dtype: type = np.int8,
    int4: bool = False,
    symmetric: bool = False,
) -> Case:
    label = _label(
        "DEPTHWISE_CONV_2D",
        dtype=dtype.__name__,
        shape=shape,
        multiplier=multiplier,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=activation,
        per_channel=per_channel,
        bias=bias,
        gain=gain,
        int4=int4,
        zero_points=zero_points,
        symmetric=symmetric,
    )
    channels = shape[3] * multiplier
    source_scale, weight_scales, output_scale = weighted_scales(
        rng, channels, per_channel, kernel[0] * kernel[1], 16 * gain if int4 else gain, dtype
    )
    source = _tensor(shape, source_scale, zero_points[0], dtype)
    weights = _weights(rng, (1, *kernel, channels), weight_scales, int4, axis=3, symmetric=symmetric)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        inputs.append(_bias(rng, source_scale * weight_scales, channels, dtype, None))
    out_h, out_w = (_windowed(shape[1 + i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    output = _tensor((shape[0], out_h, out_w, channels), output_scale, zero_points[1], dtype)
    model = one_operator(
        "DEPTHWISE_CONV_2D",
        inputs,
        output,
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        depthMultiplier=multiplier,
        fusedActivationFunction=activation,
    )
    return Case(label, model, _inputs(rng, source))


def fully_connected(
    rng: np.random.Generator,
    shape: tuple[int, ...] = (1, 16),
    outputs: int = 5,
    activation: str = "NONE",
    per_channel: bool = False,
    bias: bool = True,
    gain: float = 1.0,
    zero_points: tuple[int, int] = (3, -4),
    weights_zero_point: int = 0,
    keep_num_dims: bool = False,
    dtype: type = np.int8,
    bias_type: type | None = None,
    int4: bool = False,
    symmetric: bool = False,
) -> Case:
    label = _label(
        "FULLY_CONNECTED",
        dtype=dtype.__name__,
        bias_type=bias_type,
        shape=shape,
        outputs=outputs,
        activation=activation,
        per_channel=per_channel,
        bias=bias,
        gain=gain,
        int4=int4,
        zero_points=zero_points,
        weights_zero_point=weights_zero_point,
        keep_num_dims=keep_num_dims,
        symmetric=symmetric,
    )
    depth = shape[-1]
    source_scale, weight_scales, output_scale = weighted_scales(
        rng, outputs, per_channel, depth, 16 * gain if int4 else gain, dtype
    )
    source = _tensor(shape, source_scale, zero_points[0], dtype)
    weights = _weights(rng, (outputs, depth), weight_scales, int4, weights_zero_point, symmetric=symmetric)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        inputs.append(_bias(rng, source_scale * weight_scales, outputs, dtype, bias_type))
    rows = int(np.prod(shape)) // depth
    output_shape = (*shape[:-1], outputs) if keep_num_dims else (rows, outputs)
    output = _tensor(output_shape, output_scale, zero_points[1], dtype)
    model = one_operator(
        "FULLY_CONNECTED", inputs, output, fusedActivationFunction=activation, keepNumDims=keep_num_dims
    )
    case = Case(label, model, _inputs(rng, source))
    if not (int4 and weight_scales.size > 1):
        return case
    # TFLite Micro takes one scale beside INT4 here; it unpacks weights before it computes.
    inputs[1] = dataclasses.replace(weights, is_int4=False)
    unpacked = one_operator(
        "FULLY_CONNECTED", inputs, output, fusedActivationFunction=activation, keepNumDims=keep_num_dims
    )
    return dataclasses.replace(case, peer=lambda _: tflite_micro_outputs(dataclasses.replace(case, model=unpacked)))


def elementwise(
    rng: np.random.Generator,
    op: str = "ADD",
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 3, 4, 5), (1, 3, 4, 5)),
    constant_operand: int | None = None,
    activation: str = "NONE",
    ratio: float = 1.0,
    gain: float = 1.0,
    zero_points: tuple[int, int, int] = (3, -7, 11),
    dtype: type = np.int8,
) -> Case:
    """ratio: scale of the second operand over that of the first."""
    label = _label(
        op,
        dtype=dtype.__name__,
        shapes=shapes,
        constant_operand=constant_operand,
        activation=activation,
        ratio=ratio,
        gain=gain,
        zero_points=zero_points,
    )
    first_scale = float(np.exp(rng.uniform(-5, 1)))
    second_scale = first_scale * ratio
    spread, _ = _SPREADS[np.dtype(dtype)]
    largest = max(first_scale, second_scale)
    output_scale = {"MUL": first_scale * second_scale * spread, "SQUARED_DIFFERENCE": largest**2 * spread}.get(
        op, largest
    )
    operands = [
        _tensor(shapes[0], first_scale, zero_points[0], dtype),
        _tensor(shapes[1], second_scale, zero_points[1], dtype),
    ]
    if constant_operand is not None:
        operands[constant_operand].data = _values(rng, dtype, *shapes[constant_operand])
    output = _tensor(np.broadcast_shapes(*shapes), output_scale / gain, zero_points[2], dtype)
    model = one_operator(op, operands, output, fusedActivationFunction=activation)
    return Case(label, model, _inputs(rng, *operands))


def comparison(
    rng: np.random.Generator,
    op: str = "GREATER",
    shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 3, 4, 5), (1, 3, 4, 5)),
    constant_operand: int | None = None,
    scales: tuple[float, float] = (0.03, 0.02),
    zero_points: tuple[int, int] = (3, -7),
) -> Case:
    label = _label(op, shapes=shapes, constant_operand=constant_operand, scales=scales, zero_points=zero_points)
    operands = [_tensor(*operand, np.int8) for operand in zip(shapes, scales, zero_points, strict=True)]
    if constant_operand is not None:
        operands[constant_operand].data = int8_values(rng, *shapes[constant_operand])
    output = TensorSpec(np.broadcast_shapes(*shapes), dtype=np.bool_)
    return Case(label, one_operator(op, operands, output), _inputs(rng, *operands))


def select(
    rng: np.random.Generator,
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((1, 3, 4, 5),) * 3,
    constants: Sequence[int] = (),
) -> Case:
    label = _label("SELECT_V2", shapes=shapes, constants=constants)
    operands = [
        TensorSpec(shapes[0], dtype=np.bool_),
        *(_tensor(shape, 0.05, 3, np.int8) for shape in shapes[1:]),
    ]
    for position in constants:
        operands[position].data = _values(rng, operands[position].dtype, *shapes[position])
    output = _tensor(np.broadcast_shapes(*shapes), 0.05, 3, np.int8)
    return Case(label, one_operator("SELECT_V2", operands, output), _inputs(rng, *operands))


def cast(rng: np.random.Generator, source: type, target: type, shape: tuple[int, ...] = (2, 3, 5)) -> Case:
    operand, output = (
        TensorSpec(shape, 0.1 if dtype in (np.int8, np.int16) else (), dtype=dtype) for dtype in (source, target)
    )
    return Case(
        _label("CAST", source=source.__name__, target=target.__name__),
        one_operator("CAST", [operand], output),
        _inputs(rng, operand),
    )


def pool(
    rng: np.random.Generator,
    op: str = "AVERAGE_POOL_2D",
    shape: tuple[int, int, int, int] = (1, 7, 5, 3),
    kernel: tuple[int, int] = (2, 2),
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    activation: str = "NONE",
    zero_point: int = -3,
    dtype: type = np.int8,
) -> Case:
    label = _label(
        op,
        dtype=dtype.__name__,
        shape=shape,
        kernel=kernel,
        stride=stride,
        padding=padding,
        activation=activation,
        zero_point=zero_point,
    )
    scale = float(np.exp(rng.uniform(-5, 1)))
    out_h, out_w = (_windowed(shape[1 + i], kernel[i], stride[i], 1, padding) for i in (0, 1))
    source = _tensor(shape, scale, zero_point, dtype)
    output = _tensor((shape[0], out_h, out_w, shape[3]), scale, zero_point, dtype)
    model = one_operator(
        op,
        [source],
        output,
        padding=padding,
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        strideH=stride[0],
        strideW=stride[1],
        fusedActivationFunction=activation,
    )
    return Case(label, model, _inputs(rng, source))


def softmax(
    rng: np.random.Generator,
    shape: tuple[int, ...] = (1, 10),
    scale: float = 0.1,
    beta: float = 1.0,
    zero_point: int = 4,
    dtype: type = np.int8,
) -> Case:
    source = _tensor(shape, scale, zero_point, dtype)
    output = TensorSpec(shape, 2**-15, 0, dtype) if dtype == np.int16 else TensorSpec(shape, 1 / 256, -128)
    model = one_operator("SOFTMAX", [source], output, beta=beta)
    inputs = _inputs(rng, source)
    if shape[-1] < 512:  # TFLite Micro ends the process where a row of more int8 values adds up to 512.
        inputs[0][0] = 17
    label = _label("SOFTMAX", dtype=dtype.__name__, shape=shape, scale=scale, beta=beta, zero_point=zero_point)
    return Case(label, model, inputs)


def table(
    rng: np.random.Generator,
    op: str = "LOGISTIC",
    scales: tuple[float, float] = (0.05, 1 / 256),
    zero_points: tuple[int, int] = (3, -128),
    dtypes: tuple[type, type] = (np.int8, np.int8),
    shape: tuple[int, ...] = (),
    **options: object,
) -> Case:
    """Every value goes through the function; or as many as the shape has."""
    least, most = np.iinfo(dtypes[0]).min, np.iinfo(dtypes[0]).max
    every = (1, most - least + 1)
    shape = shape or every
    source = _tensor(shape, scales[0], zero_points[0], dtypes[0])
    model = one_operator(op, [source], _tensor(shape, scales[1], zero_points[1], dtypes[1]), **options)
    names = [dtype.__name__ for dtype in dtypes]
    label = _label(op, dtypes=names, shape=shape, scales=scales, zero_points=zero_points, **options)
    if shape != every:
        return Case(label, model, _inputs(rng, source))
    values = np.arange(least, most + 1).astype(dtypes[0]).reshape(1, *shape)
    return Case(label, model, [rng.permuted(values, axis=2)])


def rescale(
    rng: np.random.Generator,
    shape: tuple[int, ...] = (1, 7, 9),
    gain: float = 1.0,
    zero_points: tuple[int, int] = (3, -4),
    dtypes: tuple[type, type] = (np.int8, np.int16),
) -> Case:
    """`gain`: scale of the input over that of the output."""
    names = [dtype.__name__ for dtype in dtypes]
    label = _label("QUANTIZE", dtypes=names, shape=shape, gain=gain, zero_points=zero_points)
    source, output = (_tensor(shape, s, z, t) for s, z, t in zip((0.03 * gain, 0.03), zero_points, dtypes, strict=True))
    return Case(label, one_operator("QUANTIZE", [source], output), _inputs(rng, source))


def reduction(
    rng: np.random.Generator,
    op: str = "MEAN",
    shape: tuple[int, ...] = (1, 7, 5, 3),
    axes: tuple[int, ...] | int = (1, 2),
    keep_dims: bool = True,
    gain: float = 2.0,
    zero_points: tuple[int, int] = (3, -4),
    dtype: type = np.int8,
) -> Case:
    """`gain` is that of a MEAN, at which a SUM does not clip more; extremes keep their scale."""
    label = _label(
        op, dtype=dtype.__name__, shape=shape, axes=axes, keep_dims=keep_dims, gain=gain, zero_points=zero_points
    )
    scale = float(np.exp(rng.uniform(-5, 1)))
    reduced = {axis % len(shape) for axis in np.atleast_1d(axes).tolist()}
    output_shape = [
        1 if axis in reduced else size for axis, size in enumerate(shape) if keep_dims or axis not in reduced
    ]
    source = _tensor(shape, scale, zero_points[0], dtype)
    output = _tensor(output_shape, scale / gain, zero_points[1], dtype)
    if op == "SUM":
        output.scales = float(output.scales) * int(np.prod([shape[axis] for axis in reduced]))
    if op in ("REDUCE_MAX", "REDUCE_MIN"):
        output.scales, output.zero_points = source.scales, source.zero_points
    model = one_operator(op, [source, constant(np.array(axes, dtype=np.int32))], output, keepDims=keep_dims)
    return Case(label, model, _inputs(rng, source))


def arg_extremum(
    rng: np.random.Generator, op: str = "ARG_MAX", shape: tuple[int, ...] = (1, 7, 5, 3), axis: int = -1
) -> Case:
    source = _tensor(shape, 0.1, 3, np.int8)
    output = TensorSpec([size for at, size in enumerate(shape) if at != axis % len(shape)], dtype=np.int32)
    model = one_operator(op, [source, constant(np.array([axis], dtype=np.int32))], output)
    inputs = _inputs(rng, source)
    inputs[0][0] >>= 6  # Equal values, of which the first one counts.
    return Case(_label(op, shape=shape, axis=axis), model, inputs)


def prelu(
    rng: np.random.Generator,
    shape: tuple[int, ...] = (1, 3, 4, 5),
    slopes: tuple[int, ...] = (1, 1, 5),
    gain: float = 1.0,
    slope_scale: float = 0.01,
    zero_points: tuple[int, int, int] = (3, -7, 11),
    dtype: type = np.int8,
) -> Case:
    label = _label(
        "PRELU",
        dtype=dtype.__name__,
        shape=shape,
        slopes=slopes,
        gain=gain,
        slope_scale=slope_scale,
        zero_points=zero_points,
    )
    scale = float(np.exp(rng.uniform(-5, 1)))
    source = _tensor(shape, scale, zero_points[0], dtype)
    values = constant(int8_values(rng, *slopes), slope_scale, zero_points[1])
    model = one_operator("PRELU", [source, values], _tensor(shape, scale / gain, zero_points[2], dtype))
    return Case(label, model, _inputs(rng, source))


def l2_normalization(rng: np.random.Generator, shape: tuple[int, ...] = (2, 3, 5), zero_point: int = 3) -> Case:
    source = _tensor(shape, float(np.exp(rng.uniform(-5, 1))), zero_point, np.int8)
    model = one_operator("L2_NORMALIZATION", [source], TensorSpec(shape, 1 / 128, 0))
    inputs = _inputs(rng, source)
    inputs[0][0, ..., 1:] = zero_point  # All zero but the first value.
    return Case(_label("L2_NORMALIZATION", shape=shape, zero_point=zero_point), model, inputs)


def batch_matmul(
    rng: np.random.Generator,
    batches: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 2), (1, 2)),
    sizes: tuple[int, int, int] = (3, 5, 4),
    adj_x: bool = False,
    adj_y: bool = False,
    constant_operand: int | None = None,
    gain: float = 1.0,
    zero_points: tuple[int, int, int] = (3, -7, 11),
    dtype: type = np.int8,
) -> Case:
    label = _label(
        "BATCH_MATMUL",
        dtype=dtype.__name__,
        batches=batches,
        sizes=sizes,
        adj_x=adj_x,
        adj_y=adj_y,
        constant_operand=constant_operand,
        gain=gain,
        zero_points=zero_points,
    )
    rows, depth, cols = sizes
    lhs_scale, rhs_scale = np.exp(rng.uniform(-5, 1, size=2))
    lhs = _tensor((*batches[0], *((depth, rows) if adj_x else (rows, depth))), lhs_scale, zero_points[0], dtype)
    rhs = _tensor((*batches[1], *((cols, depth) if adj_y else (depth, cols))), rhs_scale, zero_points[1], dtype)
    operands = [lhs, rhs]
    if constant_operand is not None:
        operands[constant_operand].data = _values(rng, dtype, *operands[constant_operand].shape)
    spread, wanted = _SPREADS[np.dtype(dtype)]
    output_scale = lhs_scale * rhs_scale * spread * spread * np.sqrt(depth) / wanted / gain
    output = _tensor((*np.broadcast_shapes(*batches), rows, cols), output_scale, zero_points[2], dtype)
    model = one_operator("BATCH_MATMUL", operands, output, adjX=adj_x, adjY=adj_y)
    return Case(label, model, _inputs(rng, lhs, rhs))


def transpose(
    rng: np.random.Generator, shape: tuple[int, ...], permutation: tuple[int, ...], dtype: type = np.int8
) -> Case:
    source = _tensor(shape, 0.1, 3, dtype)
    output = _tensor([shape[axis] for axis in permutation], 0.1, 3, dtype)
    model = one_operator("TRANSPOSE", [source, constant(np.array(permutation, dtype=np.int32))], output)
    return Case(
        _label("TRANSPOSE", dtype=dtype.__name__, shape=shape, permutation=permutation), model, _inputs(rng, source)
    )


def strided_slice(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    slices: tuple[slice, ...],
    begin_mask: int = 0,
    end_mask: int = 0,
    shrink_axis_mask: int = 0,
    dtype: type = np.int8,
) -> Case:
    """The masks override what the slices say along an axis."""
    label = _label(
        "STRIDED_SLICE",
        dtype=dtype.__name__,
        shape=shape,
        slices=slices,
        begin_mask=begin_mask,
        end_mask=end_mask,
        shrink_axis_mask=shrink_axis_mask,
    )
    output_shape = []
    for axis, (size, part) in enumerate(zip(shape, slices, strict=True)):
        start = None if begin_mask >> axis & 1 else part.start
        stop = None if end_mask >> axis & 1 else part.stop
        if not shrink_axis_mask >> axis & 1:
            output_shape.append(len(range(size)[start : stop : part.step]))
    source = _tensor(shape, 0.1, 3, dtype)
    bounds = [
        constant(np.array([getattr(part, name) for part in slices], dtype=np.int32))
        for name in ("start", "stop", "step")
    ]
    model = one_operator(
        "STRIDED_SLICE",
        [source, *bounds],
        _tensor(output_shape, 0.1, 3, dtype),
        beginMask=begin_mask,
        endMask=end_mask,
        shrinkAxisMask=shrink_axis_mask,
    )
    return Case(label, model, _inputs(rng, source))


def pad(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    paddings: tuple[tuple[int, int], ...],
    value: int | None = None,
    zero_point: int = -5,
    dtype: type = np.int8,
) -> Case:
    """PADV2 where there is a value, else PAD."""
    source = _tensor(shape, 0.1, zero_point, dtype)
    output = _tensor([size + sum(amount) for size, amount in zip(shape, paddings, strict=True)], 0.1, zero_point, dtype)
    inputs = [source, constant(np.array(paddings, dtype=np.int32))]
    if value is not None:
        inputs.append(constant(np.array([value], dtype=dtype), 0.1, output.zero_points))
    model = one_operator("PAD" if value is None else "PADV2", inputs, output)
    label = _label("PAD", dtype=dtype.__name__, shape=shape, paddings=paddings, value=value, zero_point=zero_point)
    return Case(label, model, _inputs(rng, source))


def concatenation(
    rng: np.random.Generator,
    shapes: tuple[tuple[int, ...], ...],
    axis: int,
    dtype: type = np.int8,
    constants: Sequence[int] = (),
    op: str = "CONCATENATION",
) -> Case:
    """CONCATENATION, or PACK along a new axis; the inputs at `constants` are constant."""
    sources = [_tensor(shape, 0.1, 3, dtype) for shape in shapes]
    for position in constants:
        sources[position].data = _values(rng, dtype, *shapes[position])
    values = [np.zeros(shape) for shape in shapes]
    shape = np.concatenate(values, axis).shape if op == "CONCATENATION" else np.stack(values, axis).shape
    options = {"axis": axis} if op == "CONCATENATION" else {"axis": axis, "valuesCount": len(shapes)}
    model = one_operator(op, sources, _tensor(shape, 0.1, 3, dtype), **options)
    label = _label(op, dtype=dtype.__name__, shapes=shapes, axis=axis, constants=constants)
    return Case(label, model, _inputs(rng, *sources))


def moved(
    rng: np.random.Generator,
    op: str,
    shape: Sequence[int],
    output_shape: Sequence[int],
    *constants: object,
    dtype: type = np.int8,
    peer: Callable[[Case], np.ndarray] | None = None,
    scale: float = 0.1,
    **options: object,
) -> Case:
    """An operator that moves values, with the int32 constants that say where to."""
    source = _tensor(shape, scale, 3, dtype)
    inputs = [source, *(constant(np.array(values, dtype=np.int32)) for values in constants)]
    model = one_operator(op, inputs, _tensor(output_shape, scale, 3, dtype), **options)
    label = _label(op, dtype=dtype.__name__, shape=shape, output=output_shape, constants=constants, **options)
    return Case(label, model, _inputs(rng, source), peer=peer)


def taken_apart(
    rng: np.random.Generator, op: str, shape: Sequence[int], sizes: Sequence[int], axis: int, dtype: type = np.int8
) -> list[Case]:
    """SPLIT, SPLIT_V or UNPACK along an axis, a case for each output; where sizes are told, the first one as -1."""
    source = _tensor(shape, 0.1, 3, dtype)
    parts = []
    for size in sizes:
        part = [*shape]
        part[axis] = size
        if op == "UNPACK":
            del part[axis]
        parts.append(_tensor(part, 0.1, 3, dtype))
    axes, told = constant(np.array([axis], np.int32)), constant(np.array([-1, *sizes[1:]], np.int32))
    inputs = {"SPLIT": [axes, source], "SPLIT_V": [source, told, axes], "UNPACK": [source]}[op]
    options = {"num": len(sizes), "axis": axis} if op == "UNPACK" else {"numSplits": len(sizes)}
    operator = OperatorSpec(op, inputs, parts[0], options, others=parts[1:])
    model = build_model([operator], [source], parts)
    label = _label(op, dtype=dtype.__name__, shape=shape, sizes=sizes, axis=axis)
    feeds = _inputs(rng, source)
    return [Case(f"{label}[{index}]", model, feeds, index) for index in range(len(parts))]


def reshape(
    rng: np.random.Generator, shape: tuple[int, ...], new_shape: tuple[int, ...], dtype: type = np.int8
) -> Case:
    source = _tensor(shape, 0.1, 3, dtype)
    model = one_operator(
        "RESHAPE",
        [source, constant(np.array(new_shape, dtype=np.int32))],
        _tensor(new_shape, 0.1, 3, dtype),
        newShape=list(new_shape),
    )
    return Case(_label("RESHAPE", dtype=dtype.__name__, shape=shape, new_shape=new_shape), model, _inputs(rng, source))
