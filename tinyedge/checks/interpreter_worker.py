"""Loads a model into an interpreter, in a process of its own: a foreign model can crash the C++ that reads it.

`python -m tinyedge.checks.interpreter_worker RUNTIME MODEL ANSWERS START` appends a JSON object a line to ANSWERS:
`{"begin": i}` before it asks and `{"done": i, "complaint": words or null, "arena_bytes": n or null}` after, where i is
an operator's index, or -1 for the whole model. The operators are asked about one at a time, and only if the whole model
fails. What two of a kind are refused for is taken for the answer about all others of that kind.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.checks.one_operator import Operators
from tinyedge.runtimes.tflm_interpreter import captured_stderr, open_interpreter, used_arena_bytes

WHOLE_MODEL = -1
NOT_INSTALLED = 4
"""The exit code where the runtime's package is missing."""

_ENOUGH = 2


def _run_tflm(content: bytes) -> int | None:
    """Load a model into TFLite Micro's interpreter and run it once on zeros; returns its arena in bytes."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    interpreter = open_interpreter(content)
    for index in range(schema.Model.GetRootAs(content, 0).Subgraphs(0).InputsLength()):
        details = interpreter.get_input_details(index)
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), index)
    interpreter.invoke()
    return used_arena_bytes(interpreter)


def _run_litert(content: bytes) -> None:
    """The same with LiteRT, with its own kernels: XNNPACK would refuse models that they take."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()


@dataclass(frozen=True)
class _Asked:
    """A runtime that is asked.

    Attributes:
        interpreter: The module of its interpreter.
        schema: That of its classes of the file format, which take long to import.
        run: Loads a model and runs it once; returns its arena in bytes where it tells.
    """

    interpreter: str
    schema: str
    run: Callable[[bytes], int | None]


_RUNTIMES = {
    "tflm": _Asked(
        "tflite_micro.python.tflite_micro.runtime",
        "tflite_micro.tensorflow.lite.micro.python.schema_py_generated",
        _run_tflm,
    ),
    "litert": _Asked("ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated", _run_litert),
}


def main(runtime: str, model: Path, answers: Path, start: int) -> None:
    """Ask a runtime about a model from operator `start` on; see the module's description."""
    asked = _RUNTIMES[runtime]
    try:
        import_module(asked.interpreter)
    except ImportError:
        sys.exit(NOT_INSTALLED)
    with answers.open("a", encoding="utf-8") as stream:

        def note(**fields: Any) -> None:
            stream.write(json.dumps(fields) + "\n")
            stream.flush()

        def ask(index: int, content: Callable[[], bytes]) -> str | None:
            note(begin=index)
            arena_bytes, complaint = None, None
            with captured_stderr() as lines:
                try:
                    arena_bytes = asked.run(content())
                except Exception as error:  # A foreign model; whatever it raises is the answer.
                    complaint = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if complaint is not None:
                complaint = " ".join([*lines, complaint])
            note(done=index, complaint=complaint, arena_bytes=arena_bytes)
            return complaint

        content = model.read_bytes()
        if start == WHOLE_MODEL:
            if ask(WHOLE_MODEL, lambda: content) is None:
                return
            start = 0
        operators = Operators(import_module(asked.schema), content)
        refused: Counter[str] = Counter()
        complaints: dict[str, str | None] = {}
        for index in range(start, len(operators)):
            kind = operators.kind(index)
            if refused[kind] < _ENOUGH:
                complaint = ask(index, partial(operators.alone, index))
                refused[kind] += complaint is not None
                complaints[kind] = complaint
            else:
                note(done=index, complaint=complaints[kind], arena_bytes=None)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
