"""QUANTIZE and DEQUANTIZE between quantised values and what a model takes and gives: float32 and uint8."""

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, one_operator
from ops.kernel_cases import Case, int8_values, int16_values, read_operator

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops import lower

SCALES = (1.0, 0.1, 3.7e-5, 1 / 3, 0.0078125, 123.4)


def floats(rng: np.random.Generator, scale: float, *shape: int) -> np.ndarray:
    """Reals within and beyond the range of a scale, with halves of steps and their neighbours in float."""
    values = rng.normal(0.0, 100.0 * scale, shape).astype(np.float32)
    halves = (np.float32(scale) * (rng.integers(-140, 140, shape) + np.float32(0.5))).astype(np.float32)
    chosen = np.where(rng.random(shape) < 0.4, halves, values)
    nudged = np.nextafter(chosen, np.where(rng.random(shape) < 0.5, -np.inf, np.inf).astype(np.float32))
    return np.where(rng.random(shape) < 0.3, nudged, chosen).astype(np.float32)


def conversion(op: str, source: TensorSpec, output: TensorSpec, values: np.ndarray, label: str) -> Case:
    return Case(label, one_operator(op, [source], output), [values])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_quantize_of_floats(check, kind):
    rng = np.random.default_rng(0)
    cases = []
    for scale in SCALES:
        for zero_point in (0,) if kind is np.int16 else (-128, -3, 127):
            source, output = TensorSpec((1, 7, 33), dtype=np.float32), TensorSpec((1, 7, 33), scale, zero_point, kind)
            label = f"{scale} {zero_point}"
            cases.append(conversion("QUANTIZE", source, output, floats(rng, scale, 3, 1, 7, 33), label))
    check(cases)


def test_a_float_just_below_a_half_is_rounded_down(check):
    values = np.array([[[0.49999997, -0.49999997, 0.5, -0.5, 1.4999999, 8388607.5, -0.0]]], np.float32)
    check([conversion("QUANTIZE", TensorSpec((1, 7), dtype=np.float32), TensorSpec((1, 7), 1.0, 5), values, "halves")])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_dequantize(check, kind):
    rng = np.random.default_rng(1)
    draw = int8_values if kind is np.int8 else int16_values
    cases = []
    for scale in SCALES:
        for zero_point in (0,) if kind is np.int16 else (-128, -3, 127):
            source, output = TensorSpec((1, 5, 51), scale, zero_point, kind), TensorSpec((1, 5, 51), dtype=np.float32)
            cases.append(conversion("DEQUANTIZE", source, output, draw(rng, 2, 1, 5, 51), f"{scale} {zero_point}"))
    check(cases)


def test_quotients_of_floats(check):
    rng = np.random.default_rng(2)
    cases = []
    for shapes in (
        ((1, 3, 4, 5), (1, 3, 4, 5)),
        ((1, 3, 4, 5), (1, 3, 4, 1)),
        ((1, 1, 4, 5), (2, 3, 1, 1)),
        ((5,), (2, 5)),
    ):
        operands = [TensorSpec(shape, dtype=np.float32) for shape in shapes]
        output = TensorSpec(np.broadcast_shapes(*shapes), dtype=np.float32)
        values = [floats(rng, scale, 2, *shape) for scale, shape in zip((0.1, 3.7), shapes, strict=True)]
        values[1][values[1] == 0] = 1
        cases.append(Case(str(shapes), one_operator("DIV", operands, output), values))
    check(cases)


@pytest.mark.parametrize("kinds", [(np.uint8, np.int8), (np.int8, np.uint8)])
def test_quantize_between_uint8_and_int8(check, kinds):
    limits = np.iinfo(kinds[0])
    values = np.arange(limits.min, limits.max + 1).astype(kinds[0]).reshape(1, 1, 256)
    cases = []
    for scale, other in ((0.1, 0.1), (0.1, 0.03), (0.02, 0.7)):
        for zero_points in ((128, 0), (0, -128), (255, 127), (3, -128)):
            ordered = zero_points if kinds[0] is np.uint8 else zero_points[::-1]
            source, output = (
                TensorSpec((1, 256), s, z, k) for s, z, k in zip((scale, other), ordered, kinds, strict=True)
            )
            cases.append(conversion("QUANTIZE", source, output, values, f"{scale} {other} {ordered}"))
    check(cases)


def test_beyond_the_reference_a_float_saturates(check_sanitised):
    """TFLite Micro converts what no int32 holds as the processor happens to; the kernel goes to the nearer end."""
    rng = np.random.default_rng(2)
    values = floats(rng, 0.1, 2, 1, 65)
    source, output = TensorSpec((1, 65), dtype=np.float32), TensorSpec((1, 65), 0.1, 7)
    check_sanitised([conversion("QUANTIZE", source, output, values, "within")])


@pytest.mark.parametrize(
    ("op", "source", "output", "message"),
    [
        ("DEQUANTIZE", TensorSpec((1, 4), 0.1, 0), TensorSpec((1, 4), dtype=np.float16), "is float16"),
        ("QUANTIZE", TensorSpec((1, 4), 0.1, 0, np.uint8), TensorSpec((1, 4), 0.1, 0, np.int16), "is int16 from uint8"),
        ("QUANTIZE", TensorSpec((1, 4), dtype=np.float32), TensorSpec((1, 5), 0.1, 0), r"has shape \[1, 5\]"),
        ("DEQUANTIZE", TensorSpec((1, 4), 0.1, 0), TensorSpec((1, 5), dtype=np.float32), r"has shape \[1, 5\]"),
        ("QUANTIZE", TensorSpec((1, 4), 0.1, 0, np.uint8), TensorSpec((1, 5), 0.1, 0), "QUANTIZE of uint8"),
    ],
)
def test_what_has_no_kernel_is_refused(tmp_path, op, source, output, message):
    with pytest.raises(UnsupportedOpError, match=message):
        lower(read_operator(one_operator(op, [source], output), tmp_path))
