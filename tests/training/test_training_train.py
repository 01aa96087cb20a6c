import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tinyedge.data.augment import normalise
from tinyedge.errors import BudgetExceeded, CheckpointError, ConfigError, DataError, Interrupted, TrainingError
from tinyedge.ssl.vicreg import VicReg
from tinyedge.training.check import check_training
from tinyedge.training.checkpoint import load_checkpoint, save_checkpoint
from tinyedge.training.config import TrainConfig, load_config
from tinyedge.training.metrics import read_metrics
from tinyedge.training.optimizer import create_optimizer, learning_rate
from tinyedge.training.processes import start_context
from tinyedge.training.run import load_run
from tinyedge.training.status import read_status
from tinyedge.training.train import _check_batch_size, train

# What a clock decides.
TIMING = {"images_per_s", "elapsed_s", "cpu_s"}
# A grid that is too coarse for its method.
COARSE = {"encoder": "tinynext_t", "method": "s0", "method_options": {}, "strides": (2, 2, 2, 2, 2)}


def numbers(directory) -> list[dict]:
    records = read_metrics(directory / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in TIMING} for record in records]


@pytest.fixture(scope="module")
def finished(image_folder, tmp_path_factory):
    """Four epochs of s0-plus on 256 images."""
    torch.set_num_threads(1)
    config = TrainConfig(
        data=str(image_folder),
        image_size=16,
        strides=(2, 1, 2, 2, 1),
        epochs=4,
        batch_size=32,
        accelerator="cpu",
        devices=1,
        # VICReg at its own weight is most of the loss, and hardly begins; a narrow projector costs less.
        method_options={"vicreg_weight": 0.2, "projector_width": 256},
    )
    return train(config, tmp_path_factory.mktemp("runs") / "finished")


def test_the_loss_falls_and_everything_is_there(finished):
    records = read_metrics(finished.path / "metrics.jsonl")
    assert [record["step"] for record in records] == list(range(1, 33))
    losses = [record["loss"] for record in records]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-6:]) < 0.95 * np.mean(losses[:6])
    for key in ("ratio_mask", "ratio_rotate", "lambda_1", "lambda_2", "discriminator_accuracy", "effective_rank"):
        assert key in records[-1]
    for name in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt"):
        assert (finished.path / name).stat().st_size > 0
    assert not list(finished.path.rglob(".*"))


def test_the_saved_configuration_is_resolved(finished):
    config = load_run(finished.path).config
    assert config == finished.config
    assert None not in (config.batch_size, config.lr_per_256, config.warmup_epochs, config.augment, config.strides)
    assert config.method_options["corrupt_at"] == "input+stage3"


def test_the_encoder_is_saved_alone_and_calibrated_on_clean_images(finished):
    encoder = load_run(finished.path).load_encoder()
    assert not encoder.training
    assert set(encoder.state_dict()) == {
        key.removeprefix("encoder.")
        for key in load_checkpoint(finished.path / "checkpoints/last.ckpt").method
        if key.startswith("encoder.")
    }
    dataset = load_run(finished.path).load_dataset()
    features = encoder.forward_maps(normalise(dataset.train.images, dataset.mean, dataset.std))[-1]
    # The last norm's statistics are those of clean images: its output is standardised but for its affine part.
    # They come from all images, in batches that each have norms of their own before this one.
    standard = (features - encoder.norm.bias[:, None, None]) / encoder.norm.weight[:, None, None]
    assert standard.mean((0, 2, 3)).abs().max() < 0.15
    assert standard.std((0, 2, 3)).sub(1).abs().max() < 0.3


def test_a_finished_run_resumes_to_itself(finished):
    before = finished.encoder_path.read_bytes(), numbers(finished.path)
    cpu_s = [record["cpu_s"] for record in read_metrics(finished.path / "metrics.jsonl")]
    assert 0 < cpu_s[0] < cpu_s[-1] <= load_checkpoint(finished.path / "checkpoints/last.ckpt").cpu_s
    (finished.path / "probe.safetensors").write_bytes(b"of this encoder")
    train(finished.config, finished.path, resume=True)
    assert (finished.encoder_path.read_bytes(), numbers(finished.path)) == before
    (finished.path / "probe.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"seed": 1}, "seed"),
        ({"method": "s0"}, "method"),
        ({"batch_size": 8, "method_options": {"vicreg_weight": 0.2, "ema_beta": 0.9}}, "ema_beta"),
    ],
)
def test_resuming_with_another_configuration_is_refused(finished, change, key):
    with pytest.raises(ConfigError, match=rf"^{key} is .* was started with"):
        train(replace(finished.config, **change), finished.path, resume=True)


