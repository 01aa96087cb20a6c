"""What a user's mistakes give: one sentence on standard error, exit code 2, and nothing half-written."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator

from tinyedge.cli import main


def fully_connected(inputs: int, outputs: int) -> bytes:
    generator = np.random.default_rng(0)
    weights = generator.integers(-127, 128, (outputs, inputs), dtype=np.int8)
    return one_operator(
        "FULLY_CONNECTED",
        [TensorSpec((1, inputs), 0.5, 3), constant(weights, 0.01), constant(np.zeros(outputs, np.int32), 0.005)],
        TensorSpec((1, outputs), 0.7, -5),
    )


def float_model() -> bytes:
    return one_operator("RELU", [TensorSpec((1, 4), dtype=np.float32)], TensorSpec((1, 4), dtype=np.float32))


def unknown_operator() -> bytes:
    return one_operator("FLOOR_MOD", [TensorSpec((1, 4), 0.5, name="x")] * 2, TensorSpec((1, 4), 0.5, name="rest"))


@pytest.fixture
def tinyedge(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; returns the message of the mistake and checks the folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        before = _everything(tmp_path)
        monkeypatch.setattr("sys.argv", ["tinyedge", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        *steps, said = capsys.readouterr().err.strip().splitlines() or [""]
        assert all(step.endswith(" s") for step in steps)  # what a long command told of its progress before
        assert ended.value.code == 2, said
        assert _everything(tmp_path) == before
        assert "Traceback" not in said
        assert said.startswith("error: ")
        return said

    return run


def _everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


MODEL_COMMANDS = [
    ("compile", "m.tflite", "--out", "c"),
    ("build", "m.tflite", "--out", "firmware"),
    ("bench", "m.tflite"),
    ("bench", "m.tflite", "--target", "emulator", "--json"),
]


@pytest.mark.parametrize("command", MODEL_COMMANDS, ids=" ".join)
def test_a_missing_file(tinyedge, command):
    assert "m.tflite" in tinyedge(*command)


@pytest.mark.parametrize("command", MODEL_COMMANDS, ids=" ".join)
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_model(tinyedge, tmp_path, command, keep):
    model = fully_connected(8, 16)
    (tmp_path / "m.tflite").write_bytes(model[: int(len(model) * keep)])
    assert "m.tflite" in tinyedge(*command)


@pytest.mark.parametrize("command", MODEL_COMMANDS, ids=" ".join)
def test_a_float_model(tinyedge, tmp_path, command):
    (tmp_path / "m.tflite").write_bytes(float_model())
    assert "float32" in tinyedge(*command)


@pytest.mark.parametrize("command", MODEL_COMMANDS, ids=" ".join)
def test_an_unknown_operator(tinyedge, tmp_path, command):
    (tmp_path / "m.tflite").write_bytes(unknown_operator())
    said = tinyedge(*command)
    assert "FLOOR_MOD" in said
    assert "rest" in said
    assert "CONV_2D" in said


@pytest.mark.parametrize("command", [MODEL_COMMANDS[1], MODEL_COMMANDS[3]], ids=" ".join)
def test_a_model_too_large_for_the_board(tinyedge, tmp_path, command):
    (tmp_path / "m.tflite").write_bytes(fully_connected(1024, 1100))
    said = tinyedge(*command)
    assert "flash" in said.lower()
    assert "1,048,576" in said or "1048576" in said


def test_a_model_with_too_much_ram_for_the_board(tinyedge, tmp_path):
    shape = (1, 256, 256, 2)
    (tmp_path / "m.tflite").write_bytes(
        one_operator("TANH", [TensorSpec(shape, 0.05, 0)], TensorSpec(shape, 1 / 128, 0))
    )
    said = tinyedge("build", "m.tflite", "--out", "firmware")
    assert "RAM" in said
    assert "131,072" in said or "131072" in said


@pytest.mark.parametrize("command", [MODEL_COMMANDS[1], MODEL_COMMANDS[3]], ids=" ".join)
def test_a_missing_cross_compiler(tinyedge, tmp_path, monkeypatch, command):
    (tmp_path / "m.tflite").write_bytes(fully_connected(8, 16))
    monkeypatch.setenv("PATH", os.devnull)
    said = tinyedge(*command)
    assert "arm-none-eabi-gcc" in said
    assert "apt-get install" in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("bench", "m.tflite", "--target", "moon"), "--target"),
        (("bench", "m.tflite", "--target", "board", "--port", "/dev/ttyNONE9"), "no such port"),
        (("flash", "m.tflite"), "tinyedge build"),
        (("flash", "m.tflite", "--serve"), "--emulator"),
        (("flash", "m.tflite", "--emulator", "--tool", "openocd"), "--tool"),
        (("bench", "m.tflite", "--board", "stm32f406"), "stm32f405"),
        (("bench", "m.tflite", "--runtime", "tvm"), "tvm"),
        (("bench", "m.tflite", "--layers"), "--target emulator"),
        (("bench", "m.tflite", "--runtime", "onnx"), "model.onnx"),
        (("bench", "m.tflite", "--target", "emulator", "--runtime", "litert"), "aot"),
        (("bench", "m.tflite", "--runtime", "all", "--outputs", "y.npy"), "--runtime"),
        (("bench", "m.tflite", "--input", "x.npy"), "x.npy"),
        (("build", "m.tflite", "--board", "stm32f406"), "stm32f405"),
        (("build", "m.tflite", "--runtime", "litert"), "aot"),
        (("compile", "gone.tflite", "--out", "c", "--layout", "bazel"), "no such layout: bazel"),
        (("compile", "gone.tflite", "--out", "c", "--name", "Ic"), "cannot be called 'Ic'"),
        (("check",), "MODEL.tflite"),
        (("check", "gone.tflite"), "gone.tflite"),
        (("check", "m.tflite", "--board", "stm32f406"), "stm32f405"),
        (("check", "m.tflite", "--encoder", "tinynext_t"), "one"),
        (("check", "m.tflite", "--strides", "1,2"), "--encoder"),
        (("check", "--encoder", "tinynext"), "tinynext_t"),
        (("check", "--encoder", "tinynext_t", "--strides", "two"), "--strides two is no list of whole numbers"),
        (("train", "--out", "run", "--strides", "a,b"), "--strides a,b is no list of whole numbers: write --strides 2"),
        (("train", "--out", "run", "--devices", "two"), "devices is 'two', but takes a whole number or auto"),
        (("train", "--out", "run", "--epochs", "0"), "epochs is 0, but has to be at least 1; give 1 or more"),
        (
            ("train", "--out", "run", "--epochs", "abc"),
            "--epochs abc does not fit: it has to be a whole number; `tinyed",
        ),
        (("train", "--out", "run", "--lr=1 e"), "--lr '1 e' does not fit: it has to be a number; `tinyedge train --he"),
        (("bench", "m.tflite", "--inputs", "0"), "--inputs 0 does not fit: it has to be greater than or equal to 1"),
        (("train", "--outt", "run"), "No such option: --outt"),
        (("compile", "m.tflite"), "--out"),
        (("bnech", "m.tflite"), "bench"),
        (("train", "--out", "run", "--lr", "0"), "greater than 0; give a number above 0"),
        (("probe", "run", "--stages", "3;4"), "--stages '3;4' is no list of whole numbers: write --stages 1,2,3,4"),
        (("check", "--encoder", "tinynext_t", "--strides", "1,2"), "5 values"),
        (("check", "--encoder", "tinynext_t", "--act", "swish"), "relu"),
        (("check", "--encoder", "tinynext_t", "--input", "4"), "8 pixels"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_option_that_does_not_fit(tinyedge, tmp_path, arguments, word):
    (tmp_path / "m.tflite").write_bytes(fully_connected(8, 16))
    assert word in tinyedge(*arguments)


def test_a_folder_without_images(tinyedge, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    assert "empty" in tinyedge("train", "--data", "empty", "--epochs", "1", "--out", "run")


def test_a_data_set_that_is_neither_name_nor_folder(tinyedge):
    assert "cifar10" in tinyedge("train", "--data", "cifar01", "--epochs", "1", "--out", "run")


def test_a_corrupt_checkpoint(tinyedge, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(
        "method: random\nencoder: tinynext_t\ndata: digits\nimage_size: 32\nstrides: [2, 1, 2, 2, 2]\n"
    )
    (run / "encoder.safetensors").write_bytes(b"not weights")
    for arguments in (("probe", "run"), ("export", "run", "--encoder-only")):
        said = tinyedge(*arguments)
        assert "encoder.safetensors" in said
        assert "corrupt" in said


@pytest.mark.parametrize("command", ["probe", "export", "build", "flash", "bench"])
def test_a_run_that_does_not_exist(tinyedge, command):
    assert "runs/none" in tinyedge(command, "runs/none")


@pytest.mark.parametrize("content", [b"", b"no array", fully_connected(8, 16), b"PK\x03\x04"])
def test_calibration_images_that_are_no_array(tinyedge, tmp_path, content):
    (tmp_path / "m.tflite").write_bytes(float_model())
    (tmp_path / "images.npy").write_bytes(content)
    assert "images.npy" in tinyedge("quantise", "m.tflite", "--images", "images.npy")
    np.save(tmp_path / "images.npy", np.array(["a", "b"]))
    assert "<U1" in tinyedge("quantise", "m.tflite", "--images", "images.npy")


QUANTISE_MISTAKES = [
    (("none.onnx",), "none.onnx does not exist"),
    (("m.pt",), "torch.onnx.export"),
    (("m.keras",), "from_keras_model"),
    (("m.tflite",), "--calibration"),
    (("m.tflite", "--calibration", "64"), "--calibration-count 64"),
    (("m.tflite", "--calibration", "x.npy", "--images", "x.npy"), "its old name"),
    (("m.tflite", "--calibration", "x.npy", "--precision", "int4"), "no such precision: int4"),
    (("m.tflite", "--calibration", "x.npy", "--qat", "1", "--precision", "16x8"), "--qat 1 does not fit"),
    (("m.tflite", "--calibration", "x.npy", "--mean", "123.7"), "--mean 123.7 is beyond 1"),
    (("m.tflite", "--calibration", "x.npy", "--calibration-count", "4"), "--calibration-count 16"),
    (("m.tflite", "--calibration", "x.npy", "--input-shape", "image=1,3"), "NAME:1,3,224,224"),
    (("m.tflite", "--calibration", "x.npy", "--min-cosine", "2"), "--min-cosine 2"),
    (("m.tflite", "--calibration", "x.npy", "--out", "m"), "--out"),
    (("m.tflite", "--calibration", "x.npy", "--out", "notes.tflite"), "notes.json would be overwritten"),
    (("m.tflite", "--calibration", "x.npy", "--classes", "none.txt"), "none.txt cannot be read"),
    (("m.tflite", "--calibration", "few.npy"), "15 samples, too few"),
    (("m.tflite", "--calibration", "none.npy"), "none.npy does not exist"),
    (("empty", "--calibration", "x.npy"), "empty is no run"),
]


@pytest.mark.parametrize(("arguments", "said"), QUANTISE_MISTAKES, ids=lambda value: str(value)[:40])
def test_quantise_answers_before_it_reads_the_model(tinyedge, tmp_path, arguments, said):
    for name in ("m.pt", "m.keras", "m.tflite"):
        (tmp_path / name).write_bytes(b"never read")
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "x.npy", np.zeros((32, 4), np.float32))
    np.save(tmp_path / "few.npy", np.zeros((15, 4), np.float32))
    assert said in tinyedge("quantise", *arguments)
    assert (tmp_path / "notes.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("name", ["m.tflite", "M.TFLITE"])
@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((32, 7), (), "is (32, 7) and input"),
        ((32, 2, 2, 3), (), "give samples of that shape"),
        (None, (), "no image of 1 or 3 channels"),
        ((32, 4), ("--mean", "imagenet"), "--mean and --std are of pixels"),
    ],
)
def test_quantise_refuses_samples_that_fit_no_input_before_it_loads_anything(
    tinyedge, tmp_path, name, shape, options, said
):
    (tmp_path / name).write_bytes(float_model())
    if shape is None:
        (tmp_path / "photos").mkdir()
        for at in range(16):
            (tmp_path / "photos" / f"{at}.png").write_bytes(b"not opened")
    else:
        np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
    assert said in tinyedge("quantise", name, "--calibration", "photos" if shape is None else "x.npy", *options)


@pytest.mark.parametrize("beside", [None, {"kind": "quantised network", "file": {"sha256": "0" * 64, "bytes": 4}}])
@pytest.mark.parametrize("out", [(), ("--out", "m.tflite")], ids=["unnamed", "the float model itself"])
def test_quantise_replaces_no_model_but_its_own(tinyedge, tmp_path, out, beside):
    files = [tmp_path / "m.tflite", tmp_path / "m_int8.tflite"]
    np.save(tmp_path / "images.npy", np.zeros((32, 4), np.float32))
    for file in files:
        file.write_bytes(b"mine")
        if beside is not None:  # Of a model that another one has replaced.
            file.with_suffix(".json").write_text(json.dumps(beside), encoding="utf-8")
    assert "tinyedge did not write it" in tinyedge("quantise", "m.tflite", "--images", "images.npy", *out)
    assert [file.read_bytes() for file in files] == [b"mine", b"mine"]


@pytest.mark.parametrize(("option", "word"), [("--target", "emulator"), ("--runtime", "tflm")])
def test_bench_refuses_what_there_is_not_before_it_reads_the_model(tinyedge, tmp_path, option, word):
    (tmp_path / "m.tflite").write_bytes(b"never read")
    assert word in tinyedge("bench", "m.tflite", option, "moon")


WRITING = [
    ("train", "--data", "digits", "--out"),
    ("compile", "m.tflite", "--out"),
    ("compile", "m.tflite", "--out", "c", "--plan"),
    ("build", "m.tflite", "--out"),
    ("bench", "m.tflite", "--runtime", "aot", "--outputs"),
    ("quantise", "m.tflite", "--images", "mine", "--out"),
    ("demo", "--out"),
]


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_result_that_cannot_be_written_is_refused_before_the_model_is_read(tinyedge, tmp_path, command):
    (tmp_path / "m.tflite").write_bytes(b"never read")
    (tmp_path / "mine").write_bytes(b"mine")
    said = tinyedge(*command, "mine/deeper/there")
    assert f"{tmp_path / 'mine'} is a file" in said
    assert "mine/deeper" in said
    assert command[-1] in said
    assert "cannot write to /proc/" in tinyedge(*command, "/proc/tinyedge/there")
    takes_file = command[-1] in ("--plan", "--outputs") or command[0] == "quantise"
    assert " is a " + ("folder: " if takes_file else "file: ") in tinyedge(*command, "." if takes_file else "mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"
