"""ONNX to float TFLite, in a process of its own."""

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

_PACKAGES = ("tensorflow", "tf_keras", "onnx", "onnx2tf", "onnxscript", "onnxruntime", "ai_edge_litert")


def require_export_packages() -> None:
    """Check that everything that an export needs is installed, before any work is done.

    Raises:
        ToolMissing: A package is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolMissing(f"export needs {', '.join(missing)}; install with `pip install 'tinyedge[export]'`")


def convert_onnx(onnx: Path, samples: np.ndarray, out: Path) -> None:
    """Convert an ONNX model to float TFLite.

    Args:
        onnx: Batch 1, one image input (1, 3, H, W).
        samples: (n, H, W, 3) float32, normalised: images for the converter to try the network on.
        out: The file to write.

    Raises:
        ModelError: The converter gave up.
    """
    with tempfile.TemporaryDirectory(prefix="tinyedge-export-") as name:
        folder = Path(name)
        shutil.copyfile(onnx, folder / "model.onnx")
        np.save(folder / "samples.npy", samples.astype(np.float32))
        command = [sys.executable, "-m", "tinyedge.export.convert", name]
        answer = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
        written = folder / FLOAT_FILE
        if answer.returncode != 0 or not written.is_file():
            reason = next((line.strip() for line in reversed(answer.stderr.splitlines()) if line.strip()), "no message")
            raise ModelError(
                f"onnx2tf or TensorFlow could not convert the model (exit code {answer.returncode}: {reason[:300]}); "
                "check the versions with `tinyedge doctor`"
            )
        shutil.copyfile(written, out)


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
