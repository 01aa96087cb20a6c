"""The zoo: every entry that can be exported again is a run of its own, small and whole."""

import hashlib
import json
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tinyedge.ssl.registry import former_options, method_options
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.training.config import TrainConfig, load_config
from tinyedge.training.encoder_file import encoder_digest
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, METRICS_FILE, load_run
from tinyedge.training.teacher_source import PACKAGED, is_dictionary, named_source

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
TINYNEXT_T = MODELS / "tinynext_t_cifar10" / "model_int8.tflite"
ENTRIES = sorted(path.parent for path in MODELS.glob(f"*/{CONFIG_FILE}"))


@pytest.fixture(scope="module")
def publish(benchmark_script):
    return benchmark_script("publish_model")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_is_a_run(entry):
    encoder = load_run(entry).load_encoder()
    images = torch.zeros(2, 3, encoder.input_size, encoder.input_size)
    assert torch.isfinite(encoder(images)).all()
    probed = {record["encoder_sha256"] for record in json.loads((entry / "probe.json").read_text())}
    assert probed == {encoder_digest(encoder)}  # So what was recorded of an encoder stays of it.
    assert not Path(load_run(entry).config.data).is_absolute()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_holds_the_files_that_its_figures_are_of(entry):
    metrics = json.loads((entry / "metrics.json").read_text())
    assert ENCODER_FILE in metrics["sha256"]
    for name, digest in metrics["sha256"].items():
        assert hashlib.sha256((entry / name).read_bytes()).hexdigest() == digest
    assert all(path.stat().st_size <= 2_000_000 for path in entry.iterdir())
    assert (entry / "card.md").is_file()


def test_tinynext_t_is_safe_for_a_microcontroller():
    graph = read_any_tflite(TINYNEXT_T)
    operators = graph.histogram()
    assert set(operators) <= {
        *("ADD", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "MUL", "PAD", "RESHAPE"),
        *("SOFTMAX", "TRANSPOSE"),
    }  # So there is no FLEX, GELU, HARD_SWISH, RELU_0_TO_1, POW, QUANTIZE and no float island.
    assert operators.get("TRANSPOSE", 0) <= 2
    assert operators["RESHAPE"] <= 14
    # One before each convolution that steps by two, for PyTorch pads both sides and SAME one.
    assert operators["PAD"] <= 4
    activations = {tensor for operator in graph.operators for tensor in operator.outputs}
    assert {tensor.dtype.name for tensor in (*graph.inputs, *activations)} == {"int8"}


def test_tinynext_t_is_little_more_than_its_parameters():
    layers = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    weights: dict = {}
    for operator in read_any_tflite(TINYNEXT_T).operators:
        if operator.op in layers:
            weights.update(dict.fromkeys(tensor for tensor in operator.inputs[1:] if tensor is not None))
    parameters = sum(tensor.elements for tensor in weights)
    assert parameters > 750_000
    assert all(tensor.dtype == np.int8 for tensor in weights if tensor.data.ndim > 1)
    assert TINYNEXT_T.stat().st_size <= 1.15 * parameters  # A byte each.


@pytest.mark.parametrize(
    ("teacher", "published"),
    [
        (None, None),
        ("/x/runs/best", "best"),
        ("/x/runs/a,/y/runs/b", "a,b"),
        ("/x/lr=0.1/a", "a"),
        ("dino_vits16=/w/dino.pth", "dino_vits16"),
        ("timm:vit_tiny_patch16_224=/w/tiny.safetensors,/x/a", "timm:vit_tiny_patch16_224,a"),
        ("dino_vits16", "dino_vits16"),
    ],
)
def test_a_published_configuration_names_each_teacher_and_no_folder(publish, teacher, published):
    config = publish.portable(TrainConfig(data="/images/cifar10", data_root="/images", teacher=teacher))
    assert (config.data, config.data_root, config.teacher) == ("cifar10", None, published)


def test_a_card_says_that_a_time_is_unknown(publish):
    metrics = json.loads((TINYNEXT_T.parent / "metrics.json").read_text())
    assert "| took | 6,388 s |" in publish.card("tinynext_t_cifar10", metrics)
    metrics["training"][-1]["seconds"] = None
    assert "| took | unknown |" in publish.card("tinynext_t_cifar10", metrics)


def test_a_card_says_what_a_training_took_of_processors(publish, tmp_path):
    run = write_run(tmp_path / "run", 10.4, method="vicreg")
    (tmp_path / "run" / METRICS_FILE).write_text('{"step": 1, "elapsed_s": 2345.1, "cpu_s": 1234.5}\n')
    (step,) = publish.trainings(Path(run))
    metrics = json.loads((TINYNEXT_T.parent / "metrics.json").read_text())
    card = publish.card("x", {**metrics, "training": [step.to_dict()]})
    assert "| took | 2,345 s, 1,234 core-seconds |" in card


