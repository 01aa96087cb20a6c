"""What a float graph becomes before it is quantised."""

import numpy as np
import pytest
import torch

from tinyedge.ops.functions import rounded_codes
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.preparation import prepare
from tinyedge.quantisation.quantise import activation_quantisations, quantisation_of, quantise
from tinyedge.tflite.graph import Graph, Operator, Tensor, integer_constant

F32 = np.dtype(np.float32)
NONE = {"fused_activation_function": "NONE"}


def real(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape or (1, 4, 3), F32)


def constant(*values: float) -> Tensor:
    array = np.array(values, np.float32)
    return Tensor("c", array.shape, F32, data=array)


def ops(graph: Graph) -> list[str]:
    return [operator.op for operator in graph.operators]


def in_float_and_int8(graph: Graph, samples: torch.Tensor) -> tuple[Graph, torch.Tensor, torch.Tensor]:
    """The graph in INT8 with min-max ranges, and what the float one and its integers make of samples."""
    network = FloatExecutor(graph)
    with torch.no_grad():
        ranges = {tensor: min_max(histogram) for tensor, histogram in observe(network, (samples,)).items()}
        int8 = quantise(graph, ranges)
        source, output = int8.inputs[0].q, int8.outputs[0].q
        codes = ((samples / source.scale).round() + source.zero_point).clamp(-128, 127)
        return int8, network(samples), (IntegerExecutor(int8)(codes) - output.zero_point) * output.scale


def test_the_given_graph_stays_as_it_is():
    x, gate, y = real("x"), real("gate"), real("y")
    operators = [Operator("LOGISTIC", (x,), (gate,)), Operator("MUL", (gate, x), (y,), dict(NONE))]
    graph = Graph("silu", list(operators), (x,), (y,))
    assert ops(prepare(graph)) == ["FUNCTION"]
    assert graph.operators == operators
    assert graph.operators[1].inputs == (gate, x)


def test_what_else_is_read_is_not_hidden_in_a_function():
    x, gate, product, y = real("x"), real("gate"), real("product"), real("y")
    graph = Graph(
        "gated",
        [
            Operator("LOGISTIC", (x,), (gate,)),
            Operator("MUL", (gate, x), (product,), dict(NONE)),
            Operator("SOFTMAX", (gate,), (y,), {"beta": 1.0}),
            Operator("CONCATENATION", (product, y), (real("z", 1, 4, 6),), {"axis": 2, **NONE}),
        ],
        (x,),
        (),
    )
    graph.outputs = graph.operators[-1].outputs
    assert ops(prepare(graph))[:3] == ["LOGISTIC", "MUL", "SOFTMAX"]


def test_a_bound_takes_no_room_for_what_it_cuts_off():
    x, sums, raised, y = real("x"), real("sums"), real("raised"), real("y")
    graph = Graph(
        "clip",
        [
            Operator("ADD", (x, constant(1, 2, 3)), (sums,), dict(NONE)),
            Operator("MAXIMUM", (sums, constant(-1)), (raised,)),
            Operator("MINIMUM", (raised, constant(2)), (y,)),
        ],
        (x,),
        (y,),
    )
    prepared = prepare(graph)
    assert ops(prepared) == ["ADD", "MAXIMUM", "MINIMUM"]
    tensors = [operator.output for operator in prepared.operators]
    ranges = dict(
        zip([prepared.inputs[0], *tensors], [(-5.0, 5.0), (-10.0, 10.0), (-1.0, 10.0), (-1.0, 2.0)], strict=True)
    )
    found = activation_quantisations(prepared, ranges)
    assert all(found[tensor].equals(quantisation_of(-1.0, 2.0)) for tensor in tensors)
    codes = [quantise(prepared, ranges).operators[position].input(1).values.item() for position in (1, 2)]
    assert codes == [-128, 127]


def test_what_is_joined_does_not_widen_what_else_reads_it():
    x, narrow, y, other = real("x"), real("narrow"), real("y", 1, 4, 6), real("other")
    graph = Graph(
        "skip",
        [
            Operator("TANH", (x,), (narrow,)),
            Operator("SUB", (narrow, x), (other,), dict(NONE)),
            Operator("CONCATENATION", (narrow, other), (y,), {"axis": 2, **NONE}),
        ],
        (x,),
        (y,),
    )
    prepared = prepare(graph)
    assert ops(prepared) == ["TANH", "SUB", "QUANTIZE", "CONCATENATION"]
    ranges = dict.fromkeys(prepared.tensors(), (-50.0, 50.0))
    found = activation_quantisations(prepared, ranges)
    tanh, difference, rescaled, joined = (found[operator.output] for operator in prepared.operators)
    assert tanh.scale == 1 / 128
    assert difference.equals(joined)
    assert rescaled.equals(joined)


