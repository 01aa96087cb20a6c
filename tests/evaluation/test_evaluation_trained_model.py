import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import tinyedge
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import CheckpointError, DataError
from tinyedge.training.encoder_file import encoder_bytes, read_description
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

ZOO = "tinynext_t_cifar10"


def test_a_model_of_the_zoo_is_a_module_that_takes_images(tmp_path):
    model = tinyedge.load(ZOO)
    assert not model.training
    assert model.classes[:2] == ("airplane", "automobile")
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
    images = model.preprocess([file])
    pixels = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    torch.testing.assert_close(images[0], (pixels - mean) / std)
    probe = load_file(locate(ZOO) / "probe.safetensors")
    with torch.no_grad():
        features = load_run(ZOO).load_encoder()(images)
        torch.testing.assert_close(model(images), features @ probe["weight"].float().T + probe["bias"].float())


def test_the_encoders_file_alone_is_enough(tmp_path):
    file = shutil.copy(locate(ZOO) / "encoder.safetensors", tmp_path / "alone.safetensors")
    model = tinyedge.load(file)
    assert (model.classifier, model.classes) == (None, ())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images), load_run(ZOO).load_encoder()(images))
    # What was written is written again, byte by byte.
    described = read_description(file)
    assert encoder_bytes(model.encoder, load_file(file), described.mean, described.std) == file.read_bytes()


def test_an_encoder_of_several_stages_is_built_again(tmp_path):
    encoder = create_encoder("mobilenetv2_035", input_size=24, feature_stages=(2, 4)).eval()
    file = tmp_path / "encoder.safetensors"
    file.write_bytes(encoder_bytes(encoder, encoder.state_dict(), (0.5,) * 3, (0.2,) * 3))
    again, images = tinyedge.load(file).encoder, torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        assert again(images).shape == (2, 16 + 1280)
        assert again(images).equal(encoder(images))


def test_a_file_from_before_it_described_itself_needs_its_run(tmp_path):
    old = tmp_path / "old.safetensors"
    save_file(load_file(locate(ZOO) / "encoder.safetensors"), old)
    assert read_description(old) is None
    with pytest.raises(CheckpointError, match="does not say which encoder it holds"):
        tinyedge.load(old)


def test_images_that_cannot_be_read_are_named(tmp_path):
    model = tinyedge.load(locate(ZOO) / "encoder.safetensors")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("missing.png", "text.png"):
        with pytest.raises(DataError, match=rf"{name} cannot be read as an image \(.*\); leave it out"):
            model.preprocess([tmp_path / name])
    with pytest.raises(DataError, match=r"takes a list of files; give \['picture.jpg'\]"):
        model.preprocess("picture.jpg")


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"broken\.safetensors is no encoder"):
        tinyedge.load(tmp_path / "broken.safetensors")


def test_a_quantised_file_is_told_what_runs_it(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"model\.tflite is a quantised network, .* `tinyedge bench .*` or `tinyedge "
    ):
        tinyedge.load(tmp_path / "model.tflite")
