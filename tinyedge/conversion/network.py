"""What conversion returns: a float graph, and how its inputs and outputs lie compared with those of the source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.tflite.graph import Graph


@dataclass(frozen=True)
class Layout:
    """An input or an output of a network, in its source and in the graph.

    Attributes:
        name: As in the source.
        shape: In the source, all dimensions, the batch of 1 included.
        order: Which axis of the source each axis of the graph's tensor is: (0, 2, 3, 1) is channels first in the
            source and channels last in the graph. The batch stays the first.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def is_kept(self) -> bool:
        """Whether the graph's tensor is the source's as it is."""
        return list(self.order) == sorted(self.order)

    @property
    def graph_shape(self) -> tuple[int, ...]:
        """The shape of the graph's tensor."""
        return tuple(self.shape[axis] for axis in self.order)

    def to_graph(self, values: np.ndarray) -> np.ndarray:
        """Rearrange values (n, ...) of the source to those of the graph."""
        return np.ascontiguousarray(values.transpose(self.order))

    def to_source(self, values: np.ndarray) -> np.ndarray:
        """Rearrange values (n, ...) of the graph to those of the source."""
        return np.ascontiguousarray(values.transpose(np.argsort(self.order)))


def stacked(samples: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return each output (n, ...) of what a network made of n samples, one by one; a leading 1 is the batch."""
    return [
        np.stack([value[0] if value.shape[:1] == (1,) else value for value in values])
        for values in zip(*samples, strict=True)
    ]


@dataclass(frozen=True)
class SourceNetwork:
    """Anybody's float network, ready to be quantised.

    Attributes:
        graph: Float, canonical, of a batch of 1; its inputs and outputs have the names of the source.
        inputs: Of each input of the graph.
        outputs: Of each output of the graph.
        notes: What was changed on the way, a sentence each, for the report.
        run: The source itself, by ONNX Runtime, PyTorch or LiteRT: takes an array (n, ...) an input and returns one an
            output, both in the source's layouts.
    """

    graph: Graph
    inputs: tuple[Layout, ...]
    outputs: tuple[Layout, ...]
    notes: tuple[str, ...]
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]]
