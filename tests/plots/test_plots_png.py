"""Figures that leave alone what a notebook draws with."""

import subprocess
import sys

from tinyedge.plots.png import new_figure, save_png


def test_one_figure_gives_the_same_bytes_twice(tmp_path):
    for name in ("first.png", "second.png"):
        figure = new_figure(3, 2)
        figure.subplots().plot([0, 1, 4])
        save_png(figure, tmp_path / name)
    content = (tmp_path / "first.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "second.png").read_bytes()


def test_drawing_loads_no_pyplot_which_belongs_to_the_caller(tmp_path):
    program = f"""
import sys
from pathlib import Path
import numpy as np
from tinyedge.plots.confusion import plot_confusion
from tinyedge.plots.parity import plot_outputs
from tinyedge.plots.plots import plot_training
folder = Path({str(tmp_path)!r})
plot_confusion(np.array([0, 1]), np.array([0, 0]), ("a", "b"), "title", folder / "confusion.png")
plot_outputs(np.eye(2), np.eye(2), folder / "outputs.png")
plot_training([{{"step": 1, "loss": 1.0}}], folder)
print(*sorted(path.name for path in folder.glob("*.png")), "matplotlib.pyplot" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["confusion.png", "loss.png", "outputs.png", "False"]
