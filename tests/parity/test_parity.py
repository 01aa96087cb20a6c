import dataclasses
import sys

import numpy as np
import pytest

from tinyedge.manifest.manifest import TensorSpec
from tinyedge.parity.compare import plot_report
from tinyedge.parity.distance import EXACT_DB, neighbour_overlap, sqnr_db
from tinyedge.parity.gate_limits import Gates
from tinyedge.parity.layers import LayerParity
from tinyedge.parity.parity import (
    BitParity,
    FloatParity,
    ParityReport,
    RuntimeParity,
    Top1Parity,
    compare_bits,
    compare_float,
    compare_int8,
    compare_runtimes,
    compare_top1,
    dequantise,
)

OUTPUT = TensorSpec("logits", (1, 3), 0.5, -2)
GOOD = FloatParity(1e-6, 1e-6, 1.0)
REPORT = ParityReport(split="test", images=4, torch_onnx=GOOD, onnx_tflite=GOOD)


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
    (sentence,) = bad.failures()
    assert sentence.startswith("ONNX and TFLite differ by 2.0e-03 of the output, over the limit of 1e-03: ")
    named = dataclasses.replace(bad, onnx_tflite=FloatParity(0.5, 0.002, 0.9, first_layer="stage1.0 expand"))
    assert "of the output, first in layer stage1.0 expand, over" in named.failures()[0]
    assert dataclasses.replace(bad, gates=Gates(float_difference=0.01)).failures() == []
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
    assert not fails or "over the limit of 1.0; try --precision mixed, --qat" in failures[0]
    assert dataclasses.replace(REPORT, top1=top1, gates=Gates(top1_drop=10.0)).failures() == []


def layer(index: int, sqnr_db: float, own_sqnr_db: float, op: str = "CONV_2D") -> LayerParity:
    return LayerParity(index, f"stage{index}", op, sqnr_db, 0.99, 31.25, own_sqnr_db)


def test_a_failed_drop_names_the_layer_of_most_noise():
    layers = (layer(0, 20.0, 40.0), layer(1, 19.81, 20.0), layer(2, 5.0, 30.0))
    top1 = Top1Parity(1000, 80.0, 77.0, 3.0, lost=30, won=0)
    (sentence,) = dataclasses.replace(REPORT, top1=top1, layers=layers).failures()
    assert "most noise comes from layer 1 stage1 (CONV_2D): 31.2 dB -> 19.8 dB; try" in sentence


def test_the_worst_five_do_not_count_copies():
    layers = [layer(index, 40.0 - index, 45.0) for index in range(8)]
    layers.append(layer(8, 33.0, EXACT_DB, "RESHAPE"))
    worst = dataclasses.replace(REPORT, layers=tuple(layers)).worst_layers
    assert [found.index for found in worst] == [7, 6, 5, 4, 3]


def test_runtimes_are_compared_on_the_images_that_they_ran():
    reference = np.eye(3)[[0, 1, 2, 0]]
    outputs = {
        "pytorch": reference[:3],
        "tflite": reference,
        "tflm-int8": np.eye(3)[[0, 2]],
        "aot-int8": "no C compiler",
    }
    assert compare_runtimes(outputs, np.array([0, 1, 1, 1])) == (
        RuntimeParity("pytorch", 3, pytest.approx(200 / 3), pytest.approx(200 / 3), 100.0),
        RuntimeParity("tflite", 4, 50.0, 50.0, 100.0),
        RuntimeParity("tflm-int8", 2, 50.0, 100.0, 50.0),
        RuntimeParity("aot-int8", 0, None, None, None, missing="no C compiler"),
    )
    assert [row.top1 for row in compare_runtimes({"tflite": reference}, None)] == [None]


def test_one_differing_byte_fails_and_names_its_image():
    tflm = np.arange(12, dtype=np.int8).reshape(4, 3)
    aot = tflm.copy()
    positions = np.array([70, 3, 41, 9, 5])
    assert compare_bits(tflm, aot, positions) == BitParity(4, 0, None)
    assert compare_bits(tflm, "no C compiler", positions) == BitParity(0, None, None)
    aot[2, 1] += 1
    aot[3] += 1
    different = compare_bits(tflm, aot, positions)
    assert different == BitParity(4, 4, 41)
    (sentence,) = dataclasses.replace(REPORT, bit_exact=different).failures()
    assert "differ in 4 output values on 4 images, first on test image 41" in sentence
    assert dataclasses.replace(REPORT, bit_exact=BitParity(0, None, None)).failures() == []


@pytest.mark.parametrize(("images", "neighbours"), [(12, 3), (25, 10)])
def test_common_neighbours_against_loops(images, neighbours):
    generator = np.random.default_rng(images)
    reference = generator.normal(size=(images, 5)).astype(np.float32)
    other = (reference + 0.3 * generator.normal(size=(images, 5))).astype(np.float32)

    def nearest(values: np.ndarray, index: int) -> set[int]:
        def similarity(candidate: int) -> float:
            a, b = values[index].astype(float), values[candidate].astype(float)
            return float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))

        others = [candidate for candidate in range(images) if candidate != index]
        return set(sorted(others, key=similarity, reverse=True)[:neighbours])

    expected = np.mean([len(nearest(reference, i) & nearest(other, i)) / neighbours for i in range(images)])
    assert neighbour_overlap(reference, other, neighbours) == pytest.approx(expected)
    assert neighbour_overlap(reference, 3 * reference, neighbours) == 1
    assert 0.2 < expected < 1


def test_an_export_goes_on_without_its_plots(tmp_path, monkeypatch, caplog):
    outputs = np.random.default_rng(0).normal(size=(30, 3))
    report = dataclasses.replace(REPORT, layers=tuple(layer(index, 30.0 + index, 40.0) for index in range(7)))
    plot_report(report, outputs, outputs + 0.1, tmp_path / "plots")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "plots").iterdir()}
    assert set(sizes) == {"layers.png", "outputs.png"}
    assert min(sizes.values()) > 5000
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # As if it were not installed.
    plot_report(report, outputs, outputs, tmp_path / "none")
    assert "no pictures of the export: ModuleNotFoundError" in caplog.text
    assert not (tmp_path / "none").exists()


def test_ratios_are_finite():
    ones = np.ones(4, np.float32)
    assert sqnr_db(ones, ones) == sqnr_db(0 * ones, 0 * ones) == EXACT_DB
    assert sqnr_db(ones, 1.1 * ones) == pytest.approx(20)
    assert np.isfinite(sqnr_db(0 * ones, ones))


@pytest.mark.parametrize(("images", "limit", "remarked"), [(99, 1.0, True), (100, 1.0, False), (8, 12.5, False)])
def test_an_accuracy_on_few_images_is_remarked_on(images, limit, remarked):
    labels = np.arange(images) % 2
    top1 = compare_top1(np.eye(2)[labels], np.eye(2)[labels], labels)
    report = dataclasses.replace(REPORT, top1=top1, gates=Gates(top1_drop=limit))
    said = report.to_json()["remarks"]
    assert bool(said) is remarked
    assert not said or said[0].startswith(
        f"one of {images} test images is 1.0 points of top-1, more than the gate's 1.0"
    )
    assert report.failures() == []
    assert REPORT.to_json()["remarks"] == []
