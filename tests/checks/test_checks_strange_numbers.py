"""Numbers that no converter writes, and a stranger's file may hold: an answer or a sentence, and no warning."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model

from tinyedge.checks.aot import judge_aot
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.tflite.inspection import inspect_tflite
from tinyedge.tflite.reader import read_tflite

FUNCTIONS = ("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LOG", "LOGISTIC", "RELU6", "RSQRT", "SQRT", "TANH")
STRANGE = (math.nan, math.inf, -math.inf, -1.0, 1e38, 1e-45)


def write(folder: Path, op: str, scales: tuple[float, float], **options: float) -> Path:
    path = folder / "model.tflite"
    source, output = (TensorSpec((1, 2, 2, 4), scale) for scale in scales)
    path.write_bytes(build_model([OperatorSpec(op, [source], output, options)], [source], [output]))
    return path


def answered(path: Path) -> int:
    """How many of the compiler and the check take a model; anything but a sentence of theirs is raised."""
    taken = 0
    for ask in (lambda: compile_graph(read_tflite(path)), lambda: judge_aot(inspect_tflite(path))[1]):
        with contextlib.suppress(TinyEdgeError):
            taken += ask() is not None
    return taken


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("op", FUNCTIONS)
def test_scales_that_single_precision_does_not_hold(op: str, tmp_path: Path) -> None:
    assert answered(write(tmp_path, op, (0.1, 0.1))) == 2 or op in (
        "LOGISTIC",
        "TANH",
    )  # They have scales of their own.
    for scales in ((1e-45, 0.1), (0.1, 1e-45), (1e38, 1e-38), (3e38, 3e38)):
        assert answered(write(tmp_path, op, scales)) == 0


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("op", "option"), [("SOFTMAX", "beta"), ("LEAKY_RELU", "alpha")])
def test_options_that_are_no_sane_number(op: str, option: str, tmp_path: Path) -> None:
    scales = (0.1, 1 / 256) if op == "SOFTMAX" else (0.1, 0.1)
    for value in STRANGE:
        taken = answered(write(tmp_path, op, scales, **{option: value}))
        assert taken == 0 or np.isfinite(value)