def reproduction(card):
    """Return the commands under "To reproduce:", each as its words and its options."""
    block = card.split("To reproduce:")[1].split("Every figure")[0]
    commands = [shlex.split(line) for line in block.splitlines() if line.strip()]
    return [(words, dict(pairwise(words))) for words in commands]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_the_commands_of_a_card_need_nothing_but_the_images(entry):
    *trainings, (publishing, options) = reproduction((entry / "card.md").read_text())
    trained = set()
    for words, given in trainings:
        assert words[:2] == ["tinyedge", "train"]
        config = load_config(ROOT / given["--config"])
        # What a method can choose since then is what it was.
        chosen = {**former_options(config.method, config.method_options), **config.method_options}
        assert method_options(config.method, config.method_options) == chosen
        assert (config.teacher is None) == ("--teacher" not in given), f"{given['--config']} needs another teacher"
        teachers = {part for part in given.get("--teacher", "").split(",") if part}
        assert {part for part in teachers if part not in PACKAGED and not is_dictionary(part)} <= trained
        assert (config.from_run is None) == ("--from" not in given), f"{given['--config']} needs another start"
        assert {given["--from"]} <= trained if "--from" in given else True
        assert given["--out"] not in trained
        trained.add(given["--out"])
    assert given["--config"] == f"models/{entry.name}/{CONFIG_FILE}"
    assert publishing[:3] == ["python", "benchmarks/publish_model.py", given["--out"]]
    assert options["--name"] == entry.name


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_a_card_is_what_the_script_writes_of_the_figures(publish, entry):
    metrics = json.loads((entry / "metrics.json").read_text())
    assert (entry / "card.md").read_text() == publish.card(entry.name, metrics)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_is_bit_exact_on_the_emulated_board(entry):
    (emulated,) = json.loads((entry / "metrics.json").read_text())["emulator"]
    assert emulated["bit_exact"]
    assert emulated["differing"] == 0
    assert emulated["inputs"] >= 20


def test_the_table_of_the_zoo_is_what_the_script_writes_of_the_figures(publish):
    assert (MODELS / "README.md").read_text() == publish.catalogue()


def write_run(path, seconds=None, **changes):
    path.mkdir()
    TrainConfig(**changes).save(path / CONFIG_FILE)
    if seconds is not None:
        (path / METRICS_FILE).write_text(json.dumps({"step": 1, "elapsed_s": seconds}) + "\n")
    return str(path)


def test_the_whole_chain_of_teachers_is_published(publish, tmp_path):
    first = write_run(tmp_path / "first", 10.4, method="s0-plus")
    second = write_run(tmp_path / "second", method="best", teacher=first)
    third = write_run(tmp_path / "third", 30.0, method="seed", teacher=f"{second},dino_vits16=/w/dino.pth,{first}")
    steps = publish.trainings(Path(third))
    assert [(step.file, step.teachers, step.config.teacher, step.seconds) for step in steps] == [
        ("teacher_of_teacher1.yaml", (), None, 10),
        ("teacher1.yaml", ("teacher_of_teacher1.yaml",), "first", None),
        ("teacher2.yaml", (), None, 10),
        (CONFIG_FILE, ("teacher1.yaml", "dino_vits16", "teacher2.yaml"), "second,dino_vits16,first", 30),
    ]
    commands = [publish.train_command("x", step.to_dict()) for step in steps]
    assert commands[1].endswith("--out TEACHER1 --teacher TEACHER_OF_TEACHER1")
    assert commands[3].endswith("--out RUN --teacher TEACHER1,dino_vits16=WEIGHTS,TEACHER2")


@pytest.mark.parametrize("teacher", ["patches:4096", "efficientnet_lite0"])
def test_a_teacher_that_needs_no_file_is_named_as_it_is(publish, tmp_path, teacher):
    (step,) = publish.trainings(Path(write_run(tmp_path / "run", 7.0, method="best", teacher=teacher)))
    assert publish.train_command("x", step.to_dict()).endswith(f"--out RUN --teacher {teacher}")
    metrics = json.loads((TINYNEXT_T.parent / "metrics.json").read_text())
    text = publish.card("x", {**metrics, "training": [step.to_dict()], "stages": [1, 2, 3, 4]})
    assert f"| teacher | `{named_source(teacher)}` |" in text
    assert "| feature | pooled maps of stages 1, 2, 3, 4 |" in text
    assert "publish_model.py RUN --name x --data FOLDER --stages 1,2,3,4\n" in text


def test_what_a_run_begins_with_is_published_before_it(publish, tmp_path):
    tuned = write_run(tmp_path / "tuned", 7.0, method="finetune", from_run=str(TINYNEXT_T.parent))
    steps = publish.trainings(Path(tuned))
    assert [(step.file, step.teachers, step.start) for step in steps] == [
        ("teacher_of_start.yaml", (), None),
        ("start.yaml", ("teacher_of_start.yaml",), None),
        (CONFIG_FILE, (), "start.yaml"),
    ]
    assert steps[-1].config.from_run == TINYNEXT_T.parent.name
    commands = [publish.train_command("x", step.to_dict()) for step in steps]
    assert commands[1].endswith("--out START --teacher TEACHER_OF_START")
    assert commands[2].endswith("--out RUN --from START")


def test_a_teacher_of_the_zoo_brings_its_own_teachers(publish, tmp_path):
    student = write_run(tmp_path / "student", 5.0, method="simdistill", teacher=str(TINYNEXT_T.parent))
    steps = publish.trainings(Path(student))
    assert [step.file for step in steps] == ["teacher_of_teacher.yaml", "teacher.yaml", CONFIG_FILE]
    assert [step.config.method for step in steps] == ["s0-plus", "best", "simdistill"]
    assert [step.seconds for step in steps] == [4647, 6388, 5]
