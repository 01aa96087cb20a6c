"""Kernels compiled once a session and machine, and the check that every test of an operator makes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from machines.case_machines import SANITISED, HostMachine, KernelBuild, build_kernels
from once import OncePerSession
from ops.kernel_cases import Case, assert_bit_exact

from tinyedge.compiler.kernels import INSTRUCTION_SETS


@pytest.fixture(scope="session")
def host_kernels(once: OncePerSession) -> list[KernelBuild]:
    return _builds(("-O1",), once)


@pytest.fixture(scope="session")
def sanitised_kernels(once: OncePerSession) -> list[KernelBuild]:
    return _builds(SANITISED, once)


def _builds(flags: Sequence[str], once: OncePerSession) -> list[KernelBuild]:
    # Those of WebAssembly run where they are for, in tests/browser/test_browser_kernels.py.
    on_host = [name for name in INSTRUCTION_SETS if name != "wasm"]
    return [build_kernels(HostMachine(flags, instruction_set), once) for instruction_set in on_host]


@pytest.fixture
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """Asserts that the kernels of all instruction sets give TFLite Micro's bits in all cases.

    `pytest --board NAME` asks that of those of the board, on it.
    """
    builds = _wanted_kernels(request)
    return lambda cases: assert_bit_exact(cases, builds, tmp_path)


@pytest.fixture
def check_quicker(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """The same of the kernels that spend flash or scratch for time."""
    builds = _wanted_kernels(request)

    def check(cases: Sequence[Case], *, spend_flash: bool = True) -> None:
        assert_bit_exact(cases, builds, tmp_path, speed=True, spend_flash=spend_flash)

    return check


def _wanted_kernels(request: pytest.FixtureRequest) -> list[KernelBuild]:
    board = request.config.getoption("--board")
    return [request.getfixturevalue("board_kernels")(board)] if board else request.getfixturevalue("host_kernels")


@pytest.fixture
def check_sanitised(sanitised_kernels: list[KernelBuild], tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """The same under the address and undefined-behaviour sanitisers."""
    return lambda cases: assert_bit_exact(cases, sanitised_kernels, tmp_path)
