"""`tinyedge.finetune`, from a run to a run of its own."""

import json
import shutil
import signal
from dataclasses import fields, replace
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import tinyedge
from tinyedge.api.finetune import FinetuneKeywords, finetuned_path
from tinyedge.cli import main
from tinyedge.data.augment import normalise
from tinyedge.errors import CheckpointError, ConfigError, DataError, Interrupted
from tinyedge.evaluation.probe import own_record, probe_run
from tinyedge.ssl.method_options.finetune import FinetuneOptions
from tinyedge.training.checkpoint import load_checkpoint
from tinyedge.training.config import TrainConfig
from tinyedge.training.metrics import read_metrics
from tinyedge.training.optimizer import create_optimizer
from tinyedge.training.run import CHECKPOINT_FILE, load_run

CLASSIFIER, ENCODER = "probe.safetensors", "encoder.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def begun(small_cnn, tmp_path_factory):
    """An encoder of digits, without their labels."""
    return tinyedge.train(
        tmp_path_factory.mktemp("runs") / "begun",
        data="digits",
        encoder="small_cnn",
        method="vicreg",
        method_options={"projector_width": 64},
        image_size=16,
        strides=(2, 1, 2, 1),
        epochs=1,
        accelerator="cpu",
    )


@pytest.fixture(scope="module")
def tuned(begun, tmp_path_factory):
    return tinyedge.finetune(begun, tmp_path_factory.mktemp("runs") / "tuned", epochs=3, accelerator="cpu")


def test_it_beats_the_probe_of_its_start_and_deploys_its_own_classifier(begun, tuned):
    before = {name: (begun.path / name).read_bytes() for name in ("config.yaml", ENCODER)}
    record = own_record(tuned)
    probed = tinyedge.probe(begun, seeds=1, plots=False)
    assert record["mean"] > probed.mean + 0.01
    assert (record["labels"], record["test_images"]) == (1438, 359)
    assert before == {name: (begun.path / name).read_bytes() for name in before}
    assert (tuned.config.method, tuned.config.from_run) == ("finetune", str(begun.path))

    model = tinyedge.load(tuned.path)
    dataset = tuned.load_dataset()
    with torch.no_grad():
        predicted = model(normalise(dataset.test.images, dataset.mean, dataset.std)).argmax(1)
    assert (predicted == dataset.test.labels).float().mean().item() == pytest.approx(record["mean"])
    assert model.classes == dataset.classes

    # A probe measures, and leaves the classifier that is deployed.
    content = (tuned.path / CLASSIFIER).read_bytes()
    tinyedge.probe(tuned, seeds=1, plots=False)
    assert (tuned.path / CLASSIFIER).read_bytes() == content
    assert tinyedge.probe(tuned, protocol="own", seeds=1).mean == record["mean"]
    assert (tuned.path / "plots" / "confusion.png").is_file()
    with pytest.raises(ConfigError, match="has learned from labels"):
        probe_run(tuned, protocol="knn", seeds=1, hold_out=300)
    with pytest.raises(ConfigError, match=r"has no classifier of its own, .* `tinyedge finetune"):
        probe_run(begun, protocol="own", seeds=1)


def test_the_keyword_arguments_are_the_fields():
    names = {field.name for kind in (TrainConfig, FinetuneOptions) for field in fields(kind)}
    assert set(get_type_hints(FinetuneKeywords)) == names


def test_the_run_goes_beside_the_one_it_begins_with(tmp_path, monkeypatch):
    (tmp_path / "mine" / "branches").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    assert finetuned_path(Path("runs/mine")) == Path("runs/mine-finetuned")
    assert finetuned_path(Path()) == tmp_path / "mine-finetuned"
    monkeypatch.chdir("branches")
    assert finetuned_path(Path("..")) == tmp_path / "mine-finetuned"


def interrupted_at(step):
    """AdamW whose process gets Ctrl-C in a step."""
    calls = []

    def create(*arguments):
        optimizer = create_optimizer(*arguments)

        def send(*_):
            calls.append(None)
            if len(calls) == step:
                signal.raise_signal(signal.SIGINT)

        optimizer.register_step_pre_hook(send)
        return optimizer

    return create


