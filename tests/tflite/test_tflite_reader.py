"""The reader: what it gives, and one sentence for everything that it cannot take."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.errors import ModelError, TinyEdgeError
from tinyedge.tflite.reader import read_tflite


def small_model() -> bytes:
    """CONV_2D -> RESHAPE -> FULLY_CONNECTED -> SOFTMAX."""
    rng = np.random.default_rng(0)
    image = TensorSpec((1, 5, 4, 3), 0.5, -3, name="image")
    weights = constant(rng.integers(-127, 128, (2, 3, 3, 3)).astype(np.int8), [0.01, 0.02])
    bias = constant(np.array([100, -100], dtype=np.int32), [0.005, 0.01])
    features = TensorSpec((1, 3, 2, 2), 0.3, 4, name="features")
    flat = TensorSpec((1, 12), 0.3, 4, name="flat")
    shape = constant(np.array([1, 12], dtype=np.int32))
    dense = constant(rng.integers(-127, 128, (5, 12)).astype(np.int8), 0.03)
    logits = TensorSpec((1, 5), 0.7, 1, name="logits")
    scores = TensorSpec((1, 5), 1 / 256, -128, name="scores")
    conv = {"padding": "VALID", "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    return build_model(
        [
            OperatorSpec("CONV_2D", [image, weights, bias], features, {**conv, "fusedActivationFunction": "RELU6"}, 3),
            OperatorSpec("RESHAPE", [features, shape], flat),
            OperatorSpec("FULLY_CONNECTED", [flat, dense, None], logits),
            OperatorSpec("SOFTMAX", [logits], scores, {"beta": 1.0}),
        ],
        [image],
        [scores],
    )


def changed(change: Callable[[Any], None]) -> bytes:
    """The small model after a change of its object tree."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(small_model(), 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def test_reads_operators_tensors_and_options(tmp_path: Path) -> None:
    graph = read_tflite(write(tmp_path, small_model()))
    assert graph.name == "model"
    assert len(graph.sha256) == 64
    assert [operator.op for operator in graph.operators] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    conv, reshape, dense, softmax = graph.operators
    assert conv.version == 3
    assert conv.options["padding"] == "VALID"
    assert conv.options["fused_activation_function"] == "RELU6"
    assert conv.options["stride_h"] == conv.options["dilation_w_factor"] == 1
    assert softmax.options == {"beta": 1.0}
    assert dense.inputs[2] is None
    assert reshape.inputs[0] is conv.output
    image, weights, bias = conv.inputs
    assert graph.inputs == (image,)
    assert graph.outputs == (softmax.output,)
    assert image is not None
    assert not image.is_constant
    assert (image.name, image.shape, image.dtype) == ("image", (1, 5, 4, 3), np.int8)
    assert image.quantisation is not None
    assert (image.quantisation.scale, image.quantisation.zero_point) == (0.5, -3)
    assert weights is not None
    assert weights.quantisation is not None
    assert weights.data is not None
    np.testing.assert_array_equal(weights.quantisation.scales, np.array([0.01, 0.02], dtype=np.float32))
    expected = np.random.default_rng(0).integers(-127, 128, (2, 3, 3, 3))
    np.testing.assert_array_equal(weights.data, expected)
    assert bias is not None
    assert bias.data is not None
    assert bias.data.tolist() == [100, -100]
    assert bias.dtype == np.int32


def test_old_files_hold_the_operator_in_the_deprecated_field(tmp_path: Path) -> None:
    def age(model: Any) -> None:
        for code in model.operatorCodes:
            code.builtinCode = 0

    graph = read_tflite(write(tmp_path, changed(age)))
    assert graph.histogram() == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "RESHAPE": 1, "SOFTMAX": 1}


