"""The head between an encoder and a loss that compares embeddings; discarded after pretraining."""

from itertools import pairwise

from torch import nn


class Projector(nn.Sequential):
    """Feature (B, D) to embedding (B, out): Linear, batch norm and ReLU in each hidden layer, then Linear.

    Args:
        feature_dim: D.
        hidden: Width of the hidden layers.
        out: Width of the embedding; None is `hidden`.
        layers: Linear layers, at least 2.
    """

    def __init__(self, feature_dim: int, hidden: int, out: int | None = None, layers: int = 2):
        widths = [feature_dim, *[hidden] * (layers - 1)]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            steps += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        super().__init__(*steps, nn.Linear(widths[-1], out or hidden))
