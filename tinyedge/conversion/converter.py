"""ONNX to float TFLite by onnx2tf, in a process of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_any_tflite

# onnx2tf 2 needs no TensorFlow, and Python 3.12.
_PROGRAM = "tinyedge.conversion." + ("convert_keras" if sys.version_info < (3, 12) else "convert_direct")


class Converter:
    """onnx2tf in a process of its own, which loads it from the start of the `with` block on.

    That takes seconds, in which the ONNX file can be made.
    """

    def __enter__(self) -> "Converter":
        self._scratch = tempfile.TemporaryDirectory(prefix="tinyedge-export-")
        self._folder = Path(self._scratch.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, str(self._folder)],
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

    def convert(self, onnx: Path) -> Graph:
        """Convert an ONNX model to a float TFLite graph, once.

        Args:
            onnx: Batch 1, one image input (1, 3, H, W).

        Returns:
            The graph as the converter wrote it; its input is (1, H, W, 3).

        Raises:
            ModelError: The converter gave up.
        """
        shutil.copyfile(onnx, self._folder / "model.onnx")
        _, said = self._process.communicate("convert\n")
        written = self._folder / FLOAT_FILE
        if self._process.returncode != 0 or not written.is_file():
            reason = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "no message")
            raise ModelError(
                f"onnx2tf could not convert the model (exit code {self._process.returncode}: "
                f"{reason[:300]}); check the versions with `tinyedge doctor`"
            )
        return read_any_tflite(written)


def _environment() -> dict[str, str]:
    """Return an environment in which the child finds this package, is quiet, and counts the same way every time."""
    package_root = str(Path(__file__).parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }
