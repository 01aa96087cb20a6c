"""The zoo: every entry that can be exported again is a run of its own, small and whole."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tinyedge.compiler.reader import read_any_tflite
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, load_run

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
TINYNEXT_T = MODELS / "tinynext_t_cifar10" / "model_int8.tflite"
ENTRIES = sorted(path.parent for path in MODELS.glob(f"*/{CONFIG_FILE}"))


@pytest.fixture(scope="module")
def publish():
    spec = importlib.util.spec_from_file_location("publish_model", ROOT / "benchmarks" / "publish_model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["publish_model"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_is_a_run(entry):
    encoder = load_run(entry).load_encoder()
    images = torch.zeros(2, 3, encoder.input_size, encoder.input_size)
    assert torch.isfinite(encoder(images)).all()
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
    metrics["train_seconds"] = None
    assert "| took | unknown |" in publish.card("tinynext_t_cifar10", metrics)
