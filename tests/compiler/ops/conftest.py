"""Kernels compiled once a session, and the check that every test of an operator makes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from kernel_cases import SANITISERS, Case, assert_bit_exact, build_kernel_objects

_PLAIN = ["-O1"]
_SANITISED = ["-O1", "-g", *SANITISERS]


@pytest.fixture(scope="session")
def kernel_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_kernel_objects(tmp_path_factory.mktemp("kernels"), _PLAIN)


@pytest.fixture(scope="session")
def sanitised_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build_kernel_objects(tmp_path_factory.mktemp("sanitised"), _SANITISED)


@pytest.fixture
def check(kernel_objects: list[Path], tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """Asserts that the kernels give TFLite Micro's bits in all cases."""
    return lambda cases: assert_bit_exact(cases, tmp_path, kernel_objects, _PLAIN)


@pytest.fixture
def check_sanitised(sanitised_objects: list[Path], tmp_path: Path) -> Callable[[Sequence[Case]], None]:
    """The same under the address and undefined-behaviour sanitisers."""
    return lambda cases: assert_bit_exact(cases, tmp_path, sanitised_objects, _SANITISED)
