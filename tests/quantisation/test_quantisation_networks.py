"""Networks of others, by their authors' definitions, quantised from the module to the C on this machine.

Their weights are random, as the definitions draw them: that a converted network is the same function, and its INT8 form
close to it, does not depend on what it was trained for. Trained ones are in benchmarks/quantise_table.py.
"""

import pytest
import torch

import tinyedge
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, random_frames

SAMPLES = 64
SMALL = ("ResNet-8", "autoencoder")
LARGE = (
    "DS-CNN",
    "GRU",
    "LSTM",
    "MobileNetV1-0.25 (timm)",
    "MobileNetV2-0.35 (torchvision)",
    "MobileNetV3-small (torchvision)",
    "EfficientNet-Lite0 (timm)",
    "ResNet-18 (torchvision)",
    "SqueezeNet 1.1 (torchvision)",
    "GhostNet-0.5 (timm)",
    "MobileOne-S0 (timm)",
    "RepVGG-A0 (timm)",
    "MobileViT-XXS (timm)",
)


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_a_network_of_others_is_the_same_in_int8(benchmark_script, tmp_path, name):
    script = benchmark_script("foreign_networks")
    (network,) = (network for network in script.NETWORKS if network.name == name)
    shape = (3, 32, 32) if network.input_shape[0] == 3 else network.input_shape
    samples = script.digits(shape)[0][:SAMPLES].numpy()
    torch.manual_seed(0)
    module = script.folded(network.build().eval())
    quantised = tinyedge.quantise(module, samples, out=tmp_path / "model.tflite")
    (output,) = quantised.parity.outputs
    assert output.cosine >= 0.99
    assert quantised.parity.float_parity.relative < 1e-3
    ours, golden = AotRuntime(quantised.path), TflmRuntime(quantised.path)
    frames = random_frames(ours.program.inputs, 2, seed=1)
    assert count_differing(ours.run(frames), golden.run(frames)) == 0


def test_every_network_of_the_table_is_tested(benchmark_script):
    assert {*SMALL, *LARGE} == {network.name for network in benchmark_script("foreign_networks").NETWORKS}
