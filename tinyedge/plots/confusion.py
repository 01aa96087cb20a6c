"""Which class is taken for which."""

from pathlib import Path

import numpy as np

from tinyedge.plots.png import new_figure, save_png

_MOST_NAMES = 20


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts (C, C) int64: row the true class, column the predicted one.

    Args:
        predicted: (N,) int, in [0, C).
        labels: (N,) int, in [0, C).
        num_classes: C.
    """
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def plot_confusion(predicted: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], title: str, path: Path) -> None:
    """Draw the confusion matrix as a PNG, each row as shares of its class.

    Args:
        predicted: (N,) int class of each image.
        labels: (N,) int true class.
        classes: Names; they are written out up to 20, with the share in each cell.
        title: Above it.
        path: The PNG.
    """
    counts = confusion_matrix(predicted, labels, len(classes))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    named = len(classes) <= _MOST_NAMES
    side = 2.5 + 0.5 * len(classes) if named else 8
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.046, label="share of the true class")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if named:
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(shares >= 0.005):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{100 * shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    save_png(figure, path)
