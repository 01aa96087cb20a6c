"""The noise after every operator, simulated: against the float network, whatever form of it was quantised."""

import pytest
import torch
from exports.tiny_graphs import attention_network

from tinyedge.parity.simulated_layers import simulate_layers
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel
from tinyedge.quantisation.noise import decibels, reference_of
from tinyedge.quantisation.observers import RangeChoice, min_max_ranges
from tinyedge.quantisation.preconditioning import Preconditioned
from tinyedge.quantisation.simulation import simulated_noise
from tinyedge.quantisation.weight_correction import correct_weight_rounding

SAMPLES = (torch.randn(32, 5, 7, 3, generator=torch.Generator().manual_seed(0)),)


def corrected() -> tuple[Preconditioned, RangeChoice]:
    graph = attention_network()
    form = correct_weight_rounding(graph, SAMPLES)
    ranges = min_max_ranges(FloatExecutor(form), SAMPLES)
    form = Preconditioned("corrected", form, graph, ranges, len(SAMPLES[0]), {})
    return form, RangeChoice("min-max", ranges, ranges, {})


def test_the_last_operator_has_the_noise_of_the_output():
    form, choice = corrected()
    reference = reference_of(FloatExecutor(form.uncorrected), SAMPLES)
    layers = simulate_layers(form, choice, reference, SAMPLES)
    expected = -decibels(float(simulated_noise(form.graph, choice.ranges, reference, reference).mean()))
    assert layers[-1].sqnr_db == pytest.approx(expected, abs=0.02)
    assert [layer.op for layer in layers] == [operator.op for operator in form.graph.operators]


def test_operators_in_16x8_have_less_of_it():
    form, choice = corrected()
    reference = reference_of(FloatExecutor(form.uncorrected), SAMPLES)
    int16x8 = list(filter(has_int16x8_kernel, form.graph.operators))
    finer = {layer.name: layer for layer in simulate_layers(form, choice, reference, SAMPLES, int16x8)}
    layers = simulate_layers(form, choice, reference, SAMPLES)
    assert finer.keys() > {layer.name for layer in layers[:-1]}
    assert all(finer[layer.name].sqnr_db > layer.sqnr_db for layer in layers[:-1] if layer.op != "SOFTMAX")
