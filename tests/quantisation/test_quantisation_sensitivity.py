"""What the table of sensitivities says, on networks of which the answer is known."""

import numpy as np
import pytest
import torch
from exports.tiny_graphs import GraphBuilder, attention_network

from tinyedge.compiler.memory.arena import aligned
from tinyedge.compiler.program import compile_graph
from tinyedge.ops import operator_macs
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.mixed_precision import mix_precision
from tinyedge.quantisation.noise import decibels, noise_over_signal, sqnr_db
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.quantise import quantise
from tinyedge.quantisation.sensitivity import (
    SensitivityReport,
    choose_int16x8,
    measure_sensitivity,
    operators_around,
)
from tinyedge.tflite.graph import Graph, Tensor

torch.set_num_threads(1)


def images_for(graph: Graph, count: int = 64) -> torch.Tensor:
    return torch.randn(count, *graph.inputs[0].shape[1:], generator=torch.Generator().manual_seed(0))


def measured(graph: Graph, count: int = 64) -> tuple[SensitivityReport, dict]:
    images, network = images_for(graph, count), FloatExecutor(graph)
    ranges = {tensor: min_max(histogram) for tensor, histogram in observe(network, (images,)).items()}
    return measure_sensitivity(network, ranges, ranges, (images,)), ranges


def simulated_db(graph: Graph, ranges: dict, int16x8) -> float:
    mixed, images = mix_precision(graph, ranges, ranges, int16x8), images_for(graph)
    network = FloatExecutor(mixed.graph)
    with torch.no_grad():
        found = network(images, FakeQuantize(mixed.graph, mixed.ranges, mixed.int16))
        return sqnr_db((network(images),), (found,))


def planted() -> tuple[Graph, Tensor]:
    """Four layers; the second's output has a loud channel that nobody listens to, which takes all the steps of int8."""
    build = GraphBuilder(1, 6, 8)
    first = build.dense(build.input, 8)
    loud = build.dense(first, 8)
    last = build.dense(build.dense(loud, 8), 5)
    build.operators[1].inputs[1].data[3] *= 300
    build.operators[2].inputs[1].data[:, 3] = 0
    return build.graph(last), loud


def test_a_planted_layer_is_named_first_and_raised():
    graph, loud = planted()
    report, ranges = measured(graph)
    worst = report.operators[0]
    assert graph.operators[worst.position].output is loud
    assert worst.int8_sqnr_db < min(row.int8_sqnr_db for row in report.operators[1:]) - 15
    assert worst.gain_db > 10 * max(row.gain_db for row in report.operators[1:])
    int16x8 = choose_int16x8(graph, report, 1.0)
    assert {graph.operators[1], graph.operators[2]} <= int16x8
    gained = simulated_db(graph, ranges, graph.operators[1:3]) - simulated_db(graph, ranges, [])
    assert gained > 10
    assert gained == pytest.approx(worst.gain_db, abs=1)


def test_the_noises_of_the_operators_add_up():
    graph = attention_network()
    report, _ = measured(graph)
    assert report.added_sqnr_db == pytest.approx(report.int8_sqnr_db, abs=1)
    powers = [noise_over_signal(row.int8_sqnr_db) for row in report.operators]
    assert decibels(noise_over_signal(report.input_sqnr_db) + sum(powers)) == pytest.approx(-report.added_sqnr_db)


def test_an_operator_alone_is_quantised_alone():
    graph, loud = planted()
    report, ranges = measured(graph)
    row = next(row for row in report.operators if graph.operators[row.position].output is loud)
    operator = graph.operators[row.position]
    network, images = FloatExecutor(graph), images_for(graph)
    low, high = ranges[loud]
    step = (high - low) / 255
    zero = np.round(-128 - low / step)

    def naive(tensor, value):
        if tensor is operator.inputs[1]:
            scale = value.abs().amax(dim=1, keepdim=True) / 127
            return (value / scale).round() * scale
        if tensor is loud:
            return ((value / step).round().add(zero).clamp(-128, 127) - zero) * step
        return value

    with torch.no_grad():
        expected = sqnr_db((network(images),), (network(images, naive),))
    assert row.int8_sqnr_db == pytest.approx(expected, abs=0.05)


def test_what_16x8_takes_is_counted():
    graph, loud = planted()
    report, _ = measured(graph)
    row = next(row for row in report.operators if graph.operators[row.position].output is loud)
    assert report.macs == 6 * 8 * (8 + 8 + 8 + 5)
    assert row.macs == 2 * 6 * 8 * 8
    assert row.extra_activation_bytes == 2 * 6 * 8  # What it and its reader write.
    # Two int8 maps of 48 bytes are alive at once, or an int16 one and its int8 copy, or two int16 ones.
    assert (report.arena_bytes, row.extra_arena_bytes) == (96, 96)


def test_counts_equal_those_of_the_compiler():
    graph = attention_network()
    report, ranges = measured(graph, 8)
    program = compile_graph(quantise(graph, ranges))
    assert report.macs == program.macs
    # What is alive at once, before the compiler lets outputs lie over inputs.
    tensors = program.plan.tensors
    alive = [sum(aligned(t.bytes) for t in tensors if t.first <= step <= t.last) for step in range(len(program.calls))]
    assert report.arena_bytes == max(alive) >= program.plan.arena_bytes
    assert sum(map(operator_macs, graph.operators)) == program.macs


def test_the_models_output_stays_int8_and_copies_belong_to_their_source():
    graph = attention_network()
    report, _ = measured(graph, 8)
    rows = {row.position: row for row in report.operators}
    by_op = {operator.op: position for position, operator in enumerate(graph.operators)}
    assert by_op["PAD"] not in rows
    assert by_op["RESHAPE"] not in rows
    last = rows[len(graph.operators) - 1]
    assert (last.int16x8_sqnr_db, last.gain_db, last.macs) == (None, 0, 0)
    first = operators_around(graph, graph.operators[0])
    assert [operator.op for operator in graph.operators if operator in first] == ["CONV_2D", "PAD", "CONV_2D", "ADD"]


@pytest.mark.parametrize("op", ["GELU", "HARD_SWISH"])
def test_an_operator_without_a_16x8_kernel_keeps_its_neighbours_in_int8(op):
    build = GraphBuilder(1, 3, 4)
    x = build.dense(build.input, 4)
    graph = build.graph(build.dense(build.add(op, (x,), (1, 3, 4)), 4))
    report, _ = measured(graph, 8)
    assert all(row.int16x8_sqnr_db is None and row.gain_db == 0 for row in report.operators)
    assert choose_int16x8(graph, report, 1.0) == frozenset()


def test_the_choice_keeps_to_its_share_and_gains_with_it():
    graph = attention_network()
    report, ranges = measured(graph)
    figures = []
    for share in (0.0, 0.3, 1.0):
        int16x8 = choose_int16x8(graph, report, share)
        assert sum(map(operator_macs, int16x8)) <= share * report.macs
        figures.append(simulated_db(graph, ranges, int16x8))
    assert figures[0] < figures[1] < figures[2]
    assert figures[2] > simulated_db(graph, ranges, []) + 1
