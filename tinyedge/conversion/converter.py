"""ONNX to float TFLite by onnx2tf, in a process of its own."""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tinyedge.errors import ModelError
from tinyedge.fork_server import ForkServer
from tinyedge.manifest.manifest import FLOAT_FILE
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_any_tflite

if TYPE_CHECKING:
    from onnx import ModelProto

_CAUSE = re.compile(r"[\w.]+(?:Error|Exception): \S")
# onnx2tf 2 needs no TensorFlow, which does not outlive a fork, and Python 3.12.
if sys.version_info < (3, 12):
    _PROGRAM, _SERVER = "tinyedge.conversion.convert_keras", ForkServer(forks=False)
else:
    _PROGRAM, _SERVER = "tinyedge.conversion.convert_direct", ForkServer("onnx2tf.onnx2tf")


class Converter:
    """onnx2tf in a process of its own, which loads it from the start of the `with` block on.

    That takes seconds, in which the ONNX file can be made.
    """

    def __enter__(self) -> "Converter":
        self._scratch = tempfile.TemporaryDirectory(prefix="tinyedge-export-")
        self._folder = Path(self._scratch.name)
        # Not a pipe, which nobody would empty.
        self._complaints = tempfile.TemporaryFile()
        self._process = _SERVER.start(
            _PROGRAM, [str(self._folder)], _environment(), self._folder, stderr=self._complaints
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.close()
        self._complaints.close()
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
        with contextlib.suppress(BrokenPipeError):  # It has died, which its code tells.
            self._process.stdin.write(json.dumps(list(kept_inputs)).encode() + b"\n")
        code = self._process.wait()
        written = self._folder / FLOAT_FILE
        if code != 0 or not written.is_file():
            self._complaints.seek(0)
            said = self._complaints.read().decode("utf-8", errors="replace")
            lines = [line.strip() for line in reversed(said.splitlines()) if line.strip()]
            # TensorFlow's converter prints operators behind its error.
            reason = next(filter(_CAUSE.match, lines), lines[0] if lines else "no message")
            raise ModelError(
                f"onnx2tf could not convert the model (exit code {code}: "
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
