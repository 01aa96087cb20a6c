"""An encoder that tinyedge has never seen: its fold is compared with it like those of tinyedge's own."""

import json

import pytest
import torch
from exports.export_inputs import make_dataset, make_trained_like
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.fold import FoldedEncoder
from tinyedge.errors import GateFailed
from tinyedge.exporter.export import export_model
from tinyedge.exporter.options import ExportOptions


class OwnEncoder(Encoder):
    def __init__(self):
        super().__init__("own", 16, (2, 2))
        self.feature_dim = 16
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())

    def compute_maps(self, images, corrupt):
        early = self.first(images)
        return [early, early, early, self.second(early)]


class WronglyFolded(OwnEncoder):
    """Its fold forgets the second batch norm."""

    def fold(self):
        conv, _, activation = self.second
        return FoldedEncoder(nn.Sequential(self.first.eval(), conv, activation))


def export_float(encoder, folder):
    torch.manual_seed(0)
    export_model(make_trained_like(encoder), make_dataset(16), None, folder, ExportOptions(int8=False))


@pytest.mark.slow
def test_the_default_fold_holds_the_gates(tmp_path):
    export_float(OwnEncoder(), tmp_path / "export")
    assert json.loads((tmp_path / "export" / "parity.json").read_text())["failures"] == []


@pytest.mark.slow
def test_a_wrong_fold_fails_a_gate(tmp_path):
    with pytest.raises(GateFailed, match="the export is in"):
        export_float(WronglyFolded(), tmp_path / "export")
