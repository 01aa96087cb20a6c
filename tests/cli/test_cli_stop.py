"""A command that is told to end leaves nothing half-written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

# A command that has begun to write a folder, and a program that it waits for.
PROGRAM = """
import subprocess, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from tinyedge.atomic import atomic_directory
from tinyedge.cli import app, main

def waiting():
    with tempfile.TemporaryDirectory(), atomic_directory(Path("out")) as folder:
        (folder / "half.c").write_text("half")
        print("writing", flush=True)
        sys.stdin.read()

sys.modules["tinyedge.cli.waiting"], app.COMMANDS = SimpleNamespace(waiting=waiting), ("waiting",)
sys.argv = ["tinyedge", "waiting"]
main()
"""


def test_sigterm_ends_a_command_as_ctrl_c_does(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert len(os.listdir(tmp_path)) == 2
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "stopped\n")
    assert os.listdir(tmp_path) == ["tmp"]
    assert os.listdir(tmp_path / "tmp") == []
