"""ONNX to float TFLite, in a process of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

import tinyedge
from tinyedge.errors import ModelError

FLOAT_FILE = "model_float.tflite"


class Converter:
    """TensorFlow in a process of its own, which loads it from the start of the `with` block on.

    That takes seconds, in which the ONNX file can be made.
    """

    def __enter__(self) -> "Converter":
        self._scratch = tempfile.TemporaryDirectory(prefix="tinyedge-export-")
        self._folder = Path(self._scratch.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tinyedge.exporter.convert", str(self._folder)],
            cwd=self._folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:  # Its end closes the pipes and waits.
            self._process.kill()
        self._scratch.cleanup()

    def convert(self, onnx: Path, samples: np.ndarray, out: Path) -> None:
        """Convert an ONNX model to float TFLite, once.

        Args:
            onnx: Batch 1, one image input (1, 3, H, W).
            samples: (n, H, W, 3) float32, normalised: images for the converter to try the network on.
            out: The file to write.

        Raises:
            ModelError: The converter gave up.
        """
        shutil.copyfile(onnx, self._folder / "model.onnx")
        np.save(self._folder / "samples.npy", samples.astype(np.float32))
        _, said = self._process.communicate("convert\n")
        written = self._folder / FLOAT_FILE
        if self._process.returncode != 0 or not written.is_file():
            reason = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "no message")
            raise ModelError(
                f"onnx2tf or TensorFlow could not convert the model (exit code {self._process.returncode}: "
                f"{reason[:300]}); check the versions with `tinyedge doctor`"
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
