"""The golden reference of a model: TFLite Micro, with LiteRT's results of the int8 functions that it lacks.

Of such a function of one value the 256 results of LiteRT's reference kernel are looked up, by operators that TFLite
Micro has.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.ops import descriptor_of
from tinyedge.ops.gelu import table_lookup
from tinyedge.ops.tflite_micro import FLOAT_ONLY, TFLM_OPERATORS
from tinyedge.runtimes.litert_session import REFERENCE, LitertSession
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes

_CODES = np.arange(-128, 128, dtype=np.int8)


def functions_by_litert(graph: Graph) -> list[str]:
    """TFLite's names of the int8 functions that a graph has and TFLite Micro has not, sorted."""
    return sorted({operator.op for operator in graph.operators if _is_by_litert(operator)})


def open_reference(model: Model) -> TflmRuntime:
    """Load the reference of a model.

    Raises:
        ModelError: An interpreter refuses the model.
        ToolMissing: A package is not installed, or there is none for this platform.
    """
    graph = model.any_graph()
    if not functions_by_litert(graph):
        return TflmRuntime(model)
    operators: list[Operator] = []
    for operator in graph.operators:
        operators += table_lookup(operator, _results(operator)) if _is_by_litert(operator) else [operator]
    with tempfile.TemporaryDirectory(prefix="tinyedge-reference-") as folder:
        path = Path(folder) / model.path.name
        path.write_bytes(tflite_bytes(dataclasses.replace(graph, operators=operators)))
        return TflmRuntime(path)


def _is_by_litert(operator: Operator) -> bool:
    source = operator.optional_input(0)
    return (
        (operator.op not in TFLM_OPERATORS or operator.op in FLOAT_ONLY)
        and descriptor_of(operator).codes is not None
        and len(operator.inputs) == 1
        and source is not None
        and source.dtype == operator.output.dtype == np.int8
    )


def _results(operator: Operator) -> np.ndarray:
    """LiteRT's results for all codes, (256,) int8."""
    shape = (1, len(_CODES))
    source, output = (
        dataclasses.replace(t, name=n, shape=shape) for t, n in ((operator.input(0), "x"), (operator.output, "y"))
    )
    alone = Graph(
        operator.op, [dataclasses.replace(operator, inputs=(source,), outputs=(output,))], (source,), (output,)
    )
    try:
        results: np.ndarray = LitertSession(tflite_bytes(alone), REFERENCE).run(_CODES[None])[0]
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"LiteRT, the reference for {operator.op}, has no results of operator {operator.index} ({reason}): "
            "give it no values for which the function is not defined"
        ) from error
    return results
