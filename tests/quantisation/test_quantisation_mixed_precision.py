"""16x8 alone and among INT8: the scheme, where types meet, and both interpreters on what comes out."""

import dataclasses

import numpy as np
import pytest
import torch
from exports.tiny_graphs import ADD, F32, GraphBuilder, attention_network, one_operator_graphs

from tinyedge.errors import ModelError
from tinyedge.ops import tflm_operators
from tinyedge.ops.registry import OPERATORS
from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.deployable import check_deployable
from tinyedge.quantisation.fake_quantize import FakeQuantize, round_to_int16_codes
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel, mix_precision
from tinyedge.quantisation.noise import reference_of, sqnr_db
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.quantise import activation_quantisations, int16_quantisation_of, quantise
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.litert_model import litert_content
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_any_tflite, read_tflite
from tinyedge.tflite.writer import tflite_bytes

torch.set_num_threads(1)


def ranges_of(graph: Graph, images: torch.Tensor) -> dict:
    return {tensor: min_max(histogram) for tensor, histogram in observe(FloatExecutor(graph), (images,)).items()}


def images_for(graph: Graph, count: int = 32) -> torch.Tensor:
    return torch.randn(count, *graph.inputs[0].shape[1:], generator=torch.Generator().manual_seed(0))


def run_tflm(path, codes: np.ndarray) -> np.ndarray:
    """The interpreter itself, which takes int16 inputs too."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 20)
    outputs = []
    for code in codes:
        interpreter.set_input(code[np.newaxis], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0].copy())
    return np.stack(outputs)


def run_quantised(run, quantised: Graph, images: torch.Tensor, path) -> torch.Tensor:
    """Real outputs of real inputs through one interpreter."""
    path.write_bytes(tflite_bytes(quantised))
    source, output = quantised.inputs[0], quantised.outputs[0]
    limits = np.iinfo(source.dtype)
    codes = np.round(images.numpy() / source.quantisation.scale) + source.quantisation.zero_point
    outputs = run(path, np.clip(codes, limits.min, limits.max).astype(source.dtype))
    return torch.from_numpy((outputs.astype(np.float64) - output.quantisation.zero_point) * output.quantisation.scale)


@pytest.mark.parametrize(
    ("low", "high", "scale"), [(-32767.0, 5.0, 1.0), (0.0, 65534.0, 2.0), (-3.0, 32767.0, 1.0), (0.0, 0.0, 1.0)]
)
def test_int16_is_symmetric(low, high, scale):
    quantisation = int16_quantisation_of(low, high)
    assert (quantisation.scale, quantisation.zero_point) == (scale, 0)


def test_values_round_to_the_nearest_of_65536_codes():
    quantisation = int16_quantisation_of(-1.0, 0.5)
    values = torch.linspace(-1.2, 1.2, 1001)
    codes = np.clip(np.round(values.double().numpy() * 32767), -32768, 32767)
    np.testing.assert_allclose(round_to_int16_codes(values, quantisation), codes / 32767, atol=2e-7 + 1 / 32767 * 0.01)


def test_a_dense_layer_is_the_arithmetic_of_integers(tmp_path):
    build = GraphBuilder(1, 5, 700)  # Sums of int16 by int8 values that int32 does not hold.
    graph = build.graph(build.dense(build.input, 9))
    graph.operators[0].inputs[1].data[0] = 0.1
    images = 1 + 0.05 * images_for(graph, 4)
    ranges = ranges_of(graph, images)
    quantised = quantise(graph, ranges, frozenset(ranges))
    (dense,) = quantised.operators
    source, weight, bias = dense.inputs
    int8_weight = quantise(graph, ranges).operators[0].inputs[1]
    assert [tensor.dtype.name for tensor in (source, weight, bias, dense.output)] == ["int16", "int8", "int64", "int16"]
    assert np.array_equal(weight.data, int8_weight.data)
    assert weight.quantisation.equals(int8_weight.quantisation)
    step = source.quantisation.scale * weight.quantisation.scales.astype(np.float64)
    np.testing.assert_array_equal(bias.data, np.round(graph.operators[0].inputs[2].data / step))
    largest = max(abs(limit) for limit in ranges[graph.outputs[0]])
    assert dense.output.quantisation.scale == pytest.approx(largest / 32767)

    codes = np.clip(np.round(images.numpy() / source.quantisation.scale), -32768, 32767).astype(np.int16)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(quantised))
    sums = codes.astype(object) @ weight.data.T.astype(object) + bias.data.astype(object)
    assert np.abs(sums).max() > 2**31
    expected = np.clip(np.round((sums * (step / dense.output.quantisation.scale)).astype(float)), -32768, 32767)
    for run in (run_tflite, run_tflm):
        assert np.abs(run(path, codes) - expected).max() <= 1


@pytest.mark.parametrize("graph", one_operator_graphs(), ids=lambda graph: graph.name)
@pytest.mark.parametrize("run", [run_tflite, run_tflm])
def test_every_int16x8_operator_has_kernels(graph, run, tmp_path):
    images = 2 * images_for(graph)
    ranges = ranges_of(graph, images)
    quantised = quantise(graph, ranges, frozenset(ranges))
    if run is run_tflite and graph.name == "SQUARED_DIFFERENCE":
        with pytest.raises(RuntimeError, match="SquaredDifference only supports FLOAT32 and INT32"):
            run_quantised(run, quantised, images, tmp_path / "model.tflite")
        return
    found = run_quantised(run, quantised, images, tmp_path / "model.tflite")
    network, quantiser = FloatExecutor(graph), FakeQuantize(graph, ranges, frozenset(ranges))
    with torch.no_grad():  # Weights are int8 here too, so their rounding is no error.
        wanted = network(images, lambda tensor, value: value if tensor.data is None else quantiser(tensor, value))
    assert sqnr_db((wanted,), (found,)) > 55  # Ideal int8 codes reach 50 at best.


def test_the_list_of_int16x8_operators_is_tested_whole():
    tested = {operator.op for graph in one_operator_graphs() for operator in graph.operators}
    written = {name for name in tflm_operators("int16") if OPERATORS[name].float_function is not None}
    assert tested | {"QUANTIZE"} == written


@pytest.mark.parametrize("op", ["HARD_SWISH"])
def test_what_has_no_16x8_kernel_is_refused(op, tmp_path):
    build = GraphBuilder(1, 3, 4)
    graph = build.graph(build.add(op, (build.input,), (1, 3, 4)))
    ranges = ranges_of(graph, images_for(graph))
    assert not has_int16x8_kernel(graph.operators[0])
    with pytest.raises(ModelError, match=rf"operator 0 \({op}\).*no 16x8 kernel"):
        mix_precision(graph, ranges, ranges, graph.operators)


def diamond() -> tuple[Graph, list[Tensor]]:
    """x -> a -> (b, c) -> d, and a is added to d again."""
    build = GraphBuilder(1, 4, 6)
    a = build.dense(build.input, 6)
    b, c = build.dense(a, 6), build.dense(a, 6)
    d = build.residual(b, c)
    return build.graph(build.residual(a, d)), [a, b, c, d]


def described(graph: Graph) -> list[str]:
    return [f"{operator.op[:3]} {operator.output.name}" for operator in graph.operators]


def test_types_are_converted_where_they_meet_once_a_tensor():
    graph, (a, b, c, d) = diamond()
    ranges = ranges_of(graph, images_for(graph))
    extremes = {tensor: (2 * low, 2 * high) for tensor, (low, high) in ranges.items()}
    mixed = mix_precision(graph, ranges, extremes, [graph.operators[0], graph.operators[3]])  # a and d are int16.
    assert described(mixed.graph) == [
        *("QUA x_int16", f"FUL {a.name}"),
        *(f"QUA {a.name}_int8", f"FUL {b.name}", f"FUL {c.name}"),
        *(f"QUA {b.name}_int16", f"QUA {c.name}_int16", f"ADD {d.name}"),
        *(f"QUA {d.name}_int8", f"ADD {graph.outputs[0].name}"),
    ]
    assert [operator.index for operator in mixed.graph.operators] == list(range(10))
    assert {tensor.name for tensor in mixed.int16} == {
        *("x_int16", a.name, f"{b.name}_int16", f"{c.name}_int16", d.name)
    }
    for tensor in ranges_of(mixed.graph, images_for(graph)):
        plain = tensor.name.removesuffix("_int16").removesuffix("_int8")
        original = next(other for other in ranges if other.name == plain)
        assert mixed.ranges[tensor] == (extremes if tensor in mixed.int16 else ranges)[original]
    images = images_for(graph)
    with torch.no_grad():
        torch.testing.assert_close(FloatExecutor(mixed.graph)(images), FloatExecutor(graph)(images))
    assert [operator.op for operator in graph.operators] == ["FULLY_CONNECTED"] * 3 + ["ADD"] * 2


def test_the_models_own_tensors_stay_int8():
    graph, _ = diamond()
    ranges = ranges_of(graph, images_for(graph))
    mixed = mix_precision(graph, ranges, ranges, graph.operators)
    assert [operator.op for operator in mixed.graph.operators].count("QUANTIZE") == 2
    quantised = quantise(mixed.graph, mixed.ranges, mixed.int16)
    int8 = quantise(graph, ranges)
    for ours, theirs in ((quantised.inputs[0], int8.inputs[0]), (quantised.outputs[0], int8.outputs[0])):
        assert ours.dtype == np.int8
        assert ours.quantisation.equals(theirs.quantisation)
    inner = [operator.output for operator in quantised.operators[:-1]]
    assert {tensor.dtype.name for tensor in inner} == {"int16"}
    assert all(tensor.quantisation.zero_point == 0 for tensor in inner)


def test_nothing_in_int16x8_is_int8_as_before():
    graph = attention_network()
    ranges = ranges_of(graph, images_for(graph))
    mixed = mix_precision(graph, ranges, ranges, [])
    assert tflite_bytes(quantise(mixed.graph, mixed.ranges, mixed.int16)) == tflite_bytes(quantise(graph, ranges))


def test_one_operator_of_two_types_is_refused():
    x, y, z = (Tensor(name, (1, 4), F32) for name in "xyz")
    graph = Graph("two", [Operator("ADD", (x, y), (z,), ADD, index=7)], (x,), (z,))
    with pytest.raises(ModelError, match=r"operator 7 \(ADD\) has int8 and int16 activations"):
        quantise(dataclasses.replace(graph, inputs=(x, y)), dict.fromkeys((x, y, z), (-1.0, 1.0)), {x, z})


def test_copies_of_an_int16_tensor_share_its_scale_and_bounded_functions_have_theirs():
    graph = attention_network()
    ranges = ranges_of(graph, images_for(graph))
    activations = activation_quantisations(graph, ranges, frozenset(ranges))
    for operator in graph.operators:
        if operator.op in ("RESHAPE", "PAD"):
            assert activations[operator.output].equals(activations[operator.inputs[0]])
        if operator.op == "SOFTMAX":
            assert (activations[operator.output].scale, activations[operator.output].zero_point) == (1 / 32768, 0)


def some_int16x8(graph: Graph, kind: str) -> list[Operator]:
    chosen = {
        "int8": (),
        "attention": ("BATCH_MATMUL", "SOFTMAX"),
        "ends": (graph.operators[0].output.name, graph.operators[-1].output.name),
        "16x8": {operator.op for operator in graph.operators},
    }[kind]
    return [operator for operator in graph.operators if {operator.op, operator.output.name} & {*chosen}]


@pytest.mark.parametrize("kind", ["int8", "attention", "ends", "16x8"])
@pytest.mark.parametrize("runtime", [LitertRuntime, TflmRuntime])
def test_both_interpreters_have_the_noise_of_the_simulation(kind, runtime, tmp_path):
    graph = attention_network()
    images = images_for(graph, 64)
    ranges = ranges_of(graph, images)
    mixed = mix_precision(graph, ranges, ranges, some_int16x8(graph, kind))
    network = FloatExecutor(mixed.graph)
    with torch.no_grad():
        wanted = network(images)
        simulated = network(images, FakeQuantize(mixed.graph, mixed.ranges, mixed.int16))
    quantised = quantise(mixed.graph, mixed.ranges, mixed.int16)
    path = tmp_path / "model.tflite"
    found = run_quantised(lambda path, codes: runtime(path).run(codes), quantised, images, path)
    assert sqnr_db((wanted,), (found,)) == pytest.approx(sqnr_db((wanted,), (simulated,)), abs=1.0)
    assert check_deployable(path).failures == ()
    assert read_tflite(path).histogram() == quantised.histogram()


@pytest.mark.parametrize("runtime", [LitertRuntime, TflmRuntime])
def test_gelu_stays_an_int8_lookup_among_16x8(runtime, tmp_path):
    build = GraphBuilder(1, 3, 4)
    hidden = build.add("GELU", (build.dense(build.input, 16),), (1, 3, 16), approximate=False)
    graph = build.graph(build.dense(build.residual(hidden, hidden), 5))
    images = images_for(graph, 64)
    ranges = ranges_of(graph, images)
    mixed = mix_precision(graph, ranges, ranges, list(filter(has_int16x8_kernel, graph.operators)))
    network = FloatExecutor(mixed.graph)
    with torch.no_grad():
        wanted = network(images)
        simulated = network(images, FakeQuantize(mixed.graph, mixed.ranges, mixed.int16))
    path = tmp_path / "model.tflite"
    quantised = quantise(mixed.graph, mixed.ranges, mixed.int16)
    found = run_quantised(lambda path, codes: runtime(path).run(codes), quantised, images, path)
    assert sqnr_db((wanted,), (found,)) == pytest.approx(sqnr_db((wanted,), (simulated,)), abs=1.0)
    assert {operator.output.dtype.name for operator in quantised.operators if operator.op == "GATHER"} == {"int8"}


def test_16x8_has_less_noise_than_int8():
    graph = attention_network()
    images = images_for(graph, 64)
    ranges = ranges_of(graph, images)
    figures = {}
    for kind in ("int8", "16x8"):
        mixed = mix_precision(graph, ranges, ranges, some_int16x8(graph, kind))
        network = FloatExecutor(mixed.graph)
        with torch.no_grad():
            output = network(images, FakeQuantize(mixed.graph, mixed.ranges, mixed.int16))
            figures[kind] = sqnr_db((network(images),), (output,))
    assert figures["16x8"] > figures["int8"] + 1  # The weights and the output are int8 in both.


def test_the_bias_correction_sees_through_a_conversion():
    graph = attention_network()
    images = images_for(graph, 64)
    ranges = ranges_of(graph, images)
    mixed = mix_precision(graph, ranges, ranges, [graph.operators[-1]])
    assert mixed.graph.operators[-1].op == "QUANTIZE"
    means = reference_of(FloatExecutor(graph), (images,))
    corrected = correct_output_bias(mixed.graph, mixed.ranges, means, mixed.int16)

    def mean_error(changed: Graph) -> float:
        quantiser = FakeQuantize(changed, mixed.ranges, mixed.int16)
        with torch.no_grad():
            return float((FloatExecutor(changed)(images, quantiser) - FloatExecutor(graph)(images)).mean(0).norm())

    assert mean_error(corrected) < 0.5 * mean_error(mixed.graph)


def test_litert_takes_a_file_whose_conversions_it_lacks(tmp_path):
    graph, _ = diamond()
    ranges = ranges_of(graph, images_for(graph))
    int8, int16x8 = tmp_path / "int8.tflite", tmp_path / "int16x8.tflite"
    int8.write_bytes(tflite_bytes(quantise(graph, ranges)))
    assert litert_content(Model(int8)) == int8.read_bytes()
    mixed = mix_precision(graph, ranges, ranges, graph.operators)
    int16x8.write_bytes(tflite_bytes(quantise(mixed.graph, mixed.ranges, mixed.int16)))
    rewritten = tmp_path / "rewritten.tflite"
    rewritten.write_bytes(litert_content(Model(int16x8)))
    assert read_any_tflite(rewritten).histogram() == {**read_any_tflite(int16x8).histogram(), "DEQUANTIZE": 1}


def test_an_int16x8_operator_without_a_kernel_fails_the_gate(tmp_path):
    build = GraphBuilder(1, 3, 4)
    graph = build.graph(build.dense(build.add("HARD_SWISH", (build.input,), (1, 3, 4)), 4))
    quantised = quantise(graph, ranges_of(graph, images_for(graph)))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(quantised))
    assert check_deployable(path).failures == ()
    output = quantised.operators[0].output
    output.dtype, output.quantisation = np.dtype(np.int16), int16_quantisation_of(-1, 1)
    path.write_bytes(tflite_bytes(quantised))
    (failure,) = check_deployable(path).failures
    assert "operator 0 (HARD_SWISH)" in failure
    assert "no int16 kernel" in failure
