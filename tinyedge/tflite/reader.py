"""Reads a .tflite file into a `Graph`, or says in one sentence why it cannot."""

from collections.abc import Callable
from pathlib import Path

from tinyedge.errors import ModelError
from tinyedge.shell import command_line
from tinyedge.tflite.full_int8 import check_order, check_types
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.parser import FileParser, parse_untrusted
from tinyedge.tflite.states import with_states


class ParsedFile:
    """What is in a .tflite file, and what is wrong with it.

    Args:
        graph: Of the subgraph that runs, with its states.
        operators: Of all subgraphs as the file has them.
        not_full_int8: Why it is no full-INT8 model, in a sentence; None if it is one.
        disorder: Why its operators cannot run in their order; None if they can.
    """

    def __init__(
        self, graph: Graph, operators: tuple[Operator, ...], not_full_int8: str | None, disorder: str | None
    ) -> None:
        self.operators = operators
        self._graph = graph
        self._not_full_int8 = not_full_int8
        self._disorder = disorder

    def any_graph(self) -> Graph:
        """The graph of a model of any types.

        Raises:
            ModelError: The file is damaged.
        """
        if self._disorder is not None:
            raise ModelError(self._disorder)
        return self._graph

    def full_int8_graph(self) -> Graph:
        """The graph of a full-INT8 model.

        Raises:
            ModelError: It is none, or the file is damaged.
        """
        if self._not_full_int8 is not None:
            raise ModelError(self._not_full_int8)
        return self.any_graph()


def read_tflite(path: Path) -> Graph:
    """Read a full-INT8 model.

    Args:
        path: A .tflite file of static shapes whose activations are int8 or int16; its inputs and outputs may be others.

    Returns:
        Its operators in execution order. Constants hold their values; every int8 or int16 tensor has its quantisation.

    Raises:
        ModelError: The file is missing, not TFLite, damaged, or not full INT8.
    """
    return parse_tflite(path, read_content(path)).full_int8_graph()


def read_any_tflite(path: Path) -> Graph:
    """Read a model of any types: floats, or a mixture.

    Args:
        path: A .tflite file of static shapes.

    Raises:
        ModelError: The file is missing, not TFLite or damaged.
    """
    return parse_tflite(path, read_content(path)).any_graph()


def read_content(path: Path) -> bytes:
    """Return the bytes of a .tflite file.

    Raises:
        ModelError: The file is missing or not TFLite.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"no model at {path}: give the path of a .tflite file") from None
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if not content:
        raise ModelError(f"{path} is empty: copy or convert the model again")
    if path.suffix.lower() == ".onnx":
        quantise = command_line("tinyedge", "quantise", path, "--calibration", "FOLDER")
        raise ModelError(f"{path} is an ONNX file: run `{quantise}`, and give the .tflite file that it writes")
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path} is not a TFLite model (no 'TFL3' at byte 4): give a .tflite file")
    return content


def parse_tflite(path: Path, content: bytes) -> ParsedFile:
    """Make a graph of the bytes of a .tflite file of static shapes.

    Args:
        path: Of the file, for messages and the graph's name.
        content: As `read_content` returns them.

    Raises:
        ModelError: The file is damaged.
    """

    def parse() -> ParsedFile:
        parser = FileParser(path, content, _raise)
        main, further = parser.main_graph(), parser.further_graphs()
        graph = with_states(main, further, parser.variables, path, _raise)
        return ParsedFile(
            graph,
            tuple(operator for subgraph in (main, *further) for operator in subgraph.operators),
            not_full_int8=_complaint(lambda: check_types(graph, path, _raise)),
            disorder=_complaint(lambda: check_order(graph, path, _raise)),
        )

    return parse_untrusted(path, content, parse)


def _raise(sentence: str, operator: int | None = None) -> None:
    raise ModelError(sentence)


def _complaint(check: Callable[[], None]) -> str | None:
    """What a check has against a graph."""
    try:
        check()
    except ModelError as error:
        return str(error)
    return None
