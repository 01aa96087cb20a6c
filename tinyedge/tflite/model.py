"""A .tflite file that is read from the disk once, however many want something of it."""

from functools import cached_property
from pathlib import Path

from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.reader import ParsedFile, parse_tflite, read_content


class Model:
    """A model in a file: its bytes, their hash, and as many graphs of it as are asked for.

    Args:
        path: A .tflite file.

    Attributes:
        path: The file.
        content: Its bytes.

    Raises:
        ModelError: The file is missing or not TFLite.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.content = read_content(self.path)

    @property
    def sha256(self) -> str:
        """Of the content, as hex.

        Raises:
            ModelError: The file is damaged.
        """
        return self._parsed.any_graph().sha256

    def graph(self) -> Graph:
        """A graph of a full-INT8 model, for the caller to change.

        Raises:
            ModelError: The file is damaged, or not full INT8.
        """
        return self._parsed.full_int8_graph().copy()

    def any_graph(self) -> Graph:
        """A graph of a model of any types, for the caller to change.

        Raises:
            ModelError: The file is damaged.
        """
        return self._parsed.any_graph().copy()

    def file_operators(self) -> tuple[Operator, ...]:
        """The operators of all subgraphs as the file has them, those of variables too; not to be changed.

        Raises:
            ModelError: The file is damaged.
        """
        return self._parsed.operators

    @cached_property
    def _parsed(self) -> ParsedFile:
        return parse_tflite(self.path, self.content)


def open_model(source: Path | Model) -> Model:
    """Return the model of a path, or the model itself, which is not read again.

    Raises:
        ModelError: The file is missing or not TFLite.
    """
    return source if isinstance(source, Model) else Model(source)
