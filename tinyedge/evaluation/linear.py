"""Linear probe: multinomial logistic regression on frozen features."""

import torch

from tinyedge.data.splits import label_fraction_indices
from tinyedge.errors import DataError
from tinyedge.ssl.logistic import LinearClassifier, fit_logistic, fit_path, principal_axes

L2_GRID = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)

_HELD_OUT = 0.1
_WORSE = 2  # Penalties in a row, each right less often than the best, after which weaker ones are left out.


def fit_linear_probe(features: torch.Tensor, labels: torch.Tensor, num_classes: int, seed: int) -> LinearClassifier:
    """Choose the penalty on a held-out, class-stratified tenth of the labelled features, then fit on all of them.

    The penalties are tried from the strongest on. A weaker one takes longer, and where two in a row were right less
    often than the best, those after them are left out.

    Args:
        features: (M, D) float32.
        labels: (M,) int64.
        num_classes: C.
        seed: Chooses the held-out tenth; everything else is deterministic.

    Raises:
        DataError: A class has fewer than two labelled images, so none is left to fit or to choose on.
    """
    require_two_per_class(labels, num_classes)
    held_out = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    held_out[label_fraction_indices(labels, _HELD_OUT, seed).to(labels.device)] = True
    axes = principal_axes(features)
    best, best_correct, worse = L2_GRID[0], -1, 0
    for classifier in fit_path(features[~held_out], labels[~held_out], num_classes, L2_GRID, axes):
        correct = int((classifier.predict(features[held_out]) == labels[held_out]).sum())
        if correct > best_correct:  # the stronger penalty wins a tie
            best, best_correct = classifier.l2, correct
        worse = worse + 1 if correct < best_correct else 0
        if worse == _WORSE:
            break
    return fit_logistic(features, labels, num_classes, best)


def require_two_per_class(labels: torch.Tensor, num_classes: int) -> None:
    """Raise `DataError` if a class has fewer than two of the labels (M,)."""
    counts = torch.bincount(labels, minlength=num_classes)
    if int(counts.min()) < 2:
        raise DataError(
            f"class {int(counts.argmin())} has {int(counts.min())} labelled image(s) and a linear probe needs 2, one "
            "to fit and one to choose the penalty: raise --labels or use --protocol knn"
        )
