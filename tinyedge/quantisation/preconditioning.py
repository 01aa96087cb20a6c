"""What a float graph becomes before its ranges are set: equal in float, closer in INT8.

Equalised channels and corrected biases help most networks and cost some a little, so each form is simulated in INT8 on
samples that were not calibrated on. The best is taken if what it gains over the graph as it is is more than chance, two
standard errors of the samples' gains. `min-max` ranges are enough to tell.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tinyedge.ops import operator_macs
from tinyedge.quantisation.equalise_graph import equalise_graph
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.observers import min_max_ranges, simulated_sample_sqnr_db
from tinyedge.quantisation.weight_correction import correct_weight_rounding
from tinyedge.tflite.graph import Graph

PLAIN = "as it is"
_STRENGTH = 0.5  # What helped MobileNetV2 and TinyNeXt-T most, of 0.25, 0.5 and 0.75.
_MACS = 20e9  # Multiply-accumulates of a pass, so that large networks are judged on fewer samples.
_FEWEST_SAMPLES, _MOST_SAMPLES = 16, 128


@dataclass(frozen=True)
class Preconditioned:
    """The form that was chosen.

    Attributes:
        name: Of it.
        graph: Float.
        sqnr_db: Signal to noise of every form in INT8, by name.
    """

    name: str
    graph: Graph
    sqnr_db: dict[str, float]


def precondition(graph: Graph, calibration: Values, unseen: Values) -> Preconditioned:
    """Choose the form of a graph that INT8 disturbs least.

    Args:
        graph: Float, prepared; it is not changed.
        calibration: Of each input, (n, ...) float32.
        unseen: The same of other samples.
    """
    macs = sum(map(operator_macs, graph.operators))
    count = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, int(_MACS / max(macs, 1))))
    seen, others = (tuple(values[:count] for values in samples) for samples in (calibration, unseen))
    wanted = FloatExecutor(graph).outputs(others)
    forms = dict(_forms(graph, seen))
    samples_db = {}
    for name, form in forms.items():
        network = FloatExecutor(form)
        samples_db[name] = simulated_sample_sqnr_db(network, min_max_ranges(network, seen), others, wanted)
    figures = {name: float(of_samples.mean()) for name, of_samples in samples_db.items()}
    best = max(figures, key=lambda name: figures[name])
    if not _is_significant(samples_db[best] - samples_db[PLAIN]):
        best = PLAIN
    return Preconditioned(best, forms[best], figures)


def _is_significant(gains: torch.Tensor) -> bool:
    """Return whether the mean of samples' gains (n,) is above 0 by more than two of its standard errors."""
    return float(gains.mean()) > 2 * float(gains.std(correction=0)) / math.sqrt(len(gains))


def _forms(graph: Graph, samples: Values) -> Iterator[tuple[str, Graph]]:
    yield PLAIN, graph
    yield "corrected", correct_weight_rounding(graph, samples)
    equalised = equalise_graph(graph, samples, _STRENGTH)
    if equalised is not graph:
        yield "equalised", equalised
        yield "equalised and corrected", correct_weight_rounding(equalised, samples)
