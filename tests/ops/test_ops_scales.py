"""Scales at the ends of single precision, where products and quotients are 0, infinite or NaN: a call or a sentence."""

import dataclasses
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from kernels.kernel_rows import ROWS
from ops.case_builders import table
from ops.kernel_cases import Case, read_operator

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import lower
from tinyedge.tflite.graph import Operator, Quantisation

ENDS = (1.4e-45, 1.2e-38, 1e-10, 1e10, 3.4e38)
TABLES = (
    "ABS",
    "ELU",
    "EXP",
    "GELU",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOG",
    "LOGISTIC",
    "NEG",
    "RELU",
    "RSQRT",
    "SQRT",
    "TANH",
)


def cases() -> list[Case]:
    """One of each kernel and of each function of one value."""
    rng = np.random.default_rng(0)
    drawn = {row.kernel.removesuffix("_mve").removesuffix("_dsp").removesuffix("_scalar"): row for row in ROWS}
    options = {"LEAKY_RELU": {"alpha": 0.1}}
    tables = [table(rng, op, dtypes=(np.int8, np.int8), **options.get(op, {})) for op in TABLES]
    return tables + [row.draw(rng, 5) for row in drawn.values()]


def rescaled(operator: Operator, scales: tuple[float, float, float]) -> Operator:
    """The operator with scales of the first input, of the other inputs and of the outputs."""
    places = (scales[0], *([scales[1]] * (len(operator.inputs) - 1)))
    sources = [None if t is None else _with_scale(t, scale) for t, scale in zip(operator.inputs, places, strict=True)]
    outputs = [_with_scale(tensor, scales[2]) for tensor in operator.outputs]
    return dataclasses.replace(operator, inputs=tuple(sources), outputs=tuple(outputs))


def _with_scale(tensor, scale: float):
    if tensor.quantisation is None:
        return tensor
    scales = np.full_like(tensor.quantisation.scales, scale)
    quantisation = Quantisation(scales, tensor.quantisation.zero_points, tensor.quantisation.axis)
    return dataclasses.replace(tensor, quantisation=quantisation)


def test_scales_at_the_ends_of_single_precision_are_a_call_or_a_sentence(tmp_path: Path, record_property):
    lowered = refused = 0
    for case in cases():
        operator = read_operator(case.model, tmp_path)
        for scales in itertools.product(ENDS, repeat=3):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    lower(rescaled(operator, scales))
                    lowered += 1
                except UnsupportedOpError:
                    refused += 1
    assert lowered > 1000
    assert refused > 1000
    record_property("tries", lowered + refused)


@pytest.mark.parametrize("op", ["GELU", "ELU"])
def test_a_code_without_a_result_is_named(tmp_path: Path, op: str):
    """The largest negative real is infinite, and 0 times infinity, or infinite steps of 0, are no number."""
    operator = read_operator(table(np.random.default_rng(0), op).model, tmp_path)
    with pytest.raises(UnsupportedOpError, match=r"code -?[0-9]+ has no result"):
        lower(rescaled(operator, (3.4e38, 1.0, 1.4e-45)))
