"""Models rewritten for XNNPACK compute what LiteRT's own kernels compute, but for the rounding of a step or two."""

from pathlib import Path

import numpy as np
import pytest

from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert_model import xnnpack_content
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_any_tflite

pytest.importorskip("ai_edge_litert")
ZOO = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("name", ["tinynext_t_cifar10", "mobilenetv2_035_cifar10"])
def test_xnnpack_is_close_to_the_device(name):
    path = ZOO / name / "model_int8.tflite"
    codes = np.random.default_rng(0).integers(-128, 128, (4, 32, 32, 3)).astype(np.int8)
    steps = np.abs(run_tflite(path, codes).astype(int) - AotRuntime(path).run(codes))
    # With the zero points of its products misread it would be 11 steps, and 2.5 in the mean.
    assert steps.max() <= 6
    assert steps.mean() < 1.6


def test_biases_get_scales_and_products_go_through_float(tmp_path):
    path = ZOO / "tinynext_t_cifar10" / "model_int8.tflite"
    rewritten = tmp_path / "rewritten.tflite"
    rewritten.write_bytes(xnnpack_content(Model(path)))
    before, after = read_any_tflite(path), read_any_tflite(rewritten)
    for operator in after.operators:
        if operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            source, weight, bias = operator.inputs
            assert bias.quantisation.scales == pytest.approx(source.quantisation.scale * weight.quantisation.scales)
        if operator.op == "BATCH_MATMUL":
            assert {tensor.dtype.name for tensor in (*operator.inputs, operator.output)} == {"float32"}
    products = before.histogram()["BATCH_MATMUL"]
    assert after.histogram() == {
        **before.histogram(),
        "DEQUANTIZE": 2 * products,
        "QUANTIZE": before.histogram().get("QUANTIZE", 0) + products,
    }


def test_nothing_is_written_to_the_terminal(capfd):
    path = ZOO / "mobilenetv2_035_cifar10" / "model_int8.tflite"
    run_tflite(path, np.zeros((1, 32, 32, 3), np.int8))
    assert capfd.readouterr() == ("", "")
