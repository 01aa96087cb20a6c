"""ONNX to float TFLite by onnx2tf, in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_any_tflite

if TYPE_CHECKING:
    from onnx import ModelProto

# onnx2tf 2 needs no TensorFlow, and Python 3.12.
_CAUSE = re.compile(r"[\w.]+(?:Error|Exception): \S")
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

    def convert(self, onnx: "Path | ModelProto", kept_inputs: Sequence[str] = ()) -> Graph:
        """Convert an ONNX model to a float TFLite graph, once.

        Args:
            onnx: A file or a model of static shapes and batch 1.
            kept_inputs: The inputs whose axes stay in ONNX's order; an image (1, C, H, W) becomes (1, H, W, C) else.

        Returns:
            The graph as the converter wrote it.

        Raises:
            ModelError: The converter gave up.
        """
        target = self._folder / "model.onnx"
        if isinstance(onnx, Path):
            shutil.copyfile(onnx, target)
        else:
            target.write_bytes(onnx.SerializeToString())
        _, said = self._process.communicate(json.dumps(list(kept_inputs)) + "\n")
        written = self._folder / FLOAT_FILE
        if self._process.returncode != 0 or not written.is_file():
            lines = [line.strip() for line in reversed(said.splitlines()) if line.strip()]
            # TensorFlow's converter prints operators behind its error.
            reason = next(filter(_CAUSE.match, lines), lines[0] if lines else "no message")
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
