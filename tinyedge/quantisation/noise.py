"""What every choice is made by: the power of the noise over that of the signal, pooled over all samples.

Pooled as the field's signal-to-quantisation-noise ratio is: a sample counts by its power, and one that is beyond every
range by all that it loses. Of several outputs each counts the same.
"""

import math
from dataclasses import dataclass

import torch

from tinyedge.quantisation.float_executor import FloatExecutor, Values

_LEAST_NOISE = 1e-12  # 120 dB; float32 resolves little more.


@dataclass(frozen=True)
class Reference:
    """Samples, and what the float network makes of them.

    Attributes:
        inputs: Of each input, (n, ...) float32.
        outputs: Of each output, (n, ...).
    """

    inputs: Values
    outputs: Values

    def first(self, count: int) -> "Reference":
        """Return the first samples, all if there are no more."""
        inputs, outputs = (tuple(values[:count] for values in side) for side in (self.inputs, self.outputs))
        return Reference(inputs, outputs)

    def and_others(self, other: "Reference") -> "Reference":
        """Return these samples and then others."""
        sides = (self.inputs, other.inputs), (self.outputs, other.outputs)
        inputs, outputs = (tuple(map(torch.cat, zip(*pair, strict=True))) for pair in sides)
        return Reference(inputs, outputs)


def reference_of(network: FloatExecutor, inputs: Values) -> Reference:
    """Return samples, (n, ...) float32 of each input, and the network's outputs."""
    return Reference(inputs, network.outputs(inputs))


def output_powers(values: Values) -> torch.Tensor:
    """Return the power of each sample's float outputs, (n, outputs) float64; of (n, ...) an output."""
    powers = [value.reshape(len(value), -1).double().square().sum(1) for value in values if value.is_floating_point()]
    return torch.stack(powers, dim=1) if powers else torch.zeros(len(values[0]), 0, dtype=torch.float64)


def error_powers(wanted: Values, found: Values) -> torch.Tensor:
    """Return the power of each sample's errors, (n, outputs) float64, of float outputs alone."""
    return output_powers(tuple(other - one for one, other in zip(wanted, found, strict=True)))


def over_signal(noise: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """Return powers of noise (..., outputs) over those of the signal (outputs,), the mean over outputs: (...)."""
    ratios = noise / signal.clamp(min=1e-30)
    return ratios.mean(-1) if len(signal) else ratios.sum(-1)


def sample_noise(wanted: Values, found: Values) -> torch.Tensor:
    """Return what each sample adds to the noise, (n,) float64: their mean is noise over signal."""
    return over_signal(error_powers(wanted, found), output_powers(wanted).mean(0))


def sqnr_db(wanted: Values, found: Values) -> float:
    """Return the signal-to-noise ratio in decibels of outputs, (n, ...) each, at most 120."""
    return -decibels(float(sample_noise(wanted, found).mean()))


def decibels(power: float) -> float:
    """Return ten times the logarithm of a power, which may be 0."""
    return 10 * math.log10(max(power, _LEAST_NOISE))


def noise_over_signal(ratio_db: float) -> float:
    """Return noise power over signal power of a ratio in decibels."""
    return float(10 ** (-ratio_db / 10))
