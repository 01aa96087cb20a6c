"""Which range of an activation INT8 represents: found on calibration images, chosen on others.

The whole range keeps the rarest value and spends steps on it; a narrower one rounds all others more finely and cuts
that value off. Which is better depends on the network, so the candidates are simulated on images that none has seen:

* `min-max`: the whole range.
* `percentile`: from the 0.001st to the 99.999th percentile.
* `least-squares`: the range of least squared error of the rounded and clipped values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from tinyedge.quantisation.fake_quantize import FakeQuantize, round_to_codes
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.quantise import Range, quantisation_of
from tinyedge.tflite.graph import Tensor

_BINS = 2048
_PERCENTILE = 0.99999
_SHRINKINGS = torch.linspace(0.3, 1.0, 29).tolist()
_BATCH = 64


@dataclass(frozen=True)
class Histogram:
    """The values of one activation over all calibration images.

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
    """The ranges of all activations of a graph, and why these.

    Attributes:
        name: Of the candidate.
        ranges: Of every activation.
        limits: The lowest and the highest value of every activation, for what is kept more finely than in INT8.
        sqnr_db: Of each candidate, on the images that the choice was made on.
    """

    name: str
    ranges: dict[Tensor, Range]
    limits: dict[Tensor, Range]
    sqnr_db: dict[str, float]


def choose_ranges(network: FloatExecutor, calibration: torch.Tensor, unseen: torch.Tensor) -> RangeChoice:
    """Find ranges on calibration images and choose among them by `simulated_sqnr` on unseen ones; nobody needs labels.

    Args:
        network: Float.
        calibration: (n, H, W, 3) float32, normalised.
        unseen: (m, H, W, 3) float32, normalised.
    """
    histograms = observe(network, calibration)
    candidates = {
        name: {tensor: estimate(histogram) for tensor, histogram in histograms.items()}
        for name, estimate in ESTIMATORS.items()
    }
    figures = {name: simulated_sqnr(network, ranges, unseen) for name, ranges in candidates.items()}
    best = max(figures, key=lambda name: figures[name])
    return RangeChoice(best, candidates[best], candidates["min-max"], figures)


@torch.no_grad()
def observe(network: FloatExecutor, images: torch.Tensor) -> dict[Tensor, Histogram]:
    """Return the histogram of each activation over images (n, H, W, 3)."""
    limits: dict[Tensor, Range] = {}
    counts: dict[Tensor, torch.Tensor] = {}

    def widen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None:
            low, high = limits.get(tensor, (0.0, 0.0))
            limits[tensor] = (min(low, float(value.min())), max(high, float(value.max())))
        return value

    def count(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None:
            low, high = limits[tensor]
            found = torch.histc(value, _BINS, low, high) if high > low else torch.zeros(_BINS)
            counts[tensor] = counts.get(tensor, torch.zeros(_BINS, dtype=torch.float64)) + found
        return value

    for hook in (widen, count):
        for batch in images.split(_BATCH):
            network(batch, hook)
    return {tensor: Histogram(*limits[tensor], counts[tensor]) for tensor in limits}


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
    best, least = (histogram.low, histogram.high), float("inf")
    occupied = histogram.counts > 0
    values, counts = histogram.centres[occupied], histogram.counts[occupied]
    for low, high in _shrunk(histogram):
        quantisation = quantisation_of(low, high)
        error = float((counts * (round_to_codes(values, quantisation) - values).square()).sum())
        if error < least:
            best, least = (low, high), error
    return best


def simulated_sqnr(network: FloatExecutor, ranges: dict[Tensor, Range], images: torch.Tensor) -> float:
    """Return the signal-to-noise ratio in decibels of the output in INT8: the mean over images (m, H, W, 3)."""
    quantiser = FakeQuantize(network.graph, ranges)
    with torch.no_grad():
        ratios = [image_sqnr_db(network(batch), network(batch, quantiser)) for batch in images.split(_BATCH)]
    return float(torch.cat(ratios).mean())


def image_sqnr_db(wanted: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Return the signal-to-noise ratio in decibels of each output (B, ...), float64.

    To be averaged as it is, because a few images beyond every range would decide the logarithm of the mean.
    """
    wanted = wanted.flatten(1).double()
    error = (found.flatten(1).double() - wanted).square().sum(1)
    ratio: torch.Tensor = 10 * torch.log10(wanted.square().sum(1).clamp(min=1e-30) / error.clamp(min=1e-30))
    return ratio


def _shrunk(histogram: Histogram) -> Iterator[Range]:
    lows = [histogram.low * share for share in _SHRINKINGS] if histogram.low < 0 else [0.0]
    highs = [histogram.high * share for share in _SHRINKINGS] if histogram.high > 0 else [0.0]
    return ((low, high) for low in lows for high in highs)


ESTIMATORS: dict[str, Callable[[Histogram], Range]] = {
    "min-max": min_max,
    "percentile": percentile,
    "least-squares": least_squares,
}
