"""Float graphs small enough to be quantised, written and run in a moment."""

import numpy as np

from tinyedge.tflite.graph import Graph, Operator, Tensor

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
CONV = {
    "padding": "SAME",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "fused_activation_function": "NONE",
}
DENSE = {"weights_format": "DEFAULT", "fused_activation_function": "NONE", "keep_num_dims": True}
ADD = {"fused_activation_function": "NONE", "pot_scale_int16": True}
STRIDED = ((0, 3, 1), (1, 0, 5), (1, -2, 1))
"""The beginnings, ends and steps of a slice of (1, 5, 6) to (1, 2, 4)."""
CORNERS = {"align_corners": False, "half_pixel_centers": True}


class GraphBuilder:
    """Appends operators over random constants; each method returns the output."""

    def __init__(self, *shape: int, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.input = Tensor("x", shape, F32)
        self.operators: list[Operator] = []

    def graph(self, output: Tensor) -> Graph:
        return Graph("tiny", self.operators, (self.input,), (output,))

    def constant(self, *shape: int) -> Tensor:
        values = self.rng.normal(0, np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.2, shape)
        return Tensor("c", shape, F32, data=values.astype(np.float32))

    def add(self, op: str, inputs: tuple, shape: tuple[int, ...], **options) -> Tensor:
        output = Tensor(f"{op.lower()}_{len(self.operators)}", shape, F32)
        self.operators.append(Operator(op, inputs, (output,), options, index=len(self.operators)))
        return output

    def conv(self, x: Tensor, channels: int, kernel: int = 3, **options) -> Tensor:
        weight, bias = self.constant(channels, kernel, kernel, x.shape[3]), self.constant(channels)
        return self.add("CONV_2D", (x, weight, bias), (*x.shape[:3], channels), **CONV | options)

    def depthwise(self, x: Tensor, **options) -> Tensor:
        weight = Tensor(
            "c", (1, 3, 3, x.shape[3]), F32, data=self.rng.normal(0, 0.3, (1, 3, 3, x.shape[3])).astype("f4")
        )
        options = CONV | {"depth_multiplier": 1} | options
        return self.add("DEPTHWISE_CONV_2D", (x, weight, self.constant(x.shape[3])), x.shape, **options)

    def backwards(self, x: Tensor, channels: int) -> Tensor:
        shape = (1, 2 * x.shape[1], 2 * x.shape[2], channels)
        options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "fused_activation_function": "NONE"}
        return self.add(
            "TRANSPOSE_CONV", (integers(*shape), self.constant(channels, 3, 3, x.shape[3]), x), shape, **options
        )

    def dense(self, x: Tensor, channels: int, bias: bool = True, **options) -> Tensor:
        inputs = (x, self.constant(channels, x.shape[-1]), self.constant(channels) if bias else None)
        return self.add("FULLY_CONNECTED", inputs, (*x.shape[:-1], channels), **DENSE | options)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return self.add("ADD", (x, y), x.shape, **ADD)

    def reshape(self, x: Tensor, *shape: int) -> Tensor:
        return self.add("RESHAPE", (x, integers(*shape)), shape)

    def mean(self, x: Tensor, *axes: int) -> Tensor:
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.add("MEAN", (x, integers(*axes)), shape, keep_dims=False)


def number(value: float) -> Tensor:
    return Tensor("c", (1,), F32, data=np.array([value], np.float32))


def integers(*values) -> Tensor:
    array = np.array(values, np.int32)
    return Tensor("i", array.shape, I32, data=array)


def attention_network() -> Graph:
    """Two convolutions, a residual block with a depthwise filter, one head of attention, a classifier: 5x7 pixels."""
    build = GraphBuilder(1, 5, 7, 3)
    x = build.conv(build.input, 12, fused_activation_function="RELU")
    padded = build.add("PAD", (x, integers([0, 0], [1, 1], [1, 1], [0, 0])), (1, 7, 9, 12))
    weight, bias = build.constant(12, 3, 3, 12), build.constant(12)
    y = build.add("CONV_2D", (padded, weight, bias), x.shape, **CONV | {"padding": "VALID"})
    y = build.residual(x, build.conv(build.depthwise(y, fused_activation_function="RELU"), 12, 1))
    tokens = build.reshape(y, 1, 35, 12)
    query = build.dense(tokens, 12)
    logits = build.add("BATCH_MATMUL", (query, tokens), (1, 35, 35), adj_x=False, adj_y=True)
    weights = build.add("SOFTMAX", (logits,), (1, 35, 35), beta=1.0)
    value = build.dense(tokens, 12)
    mixed = build.add("BATCH_MATMUL", (weights, value), (1, 35, 12), adj_x=False, adj_y=False)
    pooled = build.mean(build.residual(tokens, mixed), 1)
    return build.graph(build.dense(pooled, 6, keep_num_dims=False))


