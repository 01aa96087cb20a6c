"""The quantisation range of each activation in INT8: observed on calibration samples, chosen on others.

The whole range keeps the rarest value and spends steps on it; a narrower one rounds all others more finely and cuts
that value off. Which is better depends on the network, so the candidates are simulated on samples that none has seen:

* `min-max`: the whole range.
* `percentile`: from the 0.001st to the 99.999th percentile.
* `least-squares`: the range of least squared error of the rounded and clipped values.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.noise import Reference, decibels
from tinyedge.quantisation.quantise import HIGHEST_CODE, LOWEST_CODE, Range, scales_and_zero_points
from tinyedge.quantisation.simulation import simulated_noise
from tinyedge.tflite.graph import Tensor

_BINS = 2048
_PERCENTILE = 0.99999
_SHRINKINGS = np.linspace(0.3, 1.0, 15)


@dataclass(frozen=True)
class Histogram:
    """The values of one activation over all calibration samples.

    Attributes:
        low: The lowest, or 0 if that is lower.
        high: The highest, or 0.
        counts: (2048,) float64 over equal bins from `low` to `high`.
    """

    low: float
    high: float
    counts: torch.Tensor

    @property
    def centres(self) -> torch.Tensor:
        """The middle of each bin, float64."""
        width = (self.high - self.low) / _BINS
        return self.low + width * (torch.arange(_BINS, dtype=torch.float64) + 0.5)


@dataclass(frozen=True)
class RangeChoice:
    """The quantisation ranges of all activations of a graph, and why these.

    Attributes:
        name: Of the candidate.
        ranges: Of every activation.
        min_max: The same by `min-max`, for what is kept more finely than in INT8.
        sqnr_db: Of each candidate, of the outputs on the samples that the choice was made on.
    """

    name: str
    ranges: dict[Tensor, Range]
    min_max: dict[Tensor, Range]
    sqnr_db: dict[str, float]


def choose_ranges(
    network: FloatExecutor,
    calibration: Values,
    means: Reference,
    unseen: Reference,
    extremes: Mapping[Tensor, Range] | None = None,
) -> RangeChoice:
    """Find ranges on calibration samples and choose among them by what INT8 leaves of others; nobody needs labels.

    Args:
        network: Float.
        calibration: Of each input of the network, (n, ...) float32.
        means: Some of them, for `correct_output_bias`.
        unseen: Others.
        extremes: `min_max_ranges` of the calibration samples, where they are known.
    """
    histograms = observe(network, calibration, extremes)
    candidates = {
        name: {tensor: estimate(histogram) for tensor, histogram in histograms.items()}
        for name, estimate in ESTIMATORS.items()
    }
    figures = {
        name: -decibels(float(simulated_noise(network.graph, ranges, means, unseen).mean()))
        for name, ranges in candidates.items()
    }
    best = max(figures, key=lambda name: figures[name])
    return RangeChoice(best, candidates[best], candidates["min-max"], figures)


def observed_anew(choice: RangeChoice, network: FloatExecutor, seen: Values, unseen: Values) -> RangeChoice:
    """Return a choice with its ranges from all samples there are, once nothing is left to choose.

    Args:
        choice: That was made.
        network: Float.
        seen: What it was calibrated on.
        unseen: What it was made on.
    """
    extremes = min_max_ranges(network, unseen, choice.min_max)
    histograms = observe(network, tuple(map(torch.cat, zip(seen, unseen, strict=True))), extremes)
    estimate = ESTIMATORS[choice.name]
    return dataclasses.replace(
        choice,
        ranges={tensor: estimate(histogram) for tensor, histogram in histograms.items()},
        min_max={tensor: min_max(histogram) for tensor, histogram in histograms.items()},
    )


@torch.no_grad()
def observe(
    network: FloatExecutor, samples: Values, extremes: Mapping[Tensor, Range] | None = None
) -> dict[Tensor, Histogram]:
    """Return the histogram of each float activation.

    Args:
        network: Float.
        samples: Of each input, (n, ...).
        extremes: Their `min_max_ranges`, where they are known.
    """
    extremes = min_max_ranges(network, samples) if extremes is None else extremes
    counts: dict[Tensor, torch.Tensor] = {}

    def count(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor in extremes:
            counts[tensor] = counts.get(tensor, torch.zeros(_BINS, dtype=torch.float64)) + _count(
                value, *extremes[tensor]
            )
        return value

    for batch in network.batches(samples):
        network.run(batch, count)
    return {tensor: Histogram(*extremes[tensor], counts[tensor]) for tensor in extremes}


@torch.no_grad()
def min_max_ranges(
    network: FloatExecutor, samples: Values, known: Mapping[Tensor, Range] | None = None
) -> dict[Tensor, Range]:
    """Return the whole range of each float activation, 0 within it.

    Infinities, as of the logarithm of 0, take no part: whatever the range, their codes saturate.

    Args:
        network: Float.
        samples: Of each input, (n, ...); n may be 0 where ranges are known.
        known: The ranges over other samples, which these widen.
    """
    extremes: dict[Tensor, Range] = dict(known or {})
    if len(samples[0]) == 0:
        return extremes

    def widen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None and value.is_floating_point():
            low, high = extremes.get(tensor, (0.0, 0.0))
            lowest, highest = torch.aminmax(value.nan_to_num(0.0, 0.0, 0.0))
            extremes[tensor] = (min(low, float(lowest)), max(high, float(highest)))
        return value

    for batch in network.batches(samples):
        network.run(batch, widen)
    return extremes


def _count(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return how many values lie in each bin, (2048,); in a third of the time of `torch.histc`."""
    if high <= low:
        return torch.zeros(_BINS, dtype=torch.int64)
    bins = ((value - low) * (_BINS / (high - low))).nan_to_num_().clamp_(0, _BINS - 1).to(torch.int32)
    return torch.bincount(bins.reshape(-1), minlength=_BINS)


