"""The four host runtimes behind one interface."""

import sys
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from tinyedge.errors import DataError, ModelError, ToolMissing, UnsupportedOpError
from tinyedge.runtimes import tflm_interpreter
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.onnx import OnnxRuntime
from tinyedge.runtimes.tflm import TflmRuntime

INPUT_SCALE, OUTPUT_SCALE = 0.02, 0.15
INPUT_ZERO_POINT, OUTPUT_ZERO_POINT = -7, 11
WEIGHT_SCALES = np.array([0.01, 0.02, 0.005, 0.012], dtype=np.float32)
WEIGHTS = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)  # (out, height, width, in)
BIAS = np.array([300, -200, 100, 0], dtype=np.int32)


def _tensor(shape: list[int], kind: int, buffer: int, scales: np.ndarray | None, zero_point: int = 0) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = f"tensor_{buffer}", shape, kind, buffer
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = scales
        tensor.quantization.zeroPoint = np.full(len(scales), zero_point, dtype=np.int64)
    return tensor


def convolution_model(op: int = schema.BuiltinOperator.CONV_2D) -> bytes:
    """One 3x3 convolution of a 6x5x3 image; with another `op`, that operator of the image alone."""
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    model, graph = schema.ModelT(), schema.SubGraphT()
    convolves = op == schema.BuiltinOperator.CONV_2D
    graph.tensors = [
        _tensor([1, 6, 5, 3], int8, 0, np.array([INPUT_SCALE], dtype=np.float32), INPUT_ZERO_POINT),
        _tensor([4, 3, 3, 3], int8, 1, WEIGHT_SCALES),
        _tensor([4], int32, 2, None),
        _tensor(
            [1, 6, 5, 4 if convolves else 3], int8, 0, np.array([OUTPUT_SCALE], dtype=np.float32), OUTPUT_ZERO_POINT
        ),
    ]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = ([0, 1, 2] if convolves else [0]), [3]
    if convolves:
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        operator.builtinOptions = schema.Conv2DOptionsT()
        operator.builtinOptions.strideH = operator.builtinOptions.strideW = 1
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [3]
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = op, min(op, 127), 1
    buffers = [schema.BufferT(), schema.BufferT(), schema.BufferT()]
    buffers[1].data = np.frombuffer(WEIGHTS.tobytes(), dtype=np.uint8)
    buffers[2].data = np.frombuffer(BIAS.tobytes(), dtype=np.uint8)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def convolution_onnx(channels: int = 3) -> bytes:
    """The same convolution in float: NCHW, with the dequantised weights."""
    weights = (WEIGHTS * WEIGHT_SCALES[:, None, None, None]).transpose(0, 3, 1, 2)[:, :channels]
    bias = BIAS * WEIGHT_SCALES * INPUT_SCALE
    node = onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1])
    graph = onnx.helper.make_graph(
        [node],
        "convolution",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, channels, 6, 5])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 6, 5])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(weights).astype(np.float32), "w"),
            onnx.numpy_helper.from_array(bias.astype(np.float32), "b"),
        ],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("convolution") / "model.tflite"
    path.write_bytes(convolution_model())
    path.with_suffix(".onnx").write_bytes(convolution_onnx())
    return path


MAKERS: dict[str, Callable[[Path], AotRuntime | TflmRuntime | LitertRuntime | OnnxRuntime]] = {
    "aot": AotRuntime,
    "tflm": TflmRuntime,
    "litert": LitertRuntime,
    "onnx": lambda path: OnnxRuntime(path.with_suffix(".onnx"), path),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, 6, 5, 3)).astype(np.int8)


def expected(inputs: np.ndarray) -> np.ndarray:
    """The convolution in double precision, quantised once."""
    real = (inputs.astype(np.float64) - INPUT_ZERO_POINT) * INPUT_SCALE
    padded = np.pad(real, ((0, 0), (1, 1), (1, 1), (0, 0)))
    weights = WEIGHTS * WEIGHT_SCALES[:, None, None, None].astype(np.float64)
    total = np.zeros((*inputs.shape[:3], 4))
    for y in range(3):
        for x in range(3):
            total += np.einsum("nhwc,oc->nhwo", padded[:, y : y + 6, x : x + 5], weights[:, y, x])
    total += BIAS * WEIGHT_SCALES * INPUT_SCALE
    return np.clip(np.round(total / OUTPUT_SCALE) + OUTPUT_ZERO_POINT, -128, 127)


def test_computes_the_convolution(model: Path, name: str) -> None:
    runtime = MAKERS[name](model)
    inputs = images(5)
    outputs = runtime.run(inputs)
    assert runtime.name == name
    assert (outputs.shape, outputs.dtype) == ((5, 6, 5, 4), np.int8)
    difference = np.abs(outputs - expected(inputs))
    assert np.max(difference) <= 1
    assert np.mean(difference) < 0.02
    assert len(np.unique(outputs)) > 100


