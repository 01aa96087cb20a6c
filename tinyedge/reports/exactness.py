"""Whether every byte was TFLite Micro's, and on how many inputs that was seen."""

from dataclasses import dataclass

from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject, number
from tinyedge.shell import command_line


@dataclass(frozen=True)
class Comparison:
    """One comparison with TFLite Micro's interpreter.

    Attributes:
        what: What was compared with it.
        inputs: On how many.
        differing: How many output values differ.
        note: What the two are, where they need not be equal.
    """

    what: str
    inputs: int
    differing: int
    note: str = ""


def bit_exactness(subject: Subject) -> tuple[Comparison, ...] | Missing | None:
    """Return all comparisons that an export and the benchmarks made."""
    source = subject.source
    if source.model is None:
        return subject.not_exported
    found = []
    stored = source.parity.get("bit_exact")
    if isinstance(stored, dict):
        images, differing = number(stored, "images"), number(stored, "differing_values")
        if images and differing is not None:
            found.append(Comparison("our C on the host", int(images), int(differing)))
    for bench in source.benches:
        for record in bench.results:
            if record.bit_exact is None or record.differing is None or record.runtime == "tflm":
                continue
            what = "our C" if record.runtime == "aot" else record.runtime
            where = "the host" if record.target == "host" else record.board or record.target
            where = f"the emulated {where}" if record.target == "emulator" else where
            note = "" if record.runtime == "aot" else "rounds in its own way: a step or two are no defect"
            found.append(Comparison(f"{what} on {where}", record.inputs, record.differing, note))
    if not found:
        return Missing("Nothing beside this model compares it.", command_line("tinyedge", "bench", source.given))
    return tuple(found)