def min_max(histogram: Histogram) -> Range:
    """Return the whole range."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram) -> Range:
    """Return the range without a hundred-thousandth of the values at either end."""
    total = histogram.counts.sum()
    if total == 0:
        return histogram.low, histogram.high
    cumulative = histogram.counts.cumsum(0) / total
    width = (histogram.high - histogram.low) / _BINS
    below = int((cumulative < 1 - _PERCENTILE).sum())
    within = int((cumulative < _PERCENTILE).sum()) + 1
    return min(histogram.low + width * below, 0.0), max(histogram.low + width * within, 0.0)


def least_squares(histogram: Histogram) -> Range:
    """Return the range, each end shrunk to no less than three tenths, whose codes are closest to the values."""
    occupied = histogram.counts > 0
    values, counts = histogram.centres[occupied].float(), histogram.counts[occupied].float()
    best, least = (histogram.low, histogram.high), float("inf")
    lows = histogram.low * _SHRINKINGS if histogram.low < 0 else np.zeros(1)
    highs = histogram.high * _SHRINKINGS if histogram.high > 0 else np.zeros(1)
    for low in lows:
        scales, zero_points = (
            torch.from_numpy(column)[:, None] for column in scales_and_zero_points(np.full(len(highs), low), highs)
        )
        codes = (values / scales).round_().clamp_(LOWEST_CODE - zero_points, HIGHEST_CODE - zero_points)
        errors = codes.mul_(scales).sub_(values).square_().mul_(counts).sum(dim=1, dtype=torch.float64)
        smallest = int(errors.argmin())
        if float(errors[smallest]) < least:
            best, least = (float(low), float(highs[smallest])), float(errors[smallest])
    return best


ESTIMATORS: dict[str, Callable[[Histogram], Range]] = {
    "min-max": min_max,
    "percentile": percentile,
    "least-squares": least_squares,
}
