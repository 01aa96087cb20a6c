"""What is said about installing is right on this Python, and runs."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from compiler.random_networks import random_network
from packaging.requirements import Requirement
from quantisation.uint8_models import uint8_network

from tinyedge.cli import app, main
from tinyedge.cli.app import make_app
from tinyedge.errors import ToolMissing
from tinyedge.installation import EXTRAS, install_command, missing_packages_told, module_of, require

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_of_an_extra_are_those_of_the_project(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["optional-dependencies"][extra]]
    here = {one.name.lower() for one in wanted if one.marker is None or one.marker.evaluate()}
    assert here - {project["name"]} == set(EXTRAS[extra])


@pytest.mark.parametrize("distribution", sorted({name for names in EXTRAS.values() for name in names}))
def test_a_package_that_cannot_be_imported_is_named_with_a_command(distribution, monkeypatch, capsys):
    def probed() -> None:
        importlib.import_module(module_of(distribution))

    monkeypatch.setitem(sys.modules, module_of(distribution), None)
    monkeypatch.setitem(sys.modules, "tinyedge.cli.probed", SimpleNamespace(probed=probed))
    monkeypatch.setattr(app, "COMMANDS", ("probed",))
    monkeypatch.setattr(sys, "argv", ["tinyedge", "probed"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"error: the Python package {distribution} is not installed: run `.*\[\w+\]'`", line)


@pytest.mark.parametrize("name", ["torch.no_such_part", "tinyedge.no_such_part", "no_such_module"])
def test_a_module_that_is_no_package_of_ours_is_a_defect(name):
    with pytest.raises(ModuleNotFoundError, match="of this test"), missing_packages_told():
        raise ModuleNotFoundError("of this test", name=name)


def test_export_says_which_python_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    with pytest.raises(ToolMissing, match=r"an export needs Python 3.11 to 3.13"):
        require("an export", "export")
    require("a benchmark", "bench")


PIP = {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""What pip need not do here: compile what runs once, and look for a newer pip."""


