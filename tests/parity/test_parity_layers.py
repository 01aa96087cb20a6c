"""Layer by layer, on a network of one's own: no converter, so each layer's values are known from PyTorch alone."""

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.conversion.onnx import export_onnx
from tinyedge.errors import ModelError
from tinyedge.parity.layer_names import match_layers, name_layers
from tinyedge.parity.layers import compare_layers, first_difference, run_operators
from tinyedge.parity.parity import FloatParity, ParityReport
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.quantise import quantise
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.tflite.writer import tflite_bytes

torch.set_num_threads(1)
F32 = np.dtype(np.float32)
NAMES = ("stem", "stage1.0 expand", "stage1.0 depthwise", "stage1.0", "head", "head linear")
SIZE = 7


class Block(nn.Module):
    """`x + depthwise(relu(expand(x)))` without padding: the middle of x."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Conv2d(6, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)

    def forward(self, x):
        return x + self.depthwise(F.relu(self.expand(x)))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        return self.linear(x.mean(dim=(2, 3)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU6())
        self.body = nn.Sequential(OrderedDict(stem=stem, stage1_0=Block()))
        self.head = Head()

    def forward(self, x):
        return self.head(self.body(x))


def to_graph(network: Network) -> Graph:
    """The network as a converter would write it, channels last."""

    def constant(name: str, value) -> Tensor:
        data = np.ascontiguousarray(value)
        return Tensor(name, data.shape, data.dtype, data=data)

    def activation(name: str, *shape: int) -> Tensor:
        return Tensor(name, (1, *shape), F32)

    def conv(op: str, layer: nn.Conv2d, x: Tensor, y: Tensor, act: str, padding: str) -> Operator:
        order = (1, 2, 3, 0) if op == "DEPTHWISE_CONV_2D" else (0, 2, 3, 1)
        options = {"padding": padding, "stride_w": 1, "stride_h": 1, "fused_activation_function": act}
        options |= {"dilation_w_factor": 1, "dilation_h_factor": 1}
        if op == "DEPTHWISE_CONV_2D":
            options["depth_multiplier"] = 1
        weight = constant("weight", layer.weight.detach().permute(order).numpy())
        return Operator(op, (x, weight, constant("bias", layer.bias.detach().numpy())), (y,), options)

    image, stem, hidden = activation("image", SIZE, SIZE, 3), activation("s", 5, 5, 6), activation("h", 5, 5, 6)
    local, added, mean, logits = (
        activation("d", 5, 5, 6),
        activation("a", 5, 5, 6),
        activation("m", 6),
        activation("logits", 4),
    )
    block, linear = network.body.stage1_0, network.head.linear
    dense = {"weights_format": "DEFAULT", "fused_activation_function": "NONE", "keep_num_dims": False}
    weights = (constant("weight", linear.weight.detach().numpy()), constant("bias", linear.bias.detach().numpy()))
    operators = [
        conv("CONV_2D", network.body.stem[0], image, stem, "RELU6", "VALID"),
        conv("CONV_2D", block.expand, stem, hidden, "RELU", "VALID"),
        conv("DEPTHWISE_CONV_2D", block.depthwise, hidden, local, "NONE", "SAME"),
        Operator("ADD", (stem, local), (added,), {"fused_activation_function": "NONE"}),
        Operator("MEAN", (added, constant("axes", np.array([1, 2], np.int32))), (mean,), {"keep_dims": False}),
        Operator("FULLY_CONNECTED", (mean, *weights), (logits,), dense),
    ]
    for index, operator in enumerate(operators):
        operator.index = index
    return Graph("network", operators, (image,), (logits,))


@dataclass(frozen=True)
class Files:
    network: Network
    float_model: Path
    int8_model: Path
    images: np.ndarray
    codes: np.ndarray


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    torch.manual_seed(0)
    network = Network().eval().requires_grad_(False)
    images = np.random.default_rng(0).normal(size=(23, SIZE, SIZE, 3)).astype(np.float32)
    graph = to_graph(network)
    histograms = observe(FloatExecutor(graph), (torch.from_numpy(images),))
    quantised = quantise(graph, {tensor: min_max(histogram) for tensor, histogram in histograms.items()})
    folder = tmp_path_factory.mktemp("layers")
    (folder / "float.tflite").write_bytes(tflite_bytes(graph))
    (folder / "int8.tflite").write_bytes(tflite_bytes(quantised))
    scale = quantised.inputs[0].quantisation
    codes = np.clip(np.round(images / scale.scale) + scale.zero_point, -128, 127).astype(np.int8)
    return Files(network, folder / "float.tflite", folder / "int8.tflite", images, codes)


def layer_outputs(network: Network, x: torch.Tensor) -> list[torch.Tensor]:
    """Every operator's output, channels first, written out by hand."""
    stem = network.body.stem(x)
    hidden = F.relu(network.body.stage1_0.expand(stem))
    local = network.body.stage1_0.depthwise(hidden)
    added = stem + local
    mean = added.mean(dim=(2, 3))
    return [stem, hidden, local, added, mean, network.head.linear(mean)]


def channels_first(values: np.ndarray) -> np.ndarray:
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def naive_db(wanted: np.ndarray, found: np.ndarray) -> float:
    power = sum(float(value) ** 2 for value in wanted.ravel())
    noise = sum((float(a) - float(b)) ** 2 for a, b in zip(wanted.ravel(), found.ravel(), strict=True))
    return 10 * float(np.log10(power / noise))


