"""A run as `tinyedge quantise` takes it: its folded network and its train images."""

from pathlib import Path

import numpy as np
from torch import nn

from tinyedge.conversion.fold import fold_classifier, fold_encoder
from tinyedge.exporter.export import load_probe
from tinyedge.quantisation.normalisation import Normalisation
from tinyedge.training.run import CLASSIFIER_FILE, load_run


def folded_network(run_path: Path) -> tuple[nn.Module, tuple[int, int, int, int]]:
    """Return the trained encoder, with its classifier where it was probed, and the shape (1, C, H, W) of an image.

    Raises:
        CheckpointError: The weights or the probe are missing or corrupt, or do not belong together.
    """
    encoder = load_run(run_path).load_encoder().eval()
    shape = (1, encoder.channels, encoder.input_size, encoder.input_size)
    if not (run_path / CLASSIFIER_FILE).is_file():
        return fold_encoder(encoder), shape
    probe = load_probe(run_path, encoder)
    return fold_classifier(probe.reads(encoder), probe.weight, probe.bias), shape


def train_samples(run_path: Path, data: str | None = None) -> tuple[np.ndarray, Normalisation, tuple[str, ...]]:
    """Return the train images of a run (n, H, W, C) uint8, what makes its input of them, and the names of its classes.

    Raises:
        DataError: The data set is missing or broken.
    """
    run = load_run(run_path, data)
    probed = (run_path / CLASSIFIER_FILE).is_file()
    dataset = run.load_probed_dataset() if probed else run.load_dataset()
    normalisation = Normalisation(dataset.mean, dataset.std, dataset.white_level)
    images = dataset.train.images.numpy().transpose(0, 2, 3, 1)
    return images, normalisation, tuple(dataset.classes) if probed else ()
