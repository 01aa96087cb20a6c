"""Metrics go to loggers with the interface of Lightning Fabric's: its own classes, TensorBoard's files, one's own."""

import csv
import importlib.util
from dataclasses import replace

import pytest
import yaml

import tinyedge
from tinyedge.cli import main
from tinyedge.errors import ConfigError, Interrupted, ToolMissing, TrainingError
from tinyedge.training.loggers import Loggers, check_loggers
from tinyedge.training.metrics import MetricsLog, read_metrics


class Heard:
    """A logger of one's own, without Lightning."""

    def __init__(self, fails_at: int | None = None):
        self.params, self.metrics, self.status, self.fails_at = {}, [], None, fails_at

    def log_hyperparams(self, params):
        self.params = params

    def log_metrics(self, metrics, step=None):
        if step == self.fails_at:
            raise ConnectionError("the server is gone")
        self.metrics.append({"step": step, **metrics})

    def finalize(self, status):
        self.status = status


class Told:
    """A progress that keeps what was said, and may stop the training."""

    def __init__(self, stop_at: int | None = None):
        self.said, self.stop_at = [], stop_at

    def say(self, sentence):
        self.said.append(sentence)

    def show(self, what, done, of, detail=""):
        if done == self.stop_at:
            raise Interrupted("stopped", 2)


def test_every_logger_hears_every_record_and_one_that_fails_ends_no_training(tmp_path, small_config):
    loggers = pytest.importorskip("lightning_fabric.loggers")
    config = replace(small_config, epochs=1, log_every_steps=2)
    own, lost, csv_logger = Heard(), Heard(fails_at=4), loggers.CSVLogger(tmp_path / "logs", name="", version="")
    told = Told()
    run = tinyedge.train(tmp_path / "run", config, progress=told, loggers=[lost, own, csv_logger])
    written = read_metrics(run.path / "metrics.jsonl")
    assert own.metrics == written
    assert own.params == run.config.to_dict() == yaml.safe_load((run.path / "config.yaml").read_text())
    assert own.status == "success"
    assert lost.status == "failed"
    assert [record["step"] for record in lost.metrics] == [record["step"] for record in written if record["step"] < 4]
    (sentence,) = [sentence for sentence in told.said if "failed" in sentence]
    assert sentence == "the logger Heard failed (the server is gone); the training goes on without it"
    rows = list(csv.DictReader((tmp_path / "logs" / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows] == [record["step"] for record in written]
    assert [float(row["loss"]) for row in rows] == pytest.approx([record["loss"] for record in written])
    assert not (run.path / "tensorboard").exists()  # Loggers were given.


@pytest.mark.parametrize("broken", ["log_hyperparams", "log_metrics", "finalize"])
def test_a_logger_that_fails_is_finalised_once(tmp_path, broken):
    calls, told = [], Told()

    class Broken(Heard):
        def __getattribute__(self, name):
            found = super().__getattribute__(name)
            if name not in ("log_hyperparams", "log_metrics", "finalize"):
                return found

            def called(*given, **named):
                calls.append((name, *given) if name == "finalize" else name)
                if name == broken:
                    raise OSError("gone")
                found(*given, **named)

            return called

    loggers = Loggers([Broken()], told.say)
    loggers.begin(tmp_path, {}, 0)
    for step in (1, 2):
        loggers.log({"loss": 1.0}, step)
    loggers.end("success")
    ends = [call for call in calls if call[0] == "finalize"]
    assert ends == [("finalize", "success" if broken == "finalize" else "failed")]
    assert calls.count("log_metrics") == {"log_hyperparams": 0, "log_metrics": 1, "finalize": 2}[broken]
    assert told.said == ["the logger Broken failed (gone); the training goes on without it"]


@pytest.mark.parametrize(("stop", "status"), [(1, "aborted"), (None, "failed")])
def test_a_logger_hears_how_a_training_ended_before_its_end(tmp_path, small_config, stop, status):
    own = Heard()
    config = replace(small_config, epochs=1, lr_per_256=1.0 if stop else 1e30, log_every_steps=1)
    with pytest.raises(Interrupted if stop else TrainingError):
        tinyedge.train(tmp_path / "run", config, progress=Told(stop), loggers=[own])
    assert own.status == status


def test_tensorboard_has_the_numbers_of_the_log_without_those_that_a_resumed_run_writes_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("", "tensorboard"):  # By default, and asked for.
        folder = tmp_path / (name or "default")
        folder.mkdir()
        records = [{"step": step, "epoch": step / 10, "loss": 1 / step, "lr": 0.5} for step in (5, 10, 15, 20)]
        for last, part in ((0, records[:3]), (10, [{**record, "loss": 7.0} for record in records[2:]])):
            loggers = Loggers([name] if name else None, pytest.fail)
            log = MetricsLog(folder, last, loggers)
            loggers.begin(folder, {"method": "vicreg"}, last)
            for record in part:
                log.append(record)
            log.close()
        read = EventAccumulator(str(folder / "tensorboard"))
        read.Reload()
        for key in ("epoch", "loss", "lr"):
            expected = [
                (record["step"], pytest.approx(record[key])) for record in read_metrics(folder / "metrics.jsonl")
            ]
            assert [(one.step, one.value) for one in read.Scalars(key)] == expected
        (text,) = {one.tensor_proto.string_val[0] for one in read.Tensors("config/text_summary")}
        assert b"| method | vicreg |" in text


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_package_that_is_missing_is_named_before_anything_is_imported(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tinyedge.training.loggers.find_spec", lambda _: None)
    with pytest.raises(ToolMissing, match=rf"--logger {name} needs {name}.*pip install {name}"):
        check_loggers([name])
    monkeypatch.setattr("sys.argv", ["tinyedge", "train", "--out", str(tmp_path / "run"), "--logger", name])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: --logger {name} needs {name}")
    assert not (tmp_path / "run").exists()


def test_what_is_no_logger_is_refused():
    with pytest.raises(ConfigError, match="unknown logger tensorbord; did you mean tensorboard"):
        check_loggers(["tensorbord"])
    with pytest.raises(ConfigError, match="dict is no logger: it has no log_hyperparams"):
        check_loggers([{}])


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_by_name_has_the_numbers(name, tmp_path, monkeypatch):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    check_loggers([name])
    loggers = Loggers([name], pytest.fail)
    loggers.begin(tmp_path / "run", {"method": "vicreg"}, 0)
    for step in (5, 10):
        loggers.log({"loss": 1 / step}, step)
    loggers.end("success")
    if name == "wandb":
        assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
        return
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'tinyedge'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params["method"]) == ("run", "FINISHED", "vicreg")
    assert [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")] == [
        (5, 0.2),
        (10, 0.1),
    ]
