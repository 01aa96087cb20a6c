"""Multinomial logistic regression on features, by Newton-CG: a probe's classifier, and what fine-tuning begins with.

Each step solves for Newton's direction by preconditioned conjugate gradients, to a tenth of the gradient (Dembo &
Steihaug 1983, "Truncated-Newton algorithms for large-scale unconstrained optimization"). A product with the Hessian is
two products with the features, in float32; the loss and its gradient are float64, so float32 does not show in the
minimum. With 200 classes, L-BFGS took a thousand steps from where this takes a hundred products.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

# Largest gradient of the mean loss at the end, along directions of about unit curvature at weight 0.
_TOLERANCE = 1e-6
_RANKING_TOLERANCE = 1e-5  # Near enough to rank penalties by what the classifiers get right.
_STEPS = 100
_PRODUCTS = 250  # With the Hessian, in a step.
_SOLVED = 0.1  # What a direction may leave of the gradient.
_LEAST_STEP = 1e-4
_SUFFICIENT_DECREASE = 1e-4  # Armijo's, as a share of what the slope promises.
_ROUNDING = 1e-14  # Of the loss, relative.
_CONSTANT = 1e-6  # A dimension that varies by less than this share of its mean carries rounding, not information.
_ROWS_PER_DIMENSION = 8  # Images that the principal axes are estimated from, as a multiple of the dimensions.


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

    scikit-learn's `LogisticRegression` has the same minimum at `C = 1 / (l2 * M)`.

    Args:
        features: (M, D) float32; each dimension is standardised with its mean and deviation in these very features.
        labels: (M,) int64.
        num_classes: C.
        l2: Strength of the penalty.
    """
    return _Search(features, labels, num_classes, principal_axes(features)).minimise(l2, _TOLERANCE)


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
        yield search.minimise(l2, _RANKING_TOLERANCE)


