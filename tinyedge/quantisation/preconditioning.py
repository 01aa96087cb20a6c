"""What a float graph becomes before its ranges are set: equal in float, closer in INT8.

Equalised channels and corrected biases help most networks and cost some a little, so each form is simulated in INT8 on
samples that were not calibrated on. The one of the least noise is taken if what it gains over the graph as it is is
more than chance, two standard errors of the samples' gains. `min-max` ranges are enough to tell.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tinyedge.ops import operator_macs
from tinyedge.quantisation.equalise_graph import equalise_graph
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.noise import Reference, decibels
from tinyedge.quantisation.observers import min_max_ranges
from tinyedge.quantisation.quantise import Range
from tinyedge.quantisation.simulation import simulated_noise
from tinyedge.quantisation.weight_correction import correct_weight_rounding
from tinyedge.tflite.graph import Graph, Tensor

PLAIN = "as it is"
_STRENGTH = 0.5  # What helped MobileNetV2 and TinyNeXt-T most, of 0.25, 0.5 and 0.75.
_MACS = 20e9  # Multiply-accumulates of a pass, so that large networks are judged on fewer samples.
_FEWEST_SAMPLES = 16


@dataclass(frozen=True)
class Preconditioned:
    """The form that was chosen.

    Attributes:
        name: Of it.
        graph: Float.
        uncorrected: The same without corrections for rounded weights: in float, the network's function.
        extremes: Of its activations, over the first calibration samples.
        observed: How many those are.
        sqnr_db: Signal to noise of every form in INT8, by name.
    """

    name: str
    graph: Graph
    uncorrected: Graph
    extremes: dict[Tensor, Range]
    observed: int
    sqnr_db: dict[str, float]


def precondition(graph: Graph, calibration: Values, means: Reference, unseen: Reference) -> Preconditioned:
    """Choose the form of a graph that INT8 disturbs least.

    Args:
        graph: Float, prepared; it is not changed.
        calibration: Of each input, (n, ...) float32.
        means: Some of them, for `correct_output_bias`.
        unseen: Others.
    """
    macs = sum(map(operator_macs, graph.operators))
    count = max(_FEWEST_SAMPLES, int(_MACS / max(macs, 1)))
    seen, means, unseen = tuple(values[:count] for values in calibration), means.first(count), unseen.first(count)
    pairs = {name: (form, uncorrected) for name, form, uncorrected in _forms(graph, seen)}
    forms = {name: form for name, (form, _) in pairs.items()}
    extremes = {name: min_max_ranges(FloatExecutor(form), seen) for name, form in forms.items()}
    noise = {name: simulated_noise(form, extremes[name], means, unseen) for name, form in forms.items()}
    best = min(noise, key=lambda name: float(noise[name].mean()))
    if not _is_significant(10 * (noise[PLAIN].clamp(min=1e-30) / noise[best].clamp(min=1e-30)).log10()):
        best = PLAIN
    figures = {name: -decibels(float(of_samples.mean())) for name, of_samples in noise.items()}
    return Preconditioned(best, *pairs[best], extremes[best], len(seen[0]), figures)


def _is_significant(gains: torch.Tensor) -> bool:
    """Return whether the mean of samples' gains (n,) is above 0 by more than two of its standard errors.

    Gains in decibels, so that no single sample beyond the ranges hides what all others gain.
    """
    return float(gains.mean()) > 2 * float(gains.std(correction=0)) / math.sqrt(len(gains))


def _forms(graph: Graph, samples: Values) -> Iterator[tuple[str, Graph, Graph]]:
    """Yield the name of each form, its graph, and that before corrections."""
    yield PLAIN, graph, graph
    yield "corrected", correct_weight_rounding(graph, samples), graph
    equalised = equalise_graph(graph, samples, _STRENGTH)
    if equalised is not graph:
        yield "equalised", equalised, equalised
        yield "equalised and corrected", correct_weight_rounding(equalised, samples), equalised
