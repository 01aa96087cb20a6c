"""How OpenMP's threads wait in a command, read from a library's report when PyTorch loads it."""

import os
import subprocess
import sys

_RUN = "import os, sys\nfrom tinyedge.cli.app import main\ntry:\n    main()\nexcept SystemExit:\n    "


def _said(end: str, **more: str) -> str:
    """What a command says on standard error that does something more at its end."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | more
    command = [sys.executable, "-c", _RUN + end, "--version"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr


def test_threads_sleep_while_they_wait() -> None:
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in _said("import torch", OMP_DISPLAY_ENV="TRUE")


def test_threads_wait_as_they_are_told() -> None:
    assert _said("sys.stderr.write(os.environ['OMP_WAIT_POLICY'])", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
