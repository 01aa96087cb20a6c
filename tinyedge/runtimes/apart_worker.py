"""The process of `tinyedge.runtimes.apart`: runs a model in an interpreter whose C++ may end it.

`python -m tinyedge.runtimes.apart_worker RUNTIME MODEL` answers once it has loaded the model, then each message on its
standard input: {"request": "run"} with inputs, "reset" or "arena".
"""

import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinyedge.errors import ModelError, TinyEdgeError
from tinyedge.runtimes.apart import INTERPRETERS, receive, send
from tinyedge.runtimes.base import Runtime
from tinyedge.runtimes.open import open_runtime
from tinyedge.runtimes.reference import open_reference
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.shell import command_line
from tinyedge.tflite.model import Model


def main(name: str, path: Path, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the requests end."""
    runtime: Runtime
    try:
        model = Model(path)
        runtime = open_reference(model) if name == "reference" else open_runtime(name, model)
    except TinyEdgeError as error:
        send(answers, _complaint(error))
        return
    send(answers, {})
    while (message := receive(requests)) is not None:
        head, values = message
        try:
            send(answers, *_answer(runtime, head["request"], values))
        except TinyEdgeError as error:
            send(answers, _complaint(error))
        except (RuntimeError, ValueError) as error:  # What the interpreters raise where an inference fails.
            reason = " ".join(str(error).split())[:300]
            advice = f"`{command_line('tinyedge', 'check', path)}` says why"
            send(answers, _complaint(ModelError(f"{INTERPRETERS[name]} cannot run {path} ({reason}): {advice}")))


def _complaint(error: TinyEdgeError) -> dict[str, Any]:
    return {"error": type(error).__name__, "sentence": str(error)}


def _answer(runtime: Runtime, request: str, values: np.ndarray | None) -> tuple[dict[str, Any], np.ndarray | None]:
    if request == "arena":
        of_32bit = runtime.arena_bytes_32bit if isinstance(runtime, TflmRuntime) else None
        return {"here": runtime.arena_bytes, "32bit": of_32bit}, None
    if request == "reset":
        runtime.reset()
        return {}, None
    assert values is not None
    outputs, times_s = runtime.run_timed(values)
    return {"times_s": times_s}, outputs


if __name__ == "__main__":
    # What C++ prints must not lie among the answers.
    with os.fdopen(os.dup(1), "wb") as own_output:
        os.dup2(2, 1)
        main(sys.argv[1], Path(sys.argv[2]), sys.stdin.buffer, own_output)