def standardisation(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the inverse deviation, each (D,), of features (M, D); 0 for a dimension that is constant."""
    mean = features.mean(0)
    std = features.std(0, correction=0)
    return mean, torch.where(std > _CONSTANT * mean.abs() + torch.finfo(torch.float32).tiny, 1 / std, 0.0)


def principal_axes(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the variances (D,) and the directions (D, D), float64, of standardised features (M, D).

    They are the axes of the search, which ends at the same minimum along any orthogonal ones, so a part of the images
    is enough.
    """
    sample = features[:: max(1, len(features) // (_ROWS_PER_DIMENSION * features.shape[1]))].double()
    mean, inverse = standardisation(sample)
    inputs = ((sample - mean) * inverse).float()
    variance, directions = torch.linalg.eigh((inputs.T @ inputs / len(inputs)).double())
    return variance.clamp_min(0), directions


class _Search:
    """The search for the minimum along principal axes; it goes on where it ended.

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
        variance, self._directions = axes
        values = features.double()
        self._mean, self._inverse = standardisation(values)
        rotated = ((values - self._mean) * self._inverse) @ self._directions
        one = rotated.new_ones(1)
        self._inputs = torch.cat([rotated, one.expand(len(rotated), 1)], 1)  # (M, D + 1): the last is the bias's
        self._variance = torch.cat([variance, one])  # (D + 1,)
        self._targets = F.one_hot(labels, num_classes).to(rotated)  # (M, C)
        self._parameters = rotated.new_zeros(num_classes, features.shape[1] + 1)

    def minimise(self, l2: float, tolerance: float) -> LinearClassifier:
        """Return the classifier of a penalty.

        At weight 0 the Hessian is (variance / C) (I - 1 / C) + l2 along each axis: in coordinates scaled by its root
        the curvature is about the same along all, and a gradient of the tolerance is as near to the minimum along each.
        """
        count, classes = self._targets.shape
        scale = (self._variance / classes + l2).rsqrt()  # (D + 1,): of the weights, and of the bias, which is not
        scale[-1] = 1.0  # penalised.
        penalty = l2 * scale.square()
        penalty[-1] = 0.0
        inputs = self._inputs * scale
        products = inputs.float()

        def evaluate(searched: torch.Tensor) -> _Point:
            """The gradient is (C, D + 1), because that product takes a quarter of the time of its transpose in MKL."""
            logs = F.log_softmax(inputs @ searched.T, 1)  # (M, C)
            pulled = penalty * searched
            loss = 0.5 * (pulled * searched).sum() - (logs * self._targets).sum() / count
            probabilities = logs.exp()
            gradient = pulled + (probabilities - self._targets).T @ inputs / count
            return _Point(searched, float(loss), gradient, probabilities)

        def direction(point: _Point) -> torch.Tensor:
            probabilities, pulls = point.probabilities.float(), penalty.float()

            def multiply(vector: torch.Tensor) -> torch.Tensor:
                scores = probabilities * (products @ vector.T)  # (M, C)
                scores -= probabilities * scores.sum(1, keepdim=True)
                return scores.T @ products / count + pulls * vector

            spread = (probabilities * (1 - probabilities)).mean(0)[:, None]  # (C, 1)
            diagonal = spread * (self._variance * scale.square()).float() + pulls  # (C, D + 1)
            return _conjugate_gradients(multiply, -point.gradient.float(), diagonal, tolerance / 2).double()

        point = evaluate(self._parameters / scale)
        for _ in range(_STEPS):
            if float(point.gradient.abs().max()) <= tolerance:
                break
            following = _step(evaluate, point, direction(point))
            if following is None:
                break
            point = following
        self._parameters = point.parameters * scale
        weight = (self._parameters[:, :-1] @ self._directions.T) * self._inverse  # (C, D)
        bias = self._parameters[:, -1] - weight @ self._mean
        return LinearClassifier(weight.float().cpu().contiguous(), bias.float().cpu(), l2)


@dataclass(frozen=True)
class _Point:
    """Where a search is.

    Attributes:
        parameters: (C, D + 1) float64.
        loss: Mean cross entropy and the penalty.
        gradient: (C, D + 1) float64.
        probabilities: (M, C) float64.
    """

    parameters: torch.Tensor
    loss: float
    gradient: torch.Tensor
    probabilities: torch.Tensor


def _step(evaluate: Callable[[torch.Tensor], _Point], point: _Point, direction: torch.Tensor) -> _Point | None:
    """Return the first point along a direction, halved from the whole on, that is low enough; None where none is."""
    slope = float((point.gradient * direction).sum())
    length = 1.0
    while length >= _LEAST_STEP:
        reached = evaluate(point.parameters + length * direction)
        promised = _SUFFICIENT_DECREASE * length * slope
        if reached.loss <= point.loss + promised + _ROUNDING * abs(point.loss):
            return reached
        length /= 2
    return None


def _conjugate_gradients(
    multiply: Callable[[torch.Tensor], torch.Tensor], wanted: torch.Tensor, diagonal: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """Return an approximate solution of multiply(x) = wanted.

    Args:
        multiply: A symmetric map without negative eigenvalues; what it maps to 0 is not in `wanted`.
        wanted: Any shape.
        diagonal: About the diagonal of the map, in the shape of `wanted`.
        tolerance: Largest error of an element that is none.
    """
    enough = _SOLVED * float(wanted.norm())
    inverse = (diagonal + torch.finfo(diagonal.dtype).eps).reciprocal()
    solution, residual = torch.zeros_like(wanted), wanted
    search = inverse * residual
    product = float((residual * search).sum())
    for _ in range(_PRODUCTS):
        image = multiply(search)
        curvature = float((search * image).sum())
        if curvature <= 0:  # Rounding: there is nothing left to solve for along this direction.
            break
        length = product / curvature
        solution = solution + length * search
        residual = residual - length * image
        if float(residual.norm()) <= enough or float(residual.abs().max()) <= tolerance:
            break
        preconditioned = inverse * residual
        following = float((residual * preconditioned).sum())
        search = preconditioned + following / product * search
        product = following
    return solution
