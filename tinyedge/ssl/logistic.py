"""Multinomial logistic regression on features, by L-BFGS: a probe's classifier, and what fine-tuning begins with."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

_MAX_ITERATIONS = 1000
_HISTORY = 10
# Largest gradient of the mean loss at the end, along directions of about unit curvature at weight 0: to rank the
# penalties, and to settle.
COARSE_TOLERANCE, FINE_TOLERANCE = 1e-5, 1e-6
_CONSTANT = 1e-6  # A dimension that varies by less than this share of its mean carries rounding, not information.
_ROWS_PER_DIMENSION = 8  # Images that the principal axes are estimated from, as a multiple of the dimensions.
_SEPARABLE = (
    2  # Below this many images a dimension, classes are separable even if their labels are drawn (Cover, 1965).
)


@dataclass(frozen=True)
class LinearClassifier:
    """A linear map of the raw feature: the standardisation is folded in.

    Attributes:
        weight: (C, D) float32, on the CPU.
        bias: (C,) float32, on the CPU.
        l2: Strength of the penalty it was fitted with.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    l2: float

    def predict(self, features: torch.Tensor) -> torch.Tensor:
        """Return the class of each of (N, D) features, (N,) int64."""
        scores = torch.addmm(self.bias.to(features), features, self.weight.to(features).T)  # (N, C)
        return scores.argmax(1)


def fit_logistic(features: torch.Tensor, labels: torch.Tensor, num_classes: int, l2: float) -> LinearClassifier:
    """Minimise mean cross entropy + l2 / 2 * ||W||^2 over W and an unpenalised bias on standardised features.

    scikit-learn's `LogisticRegression` has the same minimum at `C = 1 / (l2 * M)`. The arithmetic is float64: float32
    takes as long and stalls before a weak penalty's minimum.

    Args:
        features: (M, D) float32; each dimension is standardised with its mean and deviation in these very features.
        labels: (M,) int64.
        num_classes: C.
        l2: Strength of the penalty.
    """
    return next(fit_path(features, labels, num_classes, (l2,), FINE_TOLERANCE, principal_axes(features)))


def standardisation(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the inverse deviation, each (D,), of features (M, D); 0 for a dimension that is constant."""
    mean = features.mean(0)
    std = features.std(0, correction=0)
    return mean, torch.where(std > _CONSTANT * mean.abs() + torch.finfo(torch.float32).tiny, 1 / std, 0.0)


def principal_axes(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the variances (D,) and the directions (D, D), float64, of standardised features (M, D).

    They are the axes of the search, which ends at the same minimum along any orthogonal ones, so a part of the images
    is enough. With few images the classes can be separated, the curvature vanishes towards the minimum, and the
    variances would lead astray: all are then 1.
    """
    dim = features.shape[1]
    if len(features) < _SEPARABLE * dim:
        ones = torch.ones(dim, dtype=torch.float64, device=features.device)
        return ones, ones.diag()
    sample = features[:: max(1, len(features) // (_ROWS_PER_DIMENSION * dim))].double()
    mean, inverse = standardisation(sample)
    inputs = ((sample - mean) * inverse).float()
    variance, directions = torch.linalg.eigh((inputs.T @ inputs / len(inputs)).double())
    return variance.clamp_min(0), directions


def fit_path(
    features: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    penalties: tuple[float, ...],
    tolerance: float,
    axes: tuple[torch.Tensor, torch.Tensor],
) -> Iterator[LinearClassifier]:
    """Yield the classifier of each penalty, from the strongest on; the search starts at the solution before it."""
    variance, directions = axes
    values = features.double()
    mean, inverse = standardisation(values)
    rotated = ((values - mean) * inverse) @ directions  # (M, D): the principal axes are the dimensions
    # (C, D + 1): the last column is the bias.
    parameters = rotated.new_zeros(num_classes, features.shape[1] + 1)
    for l2 in penalties:
        parameters = _minimise(rotated, labels, parameters, l2, tolerance, variance)
        weight = (parameters[:, :-1] @ directions.T) * inverse  # (C, D)
        bias = parameters[:, -1] - weight @ mean
        yield LinearClassifier(weight.float().cpu().contiguous(), bias.float().cpu(), l2)


def _minimise(
    inputs: torch.Tensor, labels: torch.Tensor, start: torch.Tensor, l2: float, tolerance: float, variance: torch.Tensor
) -> torch.Tensor:
    """Fit by L-BFGS, preconditioned, on inputs (M, D) along principal axes, from weights and bias (C, D + 1).

    At weight 0 the Hessian is (variance / C) (I - 1 / C) + l2 along each axis: in coordinates scaled by its root the
    curvature is about the same along all, and correlated features take as few steps as independent ones.
    """
    count, classes = len(inputs), len(start)
    # (D + 1,): of a weight, and of the bias, in the search's coordinates.
    scale = torch.cat([(variance / classes + l2).rsqrt(), variance.new_ones(1)])
    scaled = torch.cat([inputs, inputs.new_ones(count, 1)], 1) * scale  # (M, D + 1)
    penalty = l2 * scale.square()
    penalty[-1] = 0.0
    searched = start / scale
    targets = F.one_hot(labels, classes).to(inputs)
    optimizer = torch.optim.LBFGS(
        [searched],
        max_iter=_MAX_ITERATIONS,
        max_eval=2 * _MAX_ITERATIONS,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> torch.Tensor:
        """The loss, and its gradient by the formula: recording it for autograd takes longer than computing it.

        The gradient is (C, D + 1), because that product takes a quarter of the time of its transpose in MKL.
        """
        logs = F.log_softmax(scaled @ searched.T, 1)  # (M, C)
        pulled = penalty * searched
        searched.grad = torch.addmm(pulled, (logs.exp() - targets).T, scaled, alpha=1 / count)
        return 0.5 * (pulled * searched).sum() - (logs * targets).sum() / count

    optimizer.step(evaluate)
    return searched * scale
