"""Each method from its name to a run on disk, on small digits."""

import json
import math

import numpy as np
import pytest
import torch

from tinyedge.errors import DataError
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import load_run
from tinyedge.training.train import train

pytestmark = pytest.mark.usefixtures("small_cnn")
# TinyNeXt is trained by test_training_train.py.
SMALL = {"encoder": "small_cnn", "strides": (2, 1, 2, 1)}
BATCH = 128


def small_run(method, out, teacher=None, image_size=16, **options):
    config = TrainConfig(
        method=method,
        teacher=None if teacher is None else str(teacher),
        data="digits",
        image_size=image_size,
        **SMALL,
        epochs=1,
        batch_size=BATCH,
        accelerator="cpu",
        devices=1,
        bn_recalibration_batches=4,
        method_options=options,
    )
    return train(config, out)


def assert_learned(run):
    """Losses fall with the logarithm of the step, by a slope that is beyond what the draw of batches makes of one.

    The first is left out: a queue of teacher embeddings is empty then.
    """
    losses = np.array([json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()])[1:]
    assert len(losses) >= 9
    steps = np.log(np.arange(1, len(losses) + 1))
    (slope, _), covariance = np.polyfit(steps, losses, 1, cov=True)
    assert slope < -4 * math.sqrt(covariance[0, 0])


@pytest.fixture(scope="module")
def teacher(small_cnn, tmp_path_factory):
    return small_run("random", tmp_path_factory.mktemp("teacher") / "run").path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options"),
    [
        # The loss falls while a queue fills, whoever learns; this one is full after the first batch.
        ("best", {"queue_size": BATCH}),
        ("ca-dssl", {"queue_size": BATCH}),
        ("seed", {"queue_size": BATCH}),
        ("simdistill", {}),
    ],
)
def test_a_run_learns_from_a_teacher(method, options, teacher, tmp_path):
    assert_learned(small_run(method, tmp_path / "run", teacher=teacher, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("simclr", {}),
        ("vicreg", {"projector_width": 256}),
        ("byol", {"projector_hidden": 256}),
        ("emp-ssl", {"patches": 3}),
        ("supervised", {"label_fraction": 0.95}),
        pytest.param("s0-literal", {"decoder_width": 64}, marks=pytest.mark.thorough),
        ("s0", {"decoder_width": 64, "code_atoms": 16, "code_coordinates": 8}),
    ],
)
def test_a_run_learns_and_keeps_the_encoder(method, options, tmp_path):
    run = small_run(method, tmp_path / "run", **options)
    assert_learned(run)
    encoder = load_run(run.path).load_encoder()
    assert encoder(torch.zeros(1, 3, 16, 16)).isfinite().all()
    assert not (run.path / "branches").exists()


@pytest.mark.slow
def test_cass_writes_the_other_arm_as_a_run(tmp_path):
    run = small_run("cass", tmp_path / "run", image_size=8, partner="tinynext_t")  # At its own, fine strides.
    assert_learned(run)
    branch = load_run(run.path / "branches" / "tinynext_t")
    encoder = branch.load_encoder()
    assert encoder.name == "tinynext_t"
    assert branch.config.strides == encoder.strides == (1, 1, 2, 2, 2)
    assert encoder(torch.randn(2, 3, 8, 8)).shape == (2, 192)
    assert load_run(run.path).load_encoder().name == "small_cnn"
    assert branch.load_dataset().name == "digits"


def test_supervised_training_without_labels_stops_before_it_writes(tmp_path):
    from PIL import Image

    folder = tmp_path / "grey"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(folder / f"{index}.png")
    config = TrainConfig(method="supervised", data=str(folder), image_size=16, accelerator="cpu", devices=1)
    with pytest.raises(DataError, match="labels of no class"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
