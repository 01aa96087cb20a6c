"""Random networks of every supported kind of layer, with branches, so that whole compilations can be tested.

Their scales are calibrated with TFLite Micro layer by layer, so that the values neither fade nor saturate on the way.
"""

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from machines.micro_interpreter import micro_interpreter

# The largest value, and between which standard deviations values spread well.
_SPREADS = {np.dtype(np.int8): (127, 25, 80), np.dtype(np.int16): (32_767, 6_000, 20_000)}


@functools.cache
def random_network(seed: int, layers: int = 14, mixed: bool = False) -> bytes:
    """The .tflite file of a network from a small image to class scores; the same for the same arguments.

    A mixed network changes between int8 and int16 on the way.
    """
    return _Network(seed, mixed).build(layers)


class _Network:
    def __init__(self, seed: int, mixed: bool) -> None:
        self._mixed = mixed
        self._rng = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._operators: list[OperatorSpec] = []
        self._images: list[TensorSpec] = []
        self._free: set[TensorSpec] = set()

    def build(self, layers: int) -> bytes:
        source = TensorSpec((1, self._rng.choice([7, 8, 11]), self._rng.choice([8, 9]), 3), 0.02, 5)
        self._source = source
        self._samples = self._numbers.integers(-128, 128, (4, *source.shape)).astype(np.int8)
        self._images = [source]
        kinds: list[Callable[[TensorSpec], TensorSpec]] = [
            self._convolution,
            self._convolution,
            self._depthwise,
            self._padded_convolution,
            self._residual,
            self._residual,
            self._arithmetic,
            self._gate,
            self._pool,
            self._concatenation,
            self._attention,
            self._transpose,
            self._crop,
            self._requantise,
        ]
        image = self._convolution(source)
        self._images.append(image)
        if self._mixed:
            kinds += [self._change_type] * 3
            image = self._change_type(image)
        for kind in [*self._rng.sample(kinds, len(kinds)), *self._rng.choices(kinds, k=layers)][:layers]:
            image = kind(image)
            self._images.append(image)
        if image.dtype == np.int16:
            image = self._change_type(image)
        return build_model(self._operators, [source], [self._classifier(image)])

    def _add(self, op: str, inputs: Sequence[TensorSpec | None], output: TensorSpec, **options: object) -> TensorSpec:
        self._operators.append(OperatorSpec(op, inputs, output, options))
        if output in self._free:
            self._calibrate(output)
        return output

    def _calibrate(self, output: TensorSpec) -> None:
        """Choose the scale of the last operator's output so that its values spread over int8."""
        _, least, most = _SPREADS[np.dtype(output.dtype)]
        wanted = np.sqrt(least * most)
        for _ in range(8):
            interpreter = micro_interpreter(build_model(self._operators, [self._source], [output]), 1_000_000)
            values = []
            for image in self._samples:
                interpreter.set_input(image, 0)
                interpreter.invoke()
                values.append(np.array(interpreter.get_output(0), dtype=np.float64))
            spread = float(np.std(values))
            if least < spread < most:
                return
            # A difference of equals never spreads, and TFLite Micro takes no scale far below its operands'.
            output.scales = max(float(output.scales) * min(max(spread / wanted, 1 / 16), 4), 0.05 / wanted)

    def _like(self, shape: Sequence[int], dtype: Any = np.int8) -> TensorSpec:
        """An activation of random zero point, whose scale is chosen when it is computed."""
        zero_point = 0 if dtype == np.int16 else self._rng.randrange(-20, 21)
        output = TensorSpec(shape, 6.35 / _SPREADS[np.dtype(dtype)][0], zero_point, dtype)
        self._free.add(output)
        return output

    def _same(self, source: TensorSpec, shape: Sequence[int]) -> TensorSpec:
        """An activation with the quantisation of another."""
        return TensorSpec(shape, source.scales, source.zero_points, source.dtype)

    def _constant(self, shape: Sequence[int], scale: float, zero_point: int, dtype: Any) -> TensorSpec:
        largest = _SPREADS[np.dtype(dtype)][0]
        values = self._numbers.integers(-largest - 1, largest + 1, shape).astype(dtype)
        return constant(values, scale * 127 / largest, 0 if dtype == np.int16 else zero_point)

    def _weights(self, shape: Sequence[int], channels: int, axis: int) -> TensorSpec:
        values = self._numbers.integers(-127, 128, shape).astype(np.int8)
        return constant(values, self._numbers.uniform(0.002, 0.01, channels).astype(np.float32), axis=axis)

    def _bias(self, channels: int, dtype: Any) -> TensorSpec:
        if dtype == np.int16:
            return constant(self._numbers.integers(-500_000, 500_001, channels), 1e-6)
        return constant(self._numbers.integers(-2000, 2001, channels).astype(np.int32))

    def _convolution(self, source: TensorSpec, padding: str | None = None) -> TensorSpec:
        _, height, width, channels = source.shape
        size = self._rng.choice([1, 3]) if min(height, width) >= 3 else 1
        stride = self._rng.choice([1, 1, 2]) if min(height, width) >= 6 else 1
        padding = padding or self._rng.choice(["SAME", "VALID"])
        covered = 0 if padding == "SAME" else size - 1
        filters = self._rng.choice([2, 5, 8])
        shape = (1, -(-(height - covered) // stride), -(-(width - covered) // stride), filters)
        output = self._like(shape, source.dtype)
        inputs = [source, self._weights((filters, size, size, channels), filters, 0), self._bias(filters, source.dtype)]
        activation = self._rng.choice(["NONE", "RELU", "RELU6"])
        steps = {"strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
        return self._add("CONV_2D", inputs, output, padding=padding, fusedActivationFunction=activation, **steps)

    def _depthwise(self, source: TensorSpec) -> TensorSpec:
        channels = source.shape[3]
        output = self._like(source.shape, source.dtype)
        inputs = [source, self._weights((1, 3, 3, channels), channels, 3), self._bias(channels, source.dtype)]
        steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1}
        return self._add("DEPTHWISE_CONV_2D", inputs, output, padding="SAME", **steps)

    def _padded_convolution(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        top, left = self._rng.choice([0, 1, 2]), self._rng.choice([0, 1])
        paddings = constant(np.array([[0, 0], [top, 1], [left, 1], [0, 0]], dtype=np.int32))
        padded = self._same(source, (1, height + top + 1, width + left + 1, channels))
        return self._convolution(self._add("PAD", [source, paddings], padded), "VALID")

    def _residual(self, source: TensorSpec) -> TensorSpec:
        """Add a transformed copy; the source lives as long as the branch."""
        branch = self._depthwise(source)
        return self._add("ADD", [source, branch], self._like(source.shape, source.dtype))

    def _arithmetic(self, source: TensorSpec) -> TensorSpec:
        """With an earlier tensor of the same shape where there is one, else with a constant of each channel."""
        op = self._rng.choice(["ADD", "SUB", "MUL"])
        earlier = [
            image
            for image in self._images[:-1]
            if tuple(image.shape) == tuple(source.shape) and image.dtype == source.dtype
        ]
        channel_values = self._constant((source.shape[3],), 0.02, 3, source.dtype)
        other = self._rng.choice(earlier) if earlier else channel_values
        if op == "SUB":
            other = self._depthwise(source)  # An earlier tensor may be a copy, and the difference nothing.
        return self._add(op, [source, other], self._like(source.shape, source.dtype))

    def _gate(self, source: TensorSpec) -> TensorSpec:
        scale = float(source.scales)
        gates = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "HARD_SWISH": (scale, -5), "RELU": (scale, -128)}
        if source.dtype == np.int16:
            gates = {"LOGISTIC": (2**-15, 0), "TANH": (2**-15, 0), "RELU6": (scale, 0), "RELU": (scale, 0)}
        op = self._rng.choice(list(gates))
        gate = self._add(op, [source], TensorSpec(source.shape, *gates[op], source.dtype))
        return self._add("MUL", [source, gate], self._like(source.shape, source.dtype))

    def _pool(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        if min(height, width) < 4:
            return self._requantise(source)
        output = self._same(source, (1, -(-height // 2), -(-width // 2), channels))
        op = self._rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])
        sizes = {"filterHeight": 3, "filterWidth": 2, "strideH": 2, "strideW": 2}
        return self._add(op, [source], output, padding="SAME", **sizes)

    def _concatenation(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        other = self._same(source, source.shape)
        one = self._constant((1,), 0.03, 1, source.dtype)
        self._add("ADD", [source, one], other)
        joined = self._same(source, (1, height, width, 2 * channels))
        return self._convolution(self._add("CONCATENATION", [source, other], joined, axis=3))

    def _attention(self, source: TensorSpec) -> TensorSpec:
        """One head over the pixels: softmax(q k) v, with RESHAPE to tokens and back."""
        _, height, width, channels = source.shape
        tokens = (1, height * width, channels)
        rows = self._add("RESHAPE", [source, self._shape(tokens)], self._same(source, tokens))
        query = self._dense(rows)
        scores = self._like((1, tokens[1], tokens[1]), source.dtype)
        self._add("BATCH_MATMUL", [query, rows], scores, adjX=False, adjY=True)
        shares = (1 / 256, -128) if source.dtype == np.int8 else (2**-15, 0)
        weights = self._add("SOFTMAX", [scores], TensorSpec(scores.shape, *shares, source.dtype), beta=1.0)
        mixed = self._like(tokens, source.dtype)
        self._add("BATCH_MATMUL", [weights, rows], mixed, adjX=False, adjY=False)
        back = self._add("RESHAPE", [mixed, self._shape(source.shape)], self._same(mixed, source.shape))
        return self._add("ADD", [source, back], self._like(source.shape, source.dtype))

    def _dense(self, source: TensorSpec, units: int | None = None) -> TensorSpec:
        channels = source.shape[-1]
        units = units or channels
        output = self._like((*source.shape[:-1], units), source.dtype)
        inputs = [source, self._weights((units, channels), units, 0), self._bias(units, source.dtype)]
        return self._add("FULLY_CONNECTED", inputs, output, keepNumDims=len(source.shape) > 2)

    def _transpose(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        permutation = constant(np.array([0, 2, 1, 3], dtype=np.int32))
        return self._add("TRANSPOSE", [source, permutation], self._same(source, (1, width, height, channels)))

    def _crop(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        if min(height, width) < 4:
            return self._requantise(source)
        corners = [(0, 1, 0, 0), (1, height, width - 1, channels), (1, 1, 1, 1)]
        inputs = [constant(np.array(corner, dtype=np.int32)) for corner in corners]
        return self._add("STRIDED_SLICE", [source, *inputs], self._same(source, (1, height - 1, width - 1, channels)))

    def _requantise(self, source: TensorSpec) -> TensorSpec:
        return self._add("QUANTIZE", [source], self._like(source.shape, source.dtype))

    def _change_type(self, source: TensorSpec) -> TensorSpec:
        other = np.int16 if source.dtype == np.int8 else np.int8
        return self._add("QUANTIZE", [source], self._like(source.shape, other))

    def _shape(self, shape: Sequence[int]) -> TensorSpec:
        return constant(np.array(shape, dtype=np.int32))

    def _classifier(self, image: TensorSpec) -> TensorSpec:
        """Scores from the mean of each channel and from every pixel, so that each input has scores of its own."""
        axes = constant(np.array([1, 2], dtype=np.int32))
        mean = self._like((1, image.shape[3]))
        means = self._dense(self._add("MEAN", [image, axes], mean, keepDims=False), 6)
        flat_shape = (1, int(np.prod(image.shape)))
        flat = self._add("RESHAPE", [image, self._shape(flat_shape)], self._same(image, flat_shape))
        pixels = self._dense(flat, 6)
        return self._add("ADD", [means, pixels], self._like((1, 6)))
