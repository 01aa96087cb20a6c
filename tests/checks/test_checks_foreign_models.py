"""Models from elsewhere with trouble in them: the command says the right sentence about each."""

import json
import re

import foreign_models
import pytest

from tinyedge.cli import main

# Model, exit code, and the sentences: one that is printed for each pattern.
TROUBLE = {
    "float_island": (
        0,
        [r"float32 island .* in operators 1 \(DEQUANTIZE\), 2 \(CEIL\) and 3 \(QUANTIZE\): run the model ahead"],
    ),
    "unsupported_operators": (
        3,
        [
            r"operator 1 \(GELU\), tensor 'z', is not in TFLite Micro: use RELU .* `tinyedge compile`.* \(likewise 3\)",
            r"operator 2 \(FLOOR_MOD\), tensor 'e', is refused by TFLite Micro \(.*INT8.*: replace it",
            r"operator 2 \(FLOOR_MOD\), tensor 'e', has no kernel in tinyedge: replace it",
        ],
    ),
    "channels_first": (
        0,
        [
            r"input 'image' has the shape \[1, 3, 12, 10\], channels first .* convert it to \[1, 12, 10, 3\]",
            r"beside a convolution.* in operators 0 \(TRANSPOSE\) and 2 \(TRANSPOSE\): convert .*onnx2tf",
        ],
    ),
    "per_tensor_weights": (0, [r"one scale for all channels .* in operator 0 \(CONV_2D\): quantise per channel"]),
    "greyscale": (0, [r"input 'image' has 1 channel \[1, 28, 28, 1\]: give it greyscale images"]),
    "two_inputs": (
        0,
        [r"input 'left' \[1, 8, 8, 4\] int8.* input 'right' .* deployed on stm32f405 with tinyedge compile"],
    ),
    "two_outputs": (0, [r"output 'boxes' .* output 'scores' .* deployed on stm32f405 with tinyedge compile"]),
    "dynamic_batch": (0, [r"dynamic batch \[-1, 8, 8, 4\], .* export it with the shape \[1, 8, 8, 4\]"]),
    "dynamic_size": (3, [r"known at run time only \[1, -1, -1, 4\]: export it with a fixed shape"]),
    "batch_of_two": (0, [r"batch of 2 \[2, 8, 8, 4\]: export it with a batch of 1"]),
    "legacy_uint8": (
        3,
        [r"uint8, the quantisation of before 2020, .* in operator 0 \(CONV_2D\): `tinyedge requantise`"],
    ),
    "float_of_uint8_images": (
        3,
        [
            r"float_of_uint8_images.tflite is a float32 model: quantise it",
            r"the model computes in float32",
            r"operator 1 \(CAST\), .*: leave the conversion of uint8 numbers outside the model",
        ],
    ),
    "uint8_input": (0, [r"input 'pixels' is uint8 .* inference_input_type"]),
    "float_interface": (
        0,
        [
            r"input 'pixels' is float32 while .* inference_input_type",
            r"output 'scores' is float32 while",
            "deployed on stm32f405 with tinyedge compile",
        ],
    ),
    "float_model": (0, [r"the model computes in float32, .* representative data set"]),
    "hybrid": (
        3,
        [
            r"hybrid.tflite has int8 weights and float32 activations: .* representative data set",
            r"float activations with int8 weights .* in operator 0 \(CONV_2D\): quantise the activations",
        ],
    ),
    "float16_weights": (3, [r"float16 weights .* in operator 0 \(DEQUANTIZE\): quantise to int8"]),
    "int16_activations": (0, [r"int16 activations .* in operator 0 \(CONV_2D\)"]),
    "flex_operator": (3, [r"need TensorFlow itself, in operator 1 \(FlexErf\): .* without SELECT_TF_OPS"]),
    "custom_operator": (3, [r"custom operators, .* in operator 0 \(MyNonMaxSuppression\)"]),
    "int64_indices": (3, [r"int64 tensors, .* in operator 0 \(ARG_MAX\): cast", r"got INT64.*output_type=tf.int32"]),
    "odd_channels": (0, [r"no multiple of 4, .* in operator 1 \(CONV_2D\): round the widths"]),
    "uneven_depthwise": (0, [r"largest is 100 times the median in operator 0.*: equalise the channels"]),
    "many_moves": (0, [r"3 TRANSPOSE operators move 1,536 bytes and compute nothing: keep one layout"]),
    "dilated_by_blocks": (
        0,
        [r"TFLite Micro takes memory .* in operator 0 \(SPACE_TO_BATCH_ND\): run the model ahead"],
    ),
    "no_channel_multiplier": (0, [r"depth_multiplier is 0, .* in operator 0 \(DEPTHWISE_CONV_2D\): run the model"]),
    "narrow_biases": (0, [r"int32 biases without .* LiteRT reads as int64, in operator 1 \(CONV_2D\): run the model"]),
    "for_an_accelerator": (3, [r"operator 0 \(ethos-u\), .* give the file from before Arm's Vela"]),
    "version_from_the_future": (0, [r"operator 0 \(TANH\), .* has version 99, which is newer than the .* LiteRT"]),
    "int4_weights": (0, []),
    "second_subgraph": (
        3,
        [r"the model has 2 subgraphs, as several signatures make, and the first is run: export one signature"],
    ),
    "branches": (3, [r"the model has 3 subgraphs, .* in operator 0 \(IF\): export the network without control flow"]),
    "stateful": (0, [r"deployed on stm32f405 with tinyedge compile"]),
    "streaming": (0, [r"the model keeps variables, .* frame after frame"]),
    "lstm": (0, [r"the model keeps the states of its LSTMs from one inference to the next"]),
    "svdf": (0, [r"the model keeps the activations of its SVDF layers from one inference to the next"]),
    "uint8_reshaped": (0, [r"input 'pixels' is uint8 around an int8 network"]),
    "layer_norm": (0, [r"float32 island .* 3 \(RSQRT\).*: run the model|replace what has no"]),
    "shifted_operands": (
        0,
        [r"LiteRT's default kernels \(XNNPACK, .* in operator 0 \(BATCH_MATMUL\): .*BUILTIN_REF"],
    ),
    "padded_constant": (0, [r"constants with 5 bytes more .* in operator 0 \(CONV_2D\): if that padding"]),
    "uint8_output": (0, [r"output 'level' is uint8 around an int8 network.* inference_output_type.* --quantised-ends"]),
    "too_many_weights": (3, [r"has 1,200,000 parameters and the budget is under 1,000,000"]),
    "too_much_flash": (3, [r"of flash and stm32f405 has 1,048,576 \(the most goes to operator 0, CONV_2D 'y'"]),
    "too_much_ram": (3, [r"of RAM and stm32f405 has 131,072 \(the most goes to operator 0, TANH 'y': 80,000\)"]),
}


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    """Run `tinyedge check` on a model; returns its exit code and all that it printed, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(content: bytes, *options: str, name: str = "model.tflite") -> tuple[int, str]:
        (tmp_path / name).write_bytes(content)
        monkeypatch.setattr("sys.argv", ["tinyedge", "check", name, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert len(captured.err.strip().splitlines()) == (ended.value.code != 0)
        return int(ended.value.code or 0), " ".join((captured.out + captured.err).split())

    return run


@pytest.mark.parametrize("name", TROUBLE)
def test_says_the_trouble_and_the_hint(check, name):
    exit_code, sentences = TROUBLE[name]
    code, said = check(getattr(foreign_models, name)(), "--board", "stm32f405", name=f"{name}.tflite")
    for sentence in sentences:
        assert re.search(sentence, said), said
    assert code == exit_code, said


def test_says_nothing_against_a_clean_model(check):
    code, said = check(foreign_models.clean())
    assert code == 0
    assert "warning" not in said
    for board in ("mps2_an386", "mps2_an500", "stm32f405"):
        assert f"can be deployed on {board} with tinyedge compile or TFLite Micro" in said


def test_says_nothing_against_the_floats_of_detections(check):
    code, said = check(foreign_models.detections(), "--board", "stm32f405")
    assert code == 0
    assert "can be deployed on stm32f405 with tinyedge compile" in said
    assert "float32 while" not in said
    assert "custom operators" not in said


def test_a_model_fits_one_board_and_not_another(check):
    model = foreign_models.too_much_ram()
    code, said = check(model)
    assert code == 0
    assert "can be deployed on mps2_an386" in said
    assert "can be deployed on stm32f405" not in said
    assert check(model, "--board", "stm32f405")[0] == 3


@pytest.mark.parametrize("content", [b"", b"not a model", foreign_models.clean()[:400]], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_a_mistake(check, content):
    code, said = check(content)
    assert code == 2
    assert "model.tflite" in said


def test_json_says_the_same(check):
    code, said = check(foreign_models.unsupported_operators(), "--json", "--board", "stm32f405")
    report = json.loads(said[: said.rindex("}") + 1])
    assert code == 3
    assert report["schema"] == 1
    assert report["deployments"] == []
    refused = {verdict["runtime"]: [r["operator"] for r in verdict["diagnostics"]] for verdict in report["runtimes"]}
    assert refused == {"aot": [2], "tflm": [1, 2, 3], "litert": [2]}
    gelu = next(row for row in report["operators"] if row["op"] == "GELU")
    assert (gelu["count"], gelu["refused"]) == (2, {"aot": 0, "tflm": 2, "litert": 0})
    assert [layer["op"] for layer in report["layers"]] == ["CONV_2D", "GELU", "FLOOR_MOD", "GELU"]
    assert report["layers"][0]["macs"] == 8 * 8 * 4 * 3 * 3 * 4
    assert report["layers"][0]["parameters"] == 4 * 3 * 3 * 4 + 4
    assert {budget["board"] for budget in report["budgets"]} == {"stm32f405"}
