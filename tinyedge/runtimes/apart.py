"""Outside interpreters in a process of their own: a foreign model can crash the C++ that runs it.

The process is `tinyedge.runtimes.apart_worker`. Both sides send messages: a JSON object on a line, and after it as many
bytes of a .npy file as its "bytes" says.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from tinyedge import errors
from tinyedge.errors import ModelError
from tinyedge.fork_server import ForkServer
from tinyedge.shell import command_line
from tinyedge.tflite.model import Model

INTERPRETERS = {"tflm": "TFLite Micro", "litert": "LiteRT", "reference": "TFLite Micro"}
"""What runs a model in somebody else's C++, with its name; "reference" is `tinyedge.runtimes.reference`."""

INTERPRETER_SERVER = ForkServer("tflite_micro.python.tflite_micro.runtime", "ai_edge_litert.interpreter")
"""Has loaded NumPy and both interpreters, and forks the processes in which they run."""

_MOST_WORDS = 200


class ApartRuntime:
    """Runs a model through an interpreter that may die; a context manager, at whose end its process ends.

    Attributes:
        name: One of `INTERPRETERS`.

    Args:
        name: The same.
        model: Any model that the interpreter takes.

    Raises:
        ModelError: The interpreter refuses the model, or dies of it.
        ToolMissing: Its package is not installed.
    """

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self._path = model.path
        # Not a pipe, which nobody would empty.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process.
        self._process = INTERPRETER_SERVER.start(
            "tinyedge.runtimes.apart_worker",
            [name, str(model.path)],
            worker_environment(),
            _working_folder(),
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        try:
            self._answer("loaded")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ApartRuntime":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def arena_bytes(self) -> int | None:
        """RAM that the interpreter says it needs, or None where it cannot tell."""
        arena_bytes: int | None = self._ask("arena")[0]["here"]
        return arena_bytes

    @property
    def arena_bytes_32bit(self) -> int | None:
        """The same on a machine with pointers of 4 bytes; None where it cannot tell."""
        arena_bytes: int | None = self._ask("arena")[0]["32bit"]
        return arena_bytes

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input; see `Runtime.run`."""
        return self.run_timed(inputs)[0]

    def run_timed(self, inputs: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """See `Runtime.run_timed`; by that process's clock."""
        head, outputs = self._ask("run", inputs)
        assert outputs is not None
        return outputs, head["times_s"]

    def reset(self) -> None:
        """Forget earlier inputs; see `Runtime.reset`."""
        self._ask("reset")

    def close(self) -> None:
        """End the process."""
        self._process.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._complaints.close()

    def _ask(self, request: str, values: np.ndarray | None = None) -> tuple[dict[str, Any], np.ndarray | None]:
        with contextlib.suppress(BrokenPipeError):  # The answer is missing then, and tells more.
            send(self._process.stdin, {"request": request}, values)
        return self._answer("ran")

    def _answer(self, did: str) -> tuple[dict[str, Any], np.ndarray | None]:
        assert self._process.stdout is not None
        message = receive(self._process.stdout)
        if message is None:
            raise ModelError(self._end(did))
        head, _ = message
        if "error" in head:
            raise getattr(errors, head["error"])(head["sentence"])
        return message

    def _end(self, did: str) -> str:
        """Say how the process ended while it `did` something."""
        code = self._process.wait()
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with the exit code {code}"
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", errors="replace").strip().splitlines()
        said = f" ({lines[-1][:_MOST_WORDS]})" if lines else ""
        return (
            f"{INTERPRETERS[self.name]} {how} when it {did} {self._path}{said}: "
            f"`{command_line('tinyedge', 'check', self._path)}` names the operator at fault"
        )


def worker_environment() -> dict[str, str]:
    """Return the environment in which a Python process imports what this one does."""
    package_folder = str(Path(__file__).resolve().parents[2])
    here = _working_folder()
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package_folder, *(str(here / path) for path in sys.path)])}


def _working_folder() -> Path:
    """Return the working directory, or the root where somebody has deleted it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def send(stream: IO[bytes], head: dict[str, Any], values: np.ndarray | None = None) -> None:
    """Write a message: an object for JSON, and with it an array where there is one."""
    content = io.BytesIO()
    if values is not None:
        np.save(content, values, allow_pickle=False)
    stream.write(json.dumps({**head, "bytes": content.tell()}).encode() + b"\n" + content.getvalue())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], np.ndarray | None] | None:
    """Read a message; None where the stream ends before it is whole."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head: dict[str, Any] = json.loads(line)
    content = stream.read(head["bytes"])
    if len(content) < head["bytes"]:
        return None
    if not content:
        return head, None
    # Fields are called as tensors, whose names converters make of all that they fused.
    return head, np.load(io.BytesIO(content), allow_pickle=False, max_header_size=len(content))
