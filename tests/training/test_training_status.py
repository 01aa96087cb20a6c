"""How far a training is, read from the files of its run."""

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tinyedge
from tinyedge.cli.training_progress import TrainingProgress
from tinyedge.errors import CheckpointError
from tinyedge.training.run_lock import locked_run
from tinyedge.training.status import read_status

NOW_S = 2_000_000_000.0


def record(step: int, elapsed_s: float, **more: Any) -> dict[str, Any]:
    return {"step": step, "epoch": step / 100, "loss": 10 / step, "images_per_s": 1.0, "elapsed_s": elapsed_s, **more}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run that somebody trains in."""
    (tmp_path / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 5\nbatch_size: 64\n")
    with locked_run(tmp_path):
        yield tmp_path


def write_log(run: Path, *records: dict[str, Any], age_s: float = 3.0, end: str = "\n") -> None:
    log = run / "metrics.jsonl"
    log.write_text("\n".join(map(json.dumps, records)) + end)
    os.utime(log, (NOW_S - age_s, NOW_S - age_s))


def test_steps_speed_and_time_left_come_from_the_log(run: Path) -> None:
    write_log(run, record(50, 100.0), record(100, 125.0), record(150, 150.0, accuracy=0.5))
    status = read_status(run, NOW_S)
    assert status.state == "training"
    assert (status.step, status.steps, status.epoch, status.epochs) == (150, 500, 1.5, 5)
    assert status.images_per_s == pytest.approx(64 / 0.5)
    assert status.left_s == pytest.approx(350 * 0.5)
    assert status.age_s == pytest.approx(3.0)
    assert status.losses == pytest.approx([0.2, 0.1, 10 / 150])
    assert (status.loss, status.accuracy, status.probe) == (pytest.approx(10 / 150), 0.5, None)
    assert json.loads(json.dumps(status.to_json()))["steps"] == 500


def test_a_break_does_not_count_for_the_speed(run: Path) -> None:
    spans = (0, 25, 50, 9_000, 9_025, 9_050)
    write_log(run, *(record(50 * (at + 1), float(elapsed)) for at, elapsed in enumerate(spans)))
    assert read_status(run, NOW_S).left_s == pytest.approx(200 * 0.5)


def test_a_training_without_records_waits(run: Path) -> None:
    for text in (None, "", '{"step": 1, "epo'):
        if text is not None:
            (run / "metrics.jsonl").write_text(text)
        status = read_status(run, NOW_S)
        assert (status.state, status.steps, status.left_s, status.losses) == ("waiting", None, None, ())


def test_a_log_that_does_not_grow_is_silent(run: Path) -> None:
    write_log(run, record(50, 10.0), record(100, 20.0), age_s=119)
    assert read_status(run, NOW_S).state == "training"
    write_log(run, record(50, 10.0), record(100, 20.0), age_s=121)
    assert read_status(run, NOW_S).state == "silent"
    # With 5 s a step a record comes every 250 s.
    write_log(run, record(50, 10.0), record(100, 260.0), age_s=900)
    assert read_status(run, NOW_S).state == "training"


def test_a_training_that_nobody_has_any_more_has_stopped(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 5\nbatch_size: 64\n")
    assert read_status(tmp_path, NOW_S).state == "stopped"
    write_log(tmp_path, record(50, 10.0), record(100, 20.0), age_s=1)
    assert read_status(tmp_path, NOW_S).state == "stopped"
    with locked_run(tmp_path):
        assert read_status(tmp_path, NOW_S).state == "training"
    (tmp_path / "encoder.safetensors").touch()
    write_log(tmp_path, record(500, 20.0), age_s=1)
    assert read_status(tmp_path, NOW_S).state == "ended"


def test_where_there_are_no_locks_the_log_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 5\nbatch_size: 64\n")
    monkeypatch.setattr("tinyedge.training.run_lock.lock_folder", lambda folder: None)
    assert read_status(tmp_path, NOW_S).state == "waiting"
    write_log(tmp_path, record(50, 10.0), age_s=1)
    assert read_status(tmp_path, NOW_S).state == "training"


@pytest.mark.parametrize(
    ("kind", "state"), [("ext4", "stopped"), ("fuseblk", "stopped"), ("nfs4", "training"), ("fuse.sshfs", "training")]
)
def test_where_another_machine_may_train_the_log_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    (tmp_path / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 5\nbatch_size: 64\n")
    write_log(tmp_path, record(50, 10.0), age_s=1)
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:99999 / /other rw - nfs other rw\n"
        f"25 1 {os.major(device)}:{os.minor(device)} / /data rw,noatime shared:7 - {kind} server:/data rw\n"
    )
    monkeypatch.setattr("tinyedge.folder_lock._MOUNTS", mounts)
    assert read_status(tmp_path, NOW_S).state == state
    monkeypatch.setattr("tinyedge.folder_lock._MOUNTS", tmp_path / "none")
    assert read_status(tmp_path, NOW_S).state == "stopped"


def test_the_end_is_the_encoder_of_the_last_step(run: Path) -> None:
    (run / "encoder.safetensors").touch()
    write_log(run, record(450, 10.0), record(500, 20.0), age_s=9_999)
    assert (read_status(run, NOW_S).state, read_status(run, NOW_S).left_s) == ("ended", 0.0)
    # `--resume --epochs 10` goes on; the encoder of before is there still.
    (run / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 10\nbatch_size: 64\n")
    write_log(run, record(450, 10.0), record(500, 20.0))
    assert read_status(run, NOW_S).state == "training"


def test_the_last_probe_is_told_and_a_half_written_one_is_not(run: Path) -> None:
    rows = [{"protocol": "knn", "mean": 0.2}, {"protocol": "linear", "label_fraction": 0.2, "mean": 0.61}]
    (run / "probe.json").write_text(json.dumps(rows))
    status = read_status(run, NOW_S)
    assert (status.probe, status.probe_protocol, status.probe_fraction) == (0.61, "linear", 0.2)
    (run / "probe.json").write_text(json.dumps(rows)[:30])
    assert read_status(run, NOW_S).probe is None


def test_values_that_are_no_numbers_are_left_out(run: Path) -> None:
    (run / "metrics.jsonl").write_text(
        '{"step": 50, "epoch": 0.5, "loss": NaN, "elapsed_s": "x"}\n[1]\n{"step": true, "epoch": 1}\n'
    )
    status = read_status(run, NOW_S)
    assert (status.step, status.loss, status.left_s) == (50, None, None)


@pytest.mark.parametrize("value", ["1" + "0" * 400, "1e308", "-3", "0"])
@pytest.mark.parametrize("name", ["step", "epoch"])
def test_a_record_whose_counts_are_none_of_a_training_is_left_out(run: Path, name: str, value: str) -> None:
    strange = {"step": "60", "epoch": "0.6", name: value}
    (run / "metrics.jsonl").write_text(
        '{"step": 50, "epoch": 0.5, "elapsed_s": 5}\n'
        f'{{"step": {strange["step"]}, "epoch": {strange["epoch"]}, "loss": {"9" * 400}, "elapsed_s": 6}}\n'
    )
    status = read_status(run, NOW_S)
    assert (status.step, status.steps, status.losses) == (50, 500, ())


def test_a_training_has_no_fewer_steps_than_are_done(run: Path) -> None:
    """As a record says that is none of this configuration; a share of no steps was a traceback."""
    (run / "metrics.jsonl").write_text(f'{{"step": 1, "epoch": 50, "loss": {"9" * 400}}}\n')
    status = read_status(run, NOW_S)
    assert (status.step, status.steps, status.loss) == (1, 1, None)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no run"):
        read_status(tmp_path)


class Shown:
    """A progress that keeps the details of its live line."""

    def __init__(self) -> None:
        self.details: list[str] = []

    def say(self, sentence: str) -> None:
        pass

    def show(self, what: str, done: int, of: int, detail: str = "") -> None:
        self.details.append(detail)


def test_the_live_line_has_the_last_probe_where_one_is_known(tmp_path: Path, small_config: Any) -> None:
    config, shown = replace(small_config, epochs=1), [Shown(), Shown(), Shown()]
    first = tinyedge.train(tmp_path / "first", config, progress=shown[0])
    (first.path / "probe.json").write_text(json.dumps([{"protocol": "linear", "mean": 0.61}]))
    second = tinyedge.train(tmp_path / "second", replace(config, from_run=str(first.path)), progress=shown[1])
    (second.path / "probe.json").write_text(json.dumps([{"protocol": "linear", "mean": 0.625}]))
    tinyedge.train(second.path, resume=True, epochs=2, progress=shown[2])
    ends = [{detail.partition(" images/s")[2] for detail in one.details if detail} for one in shown]
    assert ends == [{""}, {"  start 61.0 %"}, {"  probe 62.5 %"}]


def test_the_live_line_fits_80_columns() -> None:
    text = io.StringIO()
    detail = "loss 0.123  acc 87.5 %  1234 images/s  probe 61.8 %"
    with TrainingProgress(Console(file=text, force_terminal=True, width=80)) as progress:
        progress.show("step", 0, 140_000)
        progress.show("step", 70_000, 140_000, detail)
        progress.say("so far")
    plain = re.sub(r"\x1b\[[\d;]*m", "", text.getvalue()).replace("\r", "\n")
    lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "\n", plain).split("\n")
    assert max(map(len, lines)) <= 80
    assert [one for one in lines if re.fullmatch(rf".* 50% {detail} left \S*:\S\S", one)], lines