def test_a_resumed_one_is_the_uninterrupted_one(begun, tmp_path):
    options = {"epochs": 2, "ema_decay": 0.9, "cutmix_probability": 0.5, "label_fraction": 0.5, "accelerator": "cpu"}
    start = load_run(shutil.copytree(begun.path, tmp_path / "start"))
    whole = tinyedge.finetune(start, tmp_path / "whole", **options)
    stopped = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", interrupted_at(4))
        with pytest.raises(Interrupted, match=r"tinyedge train --out .* --resume"):
            tinyedge.finetune(start, stopped, **options)
    assert not (stopped / CLASSIFIER).exists()
    shutil.rmtree(start.path)  # There is a checkpoint.
    resumed = tinyedge.finetune(start, stopped, resume=True)
    assert resumed.config == whole.config
    for name in (ENCODER, "probe.json"):
        assert (stopped / name).read_bytes() == (whole.path / name).read_bytes()
    ours, theirs = (load_file(path / CLASSIFIER) for path in (stopped, whole.path))
    assert all(torch.equal(ours[name], theirs[name]) for name in ("weight", "bias"))
    assert own_record(load_run(stopped))["label_fraction"] == 0.5
    # For more epochs, encoder and classifier are new.
    longer = tinyedge.train(stopped, resume=True, epochs=3)
    assert longer.config.earlier_epochs == (2,)
    assert (stopped / ENCODER).read_bytes() != (whole.path / ENCODER).read_bytes()
    assert not torch.equal(load_file(stopped / CLASSIFIER)["weight"], theirs["weight"])
    assert longer.has_own_classifier


def test_teachers_with_and_without_classes(begun, tuned, tmp_path):
    plain = load_run(shutil.copytree(begun.path, tmp_path / "plain"))
    (plain.path / CLASSIFIER).unlink(missing_ok=True)  # Of a probe, where there was one.
    keys = []
    for teacher in (tuned, plain):
        options = {"epochs": 1, "teacher": str(teacher.path), "accelerator": "cpu"}
        run = tinyedge.finetune(begun, tmp_path / f"of-{teacher.path.name}", **options)
        assert "loss_teacher" in read_metrics(run.path / "metrics.jsonl")[-1]
        keys.append({key.split(".")[0] for key in load_checkpoint(run.path / CHECKPOINT_FILE).method})
    assert keys[1] - keys[0] == {"head"}


def test_supervised_keeps_its_classifier_too(begun, tmp_path):
    config = replace(begun.config, method="supervised", method_options={}, augment=None, lr_per_256=None)
    run = tinyedge.train(tmp_path / "run", config)
    assert run.has_own_classifier
    assert own_record(run)["mean"] > 0.1


def test_what_cannot_be_tuned_leaves_nothing_behind(begun, small_cnn, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot begin with itself"):
        tinyedge.finetune(begun, begun.path, overwrite=True)
    with pytest.raises(CheckpointError, match="gone does not exist"):
        tinyedge.finetune(tmp_path / "gone", tmp_path / "run")
    (tmp_path / "photos").mkdir()
    for index in range(8):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(tmp_path / "photos" / f"{index}.png")
    with pytest.raises(DataError, match=r"labels of no class, .* give that to --data"):
        tinyedge.finetune(begun, tmp_path / "run", data=str(tmp_path / "photos"))
    assert not (tmp_path / "run").exists()
    assert not (begun.path.parent / "begun-finetuned").exists()


def test_the_accuracy_that_training_tells_is_of_its_own_data(tuned, tmp_path):
    run = load_run(shutil.copytree(tuned.path, tmp_path / "run"))
    record = own_record(run)
    (tmp_path / "run" / "probe.json").write_text(json.dumps([{**record, "data": "a", "mean": 0.0}, record]))
    assert own_record(run) == record
    (tmp_path / "run" / "probe.json").write_text(json.dumps([{**record, "data": "a", "mean": 0.0}]))
    assert own_record(run) is None


def test_the_command_says_what_came_of_it_and_what_comes_next(begun, small_cnn, tmp_path, monkeypatch, capsys):
    run = shutil.copytree(begun.path, tmp_path / "begun")
    words = ["--epochs", "1", "--label-fraction", "0.3", "--cutmix", "0.2", "--accelerator", "cpu", "--json"]
    monkeypatch.setattr("sys.argv", ["tinyedge", "finetune", str(run), *words, "--plugin", str(small_cnn)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    report = json.loads(said.out)
    out = tmp_path / "begun-finetuned"
    assert report["run"] == str(out)
    assert report["from"] == str(run)
    assert report["own_classifier"] == own_record(load_run(out))
    assert f"next: tinyedge export {out} --int8 --plugin {small_cnn}" in said.err
    assert load_run(out).config.method_options["cutmix_probability"] == 0.2
