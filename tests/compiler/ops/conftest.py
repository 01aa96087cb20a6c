"""Kernels compiled once a session and machine, and the check that every test of an operator makes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from case_machines import SANITISERS, HostMachine, KernelBuild, build_kernels
from kernel_cases import Case, assert_bit_exact


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> KernelBuild:
    return build_kernels(HostMachine(), tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def sanitised_kernels(tmp_path_factory: pytest.TempPathFactory) -> KernelBuild:
    return build_kernels(HostMachine(("-O1", "-g", *SANITISERS)), tmp_path_factory.mktemp("sanitised"))


@pytest.fixture
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """Asserts that the kernels give TFLite Micro's bits in all cases; `pytest --board NAME` does so on that board."""
    board = request.config.getoption("--board")
    kernels = request.getfixturevalue("board_kernels")(board) if board else request.getfixturevalue("host_kernels")
    return lambda cases: assert_bit_exact(cases, kernels, tmp_path)


@pytest.fixture
def check_sanitised(sanitised_kernels: KernelBuild, tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """The same under the address and undefined-behaviour sanitisers."""
    return lambda cases: assert_bit_exact(cases, sanitised_kernels, tmp_path)