def test_a_run_of_before_an_option_was_there_is_resumed(finished, tmp_path):
    path = Path(shutil.copytree(finished.path, tmp_path / "run"))
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(re.sub(r"\n  symmetric_adversary: \w+", "", text))
    assert load_config(path / "config.yaml").method_options.keys() < finished.config.method_options.keys()
    train(finished.config, path, resume=True)
    assert (path / "encoder.safetensors").read_bytes() == finished.encoder_path.read_bytes()


def test_an_option_that_a_method_has_chosen_since_is_not_chosen_for_a_run_of_before(small_config, tmp_path):
    """`s0` restored pixels before it could choose; its record does not say so."""
    pixels = {"decoder_width": 64, "reconstruct": "pixels", "reconstruct_clean": False}
    path = train(replace(small_config, method="s0", method_options=pixels), tmp_path / "run").path
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(re.sub(r"\n  (reconstruct|code)_?\w*: \w+", "", text))
    former = load_config(path / "config.yaml")
    assert "reconstruct" not in former.method_options
    run = train(replace(former, epochs=former.epochs + 1), path, resume=True)
    assert run.config.method_options["reconstruct"] == "pixels"
    assert load_config(path / "config.yaml").method_options["reconstruct"] == "pixels"


def test_a_second_run_in_the_same_folder_is_refused(finished):
    with pytest.raises(ConfigError, match=r"--resume .* --overwrite, or give another --out"):
        train(finished.config, finished.path)


