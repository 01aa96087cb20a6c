"""Kernels for emulated boards. Its place also puts this folder on the path, for the folders of tests below."""

from collections.abc import Callable

import pytest
from case_machines import KernelBuild, build_kernels, emulated_machine


@pytest.fixture(scope="session")
def board_kernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KernelBuild]:
    """A function that compiles kernels for an emulated board, once; it skips the test where tools are absent."""
    built: dict[str, KernelBuild] = {}

    def build(name: str) -> KernelBuild:
        if name not in built:
            built[name] = build_kernels(emulated_machine(name), tmp_path_factory.mktemp(name))
        return built[name]

    return build
