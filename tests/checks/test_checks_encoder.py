"""An encoder before training: the traced graph is the network, and that of the export."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tinyedge.boards.board import load_board
from tinyedge.checks.encoder import check_encoder
from tinyedge.checks.trace import trace
from tinyedge.cli import main
from tinyedge.compiler.compile import compile_model
from tinyedge.conversion.fold import fold_classifier, fold_encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import UnsupportedOpError
from tinyedge.quantisation.float_executor import FloatExecutor

ZOO_MODEL = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"


@pytest.mark.parametrize(
    ("name", "input_size", "strides"),
    [
        ("tinynext_t", 32, (2, 1, 2, 2, 2)),
        ("tinynext_t", 23, (1, 2, 1, 2, 2)),
        ("mobilenetv2_035", 33, None),
        ("mobilenetv2_035", 48, (2, 1, 2, 2, 2, 1, 2, 1)),
    ],
)
def test_the_traced_graph_computes_what_the_network_computes(name, input_size, strides):
    torch.manual_seed(0)
    encoder = create_encoder(name, input_size=input_size, strides=strides).eval()
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.2, 0.2)
    network = fold_classifier(encoder, torch.randn(7, encoder.feature_dim), torch.randn(7))
    graph = trace(network, input_size, name)
    images = torch.randn(2, 3, input_size, input_size)
    with torch.no_grad():
        expected = network(images)
        computed = FloatExecutor(graph)(images.permute(0, 2, 3, 1))
    assert expected.std() > 0.01
    torch.testing.assert_close(computed, expected, rtol=1e-3, atol=1e-4)


def test_the_published_model_is_what_the_check_promised(tmp_path):
    report = check_encoder(
        "tinynext_t", [load_board("stm32f405")], input_size=32, strides=(2, 1, 2, 2, 2), classes=10
    ).deployed
    exported = compile_model(ZOO_MODEL, tmp_path / "c")
    assert {row.op: row.count for row in report.operators} == exported.operators_before
    assert (report.macs, report.parameters) == (exported.macs, exported.parameters)
    assert report.arena_bytes == exported.arena_bytes
    assert abs(report.file_bytes - ZOO_MODEL.stat().st_size) < 0.01 * ZOO_MODEL.stat().st_size
    assert report.failure() is None


def test_a_function_that_has_no_operator_is_named():
    with pytest.raises(UnsupportedOpError, match="erf"):
        trace(_Calls(torch.erf), 8, "network")
    with pytest.raises(UnsupportedOpError, match="clamp"):
        trace(nn.Hardtanh(-1.0, 1.0), 8, "network")
    with pytest.raises(UnsupportedOpError, match="TRANSPOSE"):
        trace(_Calls(lambda x: x.reshape(1, 3, 64)), 8, "network")


def test_without_a_classifier_the_feature_is_the_output():
    encoder = create_encoder("tinynext_t", input_size=16)
    graph = trace(fold_encoder(encoder), 16, "network")
    assert graph.outputs[0].shape == (1, encoder.feature_dim)
    assert all(operator.output.dtype == np.float32 for operator in graph.operators)


class _Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("--encoder", "mobilenetv2_035", "--input", "32", "--board", "stm32f405"), 0, ""),
        (("--encoder", "tinynext_t", "--strides", "2,1,2,2,2", "--act", "gelu"), 0, ""),
        (("--encoder", "tinynext_t", "--strides", "2,1,2,2,2", "--act", "silu", "--board", "stm32f405"), 0, ""),
        (("--encoder", "tinynext_t", "--strides", "2,1,2,2,2", "--act", "hard_swish", "--board", "stm32f405"), 0, ""),
        (("--encoder", "resnet18"), 3, "only trains other encoders"),
        (
            ("--encoder", "tinynext_s", "--board", "stm32f405"),
            3,
            "1,118,928 parameters and the budget is under 1,000,000",
        ),
        (("--encoder", "tinynext_t", "--board", "stm32f405"), 0, ""),
        (
            ("--encoder", "tinynext_t", "--input", "64", "--strides", "1,1,2,2,2", "--board", "stm32f405"),
            3,
            "bytes of RAM and stm32f405 has 131,072",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_command_says_whether_it_can_be_deployed(monkeypatch, capsys, arguments, exit_code, sentence):
    monkeypatch.setattr("sys.argv", ["tinyedge", "check", *arguments, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == exit_code
    assert sentence in said.err
    report = json.loads(said.out)
    assert report["schema"] == 1
    assert report["encoder"]["name"] == arguments[1]
    assert report["encoder"]["macs"] > 1_000_000
    assert bool(report["failure"]) == bool(exit_code)
