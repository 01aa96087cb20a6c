"""Fixtures that every folder of tests may use. Its presence also puts this folder on the import path."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--board", help="run the tests of operators on this emulated board in place of the host")


@pytest.fixture(scope="session")
def shared_model():
    """A function that finds a published model by its file name, or skips the test where there is none."""

    def find(name: str) -> Path:
        path = SHARED_MODELS / name
        if not path.is_file():
            pytest.skip(f"{path} is absent: it is not part of the repository")
        return path

    return find


@pytest.fixture(scope="session")
def benchmark_script():
    """A function that imports a script of benchmarks/ by its name, for it is in no package."""

    def load(name: str):
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
            sys.modules[name] = importlib.util.module_from_spec(spec)  # Its dataclasses look themselves up there.
            spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    return load
