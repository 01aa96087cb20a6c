"""Runs on folders of images: what the record says of the split, and which images a run's later steps see."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tinyedge.data.decode import decode_image
from tinyedge.data.folder import load_folder
from tinyedge.evaluation.probe import probe_run
from tinyedge.evaluation.trained_model import load_trained
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import load_run
from tinyedge.training.train import train


def draw(folder, count):
    folder.mkdir(parents=True)
    random = np.random.default_rng(count)
    for index in range(count):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.fixture
def pets(tmp_path):
    draw(tmp_path / "pets" / "cat", 20)
    draw(tmp_path / "pets" / "dog", 11)
    return tmp_path / "pets"


class Heard:
    """A `Progress` that keeps what it is told."""

    def __init__(self):
        self.sentences, self.shown = [], []

    def say(self, sentence):
        self.sentences.append(sentence)

    def show(self, what, done, of, detail=""):
        self.shown.append((what, done, of, detail))


def random_run(data, out, **choices):
    """A run of random weights, which takes no step; and what it said."""
    config = TrainConfig(method="random", data=str(data), image_size=16, accelerator="cpu", devices=1, **choices)
    progress = Heard()
    return train(config, out, progress=progress), " ".join(progress.sentences)


def test_the_record_names_the_images_that_are_held_out(pets, tmp_path, caplog):
    run, said = random_run(pets, tmp_path / "run", batch_size=64)
    assert "pets: 2 classes, 25 images to train on; held out to test on: 20% of each class by seed 0: 6 images" in said
    assert "batch size 25 in place of 64: 25 images are there" in said
    assert run.config == load_run(run.path).config
    with caplog.at_level(logging.WARNING):
        dataset = load_run(run.path).load_dataset()
    assert (len(dataset.train), len(dataset.test), run.config.held_out) == (25, 6, dataset.held_out)
    assert not caplog.records

    draw(pets / "eel", 15)
    with caplog.at_level(logging.WARNING):
        load_run(run.path, str(pets)).load_dataset()
        assert not caplog.records  # A set that is asked for is not the one of the run.
        load_run(run.path).load_dataset()
    assert "pets has changed since the run was trained" in caplog.text
    assert run.config.held_out in caplog.text


def test_the_classifier_s_images_may_lie_elsewhere(pets, tmp_path):
    draw(tmp_path / "photos", 8)
    run, said = random_run(tmp_path / "photos", tmp_path / "run")
    assert "held out" not in said
    probe_run(load_run(run.path, str(pets)), seeds=1)
    again = load_run(run.path)
    assert again.load_dataset().classes == ()
    assert again.load_probed_dataset().classes == ("cat", "dog")
    assert load_run(run.path, str(tmp_path / "photos")).load_probed_dataset().classes == ()


def test_other_images_are_normalised_with_what_the_encoder_was_trained_with(pets, tmp_path):
    draw(tmp_path / "photos", 8)
    run, _ = random_run(tmp_path / "photos", tmp_path / "run")
    own, other = load_folder(tmp_path / "photos", image_size=16), load_folder(pets, image_size=16)
    assert own.mean != other.mean
    for elsewhere in (load_run(run.path, str(pets)).load_dataset(), load_run(run.path).load_dataset()):
        assert (elsewhere.mean, elsewhere.std) == (own.mean, own.std)

    probe_run(load_run(run.path, str(pets)), seeds=1)
    probed = load_run(run.path).load_probed_dataset()
    assert (probed.classes, probed.mean, probed.std) == (("cat", "dog"), own.mean, own.std)
    # What the probe saw is what the model as it is loaded sees of the same file.
    image = torch.tensor(decode_image(pets / "cat" / "0.png", 16)).permute(2, 0, 1)
    index = next(i for i, one in enumerate(probed.train.images) if torch.equal(one, image))
    model = load_trained(run.path)
    with torch.no_grad():
        feature = model.encoder(model.preprocess([pets / "cat" / "0.png"]))
    kept = load_file(run.path / "features.safetensors")["train"][index]
    torch.testing.assert_close(feature[0], kept, rtol=1e-4, atol=1e-5)