def test_custom_operators_keep_their_name(tmp_path: Path) -> None:
    def flex(model: Any) -> None:
        model.operatorCodes[3].builtinCode = model.operatorCodes[3].deprecatedBuiltinCode = 32
        model.operatorCodes[3].customCode = b"FlexErf"

    assert read_tflite(write(tmp_path, changed(flex))).operators[3].op == "FlexErf"


def test_a_batch_of_unknown_size_is_read_as_one(tmp_path: Path) -> None:
    def unknown_batch(model: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 5, 4, 3]

    assert read_tflite(write(tmp_path, changed(unknown_batch))).inputs[0].shape == (1, 5, 4, 3)


def _set(field: str, value: Any, tensor: int = 0) -> Callable[[Any], None]:
    return lambda model: setattr(model.subgraphs[0].tensors[tensor], field, value)


def _set_quantisation(field: str, value: Any, tensor: int = 0) -> Callable[[Any], None]:
    return lambda model: setattr(model.subgraphs[0].tensors[tensor].quantization, field, value)


def _all_float(model: Any) -> None:
    for tensor in model.subgraphs[0].tensors:
        tensor.type = schema.TensorType.FLOAT32
        tensor.quantization = None
        tensor.buffer = 0
        tensor.shape = [1, 1]


def _all_uint8(model: Any) -> None:
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            tensor.type = schema.TensorType.UINT8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_all_float, "is a float32 model: quantise it with `tinyedge quantise`, or convert the network again with"),
        (_set("type", schema.TensorType.UINT8), r"operator 0 \(CONV_2D\) of .* reads the uint8 tensor 'image'"),
        (_set("type", schema.TensorType.INT16), "int16 tensor 'image' .* has the zero point -3"),
        (_set("type", schema.TensorType.FLOAT32), r"operator 0 \(CONV_2D\) of .* reads the float32 tensor 'image'"),
        (_set("type", schema.TensorType.FLOAT32, 8), r"operator 3 \(SOFTMAX\) of .* makes the float32 tensor 'scores'"),
        (
            _set("type", schema.TensorType.FLOAT32, 3),
            r"operator 0 \(CONV_2D\) of .* makes the float32 tensor 'features'",
        ),
        (_set("type", schema.TensorType.INT4), "tensor 'image' .* is INT4"),
        (_set("type", 99), "tensor 'image' .* is type 99"),
        (
            _all_uint8,
            "is quantised to uint8, as converters did before 2020.* run `tinyedge requantise .*`, which makes int8",
        ),
        (_set("isVariable", True), "an input of the model, keeps its value"),
        (_set("shape", [1, -1, 4, 3]), r"dynamic shape \[1, -1, 4, 3\]"),
        (_set("shapeSignature", [1, -1, 4, 3]), r"dynamic shape \[1, -1, 4, 3\]"),
        (_set("shape", [1, 0, 4, 3]), "damaged"),
        (_set("shape", [1, 0], 7), "damaged"),
        (_set("shape", [2**30, 2**30, 4, 3]), "damaged"),
        (_set("shape", [3, 3, 3, 3], 1), "has 54 bytes"),
        (_set("buffer", 77), "unknown buffer 77"),
        (_set("buffer", 1), "damaged"),
        (_set("quantization", None), "int8 tensor 'image' .* has no scale"),
        (_set_quantisation("scale", [0.0]), "not positive"),
        (_set_quantisation("scale", [float("nan")]), "not positive"),
        (_set_quantisation("scale", [0.1, 0.2]), "has 2 scales"),
        (_set_quantisation("zeroPoint", [200]), "zero point outside"),
        (_set_quantisation("zeroPoint", [2**40]), "out of range"),
        (lambda model: model.subgraphs.append(copy.deepcopy(model.subgraphs[0])), "has 2 subgraphs"),
        (lambda model: setattr(model, "subgraphs", []), "it has no subgraph"),
        (lambda model: setattr(model.subgraphs[0], "inputs", []), "no inputs or no outputs"),
        (lambda model: setattr(model.subgraphs[0], "outputs", [99]), "there is no tensor 99"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "opcodeIndex", 9), "unknown code 9"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "inputs", [0, 500]), "there is no tensor 500"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "outputs", []), "has no output"),
        (lambda model: model.subgraphs[0].operators.reverse(), "before it is written"),
        (lambda model: model.subgraphs[0].operators.append(model.subgraphs[0].operators[0]), "again"),
        (lambda model: setattr(model.operatorCodes[0], "builtinCode", 9999), "unknown builtin code 9999"),
        (lambda model: setattr(model.subgraphs[0].operators[0].builtinOptions, "padding", 7), "damaged"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    path = write(tmp_path, changed(change))
    with pytest.raises(ModelError, match=message) as caught:
        read_tflite(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quantisation", [{"quantizedDimension": 3}, {"scale": [0.0, 0.1]}])
def test_takes_biases_as_converters_of_2020_wrote_them(tmp_path: Path, quantisation: dict[str, Any]) -> None:
    def change(model: Any) -> None:
        bias = model.subgraphs[0].tensors[2]
        assert bias.type == schema.TensorType.INT32
        bias.quantization = schema.QuantizationParametersT()
        bias.quantization.scale, bias.quantization.zeroPoint = [0.1, 0.2], [0, 0]
        for name, value in quantisation.items():
            setattr(bias.quantization, name, value)

    bias = read_tflite(write(tmp_path, changed(change))).operators[0].input(2)
    assert bias.q.axis == 0
    assert bias.q.scales == pytest.approx(quantisation.get("scale", [0.1, 0.2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"TFL3", "is not a TFLite model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a TFLite model"),
        (b"\x1c\0\0\0TFL3", "truncated or damaged"),
        (b"\xff\xff\xff\xffTFL3" + bytes(64), "truncated or damaged"),
    ],
)
def test_refuses_files_that_are_no_models(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_tflite(write(tmp_path, content))


def test_an_onnx_file_is_sent_to_quantise(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\x07pytorch" + bytes(40))
    with pytest.raises(ModelError, match=r"is an ONNX file: run `tinyedge quantise .*net\.onnx --calibration FOLDER`"):
        read_tflite(tmp_path / "net.onnx")


def test_refuses_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model at .*gone\.tflite"):
        read_tflite(tmp_path / "gone.tflite")
    with pytest.raises(ModelError, match="cannot read the model"):
        read_tflite(tmp_path)


def read_or_refuse(path: Path, content: bytes) -> bool:
    """Whether a damaged model was read; anything but a graph or a TinyEdgeError fails the test."""
    path.write_bytes(content)
    try:
        read_tflite(path)
    except TinyEdgeError as error:
        message = str(error)
    else:
        return True
    assert "\n" not in message
    return False


def test_survives_truncation_at_every_length(tmp_path: Path) -> None:
    content = small_model()
    path = tmp_path / "model.tflite"
    assert read_or_refuse(path, content)
    assert not any(read_or_refuse(path, content[:length]) for length in range(0, len(content) * 3 // 4))
    for length in range(len(content) * 3 // 4, len(content)):
        read_or_refuse(path, content[:length])


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3))])
def test_survives_flipped_bytes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    content = small_model()
    path = tmp_path / "model.tflite"
    refused = 0
    for _ in range(600):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        refused += not read_or_refuse(path, bytes(damaged))
    assert 60 < refused < 600


def test_survives_damage_to_a_real_model(tmp_path: Path, shared_model: Callable[[str], Path]) -> None:
    rng = random.Random(0)
    content = shared_model("ic_resnet8_int8.tflite").read_bytes()
    path = tmp_path / "model.tflite"
    # The tables lie at the end of this file and the weights before them.
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content) - 12_000, len(content))] ^= 1 << rng.randrange(8)
        read_or_refuse(path, bytes(damaged))
    for _ in range(100):
        read_or_refuse(path, content[: rng.randrange(len(content))])
