"""A user's mistakes: one sentence, exit code 2, and no file of anybody else is touched."""

import json
import shutil
from dataclasses import asdict

import pytest
from compiler.tflite_builder import TensorSpec, one_operator
from reports.conftest import bench_of

import tinyedge
from tinyedge.benchmark.record import read_bench
from tinyedge.cli import main
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.reports.source import read_source


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.tflite"
    path.write_bytes(one_operator("RELU", [TensorSpec((1, 4), 0.5, 0)], TensorSpec((1, 4), 0.5, 0)))
    return path


def run(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["tinyedge", "report", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_the_command_writes_replaces_its_own_and_prints_json(model, tmp_path, monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "m.tflite", "--json")
    assert code == 0
    printed = json.loads(out)
    assert (printed["schema"], printed["path"]) == (1, "m-report.html")
    assert printed["subjects"][0]["path"] == "m.tflite"
    assert printed["bytes"] == (tmp_path / "m-report.html").stat().st_size
    (tmp_path / "m-report.html").write_text((tmp_path / "m-report.html").read_text()[:600])
    code, out, _ = run(monkeypatch, capsys, "m.tflite")
    assert code == 0
    assert out.startswith(f"m-report.html  {(tmp_path / 'm-report.html').stat().st_size:,} bytes\n")
    assert (tmp_path / "m-report.html").stat().st_size > 10_000


@pytest.mark.parametrize("content", ["", "mine", '<!doctype html><meta name="generator" content="mkdocs">'])
def test_a_file_of_somebody_else_stays(model, tmp_path, monkeypatch, capsys, content):
    (tmp_path / "m-report.html").write_text(content)
    code, _, said = run(monkeypatch, capsys, "m.tflite")
    assert code == 2
    assert said.count("\n") == 1
    assert "m-report.html is not from tinyedge" in said
    assert (tmp_path / "m-report.html").read_text() == content


def test_an_export_of_an_earlier_encoder_is_left_out_in_words(full_run, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(full_run, run)
    (run / "encoder.safetensors").write_bytes(b"trained on")
    manifest = json.loads((run / "export.json").read_text())
    manifest["made_from"] = {"encoder.safetensors": {"sha256": "0" * 64, "bytes": 10}}
    (run / "export.json").write_text(json.dumps(manifest))
    source = read_source(run)
    assert (source.model, source.export) == (None, None)
    assert len(source.log) > 0
    assert "trained on since it was exported" in caplog.text
    assert "the report leaves the export out" in caplog.text


def test_a_benchmark_of_another_model_is_refused(model, tmp_path, full_run):
    (tmp_path / "b.json").write_text(json.dumps({"schema": 1, **asdict(bench_of(full_run / "model_int8.tflite"))}))
    with pytest.raises(ConfigError, match=r"b\.json is a benchmark of model_int8.tflite, whose SHA-256 is none"):
        tinyedge.report(model, bench=[tmp_path / "b.json"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "no benchmark of schema 1"),
        ('{"schema": 2}', "no benchmark of schema 1"),
        ('{"schema": 1, "model": {}, "results": [], "env": {}}', "damaged"),
        ('{"schema": 1, "model": 3, "results": [], "env": {}}', "damaged"),
        (
            '{"schema": 1, "model": {"path": "m", "sha256": 1, "macs": 1, "params": 1, "bytes": 1}, "results": []}',
            "sha256",
        ),
        (
            f'{{"schema": 1, "model": {{"path": "m", "sha256": "", "macs": 1{"0" * 99}, "params": 1, "bytes": 1}}}}',
            "macs",
        ),
    ],
)
def test_a_damaged_benchmark_is_refused(model, tmp_path, content, said):
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(ConfigError, match=said):
        tinyedge.report(model, bench=[tmp_path / "b.json"])


def test_a_benchmark_is_read_as_it_was_written(model, tmp_path):
    bench = bench_of(model)
    (tmp_path / "b.json").write_text(json.dumps({"schema": 1, **asdict(bench)}))
    (found,) = read_source(model, [read_bench(tmp_path / "b.json")]).benches
    assert found == bench


@pytest.mark.parametrize("sources", [(), ("m.tflite",) * 9])
def test_none_and_nine_are_refused(sources):
    with pytest.raises(ConfigError, match="1 to 8"):
        tinyedge.report(*sources)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "- 1"),
        ("config.yaml", "a: ["),
        ("probe.json", "{}"),
        ("plots/gallery.json", "{}"),
        ("plots/gallery.json", '{"schema": 2}'),
        ("metrics.jsonl", "\xff"),
    ],
)
def test_a_corrupt_file_of_a_run_is_named(tmp_path, file, content):
    (tmp_path / "plots").mkdir()
    (tmp_path / "config.yaml").write_text("method: best\n")
    (tmp_path / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=file):
        tinyedge.report(tmp_path, out=tmp_path / "page.html")


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": [[1]]},
        {"points": [[0, 0, 0, 99]]},
        {"points": [[float("nan"), 0, 0, 0]]},
        {"points": [[0, 0]]},
        {"thumbnails": '");background:url(https://example.org)'},
        {"side": 0},
    ],
)
def test_a_gallery_that_does_not_fit_itself_is_refused(full_run, tmp_path, change):
    content = json.loads((full_run / "plots" / "gallery.json").read_text())
    (tmp_path / "plots").mkdir()
    (tmp_path / "config.yaml").write_text("method: best\n")
    (tmp_path / "plots" / "gallery.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(CheckpointError, match=r"gallery\.json is corrupt"):
        read_source(tmp_path)


def test_a_run_that_is_not_exported_is_reported_all_the_same(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("method: best\nencoder: tinynext_t\nhidden: &a {b: *a}\nact: [[*a, *a], 3]\n")
    (run / "probe.json").write_text('[{"protocol": "knn", "mean": NaN}, {"accuracies": [1e999]}]')
    (run / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 3}\n{"step": 2, "loss": NaN}\n7\n{"loss": 2}\n{"step": 3, "loss": 1}\n'
    )
    report = tinyedge.report(run, out=tmp_path / "page.html")
    assert report.shown["training"] == ["run"]
    assert report.missing["boards"] == [f"tinyedge export {run} --int8"]