def test_every_input_stands_alone(model: Path, name: str) -> None:
    runtime = MAKERS[name](model)
    inputs = images(4)
    outputs = runtime.run(inputs)
    np.testing.assert_array_equal(runtime.run(inputs[::-1])[::-1], outputs)
    np.testing.assert_array_equal(runtime.run(inputs[2:3])[0], outputs[2])
    assert runtime.run(inputs[:0]).shape == (0, 6, 5, 4)


@pytest.mark.parametrize(
    "wrong", [images(2).astype(np.float32), images(2).astype(np.uint8), images(2)[..., :2], images(2)[0]]
)
def test_refuses_other_inputs(model: Path, name: str, wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"the model takes int8 of shape \(n, 6, 5, 3\)"):
        MAKERS[name](model).run(wrong)


def test_tflm_and_aot_agree_bit_for_bit_and_know_their_arena(model: Path) -> None:
    golden, aot = TflmRuntime(model), AotRuntime(model)
    inputs = images(50, seed=1)
    np.testing.assert_array_equal(aot.run(inputs), golden.run(inputs))
    # 6x5x3 and 6x5x4, each to a multiple of 16, of which the output lies over most of the input.
    assert aot.arena_bytes is not None
    assert 128 <= aot.arena_bytes < 96 + 128
    assert golden.arena_bytes is not None
    assert golden.arena_bytes > aot.arena_bytes


def test_the_runtimes_agree_on_a_published_model(shared_model: Callable[[str], Path]) -> None:
    path = shared_model("ic_resnet8_int8.tflite")
    inputs = np.random.default_rng(0).integers(-128, 128, (3, 32, 32, 3)).astype(np.int8)
    outputs = TflmRuntime(path).run(inputs)
    np.testing.assert_array_equal(AotRuntime(path).run(inputs), outputs)
    # The reference kernels of LiteRT differ from TFLite Micro by a step at most before the softmax.
    assert np.max(np.abs(LitertRuntime(path).run(inputs).astype(int) - outputs)) <= 4


def test_the_arena_of_tflm_grows_in_silence(
    model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = TflmRuntime(model).run(images(2))
    monkeypatch.setattr(tflm_interpreter, "_FIRST_ARENA_BYTES", 512)
    np.testing.assert_array_equal(TflmRuntime(model).run(images(2)), outputs)
    assert capfd.readouterr().err == ""


def test_tflm_names_the_operator_that_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(convolution_model(schema.BuiltinOperator.GELU))
    with pytest.raises(UnsupportedOpError, match="GELU"):
        TflmRuntime(path)


@pytest.mark.parametrize(
    ("runtime", "module", "package"),
    [
        ("tflm", "tflite_micro.python.tflite_micro", "tflite-micro"),
        ("litert", "ai_edge_litert.interpreter", "ai-edge-litert"),
        ("onnx", "onnxruntime", "onnxruntime"),
    ],
)
def test_a_missing_package_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ToolMissing, match=rf"{package} is not installed: run `.*pip install .*\[bench\]'`"):
        MAKERS[runtime](model)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_missing_or_broken_c_compiler_is_named(model: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(ToolMissing, match=compiler):
        AotRuntime(model)


def test_the_c_compiler_may_have_options(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc -O0 -Wall -Werror")
    assert np.max(np.abs(AotRuntime(model).run(images(2)) - expected(images(2)))) <= 1


@pytest.mark.parametrize("name", ["aot", "tflm", "litert", "onnx"])
def test_every_runtime_refuses_a_damaged_model(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(convolution_model()[:300])
    path.with_suffix(".onnx").write_bytes(convolution_onnx())
    with pytest.raises(ModelError, match="truncated or damaged"):
        MAKERS[name](path)


def test_onnx_refuses_missing_damaged_and_other_models(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no ONNX model"):
        OnnxRuntime(tmp_path / "gone.onnx", model)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(convolution_onnx()[:100])
    with pytest.raises(ModelError, match="refuses"):
        OnnxRuntime(damaged, model)
    other = tmp_path / "other.onnx"
    other.write_bytes(convolution_onnx(channels=2))
    with pytest.raises(ModelError, match="from which the INT8 model was made"):
        OnnxRuntime(other, model)


def test_the_arena_of_tflm_is_less_with_short_pointers():
    model = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
    runtime = TflmRuntime(model)
    tensors, operators = 282, 133  # A TfLiteEvalTensor takes 12 bytes less, a NodeAndRegistration 32.
    assert runtime.arena_bytes - runtime.arena_bytes_32bit == tensors * 12 + operators * 32
