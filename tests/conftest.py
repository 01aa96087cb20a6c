"""Fixtures that every folder of tests may use. Its presence also puts this folder on the import path."""

import gc
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from exports.export_inputs import Exported
    from machines.case_machines import KernelBuild
    from once import OncePerSession

DOCS = Path(__file__).resolve().parents[1] / "docs"
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TOOLS = Path(__file__).resolve().parents[1] / "tools"
SMALL_CNN = Path(__file__).resolve().parents[1] / "examples" / "plugins" / "small_cnn.py"
SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


# Every test that compiles a model compiles the same kernels. ccache knows a file by its path from the working folder,
# takes headers that were written a moment ago, and has the compiler say what it includes where it is asked to (-MD),
# rather than preprocess a file before it is compiled.
COMPILER_CACHE = {
    "CC": "ccache cc",
    "CCACHE_BASEDIR": "/",
    "CCACHE_DEPEND": "1",
    "CCACHE_NOHASHDIR": "1",
    "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime",
    "CMAKE_C_COMPILER_LAUNCHER": str(Path(__file__).parent / "machines" / "cached_gcc"),  # Of firmware alone.
}


def pytest_configure() -> None:
    # Collecting the tests imports all that they need, and it stays: looking for garbage among it, then and in each full
    # collection after, finds none.
    gc.disable()
    if shutil.which("ccache"):
        for name, value in COMPILER_CACHE.items():
            os.environ.setdefault(name, value)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `thorough` ones to --thorough.

    Files with slow tests come first, then long ones before short ones, or one of two processes ends with such a file
    while the other has nothing to do.
    """
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    size_bytes = {path: path.stat().st_size for path in {item.path for item in items}}
    items.sort(key=lambda item: (item.path not in slow, -size_bytes[item.path], item.path))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--board", help="run the tests of operators on this emulated board in place of the host")
    parser.addoption("--thorough", action="store_true", help="more of what a few stand for: networks, random draws")
    parser.addoption("--fuzz-seconds", type=float, help="how long each fuzzer runs, rather than for a few seconds")


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What a test writes need not outlast a power cut: thousands of small files wait for the disk otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether --thorough is given: a test that draws at random then draws more."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="session")
def fuzz_seconds(request: pytest.FixtureRequest) -> float | None:
    """How long each fuzzer has to run; None for as little as every run of the tests can pay."""
    seconds: float | None = request.config.getoption("--fuzz-seconds")
    return seconds


@pytest.fixture(scope="session")
def page_blocks() -> Callable[[str, str], list[str]]:
    """A function that returns the Python of a section of a page of docs/."""

    def find(page: str, section: str) -> list[str]:
        text = (DOCS / page).read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
        return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)

    return find


@pytest.fixture(scope="session")
def page_commands() -> Callable[[str], list[list[str]]]:
    """A function that returns the commands of a page of docs/, in its order: whatever lines are indented as code."""

    def find(page: str) -> list[list[str]]:
        text = re.sub(
            r"^ *```.*?^ *```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        return [shlex.split(line) for line in re.findall(r"^ {8}(\S.*)$", text, re.MULTILINE)]

    return find


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
        if str(BENCHMARKS) not in sys.path:  # Scripts import their neighbours, as when they are run.
            sys.path.append(str(BENCHMARKS))
        return importlib.import_module(name)

    return load


@pytest.fixture(scope="session")
def tool_script() -> Callable[[str], ModuleType]:
    """A function that makes a new module of a script of tools/ by its name, for it is in no package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


# What follows imports when it is asked for: a test of the reader needs neither torch nor a cross compiler.


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> "OncePerSession":
    """Makes what several tests need and none changes."""
    from once import OncePerSession

    return OncePerSession(tmp_path_factory)


@pytest.fixture(scope="module")
def small_cnn() -> Iterator[Path]:
    """Make an encoder known to a module, of a fifth of the cost of TinyNeXt; return its plug-in."""
    from tinyedge import plugins
    from tinyedge.encoders import registry

    with pytest.MonkeyPatch.context() as patch:  # For the files after this one it is unknown again.
        patch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
        patch.setattr(plugins, "_registered", set(plugins._registered))
        plugins.load_plugin(str(SMALL_CNN))
        yield SMALL_CNN


@pytest.fixture(scope="session")
def board_kernels(once: "OncePerSession") -> "Callable[[str], KernelBuild]":
    """A function that compiles kernels for an emulated board; it skips the test where tools are absent."""
    from machines.case_machines import build_kernels, emulated_machine

    return lambda name: build_kernels(emulated_machine(name), once)


@pytest.fixture(scope="session")
def trained_like():
    """A function that makes an encoder look trained, with norms of one batch: what is exact is so with any."""
    from exports.export_inputs import make_trained_like

    return partial(make_trained_like, batches=1)


@pytest.fixture(scope="session")
def tinynext_export(once: "OncePerSession") -> "Exported":
    """A TinyNeXt classifier at 24 pixels, grids of odd and even sizes."""
    from exports.export_inputs import export_trained_like

    return export_trained_like("tinynext_t", 24, (2, 1, 2, 1, 2), True, once)


@pytest.fixture(scope="session")
def mobilenetv2_export(once: "OncePerSession") -> "Exported":
    """A MobileNetV2 encoder without a classifier at 24 pixels."""
    from exports.export_inputs import export_trained_like

    return export_trained_like("mobilenetv2_035", 24, (2, 1, 1, 2, 2, 1, 1, 1), False, once)


@pytest.fixture(scope="module")
def mixed_export(once: "OncePerSession", small_cnn: Path) -> "Exported":
    """A small classifier at 16 pixels, 16x8 where it is worth it, which is asked of one operator after the other."""
    from exports.export_inputs import export_trained_like

    return export_trained_like("small_cnn", 16, (2, 1, 2, 1), True, once, "mixed")
