"""Curves of a training run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyedge.plots.png import new_figure, save_png

# File name: title and what is drawn, by the prefix of the metric's name.
_GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "loss": ("losses", ("loss",)),
    "ratios": ("share of the tokens that is masked, and of the rest that is rolled", ("ratio_",)),
    "weights": ("weights of the pretext losses", ("lambda_",)),
    "accuracy": ("pretext accuracies", ("discriminator_accuracy", "mask_discriminator_accuracy", "rotation_accuracy")),
    "features": ("spread of the features", ("effective_rank", "feature_std")),
    "learning_rate": ("learning rate", ("lr",)),
}


def metric_groups(records: Sequence[dict[str, Any]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return which metrics of a run's log are looked at together: a group's name, its title and the metrics of it.

    Args:
        records: Lines of `metrics.jsonl`; groups of metrics that they do not have are left out.
    """
    names = dict.fromkeys(name for record in records for name in record)
    groups = {
        group: (title, tuple(name for name in names if name.startswith(prefixes)))
        for group, (title, prefixes) in _GROUPS.items()
    }
    return {group: (title, found) for group, (title, found) in groups.items() if found}


def plot_training(records: Sequence[dict[str, Any]], directory: Path) -> list[Path]:
    """Draw the curves of a run's log as PNG files.

    Args:
        records: Lines of `metrics.jsonl`, each with a `step`.
        directory: Where the files go.

    Returns:
        The files written; groups of metrics that the run does not have are left out.
    """
    written = []
    for name, (title, keys) in metric_groups(records).items():
        figure = new_figure(7, 1.6 * len(keys) + 1)
        panels = figure.subplots(len(keys), 1, sharex=True, squeeze=False)
        for axes, key in zip(panels[:, 0], keys, strict=True):
            points = [(record["step"], record[key]) for record in records if key in record]
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 50 else None, linewidth=1)
            axes.set_ylabel(key.replace("_", " "), fontsize=8)
            axes.grid(alpha=0.3)
        panels[0, 0].set_title(title)
        panels[-1, 0].set_xlabel("step")
        path = directory / f"{name}.png"
        save_png(figure, path)
        written.append(path)
    return written