def test_layers_have_the_names_of_their_modules(files):
    graph = read_any_tflite(files.float_model)
    assert match_layers(graph, files.network) == {
        0: "body.stem.0",
        1: "body.stage1_0.expand",
        2: "body.stage1_0.depthwise",
        5: "head.linear",
    }
    assert name_layers(graph, files.network) == NAMES
    other = Network()
    assert name_layers(graph, other) == ("",) * 6


def _whole_model(model, codes):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    builtin = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(model), experimental_op_resolver_type=builtin)
    interpreter.allocate_tensors()
    outputs = []
    for image in codes:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(outputs)


def test_layers_against_naive_figures(files):
    layers = compare_layers(files.float_model, files.int8_model, files.images, files.codes, NAMES)
    quantised = read_any_tflite(files.int8_model)
    outputs = run_operators(files.int8_model, files.codes)
    assert np.array_equal(outputs[-1], _whole_model(files.int8_model, files.codes))
    quantisations = [quantised.inputs[0].quantisation, *(op.output.quantisation for op in quantised.operators)]
    real = [
        torch.from_numpy(channels_first((codes.astype(np.float64) - q.zero_point) * q.scale)).float()
        for codes, q in zip([files.codes, *outputs], quantisations, strict=True)
    ]
    x = torch.from_numpy(channels_first(files.images).copy())
    wanted = [x, *layer_outputs(files.network, x)]
    # Each operator alone, on what the INT8 file has at its inputs.
    block = files.network.body.stage1_0
    alone = [
        files.network.body.stem(real[0]),
        F.relu(block.expand(real[1])),
        block.depthwise(real[2]),
        real[1] + real[3],
        real[4].mean(dim=(2, 3)),
        files.network.head.linear(real[5]),
    ]
    total = [naive_db(a.numpy(), b.numpy()) for a, b in zip(wanted, real, strict=True)]
    sources = [(0,), (1,), (2,), (1, 3), (4,), (5,)]
    for position, layer in enumerate(layers):
        assert (layer.index, layer.name, layer.op) == (position, NAMES[position], quantised.operators[position].op)
        assert layer.sqnr_db == pytest.approx(total[position + 1], abs=0.02)
        assert layer.input_sqnr_db == pytest.approx(min(total[source] for source in sources[position]), abs=0.02)
        assert layer.own_sqnr_db == pytest.approx(
            naive_db(alone[position].numpy(), real[position + 1].numpy()), abs=0.1
        )
        a, b = wanted[position + 1].double().flatten(), real[position + 1].double().flatten()
        assert layer.cosine == pytest.approx(float(a @ b / (a.norm() * b.norm())), abs=1e-5)
        assert 25 < layer.sqnr_db < 60


@pytest.mark.parametrize("damaged", [0, 1, 2, 5])
def test_a_coarsened_layer_is_the_culprit(files, tmp_path, damaged):
    graph = read_any_tflite(files.int8_model)
    operator = graph.operators[damaged]
    weight = operator.inputs[1]
    coarse = dataclasses.replace(weight, data=(np.round(weight.data / 42.0) * 42).clip(-127, 127).astype(np.int8))
    operator.inputs = (operator.inputs[0], coarse, *operator.inputs[2:])
    (tmp_path / "damaged.tflite").write_bytes(tflite_bytes(graph))
    layers = compare_layers(files.float_model, tmp_path / "damaged.tflite", files.images, files.codes, NAMES)
    good = FloatParity(0.0, 0.0, 1.0)
    culprit = ParityReport("test", 23, good, good, layers=layers).culprit
    assert (culprit.index, culprit.name) == (damaged, NAMES[damaged])
    assert culprit.sqnr_db < culprit.input_sqnr_db - 5


def test_other_operators_cannot_be_compared(files, tmp_path):
    graph = read_any_tflite(files.int8_model)
    graph.operators.pop()
    graph.outputs = graph.operators[-1].outputs
    (tmp_path / "short.tflite").write_bytes(tflite_bytes(graph))
    with pytest.raises(ModelError, match="no layer can be compared"):
        compare_layers(files.float_model, tmp_path / "short.tflite", files.images, files.codes, NAMES)


@pytest.mark.parametrize("damaged", [None, 0, 2, 5])
def test_the_first_layer_that_a_float_file_computes_otherwise(files, tmp_path, damaged):
    export_onnx(files.network, SIZE, "logits", tmp_path / "model.onnx")
    graph = read_any_tflite(files.float_model)
    if damaged is not None:
        operator = graph.operators[damaged]
        bias = operator.inputs[2]
        operator.inputs = (*operator.inputs[:2], dataclasses.replace(bias, data=bias.data + np.float32(0.02)))
    (tmp_path / "float.tflite").write_bytes(tflite_bytes(graph))
    found = first_difference(files.network, tmp_path / "model.onnx", tmp_path / "float.tflite", files.images, 1e-3)
    assert found == ({} if damaged is None else {"TFLite": NAMES[damaged]})
    if damaged == 2:  # The ONNX file against another network.
        files.network.body.stage1_0.expand.bias.add_(0.5)
        try:
            found = first_difference(files.network, tmp_path / "model.onnx", files.float_model, files.images, 1e-3)
        finally:
            files.network.body.stage1_0.expand.bias.sub_(0.5)
        assert found == {"ONNX": "stage1.0 expand", "TFLite": "stage1.0 expand"}
