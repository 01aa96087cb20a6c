from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tinyedge.training.config import TrainConfig

SIZE = 16


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory) -> Path:
    """256 unlabelled images of coloured gradients and spots."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    for index in range(256):
        angle, centre = random.uniform(0, 2 * np.pi), random.uniform(0, 1, 2)
        gradient = np.cos(angle) * x + np.sin(angle) * y
        spot = np.exp(-40 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2))
        colours = random.uniform(0, 255, (2, 3))
        pixels = np.clip(gradient[..., None] * colours[0] + spot[..., None] * colours[1], 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="module")
def small_config(image_folder, small_cnn) -> TrainConfig:
    """Of trainings that show what holds whatever is trained, by whichever method: steps that cost little."""
    return TrainConfig(
        data=str(image_folder),
        encoder="small_cnn",
        method="vicreg",
        method_options={"projector_width": 64},
        image_size=SIZE,
        strides=(2, 1, 2, 1),
        epochs=2,
        batch_size=32,
        accelerator="cpu",
        devices=1,
        bn_recalibration_batches=4,
    )
