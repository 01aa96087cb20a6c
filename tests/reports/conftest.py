"""A run with everything that a report shows, made from the zoo's without training anything."""

import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from once import OncePerSession

import tinyedge
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord, ModelledCycles, ModelRecord
from tinyedge.manifest.manifest import record_file
from tinyedge.plots.embedding import EmbeddingMap
from tinyedge.plots.gallery import write_gallery
from tinyedge.reports.report import WrittenReport

ZOO = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship" * 30, "<i>truck</i>")


def bench_of(model: Path, instructions: int = 4321) -> BenchReport:
    """A benchmark of a model with two layers."""
    layers = tuple(
        LayerRecord(f"layer {n}", "CONV_2D", f"te_conv_{n}", 1000 * n, 2000 * n, "", 3000 * n) for n in (1, 2)
    )
    record = BenchRecord(
        runtime="aot",
        target="emulator",
        board="stm32f405",
        cpu="cortex-m4",
        instructions=instructions,
        flash_code_bytes=30_000,
        flash_kernel_bytes=20_000,
        flash_model_bytes=50_000,
        outputs_sha256="0" * 64,
        bit_exact=True,
        differing=0,
        inputs=7,
        layers=layers,
        stack_used_bytes=1234,
        modelled=ModelledCycles(9999, 11, 0.06, "Cortex-M4", "flash behind a cache", "3 %"),
    )
    sha256 = record_file(model).sha256
    env = {"machine": "x86_64", "compiler": "gcc 12", "flags": "-O2", "versions": {}, "seed": 0}
    return BenchReport(ModelRecord(model.name, sha256, 1, 2, 3), (record,), env)


@pytest.fixture(scope="session")
def full_run(once: OncePerSession) -> Path:
    """The zoo's run with a log, a gallery and a benchmark of layers."""
    return once.folder("reported_run", lambda folder: _write_run(folder / "full")) / "full"


@pytest.fixture(scope="session")
def full_report(full_run: Path, once: OncePerSession) -> WrittenReport:
    """The report of that run."""
    return _report("full", once, full_run)


@pytest.fixture(scope="session")
def compared(full_run: Path, once: OncePerSession) -> WrittenReport:
    """That run beside the other model of the zoo."""
    return _report("compared", once, full_run, "mobilenetv2_035_cifar10")


def _report(name: str, once: OncePerSession, *runs: Path | str) -> WrittenReport:
    def write(folder: Path) -> None:
        written = tinyedge.report(*runs, out=folder / f"{name}.html")
        (folder / "written.pickle").write_bytes(pickle.dumps(written))

    written = pickle.loads((once.folder(f"report_{name}", write) / "written.pickle").read_bytes())
    assert isinstance(written, WrittenReport)
    return written


def _write_run(run: Path) -> None:
    shutil.copytree(ZOO, run, ignore=shutil.ignore_patterns("*.safetensors"))
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": step, "loss": 2.0 / step, "lr": 0.1 * step}) + "\n" for step in range(1, 900))
    )
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 10, (2, 300))
    (run / "plots").mkdir()
    write_gallery(
        run / "plots" / "gallery.json",
        "linear probe, 12 labels",
        EmbeddingMap(np.arange(200), random.normal(size=(200, 2)), "t-SNE"),
        random.integers(0, 255, (200, 9, 11, 3), dtype=np.uint8),
        labels,
        predicted,
        CLASSES,
    )
    bench = bench_of(run / "model_int8.tflite")
    (run / "bench.json").write_text(json.dumps({"schema": 1, **asdict(bench)}))
