"""What `tinyedge watch` shows."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tinyedge.cli import watch as watch_command
from tinyedge.cli.tables.watch import curve, duration, status_view
from tinyedge.training.run_lock import locked_run
from tinyedge.training.status import read_status


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run that somebody trains in."""
    folder = tmp_path / ("a run with a long name " * 4).strip()
    folder.mkdir()
    (folder / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 2\nbatch_size: 64\n")
    (folder / "probe.json").write_text('[{"protocol": "linear", "label_fraction": 0.2, "mean": 0.61}]')
    with locked_run(folder):
        yield folder


def log(run: Path, steps: int) -> None:
    lines = [
        json.dumps({"step": step, "epoch": step / 1000, "loss": 9.0 - step / 1000, "accuracy": 0.5, "elapsed_s": step})
        for step in range(10, steps + 1, 10)
    ]
    (run / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_the_view_fits_80_columns_and_has_everything(run: Path) -> None:
    log(run, 1200)
    text = io.StringIO()
    Console(file=text, width=80).print(status_view(read_status(run)))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    said = dict(line.split(maxsplit=1) for line in lines if line.split()[0].isascii())
    assert said["step"].strip() == "1,200 of 2,000, 60 %; epoch 1.2 of 2"
    assert said["loss"].startswith("7.800  █")
    assert said["loss"].rstrip().endswith("▁")
    assert said["images/s"].strip() == "64"
    assert said["left"].strip() == "13 min 20 s"
    assert said["accuracy"].startswith("50.0 %")
    assert said["probe"].strip() == "61.0 % (linear, 20 % of the labels)"


def test_it_looks_again_until_the_training_ends(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log(run, 1000)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        log(run, 1000 + 500 * len(slept))
        if len(slept) == 2:
            (run / "encoder.safetensors").touch()

    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("tinyedge.cli.watch.report_console", lambda json: console)
    watch_command.watch(run, every=0.5, once=False, json=False)
    assert slept == [0.5, 0.5]
    assert "1,500 of 2,000" in text.getvalue()
    assert "2,000 of 2,000" in text.getvalue()
    assert "tinyedge report" in text.getvalue()


def test_a_stopped_training_ends_the_watch_with_the_command_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("data: digits\nmethod: simclr\nepochs: 2\nbatch_size: 64\n")
    log(run, 1000)
    monkeypatch.setattr("time.sleep", pytest.fail)
    watch_command.watch(run, every=0.5, once=False, json=False)
    said = capsys.readouterr().out
    assert "state     stopped, the last record" in said
    assert "left" not in said
    assert f"next: tinyedge train --out {run} --resume" in said


def test_off_a_terminal_it_shows_once_and_json_is_plain(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(run, 1000)
    watch_command.watch(run, every=9.0, once=False, json=False)
    assert "1,000 of 2,000" in capsys.readouterr().out
    watch_command.watch(run, every=9.0, once=False, json=True)
    assert json.loads(capsys.readouterr().out)["steps"] == 2000


def test_times_have_two_units_and_curves_their_ends() -> None:
    assert [duration(seconds) for seconds in (0, 59.6, 3_600, 93_784)] == ["0 s", "1 min 0 s", "1 h 0 min", "1 d 2 h"]
    assert curve([]) == ""
    assert curve([3.0]) == "▁"
    assert curve([1.0, 1.4, 2.0]) == "▁▄█"
    assert len(curve(list(range(1000)))) == 40