def test_folders_that_cannot_be_trained_into(finished, small_config, tmp_path):
    with pytest.raises(ConfigError, match="leave out --resume or --overwrite"):
        train(finished.config, finished.path, resume=True, overwrite=True)
    with pytest.raises(CheckpointError, match="holds no run to resume"):
        train(small_config, tmp_path / "new", resume=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        train(small_config, tmp_path, overwrite=True)
    with pytest.raises(ConfigError, match="is a file"):
        train(small_config, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"encoder": "tinynext_s", "strides": None}, BudgetExceeded, "1,000,000"),
        ({"method": "s0-pluss"}, ConfigError, "did you mean s0-plus"),
        ({"augment": "medium"}, ConfigError, "augment"),
        ({"accelerator": "cudaa"}, ConfigError, "accelerator"),
        ({"method_options": {"ema": 1}}, ConfigError, "ema"),
        (COARSE, ConfigError, "1 x 1 tokens"),
    ],
)
def test_mistakes_leave_nothing_behind(small_config, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        train(replace(small_config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_divide_over_the_devices(small_config):
    with pytest.raises(ConfigError, match=r"batch_size 33 .* multiple of 2"):
        _check_batch_size(33, devices=2)
    _check_batch_size(34, devices=2)


def test_an_overwritten_run_is_gone_only_once_the_new_one_can_start(finished, tmp_path, small_config):
    run = tmp_path / "run"
    config = replace(small_config, method="random", method_options={})
    train(config, run)
    (run / "probe.json").write_text("[]")
    with pytest.raises(ConfigError, match="1 x 1 tokens"):
        train(replace(config, **COARSE), run, overwrite=True)
    assert (run / "probe.json").exists()
    train(config, run, overwrite=True)
    assert not (run / "probe.json").exists()


def test_random_has_no_steps_but_calibrated_statistics(small_config, tmp_path):
    config = replace(small_config, method="random", method_options={}, batch_size=16)
    run = train(config, tmp_path / "run")
    assert not (run.path / "metrics.jsonl").exists()
    encoder = load_run(run.path).load_encoder()
    assert int(encoder.stage4[1].num_batches_tracked) == 10
    assert encoder.stage4[1].running_mean.abs().max() > 0
    again = train(config, tmp_path / "again")
    assert again.encoder_path.read_bytes() == run.encoder_path.read_bytes()


def test_identical_images_are_a_collapse(small_config, tmp_path):
    folder = tmp_path / "grey"
    folder.mkdir()
    for index in range(64):
        Image.fromarray(np.full((16, 16, 3), 99, np.uint8)).save(folder / f"{index}.png")
    with pytest.raises(TrainingError, match=r"collapsed at step 1: .*; give images that differ"):
        train(replace(small_config, data=str(folder), epochs=1), tmp_path / "run")


def test_views_grow_to_the_images_in_equal_parts_of_the_training(small_config, tmp_path, monkeypatch):
    seen = []

    def forward(method, batch, generator, progress):
        seen.append([tuple(view.shape[2:]) for view in batch.views])
        return forward_of_method(method, batch, generator, progress)

    forward_of_method = VicReg.forward
    monkeypatch.setattr(VicReg, "forward", forward)
    config = replace(small_config, view_sizes=(8, 12, 16), epochs=1)
    run = train(config, tmp_path / "run")
    assert seen == [[((8, 12, 16)[3 * step // len(seen)],) * 2] * 2 for step in range(len(seen))]
    assert load_run(run.path).config.view_sizes == (8, 12, 16)
    # A branch of a longer run is at the size that its share of the steps says.
    seen.clear()
    train(replace(run.config, epochs=2), run.path, resume=True)
    sizes = [view_sizes[0][0] for view_sizes in seen]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (12, 16)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "s0"}, "s0 needs views of the images' own size; leave out --view-sizes"),
        ({"view_sizes": (8, 12)}, "end --view-sizes with 16"),
        ({"encoder": "vit_ti", "strides": None}, "vit_ti takes no images of 8 pixels; leave out --view-sizes"),
    ],
)
def test_view_sizes_that_cannot_be_are_refused(small_config, tmp_path, changed, said):
    config = {"method": "vicreg", "method_options": {}, "view_sizes": (8, 16), "enforce_budget": False, **changed}
    with pytest.raises(ConfigError, match=re.escape(said)):
        train(replace(small_config, **config), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sizes", [(), (4, 16), (16, 8)])
def test_view_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(ConfigError, match=r"view_sizes is .*write 16,24,32"):
        TrainConfig(view_sizes=sizes)


def test_one_image_is_too_few(small_config, tmp_path):
    (tmp_path / "one").mkdir()
    Image.fromarray(np.full((16, 16, 3), 99, np.uint8)).save(tmp_path / "one" / "0.png")
    with pytest.raises(DataError, match=r"one has too few images to train on, 1: a step takes two on each device"):
        train(replace(small_config, data=str(tmp_path / "one")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_gpu_asks_for_a_smaller_batch(small_config, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("tinyedge.training.loop.create_optimizer", full)
    with pytest.raises(TrainingError, match="give a smaller --batch-size"):
        train(small_config, tmp_path / "run")


def test_an_update_that_breaks_the_features_is_told(small_config, tmp_path):
    # TinyNeXt's residuals overflow before its embeddings do.
    small_config = replace(small_config, encoder="tinynext_t", strides=(2, 1, 2, 2, 1))
    with pytest.raises(TrainingError, match=r"^features is not finite at step"):
        train(replace(small_config, epochs=1, lr_per_256=1e9), tmp_path / "run")


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(small_config, tmp_path):
    config = replace(small_config, epochs=1)
    run = train(replace(config, checkpoint_every_steps=4), tmp_path / "run")
    path = run.path / "checkpoints/last.ckpt"
    saved = load_checkpoint(path)
    # A checkpoint as a flipped bit in a weight would leave it, one step before the end.
    saved.method["encoder.stage1.0.weight"][0] = float("nan")
    save_checkpoint(path, replace(saved, step=saved.step - 1))
    content, log = path.read_bytes(), numbers(run.path)
    with pytest.raises(TrainingError, match="is not finite at step 8"):
        train(config, run.path, resume=True)
    assert path.read_bytes() == content
    assert numbers(run.path) == log[:-1]


def test_a_run_that_goes_on_with_other_threads_says_so(small_config, tmp_path):
    heard: list[str] = []
    progress = SimpleNamespace(say=heard.append, show=lambda *_: None)
    config = replace(small_config, epochs=1)
    run = train(config, tmp_path / "run")
    path = run.path / "checkpoints/last.ckpt"
    saved = load_checkpoint(path)
    assert saved.threads == torch.get_num_threads() == 1
    for threads in (0, 1, 7):  # 0 is a checkpoint of an earlier version.
        save_checkpoint(path, replace(saved, step=saved.step - 1, threads=threads))
        heard.clear()
        train(config, run.path, resume=True, progress=progress)
        said = [sentence for sentence in heard if "OMP_NUM_THREADS=7 keeps them" in sentence]
        assert len(said) == (threads == 7)


# S0-plus, for it has the most that a resumed run goes on with: a decoder, adversaries, weights from past losses.
SMALL_S0 = {"method": "s0-plus", "method_options": {"projector_width": 64, "decoder_width": 32}}


def train_arguments(config: TrainConfig, folder, plugin) -> list[str]:
    """The options for a run of a configuration, which a file in the folder has."""
    config.save(folder / "asked.yaml")
    return ["train", "--config", str(folder / "asked.yaml"), "--plugin", str(plugin), "--out", str(folder / "run")]


@pytest.fixture
def tinyedge(monkeypatch, capfd):
    """A function that runs a command in this process, which has loaded PyTorch already; gives its code and errors."""
    from tinyedge.cli import main

    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["tinyedge", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capfd.readouterr().err

    return run


def die_in_step(last_step: int, arguments: list[str]) -> None:
    """Run a command in this process, which dies in a step of a number, as by a power cut."""
    from tinyedge.cli import main
    from tinyedge.training import loop

    steps = []

    def die(*_):
        steps.append(None)
        if len(steps) == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_optimizer(*arguments):
        optimizer = create_optimizer(*arguments)
        optimizer.register_step_pre_hook(die)
        return optimizer

    torch.set_num_threads(1)
    loop.create_optimizer = dying_optimizer
    sys.argv = ["tinyedge", *arguments]
    main()


@pytest.mark.slow
def test_killed_within_an_epoch_and_resumed_equals_uninterrupted(small_config, small_cnn, tmp_path, tinyedge):
    config = replace(small_config, **SMALL_S0, checkpoint_every_steps=3, log_every_steps=5, bn_recalibration_batches=3)
    whole, killed = tmp_path / "whole", tmp_path / "run"
    train(config, whole)
    # A copy of a process that has loaded PyTorch.
    died = start_context().Process(target=die_in_step, args=(11, train_arguments(config, tmp_path, small_cnn)))
    died.start()
    died.join(120)
    assert died.exitcode == -signal.SIGKILL
    path = killed / "checkpoints/last.ckpt"
    assert load_checkpoint(path).step == 9  # Of 16; the second epoch begins after 8.
    assert not (killed / "encoder.safetensors").exists()

    (path.parent / ".last.ckpt.half").write_bytes(b"written when the power went")
    code, errors = tinyedge("train", "--out", killed, "--resume", "--plugin", small_cnn)
    assert code == 0, errors
    assert (killed / "encoder.safetensors").read_bytes() == (whole / "encoder.safetensors").read_bytes()
    assert {"loss.png", "ratios.png"} <= {picture.name for picture in (killed / "plots").iterdir()}
    assert numbers(killed) == numbers(whole)
    steps = [record["step"] for record in numbers(killed)]
    assert steps == sorted(set(steps))
    assert [item.name for item in path.parent.iterdir()] == ["last.ckpt"]
    ends = load_checkpoint(path), load_checkpoint(whole / "checkpoints/last.ckpt")
    assert all(torch.equal(value, ends[1].method[key]) for key, value in ends[0].method.items())
    for key, moments in ends[0].optimizer["state"].items():
        assert all(torch.equal(moments[name], ends[1].optimizer["state"][key][name]) for name in moments)


def test_a_branch_is_averaged_too(small_config, tmp_path):
    options = {"partner": "tinynext_t"}  # At its own, fine strides.
    config = replace(small_config, epochs=1, image_size=8, method="cass", method_options=options, ema_decay=0.9)
    run = train(config, tmp_path / "run")
    average = load_checkpoint(run.path / "checkpoints/last.ckpt").average
    for key, value in load_run(run.path / "branches/tinynext_t").load_encoder().named_parameters():
        assert torch.equal(average[f"partner.{key}"], value)


@pytest.fixture(scope="module")
def uninterrupted(small_config, tmp_path_factory):
    """One epoch, eight steps."""
    return train(replace(small_config, epochs=1), tmp_path_factory.mktemp("runs") / "whole")


def test_averaged_weights_are_saved_and_resumed(uninterrupted, tmp_path):
    plain = uninterrupted
    config = replace(plain.config, ema_decay=0.9)
    whole = train(config, tmp_path / "whole")
    path = "checkpoints/last.ckpt"
    saved = load_checkpoint(whole.path / path)
    encoder = whole.load_encoder().state_dict()
    for key, _ in whole.load_encoder().named_parameters():
        assert torch.equal(saved.average[f"encoder.{key}"], encoder[key])
    assert not torch.equal(encoder["stage1.1.weight"], plain.load_encoder().state_dict()["stage1.1.weight"])
    assert numbers(whole.path) == numbers(plain.path)
    # A run that stopped after step 5 of 8.
    stopped = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", stopping_optimizer(6))
        with pytest.raises(KeyboardInterrupt):
            train(replace(config, checkpoint_every_steps=1), stopped)
    assert load_checkpoint(stopped / path).step == 5
    resumed = train(config, stopped, resume=True)
    assert resumed.encoder_path.read_bytes() == whole.encoder_path.read_bytes()


def test_a_run_goes_on_to_more_epochs_and_stopped_there_too(uninterrupted, tmp_path):
    heard: list[str] = []
    progress = SimpleNamespace(say=heard.append, show=lambda *_: None)
    for name in ("longer", "stopped"):
        shutil.copytree(uninterrupted.path, tmp_path / name)
        (tmp_path / name / "probe.safetensors").write_bytes(b"of the encoder of one epoch")
        (tmp_path / name / "probe.json").write_text('[{"protocol": "linear", "mean": 0.5}]')
        (tmp_path / name / "export").mkdir()
        (tmp_path / name / "plots").mkdir(exist_ok=True)
        (tmp_path / name / "plots" / "confusion.png").write_bytes(b"of the encoder of one epoch")
    config = replace(uninterrupted.config, epochs=2)
    longer = train(config, tmp_path / "longer", resume=True, progress=progress)
    assert any("was made for 1 epoch and is for 2 now" in sentence for sentence in heard)
    assert load_run(longer.path).config == replace(config, earlier_epochs=(1,))
    records = numbers(longer.path)
    assert [record["step"] for record in records] == list(range(1, 17))
    assert records[:8] == numbers(uninterrupted.path)
    warmup = 8 * uninterrupted.config.warmup_epochs
    peak, final = (config.lr_per_256 * 32 / 256 * share for share in (1, config.min_lr_fraction))
    expected = [learning_rate(step, 16, round(warmup), peak=peak, final=final) for step in range(8, 16)]
    assert [record["lr"] for record in records[8:]] == pytest.approx(expected)
    assert longer.encoder_path.read_bytes() != uninterrupted.encoder_path.read_bytes()
    assert not (longer.path / "probe.safetensors").exists()
    assert read_status(longer.path).probe is None
    assert not (longer.path / "plots" / "confusion.png").exists()
    assert any("export is of the encoder before still" in sentence for sentence in heard)

    stopped = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", signalling_optimizer(5, signal.SIGINT))
        with pytest.raises(Interrupted, match="13 of 16 steps"):
            train(config, stopped, resume=True)
    assert (stopped / "encoder.safetensors").read_bytes() == uninterrupted.encoder_path.read_bytes()
    assert (stopped / "probe.safetensors").exists()  # It still fits the encoder that is there.
    assert read_status(stopped).probe == 0.5
    resumed = train(load_run(stopped).config, stopped, resume=True)
    assert resumed.config == longer.config
    assert resumed.encoder_path.read_bytes() == longer.encoder_path.read_bytes()
    assert numbers(stopped) == records


@pytest.mark.parametrize("log", [True, False], ids=["before PyTorch", "by the checkpoint"])
def test_fewer_epochs_than_a_run_has_trained_are_refused(uninterrupted, tmp_path, log):
    run = tmp_path / "run"
    config = replace(uninterrupted.config, epochs=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", signalling_optimizer(12, signal.SIGINT))
        with pytest.raises(Interrupted):
            train(config, run)
    if not log:
        (run / "metrics.jsonl").unlink()
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match=r"has trained 1\.5 epochs already, and --epochs 1 is fewer"):
        (train if not log else check_training)(replace(config, epochs=1), run, resume=True)
    assert (run / "config.yaml").read_bytes() == before
    shorter = train(replace(config, epochs=2), run, resume=True)
    assert shorter.config.earlier_epochs == (3,)
    assert numbers(run)[-1]["step"] == 16


def stopping_optimizer(stop_at):
    """AdamW that is interrupted in its step number `stop_at`."""
    calls = []

    def create(*arguments):
        optimizer = create_optimizer(*arguments)

        def interrupt(*_):
            calls.append(None)
            if len(calls) == stop_at:
                raise KeyboardInterrupt

        optimizer.register_step_pre_hook(interrupt)
        return optimizer

    return create


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_names_the_command_that_goes_on(uninterrupted, tmp_path, number):
    whole = uninterrupted
    config = whole.config
    stopped = tmp_path / "a run"
    handler = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", signalling_optimizer(5, number))
        with pytest.raises(Interrupted) as caught:
            train(config, stopped)
    command = f"tinyedge train --out '{stopped}' --resume --plugin {config.encoder_plugin}"
    assert str(caught.value) == f"5 of 8 steps are saved; go on with `{command}`"
    assert (caught.value.exit_code, caught.value.title) == (128 + number, "stopped")
    assert signal.getsignal(number) is handler
    assert load_checkpoint(stopped / "checkpoints/last.ckpt").step == 5
    resumed = train(config, stopped, resume=True)
    assert resumed.encoder_path.read_bytes() == whole.encoder_path.read_bytes()
    assert numbers(stopped) == numbers(whole.path)


def signalling_optimizer(at, number):
    """AdamW whose process gets a signal in its step number `at`."""
    calls = []

    def create(*arguments):
        optimizer = create_optimizer(*arguments)

        def send(*_):
            calls.append(None)
            if len(calls) == at:
                signal.raise_signal(number)

        optimizer.register_step_pre_hook(send)
        return optimizer

    return create


@pytest.mark.slow
def test_ctrl_c_ends_both_processes_with_one_sentence(small_config, small_cnn, tmp_path):
    run = tmp_path / "run"
    config = replace(small_config, epochs=500, devices=2, log_every_steps=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyedge", *train_arguments(config, tmp_path, small_cnn)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    metrics, deadline = run / "metrics.jsonl", time.monotonic() + 200
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].endswith(f"go on with `tinyedge train --out {run} --resume --plugin {small_cnn}`")
    assert errors.count("stopped: ") == 1
    assert "Traceback" not in errors
    assert load_checkpoint(run / "checkpoints/last.ckpt").step > 0


@pytest.fixture
def small_files() -> Iterator[None]:
    """A disk that is full for files of half a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_command_with_one_sentence(small_config, small_cnn, tmp_path, tinyedge, small_files):
    run = tmp_path / "run"
    # Its encoder fits, a checkpoint does not.
    config = replace(small_config, epochs=1, method_options={"projector_width": 256})
    code, errors = tinyedge(*train_arguments(config, tmp_path, small_cnn))
    assert code == 2, errors
    message = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(message) == 1
    assert "last.ckpt: File too large" in message[0]
    assert "Traceback" not in errors
    assert list((run / "checkpoints").iterdir()) == []
    assert len(read_metrics(run / "metrics.jsonl")) == 8


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(small_config, tmp_path):
    # A small learning rate, since rounding grows with every step of a larger one; that the gradients are the same to
    # the last digit is tested in float64.
    config = replace(small_config, **SMALL_S0, epochs=1, lr_per_256=3e-5)
    train(config, tmp_path / "one")
    train(replace(config, devices=2), tmp_path / "two")
    before, after = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    assert [record["step"] for record in after] == [record["step"] for record in before] == list(range(1, 9))
    for key, relative in {"loss": 1e-4, "ratio_mask": 1e-4, "feature_std": 1e-3}.items():
        assert [record[key] for record in after] == pytest.approx([record[key] for record in before], rel=relative)
    states = [load_run(tmp_path / name).load_encoder().state_dict() for name in ("one", "two")]
    assert list(states[0]) == list(states[1])


@pytest.mark.slow
def test_two_processes_stop_together_and_say_it_once(small_config, small_cnn, tmp_path, tinyedge):
    folder = tmp_path / "grey"
    folder.mkdir()
    for index in range(64):
        Image.fromarray(np.full((16, 16, 3), 99, np.uint8)).save(folder / f"{index}.png")
    config = replace(small_config, data=str(folder), devices=2)
    code, errors = tinyedge(*train_arguments(config, tmp_path, small_cnn))
    assert code == 2, errors
    assert errors.count("error: the features collapsed at step 1") == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "no/such/folder"], "no/such/folder"),
        (["--method", "s0-plsu"], "did you mean s0-plus"),
        (["--strides", "2,1,x"], "strides"),
        (["--resume"], "holds no run to resume"),
    ],
)
def test_the_command_says_what_is_wrong(extra, message, tmp_path, tinyedge):
    code, errors = tinyedge("train", "--out", tmp_path / "run", *extra)
    assert code == 2
    assert errors.startswith("error: ")
    assert message in errors.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_metrics_are_strict_json(finished):
    for line in (finished.path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
