"""Random small models of the kinds that people deploy: what no list of cases thought of.

Image networks, keyword spotters, autoencoders, inverted residuals and transformers, with odd sizes and channel counts,
strides, dilation and padding of all forms, and now and then a scale at which everything clips or nothing is left.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from machines.micro_interpreter import micro_interpreter

FAMILIES = ("image", "keywords", "autoencoder", "residuals", "transformer")

# Standard deviations: of int8 values that fill the range, of results that do so without clipping much, and one that is
# large enough to tell the scale.
_SPREAD, _WANTED, _MEASURABLE = 75.0, 50.0, 3.0
# A weight of INT4 over one of INT8.
_INT4_STEP = 16
# TFLite Micro refuses a smaller scale, or ends the process at it: as a share of the first guess, and in all.
_LEAST_SHARE, _LEAST_SCALE = 1e-4, 1e-7
_CALIBRATED = (
    "ADD",
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "MEAN",
    "MUL",
    "SUM",
    "TRANSPOSE_CONV",
)
_ARENA_BYTES = 400_000


def random_model(seed: int) -> bytes:
    """The .tflite file of a model; the same for the same seed."""
    model = _Model(np.random.default_rng(seed))
    return getattr(model, FAMILIES[seed % len(FAMILIES)])()


def random_inputs(seed: int, shape: Sequence[int], count: int) -> np.ndarray:
    """(count, *shape[1:]) int8: noise, then all -128, all 127, and noise of the two, as far as `count` goes."""
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-128, 128, (count, *shape[1:])).astype(np.int8)
    extremes = [-128, 127, rng.choice([-128, 127], shape[1:])]
    for index, values in zip(range(1, count), extremes, strict=False):
        inputs[index] = values
    return inputs


class _Model:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._operators: list[OperatorSpec] = []
        # What the first `_evaluated` operators make of one input: each runs once, not for every layer behind it.
        self._values: dict[TensorSpec, np.ndarray] = {}
        self._evaluated = 0

    # --- Families -------------------------------------------------------------------------------------------------

    def image(self) -> bytes:
        source = self._source((1, self._size(3, 17), self._size(3, 17), self._size(1, 7)))
        image = self._conv(source)
        layers = (self._conv, self._conv, self._depthwise, self._padded, self._pool, self._sum, self._gate, self._join)
        layers += (self._clip, self._larger, self._slopes, self._enlarged, self._threshold)
        layers += (self._resized, self._halves, self._blocks, self._mirrored, self._picked, self._stacked)
        for _ in range(self._size(1, 5)):
            image = layers[self._size(0, len(layers) - 1)](image)
        return self._finish(self._classes(image))

    def keywords(self) -> bytes:
        """A DS-CNN: a kernel of 10x4 over one channel, then depthwise and 1x1 convolutions."""
        source = self._source((1, self._size(12, 49), self._size(4, 11), 1))
        kernel = (self._size(8, 11), self._size(3, 5))
        image = self._conv(source, self._size(1, 19), kernel, (self._size(1, 2), self._size(1, 2)), (1, 1), "SAME")
        for _ in range(self._size(1, 2)):
            image = self._depthwise(image, 1, (3, 3), (1, 1), (1, 1), "SAME")
            image = self._conv(image, self._size(1, 24), (1, 1), (1, 1), (1, 1), "SAME")
        _, height, width, _ = image.shape
        return self._finish(self._classes(self._pool(image, "AVERAGE_POOL_2D", (height, width), "VALID")))

    def autoencoder(self) -> bytes:
        inputs = self._size(1, 130)
        source = self._source((1, inputs))
        values = source
        for units in [self._size(1, 96) for _ in range(self._size(1, 4))]:
            values = self._dense(values, units)
        return self._finish(self._dense(values, inputs, "NONE"))

    def residuals(self) -> bytes:
        """MobileNetV2's blocks: expand, depthwise, project, and the input added where its shape stayed."""
        source = self._source((1, self._size(4, 15), self._size(4, 15), 3))
        image = self._conv(source, self._size(3, 17))
        for _ in range(self._size(1, 3)):
            channels = image.shape[3]
            same = bool(self._rng.random() < 0.6)
            strides = (1, 1) if same else (self._size(1, 2), self._size(1, 2))
            inner = self._conv(image, channels * self._size(1, 3), (1, 1), (1, 1), (1, 1), "SAME", "RELU6")
            inner = self._depthwise(inner, 1, (3, 3), strides, (1, 1), "SAME", "RELU6")
            filters = channels if same else self._size(1, 19)
            inner = self._conv(inner, filters, (1, 1), (1, 1), (1, 1), "SAME", "NONE")
            image = self._add(image, inner) if same else inner
        return self._finish(self._classes(image))

    def transformer(self) -> bytes:
        """Attention of some heads over the pixels of a strided convolution, then two dense layers, each added."""
        source = self._source((1, self._size(4, 11), self._size(4, 11), self._size(1, 4)))
        heads, depth = self._size(1, 3), self._size(1, 9)
        image = self._conv(source, heads * depth, (3, 3), (2, 2), (1, 1), "SAME")
        _, height, width, channels = image.shape
        tokens = self._reshape(image, (1, height * width, channels))
        for _ in range(self._size(1, 2)):
            tokens = self._add(tokens, self._attention(tokens, heads))
            hidden = self._dense(tokens, self._size(1, 33), "RELU")
            tokens = self._add(tokens, self._dense(hidden, channels, "NONE"))
        return self._finish(self._classes(self._reshape(tokens, (1, height, width, channels))))

    # --- Layers ---------------------------------------------------------------------------------------------------

    def _conv(
        self,
        source: TensorSpec,
        filters: int | None = None,
        kernel: tuple[int, int] | None = None,
        strides: tuple[int, int] | None = None,
        dilation: tuple[int, int] | None = None,
        padding: str | None = None,
        activation: str | None = None,
    ) -> TensorSpec:
        filters = self._size(1, 19) if filters is None else filters
        kernel, strides, dilation, padding = self._window(source, kernel, strides, dilation, padding)
        channels = source.shape[3]
        weights = self._weights((filters, *kernel, channels), 0, kernel[0] * kernel[1] * channels)
        shape = (1, *self._windowed(source, kernel, strides, dilation, padding), filters)
        activation = activation or self._activation()
        output = self._product(source, weights, kernel[0] * kernel[1] * channels, shape, activation)
        return self._emit(
            "CONV_2D",
            [source, weights, self._bias(source, weights, filters)],
            output,
            padding=padding,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            fusedActivationFunction=activation,
        )

    def _depthwise(
        self,
        source: TensorSpec,
        multiplier: int | None = None,
        kernel: tuple[int, int] | None = None,
        strides: tuple[int, int] | None = None,
        dilation: tuple[int, int] | None = None,
        padding: str | None = None,
        activation: str | None = None,
    ) -> TensorSpec:
        multiplier = int(self._rng.choice([1, 1, 1, 2, 3])) if multiplier is None else multiplier
        kernel, strides, dilation, padding = self._window(source, kernel, strides, dilation, padding)
        channels = source.shape[3] * multiplier
        weights = self._weights((1, *kernel, channels), 3, kernel[0] * kernel[1])
        shape = (1, *self._windowed(source, kernel, strides, dilation, padding), channels)
        activation = activation or self._activation()
        output = self._product(source, weights, kernel[0] * kernel[1], shape, activation)
        return self._emit(
            "DEPTHWISE_CONV_2D",
            [source, weights, self._bias(source, weights, channels)],
            output,
            padding=padding,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            depthMultiplier=multiplier,
            fusedActivationFunction=activation,
        )

    def _enlarged(self, source: TensorSpec) -> TensorSpec:
        """A transposed convolution, as decoders have it."""
        _, height, width, channels = source.shape
        filters, kernel = self._size(1, 9), (self._size(1, 4), self._size(1, 4))
        strides = (2, 2) if height * width < 100 else (1, 1)
        weights = self._weights((filters, *kernel, channels), 0, kernel[0] * kernel[1] * channels, takes_int4=False)
        shape = (1, height * strides[0], width * strides[1], filters)
        activation = self._activation()
        output = self._product(source, weights, kernel[0] * kernel[1] * channels, shape, activation)
        sizes = constant(np.array(shape, np.int32))
        return self._emit(
            "TRANSPOSE_CONV",
            [sizes, weights, source, self._bias(source, weights, filters)],
            output,
            padding="SAME",
            strideH=strides[0],
            strideW=strides[1],
            fusedActivationFunction=activation,
        )

    def _dense(self, source: TensorSpec, units: int, activation: str | None = None) -> TensorSpec:
        depth = source.shape[-1]
        weights = self._weights((units, depth), 0, depth)
        activation = activation or self._activation()
        output = self._product(source, weights, depth, (*source.shape[:-1], units), activation)
        inputs = [source, weights, self._bias(source, weights, units)]
        options = {"keepNumDims": len(source.shape) > 2, "fusedActivationFunction": activation}
        return self._emit("FULLY_CONNECTED", inputs, output, **options)

    def _padded(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        sides = [[0, 0], [self._size(0, 3), self._size(0, 2)], [self._size(0, 2), self._size(0, 3)], [0, 0]]
        shape = (1, height + sum(sides[1]), width + sum(sides[2]), channels)
        padded = self._emit("PAD", [source, constant(np.array(sides, np.int32))], self._same(source, shape))
        layer = self._conv if self._rng.random() < 0.5 else self._depthwise
        return layer(padded, padding="VALID")

    def _pool(
        self,
        source: TensorSpec,
        op: str | None = None,
        kernel: tuple[int, int] | None = None,
        padding: str | None = None,
    ) -> TensorSpec:
        op = op or str(self._rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        kernel, strides, _, padding = self._window(source, kernel, None, (1, 1), padding)
        shape = (1, *self._windowed(source, kernel, strides, (1, 1), padding), source.shape[3])
        sizes = {"filterHeight": kernel[0], "filterWidth": kernel[1], "strideH": strides[0], "strideW": strides[1]}
        return self._emit(op, [source], self._same(source, shape), padding=padding, **sizes)

    def _add(self, first: TensorSpec, second: TensorSpec) -> TensorSpec:
        scale = max(float(first.scales), float(second.scales))
        activation = self._activation()
        output = TensorSpec(first.shape, scale, self._zero_point(activation))
        inputs = [first, second] if self._rng.random() < 0.5 else [second, first]
        return self._emit("ADD", inputs, output, fusedActivationFunction=activation)

    def _sum(self, source: TensorSpec) -> TensorSpec:
        return self._add(source, self._conv(source, source.shape[3], (3, 3), (1, 1), (1, 1), "SAME"))

    def _gate(self, source: TensorSpec) -> TensorSpec:
        scale = float(source.scales)
        op = str(self._rng.choice(["LOGISTIC", "HARD_SWISH", "TANH"]))
        gate = TensorSpec(source.shape, *{"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(op, (scale, -20)))
        self._emit(op, [source], gate)
        output = TensorSpec(source.shape, scale * float(gate.scales) * _SPREAD, self._zero_point())
        return self._emit("MUL", [source, gate], output)

    def _clip(self, source: TensorSpec) -> TensorSpec:
        """Keras's `clip`: between two constants."""
        low, high = sorted(self._rng.integers(-128, 128, 2))
        inner, output = self._same(source, source.shape), self._same(source, source.shape)
        self._emit("MAXIMUM", [source, constant(np.array([low], np.int8), source.scales, source.zero_points)], inner)
        return self._emit(
            "MINIMUM", [inner, constant(np.array([high], np.int8), source.scales, source.zero_points)], output
        )

    def _threshold(self, source: TensorSpec) -> TensorSpec:
        """Values above a threshold, or above one a channel, and another value in place of the rest."""
        if float(source.scales) >= 1:  # TFLite Micro compares no larger steps.
            return source
        op = str(self._rng.choice(["GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL"]))
        channels = source.shape[3] if self._rng.random() < 0.5 else 1
        limits, others = (
            constant(self._rng.integers(-128, 128, channels).astype(np.int8), source.scales, source.zero_points)
            for _ in range(2)
        )
        is_kept = TensorSpec(source.shape, dtype=np.bool_)
        self._emit(op, [source, limits], is_kept)
        return self._emit("SELECT_V2", [is_kept, source, others], self._same(source, source.shape))

    def _slopes(self, source: TensorSpec) -> TensorSpec:
        """A PRELU with a slope a channel, or a LEAKY_RELU."""
        output = TensorSpec(source.shape, source.scales, self._zero_point())
        if self._rng.random() < 0.4:
            return self._emit("LEAKY_RELU", [source], output, alpha=float(self._rng.uniform(0, 0.5)))
        slopes = self._rng.integers(-128, 128, (1, 1, source.shape[3])).astype(np.int8)
        return self._emit("PRELU", [source, constant(slopes, 0.005, self._zero_point())], output)

    def _larger(self, source: TensorSpec) -> TensorSpec:
        """The larger of an image and of a vector of channels, or of its own rows' largest values."""
        op, channels = str(self._rng.choice(["MAXIMUM", "MINIMUM"])), source.shape[3]
        other = constant(self._rng.integers(-128, 128, channels).astype(np.int8), source.scales, source.zero_points)
        if self._rng.random() < 0.5:
            other = self._same(source, (1, source.shape[1], 1, channels))
            self._emit("REDUCE_MAX", [source, constant(np.array([2], np.int32))], other, keepDims=True)
        return self._emit(op, [source, other], self._same(source, source.shape))

    def _join(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        pooled = self._same(source, source.shape)
        sizes = {"filterHeight": 3, "filterWidth": 3, "strideH": 1, "strideW": 1}
        self._emit("MAX_POOL_2D", [source], pooled, padding="SAME", **sizes)
        joined = self._same(source, (1, height, width, 2 * channels))
        return self._emit("CONCATENATION", [source, pooled], joined, axis=3)

    def _resized(self, source: TensorSpec) -> TensorSpec:
        """Upsampling, mostly by whole factors, of what is not large yet."""
        _, height, width, channels = source.shape
        factors = (self._size(1, 3), self._size(1, 3)) if math.prod(source.shape) < 2000 else (1, 1)
        size = (height * factors[0], width * factors[1])
        if self._rng.random() < 0.3:
            size = (self._size(1, size[0]), self._size(1, size[1]))
        op = str(self._rng.choice(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"]))
        corners, half = [(False, False), (False, True), (True, False)][self._size(0, 2)]
        output = self._same(source, (1, *size, channels))
        inputs = [source, constant(np.array(size, np.int32))]
        return self._emit(op, inputs, output, alignCorners=corners, halfPixelCenters=half)

    def _halves(self, source: TensorSpec) -> TensorSpec:
        """The blocks of YOLO: channels in two parts, of which one goes through a layer before all are joined."""
        _, height, width, channels = source.shape
        if channels == 1:
            return source
        sizes = [self._size(1, channels - 1)]
        sizes.append(channels - sizes[0])
        first, second = (self._same(source, (1, height, width, size)) for size in sizes)
        axis = constant(np.array(int(self._rng.choice([3, -1])), np.int32))
        if sizes[0] == sizes[1]:
            self._emit("SPLIT", [axis, source], first, (second,), numSplits=2)
        else:
            told = constant(np.array([sizes[0], -1], np.int32))
            self._emit("SPLIT_V", [source, told, axis], first, (second,), numSplits=2)
        pooled = self._same(second, second.shape)
        window = {"filterHeight": 3, "filterWidth": 3, "strideH": 1, "strideW": 1}
        self._emit("MAX_POOL_2D", [second], pooled, padding="SAME", **window)
        parts = [first, pooled, second][: self._size(2, 3)]
        if self._rng.random() < 0.3:
            values = self._rng.integers(-128, 128, (1, height, width, 2)).astype(np.int8)
            parts.append(constant(values, source.scales, source.zero_points))
        joined = self._same(source, (1, height, width, sum(part.shape[3] for part in parts)))
        return self._emit("CONCATENATION", parts, joined, axis=3)

    def _blocks(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        if channels % 4 == 0:
            output = self._same(source, (1, 2 * height, 2 * width, channels // 4))
            return self._emit("DEPTH_TO_SPACE", [source], output, blockSize=2)
        if height % 2 == width % 2 == 0:
            output = self._same(source, (1, height // 2, width // 2, 4 * channels))
            return self._emit("SPACE_TO_DEPTH", [source], output, blockSize=2)
        return source

    def _mirrored(self, source: TensorSpec) -> TensorSpec:
        _, height, width, channels = source.shape
        sides = [self._size(0, min(size - 1, 2)) for size in (height, height, width, width)]
        shape = (1, height + sides[0] + sides[1], width + sides[2] + sides[3], channels)
        paddings = constant(np.array([0, 0, *sides, 0, 0], np.int32).reshape(4, 2))
        mode = str(self._rng.choice(["REFLECT", "SYMMETRIC"]))
        padded = self._emit("MIRROR_PAD", [source, paddings], self._same(source, shape), mode=mode)
        return self._conv(padded, padding="VALID")

    def _picked(self, source: TensorSpec) -> TensorSpec:
        """Some indices of an axis: any, one after the other, or all of them backwards."""
        axis = self._size(1, 3)
        size = source.shape[axis]
        op = str(self._rng.choice(["GATHER", "REVERSE_V2", "SLICE"]))
        shape = [*source.shape]
        if op == "REVERSE_V2":
            return self._emit(op, [source, constant(np.array([axis], np.int32))], self._same(source, shape))
        shape[axis] = self._size(1, size)
        if op == "GATHER":
            indices = self._rng.integers(0, size, shape[axis]).astype(np.int32)
            return self._emit(op, [source, constant(indices)], self._same(source, shape), axis=axis)
        begins = np.zeros(4, np.int32)
        begins[axis] = self._size(0, size - shape[axis])
        return self._emit(
            op, [source, constant(begins), constant(np.array(shape, np.int32))], self._same(source, shape)
        )

    def _stacked(self, source: TensorSpec) -> TensorSpec:
        """Two images, one above the other, by PACK; or the sum of the first and the last channel, by UNPACK."""
        _, height, width, channels = source.shape
        if self._rng.random() < 0.5 and channels < 9:
            parts = [self._same(source, (1, height, width)) for _ in range(channels)]
            self._emit("UNPACK", [source], parts[0], parts[1:], axis=3, num=channels)
            return self._reshape(self._add(parts[0], parts[-1]), (1, height, width, 1))
        pooled = self._same(source, source.shape)
        window = {"filterHeight": 1, "filterWidth": 3, "strideH": 1, "strideW": 1}
        self._emit("MAX_POOL_2D", [source], pooled, padding="SAME", **window)
        stacked = self._same(source, (1, 2, height, width, channels))
        self._emit("PACK", [pooled, source], stacked, axis=1, valuesCount=2)
        return self._reshape(stacked, (1, 2 * height, width, channels))

    def _attention(self, tokens: TensorSpec, heads: int) -> TensorSpec:
        _, count, channels = tokens.shape
        depth = channels // heads
        query, key, value = (self._split(self._dense(tokens, channels, "NONE"), heads) for _ in range(3))
        scores = self._matmul(query, key, (1, heads, count, count), depth, adj_y=True)
        weights = TensorSpec(scores.shape, 1 / 256, -128)
        self._emit("SOFTMAX", [scores], weights, beta=1.0)
        mixed = self._matmul(weights, value, (1, heads, count, depth), count, adj_y=False)
        swapped = self._transpose(mixed, (0, 2, 1, 3))
        return self._dense(self._reshape(swapped, (1, count, channels)), channels, "NONE")

    def _split(self, tokens: TensorSpec, heads: int) -> TensorSpec:
        _, count, channels = tokens.shape
        return self._transpose(self._reshape(tokens, (1, count, heads, channels // heads)), (0, 2, 1, 3))

    def _matmul(
        self, first: TensorSpec, second: TensorSpec, shape: Sequence[int], depth: int, adj_y: bool
    ) -> TensorSpec:
        scale = float(first.scales) * float(second.scales) * _SPREAD * _SPREAD * math.sqrt(depth) / _WANTED
        output = TensorSpec(shape, scale, self._zero_point())
        return self._emit("BATCH_MATMUL", [first, second], output, adjX=False, adjY=adj_y)

    def _reshape(self, source: TensorSpec, shape: Sequence[int]) -> TensorSpec:
        return self._emit("RESHAPE", [source, constant(np.array(shape, np.int32))], self._same(source, shape))

    def _transpose(self, source: TensorSpec, order: Sequence[int]) -> TensorSpec:
        output = self._same(source, [source.shape[axis] for axis in order])
        return self._emit("TRANSPOSE", [source, constant(np.array(order, np.int32))], output)

    def _classes(self, image: TensorSpec) -> TensorSpec:
        """Scores from the mean of each channel or from every value, as they are or behind a softmax."""
        if self._rng.random() < 0.4:
            op = str(self._rng.choice(["MEAN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]))
            output = self._same(image, (1, image.shape[3]))
            if op in ("MEAN", "SUM"):
                output.zero_points = self._zero_point()
            axes = constant(np.array([1, 2], np.int32))
            values = self._emit(op, [image, axes], output, keepDims=False)
        else:
            values = self._reshape(image, (1, math.prod(image.shape)))
        scores = self._dense(values, self._size(2, 12), "NONE")
        if self._rng.random() < 0.6:
            return scores
        scores.scales = float(self._rng.uniform(0.01, 0.2))
        return self._emit("SOFTMAX", [scores], TensorSpec(scores.shape, 1 / 256, -128), beta=1.0)

    # --- Sizes, scales and constants ------------------------------------------------------------------------------

    def _size(self, least: int, most: int) -> int:
        return int(self._rng.integers(least, most + 1))

    def _zero_point(self, activation: str = "NONE") -> int:
        """Within [-30, 30], or -128 behind an activation without negative values; now and then at an end."""
        if self._rng.random() < 0.05:
            return int(self._rng.choice([-128, 0, 127]))
        return -128 if activation in ("RELU", "RELU6") else self._size(-30, 30)

    def _gain(self) -> float:
        """About 1; one in twenty is far from it."""
        return float(np.exp(self._rng.normal(0, 0.3 if self._rng.random() < 0.95 else 3)))

    def _activation(self) -> str:
        return str(self._rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"], p=[0.35, 0.35, 0.25, 0.05]))

    def _source(self, shape: Sequence[int]) -> TensorSpec:
        extreme = self._rng.random() < 0.1
        scale = float(np.exp(self._rng.uniform(-11, 6) if extreme else -4))
        self._input = TensorSpec(shape, scale, self._zero_point())
        self._values[self._input] = self._rng.integers(-128, 128, shape).astype(np.int8)
        return self._input

    def _same(self, source: TensorSpec, shape: Sequence[int]) -> TensorSpec:
        """An activation with the quantisation of another."""
        return TensorSpec(shape, source.scales, source.zero_points)

    def _product(
        self, source: TensorSpec, weights: TensorSpec, depth: int, shape: Sequence[int], activation: str
    ) -> TensorSpec:
        """The output of a layer that adds `depth` products."""
        spread = _SPREAD / _INT4_STEP if weights.is_int4 else _SPREAD
        scale = float(source.scales) * float(np.max(weights.scales)) * _SPREAD * spread * math.sqrt(depth) / _WANTED
        return TensorSpec(shape, scale, self._zero_point(activation))

    def _weights(self, shape: Sequence[int], axis: int, depth: int, takes_int4: bool = True) -> TensorSpec:
        values = self._rng.integers(-127, 128, shape)
        if self._rng.random() < 0.1:
            values = np.where(self._rng.random(shape) < 0.7, self._rng.choice([-128, 127], shape), values)
        elif self._rng.random() < 0.1:
            values = np.where(self._rng.random(shape) < 0.7, 0, values)
        channels = shape[axis] if self._rng.random() < 0.8 else 1
        # At the scale that keeps the spread of what comes in, channels apart by up to seven times.
        scale = np.exp(self._rng.uniform(-1, 1, channels)) / (_SPREAD * math.sqrt(depth))
        # A fifth, without another draw: what a seed is known for stays.
        if takes_int4 and values.sum() % 5 == 0:
            if len(shape) == 2:  # TFLite Micro takes those of FULLY_CONNECTED under one scale.
                scale = scale[:1]
            narrow = (values // _INT4_STEP).astype(np.int8)
            return dataclasses.replace(
                constant(narrow, (scale * _INT4_STEP).astype(np.float32), axis=axis), is_int4=True
            )
        return constant(values.astype(np.int8), scale.astype(np.float32), axis=axis)

    def _bias(self, source: TensorSpec, weights: TensorSpec, channels: int) -> TensorSpec | None:
        if self._rng.random() < 0.1:
            return None
        largest = 2**31 - 1 if self._rng.random() < 0.02 else 6_000
        scales = (float(source.scales) * np.asarray(weights.scales)).astype(np.float32)
        return constant(self._rng.integers(-largest, largest + 1, channels).astype(np.int32), scales)

    def _window(
        self,
        source: TensorSpec,
        kernel: tuple[int, int] | None,
        strides: tuple[int, int] | None,
        dilation: tuple[int, int] | None,
        padding: str | None,
    ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], str]:
        """Choose what is left open, so that at least one output is left."""
        common = self._rng.random() < 0.5
        kernel = kernel or ((3, 3) if common else (self._size(1, 5), self._size(1, 5)))
        strides = strides or ((1, 1) if common else (self._size(1, 3), self._size(1, 3)))
        dilation = dilation or ((1, 1) if self._rng.random() < 0.8 else (self._size(1, 3), self._size(1, 3)))
        padding = padding or str(self._rng.choice(["SAME", "VALID"]))
        if padding == "VALID":
            sizes = source.shape[1:3]
            dilation = tuple(
                min(step, max(1, (size - 1) // max(taps - 1, 1)))
                for size, taps, step in zip(sizes, kernel, dilation, strict=True)
            )
            kernel = tuple(
                min(taps, (size - 1) // step + 1) for size, taps, step in zip(sizes, kernel, dilation, strict=True)
            )
        return kernel, strides, dilation, padding

    def _windowed(
        self,
        source: TensorSpec,
        kernel: tuple[int, int],
        strides: tuple[int, int],
        dilation: tuple[int, int],
        padding: str,
    ) -> list[int]:
        sizes = []
        for axis in (0, 1):
            lost = 0 if padding == "SAME" else (kernel[axis] - 1) * dilation[axis]
            sizes.append(-(-(source.shape[1 + axis] - lost) // strides[axis]))
        return sizes

    def _emit(
        self,
        op: str,
        inputs: Sequence[TensorSpec | None],
        output: TensorSpec,
        others: Sequence[TensorSpec] = (),
        **options: object,
    ) -> TensorSpec:
        present = [tensor for tensor in inputs if tensor is not None]
        self._operators.append(OperatorSpec(op, present, output, options, others=others))
        if op in _CALIBRATED:
            self._calibrate(output)
        return output

    def _calibrate(self, output: TensorSpec) -> None:
        """Choose the scale at which the last operator's results fill int8; now and then, one far from it."""
        least = max(float(output.scales) * _LEAST_SHARE, _LEAST_SCALE)
        self._evaluate()
        for _ in range(4):
            (values,) = self._run(self._operators[-1:], [output])
            spread = float(np.std(values))
            output.scales = max(float(output.scales) * max(spread / _WANTED, 1 / 16), least)
            if spread > _MEASURABLE:
                break
        output.scales = max(float(output.scales) / self._gain(), least)

    def _evaluate(self) -> None:
        """Keep what all operators before the last one make; their scales stay."""
        operators = self._operators[self._evaluated : -1]
        self._evaluated += len(operators)
        made = [tensor for operator in operators for tensor in (operator.output, *operator.others)]
        # What is bool is read by the next operator alone, and its interpreter hands none out.
        kept = [tensor for tensor in made if tensor is not None and tensor.dtype == np.int8]
        if kept:
            self._values |= zip(kept, self._run(operators, kept), strict=True)

    def _run(self, operators: Sequence[OperatorSpec], outputs: Sequence[TensorSpec]) -> list[np.ndarray]:
        given = dict.fromkeys(tensor for operator in operators for tensor in operator.inputs if tensor in self._values)
        interpreter = micro_interpreter(build_model(operators, [*given], outputs), _ARENA_BYTES)
        for at, tensor in enumerate(given):
            interpreter.set_input(self._values[tensor], at)
        interpreter.invoke()
        return [interpreter.get_output(at).copy() for at in range(len(outputs))]

    def _finish(self, output: TensorSpec) -> bytes:
        return build_model(self._operators, [self._input], [output])
