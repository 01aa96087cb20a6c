"""UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF: call after call, for their states last."""

import itertools
from typing import Any

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant
from ops.kernel_cases import Case, int8_values, int16_values, read_operator
from ops.recurrent_models import lstm, svdf

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import lower

RUNS = 5


def lstm_case(rng: np.random.Generator, *arguments: Any, **options: Any) -> Case:
    model, source = lstm(rng, *arguments, **options)
    draw = int8_values if source.dtype is np.int8 else int16_values
    return Case(f"{arguments} {options}", model, [draw(rng, RUNS, *source.shape)])


def svdf_case(rng: np.random.Generator, *arguments: Any, **options: Any) -> Case:
    model, source = svdf(rng, *arguments, **options)
    return Case(f"{arguments} {options}", model, [int8_values(rng, RUNS, *source.shape)])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_lstm_shapes(check, kind):
    rng = np.random.default_rng(0)
    shapes = (((1, 1, 1), 1), ((1, 7, 5), 3), ((1, 3, 33), 20), ((2, 4, 6), 7), ((3, 1, 2), 5))
    cases = [
        lstm_case(rng, shape, units, kind, time_major=time_major)
        for (shape, units), time_major in itertools.product(shapes, (False, True))
    ]
    check(cases)


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_lstm_quantisation(check, kind):
    rng = np.random.default_rng(1)
    cases = [
        lstm_case(rng, (1, 6, 9), 8, kind, cell_exponent=exponent, gain=gain, clip=clip)
        for exponent, gain, clip in itertools.product((-15, -12, -9), (0.01, 1.0, 30.0), (0.0, 0.8))
    ]
    cases += [lstm_case(rng, (1, 6, 9), 8, kind, zero_points=zeros) for zeros in ((-128, 127), (127, -128), (0, 0))]
    check(cases)


def test_svdf_shapes(check):
    rng = np.random.default_rng(2)
    shapes = ((1, 1, 1, 1, 1), (1, 9, 5, 1, 8), (1, 40, 16, 2, 10), (2, 7, 3, 2, 4), (1, 13, 4, 4, 1))
    check([svdf_case(rng, sizes, kind) for sizes, kind in itertools.product(shapes, (np.int8, np.int16))])


def test_svdf_quantisation(check):
    rng = np.random.default_rng(3)
    cases = [
        svdf_case(rng, (1, 17, 6, 2, 5), kind, zero_points=zeros, scales=scales)
        for kind, zeros, scales in itertools.product(
            (np.int8, np.int16),
            ((-128, 0, 127), (127, 100, -128)),
            ((0.05, 0.1, 0.2), (0.5, 0.001, 0.01), (0.001, 3.0, 7.0)),
        )
    ]
    check(cases)


def test_recurrent_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(4)
    check_sanitised(
        [
            lstm_case(rng, (2, 3, 5), 7, np.int8, gain=30.0),
            lstm_case(rng, (2, 3, 5), 7, np.int16, time_major=True),
            svdf_case(rng, (2, 5, 3, 2, 3)),
            svdf_case(rng, (1, 5, 3, 1, 1), np.int16),
        ]
    )


def peephole() -> TensorSpec:
    return constant(np.ones(4, np.int16), 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_9": peephole()}, "gives it peepholes"),
        ({"input_16": peephole()}, "gives it a projection"),
        ({"input_20": peephole()}, "gives it layer normalisation"),
        ({"input_2": constant(np.ones((4, 6), np.int8), 0.1)}, r"is int8 \[4, 6\].*int8 weights \[4, 5\]"),
        ({"input_2": constant(np.ones((4, 5), np.int8), 0.1, 3)}, "symmetric weights"),
        ({"input_12": constant(np.ones(4, np.int64), 0.1)}, "a constant bias of 4 int32 values"),
        ({"input_19": TensorSpec((1, 4), 0.0007, 0, np.int16, is_variable=True)}, "a power of two"),
        ({"input_19": TensorSpec((1, 4), 2**-11, 0, np.int8, is_variable=True)}, "int16 cell states"),
        ({"input_18": TensorSpec((1, 3), 2**-7, 0, np.int8, is_variable=True)}, "a hidden state like the output"),
    ],
)
def test_forms_of_lstm_without_a_kernel_are_refused(tmp_path, changes, message):
    model, _ = lstm(np.random.default_rng(5), (1, 2, 5), 4, **changes)
    with pytest.raises(UnsupportedOpError, match=message):
        lower(read_operator(model, tmp_path))


def test_forms_of_svdf_without_a_kernel_are_refused(tmp_path):
    model, _ = svdf(np.random.default_rng(6), (1, 4, 3, 2, 2))
    operator = read_operator(model, tmp_path)
    operator.options["rank"] = 4
    with pytest.raises(UnsupportedOpError, match="shapes that match"):
        lower(operator)