@pytest.mark.parametrize("exponent", [-1.0, 0.5, 2.0])
def test_a_table_is_rounded_once_and_what_is_undefined_is_zero(exponent):
    x, y = real("x"), real("y")
    operator = prepare(Graph("pow", [Operator("POW", (x, constant(exponent)), (y,))], (x,), (y,))).operators[0]
    from tinyedge.ops import descriptor_of

    source, output = quantisation_of(-4.0, 4.0), quantisation_of(0.0, 8.0)
    codes = rounded_codes(operator, descriptor_of(operator).float_function, source, output).astype(np.float64)
    with np.errstate(all="ignore"):
        wanted = ((np.arange(-128, 128) - source.zero_point) * source.scale) ** exponent
    steps = np.nan_to_num(wanted / output.scale, nan=0.0, posinf=1e9).clip(0, 255)
    assert np.abs(codes - output.zero_point - steps).max() <= 0.5 + 1e-9


def test_a_layer_of_a_transformer_keeps_its_output():
    """Attention of two heads and its LayerNormalization, of tokens whose sizes differ tenfold."""
    rng, tokens, width, heads = np.random.default_rng(3), 10, 32, 2
    shape, row, names = (1, tokens, width), (1, tokens, 1), iter(range(99))
    operators: list[Operator] = []

    def add(op: str, *inputs: Tensor, shape=shape, **options) -> Tensor:
        output = real(f"t{next(names)}", *shape)
        operators.append(Operator(op, inputs, (output,), options))
        return output

    def drawn(*sizes: int) -> Tensor:
        array = (rng.normal(size=sizes) / np.sqrt(sizes[-1])).astype(np.float32)
        return Tensor("w", sizes, F32, data=array)

    def axes(*values: int) -> Tensor:
        return integer_constant("axes", values)

    def dense(source: Tensor) -> Tensor:
        options = {"weights_format": "DEFAULT", "keep_num_dims": True, **NONE}
        return add("FULLY_CONNECTED", source, drawn(width, width), drawn(width), **options)

    def heads_of(source: Tensor) -> Tensor:
        sizes = (1, tokens, heads, width // heads)
        apart = add("RESHAPE", dense(source), axes(*sizes), shape=sizes)
        return add("TRANSPOSE", apart, axes(0, 2, 1, 3), shape=(1, heads, tokens, width // heads))

    x = real("x", *shape)
    difference = add("SUB", x, add("MEAN", x, axes(2), shape=row, keep_dims=True), **NONE)
    variance = add("MEAN", add("SQUARE", difference), axes(2), shape=row, keep_dims=True)
    root = add("RSQRT", add("ADD", variance, constant(1e-5), shape=row, **NONE), shape=row)
    scaled = add("MUL", add("MUL", difference, root, **NONE), drawn(width), **NONE)
    normalised = add("ADD", scaled, drawn(width), **NONE)
    query, key, value = (heads_of(normalised) for _ in range(3))
    square = (1, heads, tokens, tokens)
    scores = add("BATCH_MATMUL", query, key, shape=square, adj_x=False, adj_y=True)
    shares = add("SOFTMAX", add("MUL", scores, constant(4.0), shape=square, **NONE), shape=square, beta=1.0)
    mixed = add("BATCH_MATMUL", shares, value, shape=value.shape, adj_x=False, adj_y=False)
    together = add("TRANSPOSE", mixed, axes(0, 2, 1, 3), shape=(1, tokens, heads, width // heads))
    y = dense(add("RESHAPE", together, axes(*shape)))
    prepared = prepare(Graph("attention", operators, (x,), (y,)))
    assert {"MEAN": 1, "STANDARDISE": 1}.items() <= prepared.histogram().items()
    assert "ADD" not in ops(prepared)  # What the normalisation adds is in the biases that follow.
    samples = rng.normal(size=(64, tokens, width)) * np.exp(rng.uniform(np.log(0.3), np.log(3), (64, tokens, 1)))
    _, wanted, found = in_float_and_int8(prepared, torch.from_numpy(samples.astype(np.float32)))
    cosines = torch.nn.functional.cosine_similarity(found.flatten(1), wanted.flatten(1))
    assert cosines.min() > 0.99


def standardised(epsilon: float, width: int = 16) -> tuple[list[Operator], Tensor, Tensor]:
    """The operators of a LayerNormalization of four rows without gains, its input and its output."""
    axes = integer_constant("axes", [2])
    x, d, y = (real(name, 1, 4, width) for name in ("x", "d", "y"))
    mean, variance, raised, root = (real(name, 1, 4, 1) for name in ("mean", "variance", "raised", "root"))
    square = real("square", 1, 4, width)
    operators = [
        Operator("MEAN", (x, axes), (mean,), {"keep_dims": True}),
        Operator("SUB", (x, mean), (d,), dict(NONE)),
        Operator("SQUARE", (d,), (square,)),
        Operator("MEAN", (square, axes), (variance,), {"keep_dims": True}),
        Operator("ADD", (variance, constant(epsilon)), (raised,), dict(NONE)),
        Operator("RSQRT", (raised,), (root,)),
        Operator("MUL", (d, root), (y,), dict(NONE)),
    ]
    return operators, x, y


@pytest.mark.parametrize(("epsilon", "added"), [(1e-3, 0), (0.3, 1), (10.0, 3)])
def test_what_a_layer_norm_adds_to_the_variance_is_kept(epsilon, added):
    """Rows of a small and of a large deviation: where much is added the small ones are not brought to 1."""
    operators, x, y = standardised(epsilon)
    prepared = prepare(Graph("norm", operators, (x,), (y,)))
    deviations = np.array([0.1, 0.5, 1, 3])[:, None]
    images = torch.from_numpy((np.random.default_rng(0).normal(size=(64, 4, 16)) * deviations).astype(np.float32))
    int8, wanted, found = in_float_and_int8(prepared, images)
    norm = next(operator for operator in int8.operators if operator.op == "L2_NORMALIZATION")
    assert norm.input(0).shape[-1] == 16 + added
    rows = torch.nn.functional.cosine_similarity(found[:, 1:].flatten(1), wanted[:, 1:].flatten(1))
    assert rows.min() > 0.98
    assert ((found - wanted).abs().amax(dim=(0, 2)) < 0.35)[1:].all()


def test_a_square_of_a_layer_norm_is_no_gain_of_it():
    operators, x, y = standardised(1e-5)
    squared = real("squared", *y.shape)
    operators.append(Operator("MUL", (y, y), (squared,), dict(NONE)))
    graph = Graph("norm", operators, (x,), (squared,))
    samples = torch.randn((8, 4, 16), generator=torch.Generator().manual_seed(0))
    (found,), (wanted,) = (FloatExecutor(one).outputs((samples,)) for one in (prepare(graph), graph))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_an_infinity_takes_no_part_in_a_range():
    x, y = real("x"), real("y")
    network = FloatExecutor(Graph("log", [Operator("LOG", (x,), (y,))], (x,), (y,)))
    samples = torch.linspace(0, 1, 24).reshape(2, 4, 3)
    low, high = min_max(observe(network, (samples,))[y])
    assert (low, high) == (pytest.approx(np.log(1 / 23)), 0)


@pytest.mark.parametrize("reader", ["graph", "pixel", "padded"])
@pytest.mark.parametrize("factors", [(2.0, 2.0, 2.0), (0.01, -1.0, 5.0)])
def test_numbers_of_a_channel_go_into_weights_or_a_convolution_of_one_tap(reader, factors):
    x, scaled, y, z = real("x", 1, 4, 5, 3), real("scaled", 1, 4, 5, 3), real("y", 1, 4, 5, 3), real("z", 1, 4, 5, 2)
    operators = [
        Operator("MUL", (x, constant(*factors)), (scaled,), dict(NONE)),
        Operator("ADD", (scaled, constant(0.5, -0.1, 4.0)), (y,), dict(NONE)),
    ]
    if reader != "graph":
        size = 1 if reader == "pixel" else 3
        rng = np.random.default_rng(0)
        weight, bias = (
            Tensor("w", n, F32, data=rng.normal(size=n).astype(np.float32)) for n in ((2, size, size, 3), (2,))
        )
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        operators.append(Operator("CONV_2D", (y, weight, bias), (z,), {**options, **NONE}))
    graph = Graph("norm", operators, (x,), operators[-1].outputs)
    prepared = prepare(graph)
    wanted = {"graph": ["DEPTHWISE_CONV_2D"], "pixel": ["CONV_2D"], "padded": ["DEPTHWISE_CONV_2D", "CONV_2D"]}
    assert ops(prepared) == wanted[reader]
    samples = torch.randn((4, 4, 5, 3), generator=torch.Generator().manual_seed(0))
    (found,), (expected,) = (FloatExecutor(one).outputs((samples,)) for one in (prepared, graph))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