def one_operator_graphs() -> list[Graph]:
    """Every operator that TFLite Micro has in 16x8."""
    image, vector = (1, 5, 7, 4), (1, 5, 6)
    pool = {key: CONV[key] for key in ("padding", "stride_h", "stride_w", "fused_activation_function")}
    pool |= {"filter_height": 3, "filter_width": 2}
    one_minus = {"fused_activation_function": "NONE", "pot_scale_int16": True}
    makers = [
        (image, lambda b, x: b.conv(x, 6)),
        (image, lambda b, x: b.conv(x, 6, fused_activation_function="RELU")),
        (image, lambda b, x: b.depthwise(x, fused_activation_function="RELU6")),
        (vector, lambda b, x: b.dense(x, 9)),
        (vector, lambda b, x: b.dense(x, 9, bias=False)),
        (vector, lambda b, x: b.add("BATCH_MATMUL", (x, x), (1, 5, 5), adj_x=False, adj_y=True)),
        (vector, lambda b, x: b.add("SOFTMAX", (x,), vector, beta=1.0)),
        (vector, lambda b, x: b.residual(x, x)),
        (vector, lambda b, x: b.add("SUB", (x, b.dense(x, 6)), vector, **one_minus)),
        (vector, lambda b, x: b.add("MUL", (x, x), vector, fused_activation_function="NONE")),
        *((vector, lambda b, x, op=op: b.add(op, (x,), vector)) for op in ("RELU", "LOGISTIC", "TANH")),
        (image, lambda b, x: b.mean(x, 1, 2)),
        (image, lambda b, x: b.add("AVERAGE_POOL_2D", (x,), image, **pool)),
        (image, lambda b, x: b.add("MAX_POOL_2D", (x,), image, **pool)),
        (image, lambda b, x: b.add("PAD", (x, integers([0, 0], [1, 2], [0, 3], [0, 0])), (1, 8, 10, 4))),
        (image, lambda b, x: b.reshape(x, 1, 35, 4)),
        (image, lambda b, x: b.add("PADV2", (x, integers([0, 0], [1, 2], [0, 3], [0, 0]), number(0.5)), (1, 8, 10, 4))),
        (image, lambda b, x: b.add("TRANSPOSE", (x, integers(0, 2, 1, 3)), (1, 7, 5, 4))),
        (image, lambda b, x: b.add("CONCATENATION", (x, x), (1, 5, 7, 8), axis=3, fused_activation_function="NONE")),
        (vector, lambda b, x: b.add("PACK", (x, x), (1, 5, 2, 6), axis=2, values_count=2)),
        (image, lambda b, x: b.add("SLICE", (x, integers(0, 1, 2, 0), integers(1, 3, 4, -1)), (1, 3, 4, 4))),
        (vector, lambda b, x: b.add("STRIDED_SLICE", (x, *(integers(*n) for n in STRIDED)), (1, 2, 4))),
        ((1, 5, 1, 6), lambda b, x: b.add("SQUEEZE", (x,), vector, squeeze_dims=(2,))),
        (vector, lambda b, x: b.add("EXPAND_DIMS", (x, integers(1)), (1, 1, 5, 6))),
        ((1, 1, 6), lambda b, x: b.add("BROADCAST_TO", (x, integers(1, 5, 6)), vector)),
        (image, lambda b, x: b.add("RESIZE_NEAREST_NEIGHBOR", (x, integers(8, 9)), (1, 8, 9, 4), **CORNERS)),
        *((vector, lambda b, x, op=op: b.add(op, (x, number(0.5)), vector)) for op in ("MAXIMUM", "MINIMUM")),
        *((vector, lambda b, x, op=op: b.add(op, (x,), vector)) for op in ("ABS", "RELU6")),
        (vector, lambda b, x: b.add("LEAKY_RELU", (x,), vector, alpha=0.2)),
        (image, lambda b, x: b.add("PRELU", (x, b.constant(1, 1, 4)), image)),
        (vector, lambda b, x: b.add("SQUARED_DIFFERENCE", (x, b.dense(x, 6)), vector)),
        (vector, lambda b, x: b.add("SUM", (x, integers(1)), (1, 6), keep_dims=False)),
        (image, lambda b, x: b.backwards(x, 6)),
    ]
    graphs = []
    for shape, make in makers:
        build = GraphBuilder(*shape)
        graph = build.graph(make(build, build.input))
        graph.name = graph.operators[-1].op
        graphs.append(graph)
    return graphs
