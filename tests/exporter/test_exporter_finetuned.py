"""A fine-tuned run is exported with the classifier that was trained with its encoder."""

import pytest
import torch

import tinyedge
from tinyedge.data.augment import normalise
from tinyedge.errors import ModelError
from tinyedge.manifest.model_path import resolve_model
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.runtimes.litert import LitertRuntime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_int8_classifier_is_the_runs_own_after_a_probe_and_a_finish(small_cnn, tmp_path):
    torch.set_num_threads(1)
    begun = tinyedge.train(
        tmp_path / "begun",
        data="digits",
        encoder="small_cnn",
        method="random",
        image_size=16,
        strides=(2, 1, 2, 1),
        accelerator="cpu",
    )
    tuned = tinyedge.finetune(begun, epochs=3, accelerator="cpu")
    assert tuned.path == tmp_path / "begun-finetuned"
    probed = tinyedge.probe(tuned, labels=0.02, seeds=1, plots=False)
    manifest = tinyedge.export(tuned, calibration=64, qat=0.5)
    assert manifest.kind == "classifier"
    assert manifest.qat.sqnr_after_db > 0

    dataset = tuned.load_dataset()
    pixels, labels = dataset.test.images, dataset.test.labels
    with torch.no_grad():
        floats = tinyedge.load(tuned.path)(normalise(pixels, dataset.mean, dataset.std))
    codes = LitertRuntime(tuned.path / "export" / manifest.model).run(quantise_images(pixels.numpy(), manifest))
    classes = torch.from_numpy(codes).argmax(1)
    assert (classes == floats.argmax(1)).float().mean() > 0.97
    # A classifier of 2 % of the labels is another one, and worse.
    assert (classes == labels).float().mean() > probed.mean + 0.02

    # Once the encoder is another one, the run's export is not the run's any more.
    assert resolve_model(tuned.path) == tuned.path / "export" / manifest.model
    tinyedge.finetune(begun, epochs=4, resume=True, accelerator="cpu")
    with pytest.raises(ModelError, match=r"encoder\.safetensors was trained on since it was exported"):
        resolve_model(tuned.path)
