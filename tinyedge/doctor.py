"""What the toolkit needs on this machine, and what it finds."""

import importlib.metadata
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One program or package.

    Attributes:
        purpose: The part of the work that needs it.
        name: The program or Python package.
        found: Its version, or None where it is missing.
        remedy: The command that installs it.
    """

    purpose: str
    name: str
    found: str | None
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)


# Purpose and extra -> the packages that it stands on.
_PACKAGES = (
    ("train", ("torch", "torchvision", "lightning", "scikit-learn", "safetensors", "matplotlib")),
    ("export", ("onnx", "onnxruntime", "onnxscript", "onnx2tf", "tensorflow", "ai-edge-litert")),
    ("bench", ("tflite-micro", "onnxruntime", "ai-edge-litert")),
    ("flash", ("pyocd",)),
)
_PROGRAMS = (
    ("bench on the host", "cc", "gcc libc6-dev"),
    ("build", "arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ("build", "cmake", "cmake"),
    ("build", "ninja", "ninja-build"),
    ("bench on the emulator", "qemu-system-arm", "qemu-system-arm"),
)


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_version(name: str) -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    lines = answer.stdout.strip().splitlines()
    return lines[0] if lines else path


def examine() -> list[Finding]:
    """Look for every program and package that some command needs."""
    findings = [
        Finding(purpose, name, _package_version(name), f"pip install 'tinyedge[{purpose}]'")
        for purpose, names in _PACKAGES
        for name in names
    ]
    findings += [
        Finding(purpose, name, _program_version(name), f"apt-get install {package}")
        for purpose, name, package in _PROGRAMS
    ]
    return findings
