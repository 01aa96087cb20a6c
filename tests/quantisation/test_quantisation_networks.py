"""Networks of others, by their authors' definitions, quantised from the module to the C on this machine.

Their weights are random, as the definitions draw them: that a converted network is the same function, and its INT8 form
close to it, does not depend on what it was trained for. Trained ones are in benchmarks/quantise_table.py.
"""

import numpy as np
import pytest
import torch
from torch import nn

import tinyedge
from tinyedge.exporter.quantise_model import QuantisedModel
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, random_frames

SAMPLES = 64
SMALL = ("ResNet-8", "autoencoder")
NOT_SIMULATED_DB = {"ResNet-8": 0.5, "autoencoder": 0.1}  # Only the first has a MEAN.
# Depthwise, recurrent, squeeze and excitation with hard swish. An LSTM is written out in a GRU's way:
# test_conversion_recurrent. SqueezeNet's concatenations: test_quantisation_operators, and features of several stages.
LARGE = (
    "DS-CNN",
    "GRU",
    "MobileNetV3-small (torchvision)",
)
# More of these kinds. The batch norms that MobileOne and RepVGG have beside convolutions: test_conversion_affine.
# MobileViT's attention: the exports of TinyNeXt, which has it too; its SiLU: test_quantisation_activations.
THOROUGH = (
    "LSTM",
    "MobileViT-XXS (timm)",
    "MobileNetV1-0.25 (timm)",
    "MobileNetV2-0.35 (torchvision)",
    "EfficientNet-Lite0 (timm)",
    "ResNet-18 (torchvision)",
    "GhostNet-0.5 (timm)",
    "MobileOne-S0 (timm)",
    "RepVGG-A0 (timm)",
    "SqueezeNet 1.1 (torchvision)",
)


@pytest.mark.parametrize(
    "name",
    [
        *SMALL,
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE),
        *(pytest.param(name, marks=[pytest.mark.slow, pytest.mark.thorough]) for name in THOROUGH),
    ],
)
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
    # Float arithmetic has not the second rounding of kernels, such as those of means and of attention.
    assert output.sqnr_db == pytest.approx(simulated_db(quantised), abs=NOT_SIMULATED_DB.get(name, 2.0))
    ours, golden = AotRuntime(quantised.path), TflmRuntime(quantised.path)
    frames = random_frames(ours.program.inputs, 2, seed=1)
    assert count_differing(ours.run(frames), golden.run(frames)) == 0


def simulated_db(quantised: QuantisedModel) -> float:
    """What the ranges were chosen by."""
    calibration = quantised.manifest.calibration
    return calibration.sqnr_db[calibration.ranges]


class Windows(nn.Module):
    """Conv1d, batch norm and ReLU three times over windows of three sensors, the last in a residual if asked for."""

    def __init__(self, residual: bool):
        super().__init__()
        self.residual = residual
        sizes = ((3, 16), (16, 32), (32, 32))
        self.convolutions = nn.ModuleList(nn.Conv1d(i, o, 5, 1 if i == o else 2, 2, bias=False) for i, o in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(o, momentum=None) for _, o in sizes)
        self.head = nn.Linear(32, 6)

    def forward(self, x):
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            y = norm(convolution(x))
            x = torch.relu(x + y if self.residual and x.shape == y.shape else y)
        return self.head(x.mean(2))


@pytest.mark.parametrize("residual", [False, True])
def test_what_was_simulated_is_what_the_file_is_worth(residual, tmp_path):
    torch.manual_seed(0)
    generator, network = np.random.default_rng(0), Windows(residual)
    phases = np.linspace(0, 6, 128) * generator.uniform(0.5, 6, (320, 3, 1)) + generator.uniform(0, 6, (320, 3, 1))
    windows = (np.sin(phases) + 0.3 * generator.standard_normal(phases.shape)).astype(np.float32)
    network(torch.from_numpy(windows))  # For the norms.
    quantised = tinyedge.quantise(network.eval(), windows, out=tmp_path / "model.tflite", calibration_count=128, qat=1)
    (output,) = quantised.parity.outputs
    assert quantised.parity.unseen
    trained = quantised.manifest.qat
    assert trained is not None
    assert max(trained.sqnr_before_db, trained.sqnr_after_db) == pytest.approx(output.sqnr_db, abs=0.011)
    # Float arithmetic has not MEAN's second rounding.
    assert simulated_db(quantised) == pytest.approx(trained.sqnr_before_db, abs=0.5)


def test_every_network_of_the_table_is_tested(benchmark_script):
    assert {*SMALL, *LARGE, *THOROUGH} == {network.name for network in benchmark_script("foreign_networks").NETWORKS}
