"""Multinomial logistic regression on features, by L-BFGS: a probe's classifier, and what fine-tuning begins with."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

_MAX_ITERATIONS = 1000
_HISTORY = 10
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


@dataclass(frozen=True)
class _Precision:
    """How near a search comes to the minimum.

    Attributes:
        tolerance: Largest gradient of the mean loss at the end, along directions of about unit curvature at weight 0.
        products: What the products of features are computed in; all else is float64.
    """

    tolerance: float
    products: torch.dtype


# float32 is three times as fast and reaches the coarse tolerance in as many steps; it stalls before the fine one.
_COARSE, _FINE = _Precision(1e-5, torch.float32), _Precision(1e-6, torch.float64)


def fit_logistic(features: torch.Tensor, labels: torch.Tensor, num_classes: int, l2: float) -> LinearClassifier:
    """Minimise mean cross entropy + l2 / 2 * ||W||^2 over W and an unpenalised bias on standardised features.

    scikit-learn's `LogisticRegression` has the same minimum at `C = 1 / (l2 * M)`.

    Args:
        features: (M, D) float32; each dimension is standardised with its mean and deviation in these very features.
        labels: (M,) int64.
        num_classes: C.
        l2: Strength of the penalty.
    """
    search = _Search(features, labels, num_classes, principal_axes(features))
    search.minimise(l2, _COARSE)
    return search.minimise(l2, _FINE)


def fit_path(
    features: torch.Tensor,
    labels: torch.Tensor,
    num_classes: int,
    penalties: tuple[float, ...],
    axes: tuple[torch.Tensor, torch.Tensor],
) -> Iterator[LinearClassifier]:
    """Yield a classifier of each penalty, near enough to its minimum to rank the penalties, from the strongest on.

    Args:
        features: See `fit_logistic`.
        labels: See `fit_logistic`.
        num_classes: C.
        penalties: Descending: the search for each starts at the solution of the one before it.
        axes: See `principal_axes`.
    """
    search = _Search(features, labels, num_classes, axes)
    for l2 in penalties:
        yield search.minimise(l2, _COARSE)


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


class _Search:
    """The search for the minimum, by L-BFGS along principal axes; it goes on where it ended.

    Args:
        features: See `fit_logistic`.
        labels: See `fit_logistic`.
        num_classes: C.
        axes: See `principal_axes`.
    """

    def __init__(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        num_classes: int,
        axes: tuple[torch.Tensor, torch.Tensor],
    ):
        self._variance, self._directions = axes
        values = features.double()
        self._mean, self._inverse = standardisation(values)
        rotated = ((values - self._mean) * self._inverse) @ self._directions
        self._inputs = torch.cat([rotated, rotated.new_ones(len(rotated), 1)], 1)  # (M, D + 1): the last is the bias's
        self._targets = F.one_hot(labels, num_classes).to(rotated)  # (M, C)
        self._parameters = rotated.new_zeros(num_classes, features.shape[1] + 1)

    def minimise(self, l2: float, precision: _Precision) -> LinearClassifier:
        """Return the classifier of a penalty.

        At weight 0 the Hessian is (variance / C) (I - 1 / C) + l2 along each axis: in coordinates scaled by its root
        the curvature is about the same along all, and correlated features take as few steps as independent ones.
        """
        count, classes = self._targets.shape
        # (D + 1,): of a weight, and of the bias, in the search's coordinates.
        scale = torch.cat([(self._variance / classes + l2).rsqrt(), self._variance.new_ones(1)])
        inputs = (self._inputs * scale).to(precision.products)  # (M, D + 1)
        penalty = l2 * scale.square()
        penalty[-1] = 0.0
        searched = self._parameters / scale
        optimizer = torch.optim.LBFGS(
            [searched],
            max_iter=_MAX_ITERATIONS,
            max_eval=2 * _MAX_ITERATIONS,
            tolerance_grad=precision.tolerance,
            tolerance_change=0.0,
            history_size=_HISTORY,
            line_search_fn="strong_wolfe",
        )

        def evaluate() -> torch.Tensor:
            """The loss, and its gradient by the formula: recording it for autograd takes longer than computing it.

            The gradient is (C, D + 1), because that product takes a quarter of the time of its transpose in MKL.
            """
            logs = F.log_softmax((inputs @ searched.T.to(inputs)).double(), 1)  # (M, C)
            pulled = penalty * searched
            searched.grad = pulled + ((logs.exp() - self._targets).T.to(inputs) @ inputs).double() / count
            return 0.5 * (pulled * searched).sum() - (logs * self._targets).sum() / count

        optimizer.step(evaluate)
        self._parameters = searched * scale
        weight = (self._parameters[:, :-1] @ self._directions.T) * self._inverse  # (C, D)
        bias = self._parameters[:, -1] - weight @ self._mean
        return LinearClassifier(weight.float().cpu().contiguous(), bias.float().cpu(), l2)
