"""What TFLite Micro's and LiteRT's own interpreters say of a model, each asked in a process that may crash."""

import json
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tinyedge.checks.hints import hint_for, is_custom, is_flex
from tinyedge.checks.interpreter_worker import NOT_INSTALLED, WHOLE_MODEL
from tinyedge.checks.tflm_operators import what_tflm_lacks
from tinyedge.checks.verdict import TITLES, RuntimeVerdict, in_order
from tinyedge.runtimes.apart import INTERPRETER_SERVER, worker_environment
from tinyedge.runtimes.tflm_interpreter import missing_operator
from tinyedge.tflite.detection import SHAPES_UNSET
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.inspection import Diagnostic, Inspection

_TIMEOUT_S = 120
_MOST_CRASHES = 8
_MOST_WORDS = 160
# What an interpreter adds to every complaint, or says of the surroundings.
_NOISE = (
    re.compile(r"(?:INFO|WARNING): [^.]*\.\s*"),
    re.compile(r"(?:Runtime|Value)Error: "),
    re.compile(r"Failed to get registration from op code \S+"),
    re.compile(r"Node \S+ \(number \d+\w?\) failed to (?:prepare|invoke) with status \d+"),
    re.compile(r"Node number \d+ \(\S+\) failed to (?:prepare|invoke)\."),
    re.compile(r"TFLM failed to (?:allocate tensors|invoke)|Interpreter invocation failed\."),
    re.compile(r"\S*/(?=\w+\.(?:cc|h)\b)"),
)


def judge_interpreters(inspection: Inspection) -> tuple[RuntimeVerdict, RuntimeVerdict]:
    """Load a model into both interpreters and run it once on zeros.

    Where TFLite Micro is not installed, or must not run the model, a list of its operators answers for it; where LiteRT
    is not installed, nobody does.

    Args:
        inspection: As read; the compiler has not changed it yet.

    Returns:
        The verdicts of TFLite Micro and of LiteRT.
    """
    graph = inspection.graphs[0]
    if sys.platform == "emscripten":  # A browser has no processes, and no interpreters either.
        return judge_by_list(graph), RuntimeVerdict("litert", None, "not installed")
    # TFLite Micro would write behind outputs that lack their shapes.
    unsafe = any(SHAPES_UNSET in operator.options for operator in graph.operators)
    with ThreadPoolExecutor() as pool:
        asking_tflm = None if unsafe else pool.submit(_ask, "tflm", inspection.path)
        asking_litert = pool.submit(_ask, "litert", inspection.path)
    tflm, litert = None if asking_tflm is None else asking_tflm.result(), asking_litert.result()
    return (
        judge_by_list(graph) if tflm is None else _verdict("tflm", graph, tflm),
        RuntimeVerdict("litert", None, "not installed") if litert is None else _verdict("litert", graph, litert),
    )


def judge_by_list(graph: Graph) -> RuntimeVerdict:
    """Compare a graph with the list of TFLite Micro's operators."""
    diagnostics = []
    for operator in graph.operators:
        lack = what_tflm_lacks(operator)
        if lack is not None:
            diagnostics.append(_diagnostic(operator, lack, hint_for(operator)))
    return RuntimeVerdict("tflm", not diagnostics, "by its list", in_order(diagnostics))


def _ask(runtime: str, model: Path) -> dict[int, dict[str, Any]] | None:
    """Ask an interpreter in a process of its own, again after each crash.

    Returns:
        Its answers by operator; None if it is not installed.
    """
    answers: dict[int, dict[str, Any]] = {}
    start = WHOLE_MODEL
    with tempfile.TemporaryDirectory(prefix="tinyedge-check-") as folder:
        for attempt in range(_MOST_CRASHES):
            path = Path(folder) / f"answers{attempt}"
            path.touch()
            worker = INTERPRETER_SERVER.start(
                "tinyedge.checks.interpreter_worker",
                [runtime, str(model.resolve()), str(path), str(start)],
                worker_environment(),
                Path(folder),
            )
            try:
                code = worker.wait(_TIMEOUT_S)
                if code == NOT_INSTALLED:
                    return None
                end = "" if code == 0 else "it crashes"
            except TimeoutError:
                end = f"it takes more than {_TIMEOUT_S} s"
            asked = None
            for line in path.read_text(encoding="utf-8").splitlines():
                answer = json.loads(line)
                if "begin" in answer:
                    asked = answer["begin"]
                else:
                    answers[answer["done"]] = answer
            if not end:
                break
            if attempt == 0 and asked is None and end == "it crashes":
                continue  # The import of the other interpreter may have, which the next server leaves out.
            if asked is None or asked in answers:  # It failed outside any model.
                answers.setdefault(WHOLE_MODEL, {"complaint": end, "arena_bytes": None})
                break
            answers[asked] = {"complaint": end, "arena_bytes": None}
            start = asked + 1
    return answers


def _verdict(runtime: str, graph: Graph, answers: dict[int, dict[str, Any]]) -> RuntimeVerdict:
    whole = answers[WHOLE_MODEL]
    if whole["complaint"] is None:
        return RuntimeVerdict(runtime, True, "ran", (), whole["arena_bytes"])
    diagnostics = [
        _diagnostic(operator, *_reason_and_hint(runtime, operator, answers[operator.index]["complaint"]))
        for operator in graph.operators
        if answers.get(operator.index, {}).get("complaint") is not None
    ]
    if not diagnostics:
        diagnostics = [Diagnostic(f"{TITLES[runtime]} refuses the model ({_clean(whole['complaint'])})")]
    return RuntimeVerdict(runtime, False, "ran", in_order(diagnostics))


def _reason_and_hint(runtime: str, operator: Operator, complaint: str) -> tuple[str, str]:
    title, hint = TITLES[runtime], hint_for(operator)
    # Of an operator that calls a subgraph, the complaint can be about another one in there.
    if missing_operator(complaint) == operator.op:
        if "older version" in complaint:
            newer = f"has version {operator.version}, which is newer than the installed {title}"
            return newer, f"convert with an older TensorFlow, or install a newer {title}"
        return f"is not in {title}", hint
    if is_flex(operator) or is_custom(operator):
        return f"is not in {title}", hint
    return f"is refused by {title} ({_clean(complaint)})", hint


def _clean(complaint: str) -> str:
    words = complaint
    for pattern in _NOISE:
        words = pattern.sub(" ", words)
    words = " ".join((words if words.strip() else complaint).split())
    return words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS - 3] + "..."


def _diagnostic(operator: Operator, reason: str, hint: str) -> Diagnostic:
    where = f"operator {operator.index} ({operator.op})"
    if operator.outputs:
        where += f", tensor '{operator.outputs[0].name}',"
    return Diagnostic(f"{where} {reason}: {hint}", operator.index)
