import dataclasses

import numpy as np
import pytest

from tinyedge.export.manifest import TensorSpec
from tinyedge.export.parity import (
    FloatParity,
    ParityReport,
    Top1Parity,
    compare_float,
    compare_int8,
    compare_top1,
    dequantise,
)

OUTPUT = TensorSpec("logits", (1, 3), 0.5, -2)
GOOD = FloatParity(1e-6, 1e-6, 1.0)
REPORT = ParityReport(images=4, torch_onnx=GOOD, onnx_tflite=GOOD, float_int8=None, top1=None)


def test_float_outputs_are_compared_by_their_largest_difference():
    reference = np.array([[1.0, -4.0], [2.0, 0.0]], np.float32)
    parity = compare_float(reference, reference + np.array([[0, 0.02], [0, 0]], np.float32))
    assert parity.max_abs == pytest.approx(0.02, rel=1e-4)
    assert parity.relative == pytest.approx(0.005, rel=1e-4)
    assert 0.99 < parity.cosine < 1
    assert compare_float(reference, -reference).cosine == pytest.approx(-1)


def test_codes_are_dequantised():
    assert dequantise(np.array([-128, -2, 127], np.int8), OUTPUT).tolist() == [-63.0, 0.0, 64.5]


def test_int8_outputs_are_compared_by_their_noise():
    codes = np.array([[0, 2, 4], [-2, -4, 6]], np.int8)
    reference = dequantise(codes, OUTPUT).astype(np.float32)
    tflm = codes[:1] + np.array([[0, -3, 1]], np.int8)
    exact = compare_int8(reference, codes, OUTPUT, tflm)
    assert exact.cosine == pytest.approx(1)
    assert exact.sqnr_db > 100
    assert (exact.tflm_images, exact.tflm_max_steps) == (1, 3)
    noisy = compare_int8(reference + np.float32(0.1), codes, OUTPUT, np.empty((0, 3), np.int8))
    power, noise = np.square(reference + 0.1).sum(), 6 * 0.01
    assert noisy.sqnr_db == pytest.approx(10 * np.log10(power / noise), abs=1e-3)
    assert (noisy.tflm_images, noisy.tflm_max_steps) == (0, None)


def test_top1_counts_what_each_has_right():
    labels = np.array([0, 1, 2, 0])
    floats = np.eye(3)[[0, 1, 2, 1]]
    int8 = np.eye(3)[[0, 2, 1, 0]]
    assert compare_top1(floats, int8, labels) == Top1Parity(4, 75.0, 50.0, 25.0, lost=2, won=1)


def test_gates_hold_or_name_what_does_not():
    assert REPORT.failures() == []
    bad = dataclasses.replace(REPORT, onnx_tflite=FloatParity(0.5, 0.002, 0.9))
    assert bad.failures() == ["ONNX and TFLite differ by 2.0e-03 of the output, over the limit of 1e-03"]
    broken = dataclasses.replace(REPORT, torch_onnx=FloatParity(float("nan"), float("nan"), float("nan")))
    assert len(broken.failures()) == 1


@pytest.mark.parametrize(
    ("images", "lost", "won", "fails"),
    [
        (1000, 10, 0, False),  # Exactly one point.
        (1000, 11, 0, True),
        (100, 2, 0, False),  # Two points of a hundred images are chance.
        (100, 9, 0, True),
        (1000, 60, 45, False),  # A drop of 1.5 points among 105 changed images is chance.
        (1000, 60, 25, True),
        (1000, 0, 30, False),
    ],
)
def test_a_drop_counts_when_chance_does_not_explain_it(images, lost, won, fails):
    both = images - 110 if images > 110 else 0
    labels = np.zeros(images, np.int64)
    floats, int8 = np.zeros((images, 2)), np.zeros((images, 2))
    floats[both + lost :, 1] = 1
    int8[both : both + lost, 1] = 1
    int8[both + lost + won :, 1] = 1
    top1 = compare_top1(floats, int8, labels)
    assert (top1.lost, top1.won) == (lost, won)
    failures = dataclasses.replace(REPORT, top1=top1).failures()
    assert bool(failures) == fails
    assert not fails or "over the limit of 1.0" in failures[0]
