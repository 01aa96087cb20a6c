"""The activations that an encoder may have: exact in float, and in INT8 of operators that TFLite Micro has."""

import numpy as np
import pytest
import torch
from exports.export_inputs import CALIBRATION_IMAGES, Exported, fit_probe, make_dataset, make_trained_like

from tinyedge.encoders.tinynext import ACTIVATIONS, TinyNext, TinyNextConfig
from tinyedge.exporter.export import export_model
from tinyedge.exporter.options import ExportOptions
from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_any_tflite, read_tflite
from tinyedge.tflite.writer import tflite_bytes

torch.set_num_threads(1)
F32 = np.dtype(np.float32)
SMALL = TinyNextConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), ratios=(2, 2, 2, 2))
OF_AN_MLP = {
    "relu": {},
    "gelu": {"ADD": 1, "CAST": 1, "GATHER": 1},
    "silu": {"LOGISTIC": 1, "MUL": 1},
    "hard_swish": {"HARD_SWISH": 1},
}
MLPS = 2


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-5.0, 6.0), (-0.3, 0.2), (-40.0, 3.0), (0.0, 9.0)])
def test_gelu_is_rounded_once_in_every_runtime(tmp_path, approximate, low, high):
    x, y = Tensor("x", (1, 256), F32), Tensor("y", (1, 256), F32)
    graph = Graph("gelu", [Operator("GELU", (x,), (y,), {"approximate": approximate})], (x,), (y,))
    path = tmp_path / "gelu.tflite"
    path.write_bytes(tflite_bytes(quantise(graph, {x: (low, high), y: (-0.17, max(high, 0.1))})))
    int8 = read_tflite(path)
    assert int8.histogram() == {"ADD": 1, "CAST": 1, "GATHER": 1}
    codes = np.arange(-128, 128, dtype=np.int8)[None]
    outputs = TflmRuntime(path).run(codes)
    for runtime in (LitertRuntime, AotRuntime):
        assert np.array_equal(runtime(path).run(codes), outputs)
    source, output = int8.inputs[0].quantisation, int8.outputs[0].quantisation
    reals = (codes.astype(np.float64) - source.zero_point) * source.scale
    exact = torch.nn.functional.gelu(torch.from_numpy(reals), approximate="tanh" if approximate else "none").numpy()
    exact = exact.clip(*((code - output.zero_point) * output.scale for code in (-128, 127)))
    found = (outputs.astype(np.float64) - output.zero_point) * output.scale
    assert np.abs(found - exact).max() <= 0.5001 * output.scale
    assert len(np.unique(outputs)) > 25


def test_a_table_takes_one_byte_a_code():
    x, y = Tensor("x", (1, 5), F32), Tensor("y", (1, 5), F32)
    z = Tensor("z", (1, 5), F32)
    gelus = [Operator("GELU", (a,), (b,), {"approximate": False}) for a, b in ((x, y), (y, z))]
    one, two = (
        len(tflite_bytes(quantise(Graph("g", gelus[:n], (x,), (end,)), dict.fromkeys((x, y, z), (-1.0, 1.0)))))
        for n, end in ((1, y), (2, z))
    )
    assert two - one < 512  # Equal tables are stored once; the operators and tensors around them take the rest.


@pytest.fixture(scope="module", params=[act for act in ACTIVATIONS if act != "relu"])
def exported(request, tmp_path_factory) -> Exported:
    """A classifier of two MLPs."""
    torch.manual_seed(0)
    encoder = make_trained_like(TinyNext("small", SMALL, 16, (1, 1, 2, 2, 1), request.param))
    dataset = make_dataset(16)
    probe, folder = fit_probe(encoder, dataset), tmp_path_factory.mktemp(request.param) / "export"
    options = ExportOptions(calibration_images=CALIBRATION_IMAGES)
    return Exported(encoder, dataset, probe, folder, export_model(encoder, dataset, probe, folder, options))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_activation_is_exported(exported):
    act, parity = exported.encoder.act, exported.manifest.parity
    # The float stages have the very function, not one that resembles it.
    assert parity["torch_onnx"]["relative"] < 1e-4
    assert parity["onnx_tflite"]["relative"] < 1e-4
    assert parity["float_int8"]["sqnr_db"] > 15
    around = {"ADD": 7, "MUL": 1}  # The residuals and the gate.
    for op in ("ADD", "CAST", "GATHER", "GELU", "HARD_SWISH", "LOGISTIC", "MUL", "TANH"):
        expected = around.get(op, 0) + MLPS * OF_AN_MLP[act].get(op, 0)
        assert exported.manifest.operators.get(op, 0) == expected, op
    floats = read_any_tflite(exported.folder / FLOAT_FILE).histogram()
    assert floats.get("GELU", 0) == (MLPS if act == "gelu" else 0)
    assert "TANH" not in floats


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_exported_activation_keeps_the_golden_chain(exported):
    path = exported.folder / "model_int8.tflite"
    codes = quantise_images(exported.dataset.test.images[:12].numpy(), exported.manifest)
    noise = np.random.default_rng(0).integers(-128, 128, codes.shape).astype(np.int8)
    inputs = np.concatenate([codes, noise])
    aot, tflm = AotRuntime(path), TflmRuntime(path)
    outputs = aot.run(inputs)
    assert np.array_equal(outputs, tflm.run(inputs))
    assert len(np.unique(outputs, axis=0)) > 12
    tables = [call for call in aot.program.calls if call.function == "te_table_s8"]
    assert len(tables) == MLPS
    assert not {"CAST", "GATHER", "LOGISTIC"} & {call.op for call in aot.program.calls}
