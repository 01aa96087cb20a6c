import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tinyedge.compiler.memory.memory_plan import MemoryPlan, PlannedTensor
from tinyedge.plots.memory import plot_plan

ZOO_MODEL = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"


def plan(lower_bound_bytes: int) -> MemoryPlan:
    tensors = (PlannedTensor("a", 0, 600, -1, 1), PlannedTensor("b", 608, 400, 0, 3), PlannedTensor("c", 0, 16, 2, 4))
    return MemoryPlan({}, {}, {}, tensors, 1008, 0, lower_bound_bytes)


def rows_with(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The rows in which a colour fills at least a third of the picture, from the left."""
    close = np.abs(pixels[..., :3].astype(int) - colour).max(-1) < 8
    return np.flatnonzero(close.mean(1) > 1 / 3)


def test_tensors_and_the_lower_bound_are_where_they_belong(tmp_path: Path) -> None:
    red = (214, 39, 40)  # matplotlib's "tab:red".
    heights = []
    for bound in (1008, 504):
        plot_plan(plan(bound), "title", tmp_path / "plots" / f"{bound}.png")
        pixels = np.asarray(Image.open(tmp_path / "plots" / f"{bound}.png"))
        heights.append(rows_with(pixels, red).mean())
    # Half the bytes are half as high above the axis.
    axis = 2 * heights[1] - heights[0]
    assert abs(rows_with(pixels, (0, 0, 0)).max() - axis) < 4


def test_the_command_draws_and_lists_the_plan(tmp_path: Path) -> None:
    picture = tmp_path / "new" / "plan.png"
    command = [sys.executable, "-m", "tinyedge", "compile", str(ZOO_MODEL), "--out", str(tmp_path / "c")]
    command += ["--plan", str(picture), "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert np.asarray(Image.open(picture)).std() > 5
    assert max(tensor["offset"] + tensor["bytes"] for tensor in report["plan"]) <= report["arena_bytes"]
    assert report["plan"][0]["first"] == -1
