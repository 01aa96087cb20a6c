"""`tinyedge.quantise` of modules and tensors: what it takes from Python alone, and how it refuses the rest."""

import numpy as np
import pytest
import torch
from torch import nn

import tinyedge
from tinyedge.conversion.module import export_module
from tinyedge.errors import ConfigError, ModelError

SAMPLES = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


class Fusion(nn.Module):
    """Two inputs, of which the second is the smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.meta = nn.Linear(6, 8), nn.Linear(3, 8)

    def forward(self, image, meta):
        return torch.relu(self.image(image) + self.meta(meta))


def test_tensors_by_name_in_any_order_are_as_arrays_in_order(tmp_path):
    torch.manual_seed(0)
    network = Fusion()
    meta = SAMPLES[:, :3].clone().requires_grad_()
    by_name = tinyedge.quantise(network, {"meta": meta, "image": SAMPLES}, out=tmp_path / "by_name.tflite")
    in_order = tinyedge.quantise(network, [SAMPLES.numpy(), SAMPLES[:, :3].numpy()], out=tmp_path / "in_order.tflite")
    assert by_name.path.read_bytes() == in_order.path.read_bytes()
    assert by_name.parity.outputs[0].cosine > 0.99
    with pytest.raises(ConfigError, match=r"7 classes are named, and the network's outputs are 'output' \[1, 8\]"):
        tinyedge.quantise(network, [SAMPLES, meta], out=tmp_path / "named.tflite", classes="abcdefg")


@pytest.mark.parametrize(
    ("model", "calibration", "said"),
    [
        (Fusion().state_dict(), SAMPLES, "OrderedDict is no path .* load the weights into their torch.nn.Module"),
        (None, SAMPLES, "NoneType is no path"),
        (Fusion(), torch.utils.data.DataLoader(SAMPLES), "calibration holds a DataLoader"),
        (Fusion(), SAMPLES.tolist(), "calibration holds a list"),
    ],
    ids=["state dict", "None", "DataLoader", "lists"],
)
def test_what_is_no_network_and_what_are_no_samples(model, calibration, said):
    with pytest.raises((ConfigError, ModelError), match=said):
        tinyedge.quantise(model, calibration)


def test_inputs_that_a_module_does_not_take(tmp_path):
    batches = [np.zeros((1, 6), np.float32)] * 9
    with pytest.raises(ModelError, match=r"inputs of (\(1, 6\), ){3}\(1, 6\) and 5 more .*: give calibration samples"):
        export_module(Fusion(), batches, tmp_path / "never.onnx")
