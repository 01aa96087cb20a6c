"""One descriptor is all that the quantiser, the executors, the compiler and the tracer know of an operator."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tinyedge.checks.trace import trace
from tinyedge.compiler.program import compile_graph
from tinyedge.ops import OPERATORS
from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.ops.table import codes_of, integer_layer_of, table_call
from tinyedge.ops.tflite_micro import TFLM_OPERATORS
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes


def _lower(operator: Operator):
    source, output = operator.input(0).q, operator.output.q

    def elu(code: int) -> int:
        real = (code - source.zero_point) * source.scale
        steps = round((real if real > 0 else math.expm1(real)) / output.scale) + output.zero_point
        return min(max(steps, -128), 127)

    return table_call(operator, elu)


def _float(operator: Operator, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.elu(x)


ELU = OperatorDescriptor(
    name="ELU",
    lower=_lower,
    versions={"int8": 1},
    codes=codes_of(_lower),
    float_function=_float,
    integer_layer=integer_layer_of(_lower, _float),
)


def test_a_descriptor_is_all_that_a_new_operator_of_a_known_kernel_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATORS, "ELU", ELU)
    x, y = (Tensor(name, (1, 3, 5, 7), np.dtype(np.float32)) for name in "xy")
    graph = Graph("elu", [Operator("ELU", (x,), (y,))], (x,), (y,))
    images = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(FloatExecutor(graph)(images), nn.functional.elu(images))
    quantised = quantise(graph, {x: (-4.0, 4.0), y: (-1.0, 4.0)})
    path = tmp_path / "elu.tflite"
    path.write_bytes(tflite_bytes(quantised))
    assert [call.function for call in compile_graph(read_tflite(path)).calls] == ["te_table_s8"]
    codes = np.random.default_rng(0).integers(-128, 128, (20, 3, 5, 7)).astype(np.int8)
    found = AotRuntime(path).run(codes)
    np.testing.assert_array_equal(found, IntegerExecutor(quantised)(torch.from_numpy(codes).float()).numpy())
    source, output = quantised.inputs[0].q, quantised.outputs[0].q
    real = nn.functional.elu(torch.from_numpy((codes.astype(np.float64) - source.zero_point) * source.scale)).numpy()
    steps = np.clip(real / output.scale + output.zero_point, -128, 127)
    assert np.abs(found - steps).max() <= 0.5001


def test_operators_that_pytorch_has_are_traced_by_their_descriptors() -> None:
    class Network(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.hardswish(x) * nn.functional.relu(x) + nn.functional.gelu(x)

    assert trace(Network().eval(), 4, "n").histogram() == {"ADD": 1, "GELU": 1, "HARD_SWISH": 1, "MUL": 1, "RELU": 1}


@pytest.mark.parametrize("descriptor", OPERATORS.values(), ids=lambda descriptor: descriptor.name)
def test_descriptors_are_whole(descriptor: OperatorDescriptor) -> None:
    if descriptor.float_function is not None and descriptor.expand is None:
        assert "int8" in descriptor.versions
        trained = descriptor.weights or descriptor.integer_layer or descriptor.converts_types
        assert trained or descriptor.name == "LOG_SOFTMAX"  # A loss that is no part of a network on a device.
    if "int16" in descriptor.tflm_types:
        assert "int16" in descriptor.versions
    if descriptor.tflm_types:
        assert descriptor.name in TFLM_OPERATORS
    if descriptor.weights is not None:
        assert descriptor.weights.channel_axis < descriptor.weights.rank
