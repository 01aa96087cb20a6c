"""A small network and its benchmark by layers, which several files look at."""

import pickle
from pathlib import Path

import pytest
from compiler.random_networks import random_network
from once import OncePerSession

from tinyedge.benchmark.bench import run_bench
from tinyedge.benchmark.record import BenchReport


@pytest.fixture(scope="session")
def network(once: OncePerSession) -> Path:
    """A network of some layers."""
    return once.folder("benched", lambda folder: (folder / "m.tflite").write_bytes(random_network(4))) / "m.tflite"


@pytest.fixture(scope="session")
def layers_report(network: Path, once: OncePerSession) -> BenchReport:
    """Its benchmark, layers too, on an emulated board whose memory has no wait states."""

    def bench(folder: Path) -> None:
        report, _ = run_bench(network, target="emulator", board_name="mps2_an386", inputs=2, layers=True)
        (folder / "report.pickle").write_bytes(pickle.dumps(report))

    report = pickle.loads((once.folder("benched_by_layers", bench) / "report.pickle").read_bytes())
    assert isinstance(report, BenchReport)
    return report
