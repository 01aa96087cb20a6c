"""Reads any .tflite file, and notes all that tinyedge refuses it for."""

from dataclasses import dataclass, field
from pathlib import Path

from tinyedge.tflite.full_int8 import check_order, check_types
from tinyedge.tflite.graph import Graph, Tensor
from tinyedge.tflite.parser import FileParser, parse_untrusted
from tinyedge.tflite.reader import read_content
from tinyedge.tflite.states import with_states


@dataclass(frozen=True)
class Diagnostic:
    """Why a model is not taken.

    Attributes:
        sentence: What, where, and what to do.
        operator: The operator's index in the file; None where no single operator is at fault.
    """

    sentence: str
    operator: int | None = None


@dataclass(eq=False)
class Inspection:
    """Any model, as far as it can be read.

    Attributes:
        path: The file.
        bytes: Its size.
        graphs: A graph a subgraph; the first is the one that runs. A size that is only known at run time is 1 here,
            and a constant of a type that NumPy lacks has no values.
        resolved: The first with its variables as states, as the compiler takes it; of the same tensors.
        diagnostics: Everything that `read_tflite` has against the model; empty if it takes it.
        type_names: TFLite's name of each tensor's type: "INT8".
        extra_bytes: How many more than its shape has a constant's buffer holds, where it does.
        signatures: The declared shape of each tensor that has sizes known only at run time, which are -1 there.
    """

    path: Path
    bytes: int
    graphs: tuple[Graph, ...]
    resolved: Graph
    diagnostics: list[Diagnostic] = field(default_factory=list)
    type_names: dict[Tensor, str] = field(default_factory=dict)
    signatures: dict[Tensor, tuple[int, ...]] = field(default_factory=dict)
    extra_bytes: dict[Tensor, int] = field(default_factory=dict)


def inspect_tflite(path: Path) -> Inspection:
    """Read any model, and note what `read_tflite` refuses it for instead of stopping there.

    Args:
        path: A .tflite file, whatever is in it.

    Raises:
        ModelError: The file is missing, not TFLite or damaged.
    """
    content = read_content(path)
    return parse_untrusted(path, content, lambda: _inspect(path, content))


def _inspect(path: Path, content: bytes) -> Inspection:
    diagnostics: list[Diagnostic] = []

    def note(sentence: str, operator: int | None = None) -> None:
        diagnostic = Diagnostic(sentence, operator)
        if diagnostic not in diagnostics:
            diagnostics.append(diagnostic)

    parser = FileParser(path, content, note)
    first, further = parser.main_graph(), parser.further_graphs()
    resolved = with_states(first, further, parser.variables, path, note)
    check_types(resolved, path, note)
    check_order(resolved, path, note)
    return Inspection(
        path,
        len(content),
        (first, *further),
        resolved,
        diagnostics,
        parser.type_names,
        parser.signatures,
        parser.extra_bytes,
    )
