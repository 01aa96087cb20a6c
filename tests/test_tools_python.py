"""`tools/python`, which chooses the interpreter for `make`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "python"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Put on the path what the script calls, no interpreter; a test adds those."""
    path = tmp_path / "bin"
    path.mkdir()
    for program in ("sh", "sort", "tail", "cut"):
        (path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def add(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def add_python(path: Path, version: str | None = None) -> Path:
    """This test's interpreter under another name, and where given under another version."""
    if version is None:
        return add(path, f'exec "{sys.executable}" "$@"')
    site = path.parent / "site"
    site.mkdir(parents=True)
    numbers = ", ".join(version.split("."))
    (site / "sitecustomize.py").write_text(
        f"import sys\nsys.version_info = ({numbers})\nsys.executable = {str(path)!r}\n"
    )
    return add(path, f'PYTHONPATH="{site}" exec "{sys.executable}" "$@"')


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True)


def test_the_newest_of_path_and_pyenv_wins(machine):
    add_python(machine / "bin" / "python3.11", "3.11.9")
    newest = add_python(machine / "pyenv" / "versions" / "3.13.10" / "bin" / "python", "3.13.10")
    add_python(machine / "pyenv" / "versions" / "3.13.2" / "bin" / "python", "3.13.2")
    assert call("find").stdout == f"{newest}\n"


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0"])
def test_a_version_out_of_range_is_none(machine, version):
    add_python(machine / "bin" / "python3", version)
    assert call("find").stdout == ""


def test_what_does_not_run_is_passed_over(machine):
    add(machine / "bin" / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    found = add_python(machine / "bin" / "python3", "3.12.1")
    assert call("find").stdout == f"{found}\n"


def test_a_named_version_is_looked_for_among_those_of_pyenv_too(machine):
    add(machine / "bin" / "python3.12", "exit 127")
    wanted = add_python(machine / "pyenv" / "versions" / "3.12.1" / "bin" / "python", "3.12.1")
    add_python(machine / "bin" / "python3.13", "3.13.0")
    assert call("find", "python3.12").stdout == f"{wanted}\n"


def test_a_named_one_that_is_not_suitable_is_refused(machine):
    old = add_python(machine / "bin" / "python3", "3.10.13")
    answer = call("venv", str(machine / "venv"), str(old))
    assert answer.returncode == 2
    assert f"error: {old} is not Python 3.11 to 3.13" in answer.stderr
    assert not (machine / "venv").exists()


def test_an_environment_that_make_did_not_make_stays(machine):
    add_python(machine / "bin" / "python3")
    theirs = machine / "venv" / "bin" / "python"
    add_python(theirs, "3.10.13")
    answer = call("venv", str(machine / "venv"))
    assert answer.returncode == 2
    assert "make did not make it" in answer.stderr
    assert theirs.exists()


def test_an_environment_of_another_python_is_made_anew(machine, monkeypatch):
    python = add_python(machine / "bin" / "python3")
    old = machine / "venv"
    add_python(old / "bin" / "python", "3.10.13")
    (old / ".python").write_text("3.10.13\n")
    answer = call("venv", str(old), str(python))
    assert answer.returncode == 0, answer.stderr
    version = ".".join(map(str, sys.version_info[:3]))
    assert (old / ".python").read_text() == f"{version}\n"
    monkeypatch.setenv("PATH", os.defpath)
    made = subprocess.run([old / "bin" / "python", "--version"], capture_output=True, text=True, check=True)
    assert made.stdout == f"Python {version}\n"
    before = (old / ".python").stat().st_mtime_ns
    assert call("venv", str(old)).returncode == 0
    assert (old / ".python").stat().st_mtime_ns == before


def test_without_any_python_debian_names_the_package_that_brings_one(machine):
    assert call("package").stdout == "python3-venv\n"
