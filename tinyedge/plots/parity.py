"""Pictures of an export's parity report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from tinyedge.plots.png import new_figure, save_png

_MOST_POINTS = 5000


class _Layer(Protocol):
    """What is drawn of a `tinyedge.parity.layers.LayerParity`."""

    @property
    def index(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def sqnr_db(self) -> float: ...
    @property
    def own_sqnr_db(self) -> float: ...
    @property
    def exact(self) -> bool: ...


def plot_layers(layers: Sequence[_Layer], worst: Sequence[_Layer], path: Path) -> None:
    """Draw the signal-to-quantisation-noise ratio by layer as a PNG.

    Args:
        layers: Of a parity report, in the order of the file.
        worst: Those that are named.
        path: The PNG; the same layers give the same bytes.
    """
    rounding = [layer for layer in layers if not layer.exact]
    figure = new_figure(11, 5)
    axes = figure.subplots()
    indices = [layer.index for layer in rounding]
    axes.plot(indices, [layer.sqnr_db for layer in rounding], marker=".", linewidth=1, label="all noise up to here")
    axes.plot(indices, [layer.own_sqnr_db for layer in rounding], ".", markersize=4, label="noise made here")
    axes.plot([layer.index for layer in worst], [layer.sqnr_db for layer in worst], "x", color="black")
    text = "\n".join(f"{layer.sqnr_db:5.1f} dB  {layer.label}" for layer in worst)
    axes.text(0.99, 0.97, f"worst\n{text}", transform=axes.transAxes, ha="right", va="top", fontsize=8)
    axes.set_xlabel("operator of the INT8 file")
    axes.set_ylabel("SQNR of its output (dB)")
    axes.set_title("float against INT8, layer by layer")
    axes.legend(loc="lower left", fontsize=8)
    axes.grid(alpha=0.3)
    save_png(figure, path)


def plot_outputs(reference: np.ndarray, int8: np.ndarray, path: Path) -> None:
    """Draw INT8 outputs over float outputs as a PNG: on the diagonal they are equal.

    Args:
        reference: (n, K) float outputs; 5,000 of the values, evenly spaced, are shown.
        int8: (n, K) INT8 outputs as reals.
        path: The PNG; the same outputs give the same bytes.
    """
    step = max(1, reference.size // _MOST_POINTS)
    x, y = reference.ravel()[::step], int8.ravel()[::step]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    figure = new_figure(6, 6)
    axes = figure.subplots()
    axes.plot([low, high], [low, high], color="grey", linewidth=1)
    axes.plot(x, y, ".", markersize=2)
    axes.set_xlabel("float output")
    axes.set_ylabel("INT8 output")
    axes.set_title(f"{len(x):,} outputs of {len(reference):,} images")
    axes.grid(alpha=0.3)
    save_png(figure, path)
