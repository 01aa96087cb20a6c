"""How OpenMP's threads wait in a command, read from a library's report when PyTorch loads it."""

import os
import subprocess
import sys

import pytest

_REPORT = "from tinyedge.cli.app import main\ntry:\n    main()\nexcept SystemExit:\n    import torch\n"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(chosen: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE"} | ({} if chosen is None else {"OMP_WAIT_POLICY": chosen})
    command = [sys.executable, "-c", _REPORT, "--version"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert f"OMP_WAIT_POLICY = '{expected}'" in said
