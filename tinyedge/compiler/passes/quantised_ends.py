"""Conversions at the ends of a model, left to the program around it."""

from tinyedge.tflite.graph import Graph, Operator, Tensor

_QUANTISED = ("int8", "int16")


def quantised_ends(graph: Graph) -> None:
    """Let a model take and give what lies inside its QUANTIZE and DEQUANTIZE, int8 or int16 for float32 or uint8.

    An input that something else reads as well, and an output that something reads, stay as they are.
    """
    readers = graph.readers()
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    dropped: set[Operator] = set()

    def inside_input(tensor: Tensor) -> Tensor:
        reading = readers.get(tensor, [])
        if tensor.dtype.name in _QUANTISED or len(reading) != 1 or tensor in graph.outputs:
            return tensor
        return _without(reading[0], tensor, reading[0].outputs[0], dropped)

    def inside_output(tensor: Tensor) -> Tensor:
        writer = writers.get(tensor)
        if tensor.dtype.name in _QUANTISED or writer is None or tensor in readers:
            return tensor
        source = writer.optional_input(0)
        return tensor if source is None else _without(writer, tensor, source, dropped)

    graph.inputs = tuple(inside_input(tensor) for tensor in graph.inputs)
    graph.outputs = tuple(inside_output(tensor) for tensor in graph.outputs)
    graph.operators[:] = [operator for operator in graph.operators if operator not in dropped]


def _without(conversion: Operator, outside: Tensor, inside: Tensor, dropped: set[Operator]) -> Tensor:
    """The tensor inside, where the operator does nothing but convert it; else the one outside."""
    if conversion.op not in ("QUANTIZE", "DEQUANTIZE") or inside.dtype.name not in _QUANTISED:
        return outside
    dropped.add(conversion)
    return inside
