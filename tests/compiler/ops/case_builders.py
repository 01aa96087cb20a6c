"""One function an operator that makes a random one-operator model and inputs for it."""

import numpy as np
from kernel_cases import Case, int8_values
from tflite_builder import TensorSpec, constant, one_operator

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
RUNS = 2


def _label(op: str, **values: object) -> str:
    return f"{op}(" + ", ".join(f"{name}={value}" for name, value in values.items()) + ")"


def _inputs(rng: np.random.Generator, *specs: TensorSpec) -> list[np.ndarray]:
    return [int8_values(rng, RUNS, *spec.shape) for spec in dict.fromkeys(specs) if spec.data is None]


def _windowed(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    covered = size if padding == "SAME" else size - (kernel - 1) * dilation
    return -(-covered // stride)


def weighted_scales(
    rng: np.random.Generator, channels: int, per_channel: bool, depth: int, gain: float
) -> tuple[float, np.ndarray, float]:
    """Scales of input, weights and output; gain 1 makes outputs fill the int8 range without clipping much."""
    source = float(np.exp(rng.uniform(-6, 2)))
    weights = np.exp(rng.uniform(-8, -4, size=channels if per_channel else 1)).astype(np.float32)
    output = source * float(weights.max()) * 75.0 * np.sqrt(depth) * 75.0 / 50.0 / gain
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
) -> Case:
    label = _label(
        "CONV_2D",
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
        zero_points=zero_points,
    )
    depth = kernel[0] * kernel[1] * shape[3] // groups
    source_scale, weight_scales, output_scale = weighted_scales(rng, filters, per_channel, depth, gain)
    source = TensorSpec(shape, source_scale, zero_points[0])
    weights = constant(int8_values(rng, filters, *kernel, shape[3] // groups), weight_scales)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        values = rng.integers(-20_000, 20_000, filters).astype(np.int32)
        inputs.append(constant(values, (source_scale * weight_scales).astype(np.float32)))
    out_h, out_w = (_windowed(shape[1 + i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    output = TensorSpec((shape[0], out_h, out_w, filters), output_scale, zero_points[1])
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
) -> Case:
    label = _label(
        "DEPTHWISE_CONV_2D",
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
        zero_points=zero_points,
    )
    channels = shape[3] * multiplier
    source_scale, weight_scales, output_scale = weighted_scales(rng, channels, per_channel, kernel[0] * kernel[1], gain)
    source = TensorSpec(shape, source_scale, zero_points[0])
    weights = constant(int8_values(rng, 1, *kernel, channels), weight_scales, axis=3)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        values = rng.integers(-20_000, 20_000, channels).astype(np.int32)
        inputs.append(constant(values, (source_scale * weight_scales).astype(np.float32)))
    out_h, out_w = (_windowed(shape[1 + i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    output = TensorSpec((shape[0], out_h, out_w, channels), output_scale, zero_points[1])
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
) -> Case:
    label = _label(
        "FULLY_CONNECTED",
        shape=shape,
        outputs=outputs,
        activation=activation,
        per_channel=per_channel,
        bias=bias,
        gain=gain,
        zero_points=zero_points,
        weights_zero_point=weights_zero_point,
        keep_num_dims=keep_num_dims,
    )
    depth = shape[-1]
    source_scale, weight_scales, output_scale = weighted_scales(rng, outputs, per_channel, depth, gain)
    source = TensorSpec(shape, source_scale, zero_points[0])
    weights = constant(int8_values(rng, outputs, depth), weight_scales, weights_zero_point)
    inputs: list[TensorSpec | None] = [source, weights]
    if bias:
        values = rng.integers(-20_000, 20_000, outputs).astype(np.int32)
        inputs.append(constant(values, (source_scale * weight_scales).astype(np.float32)))
    rows = int(np.prod(shape)) // depth
    output_shape = (*shape[:-1], outputs) if keep_num_dims else (rows, outputs)
    output = TensorSpec(output_shape, output_scale, zero_points[1])
    model = one_operator(
        "FULLY_CONNECTED", inputs, output, fusedActivationFunction=activation, keepNumDims=keep_num_dims
    )
    return Case(label, model, _inputs(rng, source))