class Environment:
    """A virtual environment of this Python."""

    def __init__(self, path: Path) -> None:
        # As `python -m venv` makes it, whose installation of pip takes seconds.
        subprocess.run(
            [sys.executable, "-m", "uv", "venv", "-q", "--seed", "--python", sys.executable, path], check=True
        )
        self.bin = path / "bin"

    def run(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command with the environment activated, and nothing of this checkout to be found."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.bin.parent,
            env={**kept, "PATH": path, "COLUMNS": "80", **PIP, **more},
            capture_output=True,
            text=True,
        )

    def check(self, command: str, **more: str) -> str:
        """Run a shell command that has to succeed; returns what it printed."""
        done = self.run(command, **more)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def uv(self, *words: str, **more: str) -> None:
        """Install or uninstall what is not about pip by uv, in a tenth of the time. It leaves the same records."""
        command = [sys.executable, "-m", "uv", "pip", words[0], "-q", "--python", str(self.bin / "python"), *words[1:]]
        done = subprocess.run(command, cwd=self.bin.parent, env={**os.environ, **more}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What this checkout holds now, as a folder that is a repository too."""
    folder = tmp_path_factory.mktemp("a source")
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("firmware", "models", "tinyedge"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory, wheel):
    """The wheel and the packages that every installation has, outside the checkout."""
    environment = Environment(tmp_path_factory.mktemp("bare") / "venv")
    environment.uv("install", str(wheel))
    (environment.bin.parent / "model.tflite").write_bytes(random_network(1))
    (environment.bin.parent / "old.tflite").write_bytes(uint8_network())
    run = environment.bin.parent / "trained"  # as far as that shows without reading the weights
    run.mkdir()
    (run / "config.yaml").write_text("data: digits\nimage_size: 32\n")
    for file in (run / "encoder.safetensors", run / "probe.safetensors"):
        file.touch()
    np.save(run.parent / "x.npy", np.zeros((2, 4), np.float32))
    (environment.bin.parent / "picture.png").touch()
    lists = environment.bin.parent / "voc" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for image_set in ("trainval", "test"):
        (lists / f"{image_set}.txt").write_text("000001\n")
    return environment


# Command -> its arguments, and what its one sentence says; None where it needs no extra.
BARE = {
    "train": ("--data digits --out run", r"\[train\] @ file://"),
    "watch": ("trained --once", None),
    "finetune": ("trained --out tuned", r"\[train\] @ file://"),
    "probe": ("trained", r"\[train\] @ file://"),
    "detect": ("trained --voc voc", r"\[train\] @ file://"),
    "export": ("trained", r"\[export\] @ file://"),
    "quantise": ("model.tflite --calibration x.npy", r"\[train,bench\] @ file://"),
    "requantise": ("old.tflite", None),
    "check": ("model.tflite", None),
    "compile": ("model.tflite --out c", None),
    "build": ("model.tflite --board mps2_an386 --out firmware", None),
    "flash": ("model.tflite --board stm32f405", r"tinyedge build "),
    "bench": ("model.tflite --target emulator --board mps2_an386", None),
    "predict": ("tinynext_t_cifar10 picture.png", r"\[bench\] @ file://"),
    "enroll": ("model.tflite --data . --emulator --board mps2_an386", r"\[bench\] @ file://"),
    "web": ("tinynext_t_cifar10 --out site", None),
    "report": ("model.tflite", None),
    "pack": ("trained --out packed", r"\[train\] @ file://"),
    "doctor": ("", None),
    "demo": ("", r"\[export,bench\] @ file://"),
}


def test_every_command_is_walked():
    assert {command.name for command in make_app().registered_commands} == set(BARE)


@pytest.mark.slow
@pytest.mark.parametrize("command", BARE)
def test_a_bare_installation_does_the_work_or_says_what_to_install(bare, command):
    arguments, said = BARE[command]
    done = bare.run(f"tinyedge {command} {arguments}")
    if said is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stderr
    *_, line = done.stderr.splitlines()
    assert re.match(rf"error: .*({said})", line)


@pytest.mark.slow
@pytest.mark.parametrize("call", ["train('run', data='digits')", "load('tinynext_t_cifar10')"])
def test_a_function_says_it_as_a_command_does(bare, call):
    done = bare.run(f'python -c "import tinyedge; tinyedge.{call}"')
    assert done.returncode == 1
    assert re.fullmatch(r"tinyedge.errors.ToolMissing: .*\[train\] @ file://.*`", done.stderr.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("check --encoder tinynext_t", "train"),
        ("compile model.tflite --out drawn --plan plan.png", "train"),
        ("bench model.tflite --runtime tflm", "bench"),
        ("bench model.tflite --runtime litert", "bench"),
        ("build model.tflite --runtime tflm --out tflm", "bench"),
    ],
)
def test_an_option_that_needs_an_extra_says_so(bare, command, extra):
    done = bare.run(f"tinyedge {command}")
    assert done.returncode == 2, done.stderr
    *steps, line = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(re.fullmatch(r"\w.* \d+\.\d s", step) for step in steps)
    assert f"[{extra}] @ file://" in line
    assert not (bare.bin.parent / "drawn").exists()


def advice(environment: Environment, **more: str) -> str:
    """The command that `tinyedge doctor` prints for pyOCD, whose extra is the smallest."""
    lines = environment.check("tinyedge doctor", **more).splitlines()
    return lines[lines.index("  for flash:") + 1].strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    "origin",
    # pip builds the wheel of a folder once more that it takes from the index.
    ["index", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("folder", "wheel", "repository"))],
)
def test_the_command_that_is_printed_installs_the_extra(bare, source, wheel, origin):
    # With a blank in its path, which a URL writes otherwise.
    installed, expected = {
        "wheel": (str(wheel), f"pip install 'tinyedge-mcu[flash] @ {wheel.as_uri()}'"),
        "folder": (str(source), f"pip install '{source}[flash]'"),
        "repository": (f"git+{source.as_uri()}", "pip install 'pyocd>=0.36'"),
        "index": ("tinyedge-mcu", "pip install 'tinyedge-mcu[flash]'"),
    }[origin]
    find = {f"{tool}_FIND_LINKS": str(wheel.parent) for tool in ("PIP", "UV")} if origin == "index" else {}
    # What pyOCD needs stays; it alone is missing. So does what builds a wheel, or pip installs it for each.
    bare.uv("install", "pyocd>=0.36", "hatchling")
    bare.uv("uninstall", "tinyedge-mcu", "pyocd")
    bare.uv("install", "--no-build-isolation", installed, **find)
    command = advice(bare)
    assert command == expected
    bare.check(command, PIP_NO_BUILD_ISOLATION="0", **find)  # 0 switches it off: the word says no already.
    bare.check("pyocd --version")
    assert "  for flash:" not in bare.check("tinyedge doctor")


@pytest.mark.slow
def test_of_a_repository_elsewhere_the_commit_is_named_and_of_a_source_that_is_gone_the_requirements(bare, wheel):
    bare.uv("uninstall", "pyocd")
    bare.uv("install", "--no-deps", "--reinstall", str(wheel))
    program = "from tinyedge.installation import install_command; print(install_command('export'))"
    (record,) = bare.bin.parent.glob("lib/*/site-packages/tinyedge_mcu-*.dist-info/direct_url.json")
    repository = {"url": "https://git.example.org/tinyedge.git", "vcs_info": {"vcs": "git", "commit_id": "0123abc"}}
    record.write_text(json.dumps(repository))
    assert advice(bare) == "pip install 'tinyedge-mcu[flash] @ git+https://git.example.org/tinyedge.git@0123abc'"
    record.write_text(json.dumps({"url": "file:///nowhere/tinyedge.whl", "archive_info": {}}))
    assert advice(bare) == "pip install 'pyocd>=0.36'"
    command = bare.check(f'python -c "{program}"')
    named = {Requirement(word).name for word in re.findall(r"'([^']*)'", command)}
    assert {"torch", "onnx2tf", "onnxruntime"} <= named


def test_without_pip_it_is_uv(monkeypatch):
    monkeypatch.setitem(sys.modules, "pip", None)
    assert install_command("bench", "flash") == f"uv pip install --python {sys.executable} -e '{ROOT}[bench,flash]'"
