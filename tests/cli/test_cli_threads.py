"""How OpenMP's threads wait in a command, read from a library's report when PyTorch loads it."""

import os
import subprocess
import sys

import pytest

_RUN = "import os, sys\nfrom tinyedge.cli.app import main\ntry:\n    main()\nexcept SystemExit:\n    "


def _said(end: str, **more: str) -> str:
    """What a command says on standard error that does something more at its end."""
    chosen = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in chosen} | more
    command = [sys.executable, "-c", _RUN + end, "--version"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr


def test_threads_sleep_once_they_have_waited_a_little() -> None:
    said = _said("import torch", OMP_DISPLAY_ENV="VERBOSE")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said
    assert "GOMP_SPINCOUNT = '4000'" in said


@pytest.mark.parametrize("given", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "1"}])
def test_threads_wait_as_they_are_told(given: dict[str, str]) -> None:
    end = "sys.stderr.write(repr([os.environ.get(n) for n in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')]))"
    assert _said(end, **given) == repr([given.get("OMP_WAIT_POLICY"), given.get("GOMP_SPINCOUNT")])
