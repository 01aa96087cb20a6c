"""ONNX to float and full-INT8 TFLite, in a process of its own."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tinyedge
from tinyedge.errors import ModelError, ToolMissing

FLOAT_FILE = "model_float.tflite"
INT8_FILE = "model_int8.tflite"

_PACKAGES = ("tensorflow", "tf_keras", "onnx", "onnx2tf", "onnxscript", "onnxruntime", "ai_edge_litert")


def require_export_packages() -> None:
    """Check that everything that an export needs is installed, before any work is done.

    Raises:
        ToolMissing: A package is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissing(f"export needs {', '.join(missing)}; install with `pip install 'tinyedge[export]'`")


def convert_onnx(onnx: Path, calibration: np.ndarray, int8: bool, out: Path) -> None:
    """Convert an ONNX model to TFLite.

    Args:
        onnx: Batch 1, one image input (1, 3, H, W).
        calibration: (n, H, W, 3) float32, normalised images, from which the activations' ranges come.
        int8: Whether to write the full-INT8 model (per-channel weights, int8 input and output) too.
        out: The folder that receives `FLOAT_FILE` and `INT8_FILE`.

    Raises:
        ModelError: The converter gave up.
    """
    with tempfile.TemporaryDirectory(prefix="tinyedge-export-") as name:
        folder = Path(name)
        shutil.copyfile(onnx, folder / "model.onnx")
        np.save(folder / "calibration.npy", calibration.astype(np.float32))
        command = [sys.executable, "-m", "tinyedge.export.convert", name, *(["--int8"] if int8 else [])]
        answer = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
        files = [folder / FLOAT_FILE, *([folder / INT8_FILE] if int8 else [])]
        if answer.returncode != 0 or not all(file.is_file() for file in files):
            reason = next((line.strip() for line in reversed(answer.stderr.splitlines()) if line.strip()), "no message")
            raise ModelError(
                f"onnx2tf or TensorFlow could not convert the model (exit code {answer.returncode}: {reason[:300]}); "
                "check the versions with `tinyedge doctor`"
            )
        for file in files:
            shutil.copyfile(file, out / file.name)


def _environment() -> dict[str, str]:
    """Return an environment in which the child finds this package, is quiet, and counts the same way every time."""
    package_root = str(Path(tinyedge.__file__).parents[1])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }
