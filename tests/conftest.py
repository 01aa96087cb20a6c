"""Fixtures that every folder of tests may use. Its presence also puts this folder on the import path."""

from pathlib import Path

import pytest

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
