"""Runs that begin with another run's encoder."""

import shutil
import signal
from dataclasses import replace

import pytest
import torch

from tinyedge.api.train import train as train_by_keywords
from tinyedge.cli import main
from tinyedge.errors import CheckpointError, ConfigError, Interrupted
from tinyedge.training.check import check_training
from tinyedge.training.encoder_file import encoder_digest
from tinyedge.training.optimizer import create_optimizer
from tinyedge.training.run import CHECKPOINT_FILE, CONFIG_FILE, load_run
from tinyedge.training.train import train
from tinyedge.training.warm_start import with_architecture


@pytest.fixture(scope="module")
def begun(small_config, tmp_path_factory):
    """An epoch with other seeds than the runs that begin with it."""
    return train(replace(small_config, epochs=1, seed=7), tmp_path_factory.mktemp("runs") / "begun")


def test_the_weights_are_those_of_the_other_run_and_recorded(begun, small_config, tmp_path):
    config = replace(small_config, method="random", method_options={}, from_run=str(begun.path))
    run = train(config, tmp_path / "run")
    ours, theirs = run.load_encoder(), begun.load_encoder()
    assert all(torch.equal(value, other) for value, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    saved = load_run(run.path).config
    assert (saved.from_run, saved.from_digest) == (str(begun.path.resolve()), encoder_digest(theirs))
    fresh = train(replace(config, from_run=None), tmp_path / "fresh")
    assert not torch.equal(next(fresh.load_encoder().parameters()), next(theirs.parameters()))
    assert fresh.config.from_digest is None


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


def test_a_resumed_run_is_the_same_run_whatever_became_of_the_other(begun, small_config, tmp_path):
    shutil.copytree(begun.path, tmp_path / "start")
    config = replace(small_config, epochs=1, from_run=str(tmp_path / "start"))
    whole = train(config, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", interrupted_at(5))
        with pytest.raises(Interrupted, match="5 of 8 steps"):
            train(config, tmp_path / "stopped")
    shutil.rmtree(tmp_path / "start")
    resumed = train(load_run(tmp_path / "stopped").config, tmp_path / "stopped", resume=True)
    assert resumed.encoder_path.read_bytes() == whole.encoder_path.read_bytes()
    assert resumed.config == whole.config
    # Nor may it be told that it began with another one.
    with pytest.raises(ConfigError, match=r"from_run is .* was started with"):
        train(replace(resumed.config, from_run=str(begun.path)), resumed.path, resume=True)


def test_without_a_checkpoint_the_weights_have_to_be_there_still(begun, small_config, tmp_path):
    config = replace(small_config, epochs=1, from_run=str(begun.path))
    run = train(config, tmp_path / "run")
    (run.path / CHECKPOINT_FILE).unlink()
    other = replace(run.config, from_digest="0" * 64)
    other.save(run.path / CONFIG_FILE)
    with pytest.raises(ConfigError, match=r"from_digest is .* was started with 0000"):
        train(other, run.path, resume=True)
    replace(other, from_run=str(tmp_path / "gone")).save(run.path / CONFIG_FILE)
    with pytest.raises(CheckpointError, match="gone does not exist"):
        check_training(load_run(run.path).config, run.path, resume=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strides": (2, 2, 2, 1)}, "a small_cnn with strides 2,1,2,1, relu, but .* a small_cnn with strides 2,2,2,1"),
        ({"encoder": "tinynext_t"}, "a small_cnn with .* a tinynext_t with strides 2,1,2,1, relu; leave out --encoder"),
        ({"hidden": (8,)}, "a small_cnn with .* relu, hidden channels 8"),
    ],
)
def test_an_encoder_that_differs_is_named_beside_the_other(begun, small_config, tmp_path, change, words):
    config = replace(small_config, from_run=str(begun.path), **change)
    with pytest.raises(ConfigError, match=words):
        check_training(config, tmp_path / "run")


def test_a_run_begins_neither_with_itself_nor_with_one_that_has_not_ended(begun, small_config, tmp_path):
    config = replace(small_config, from_run=str(begun.path))
    with pytest.raises(ConfigError, match="cannot begin with itself"):
        check_training(config, begun.path, overwrite=True)
    shutil.copytree(begun.path, tmp_path / "begun")
    (tmp_path / "begun" / "encoder.safetensors").unlink()
    with pytest.raises(CheckpointError, match="training has not ended"):
        check_training(replace(config, from_run=str(tmp_path / "begun")), tmp_path / "run")


def test_the_white_of_16_bit_files_is_that_of_the_other_run(begun, small_config, tmp_path):
    shutil.copytree(begun.path, tmp_path / "start")
    replace(begun.config, white_level=4095).save(tmp_path / "start" / CONFIG_FILE)
    config = replace(small_config, from_run=str(tmp_path / "start"))
    assert with_architecture(config, []).white_level == 4095
    assert with_architecture(replace(config, white_level=1023), ["white_level"]).white_level == 1023


def test_what_is_not_given_of_the_encoder_is_that_of_the_other_run(begun, small_config, tmp_path, monkeypatch):
    run = train_by_keywords(
        tmp_path / "run", from_run=str(begun.path), data=small_config.data, method="random", accelerator="cpu"
    )
    assert (run.config.encoder, run.config.strides, run.config.image_size) == ("small_cnn", (2, 1, 2, 1), 16)
    with pytest.raises(ConfigError, match=r"a small_cnn with .* a tinynext_t"):
        train_by_keywords(tmp_path / "no", from_run=str(begun.path), data=small_config.data, encoder="tinynext_t")
    taken = with_architecture(replace(small_config, strides=None, from_run=str(begun.path)), ["encoder", "strides"])
    assert taken.strides == (2, 1, 2, 1)
    words = [
        "tinyedge",
        "train",
        "--from",
        str(begun.path),
        "--method",
        "random",
        "--out",
        str(tmp_path / "by_command"),
    ]
    monkeypatch.setattr("sys.argv", [*words, "--data", small_config.data, "--accelerator", "cpu"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert load_run(tmp_path / "by_command").config == run.config
