"""Each operator of a model as a model of its own, so that a runtime can be asked about one at a time."""

import copy
from typing import Any

import flatbuffers


class Operators:
    """The operators of a model's first subgraph.

    Args:
        schema: The `schema_py_generated` module of the runtime's package.
        content: A .tflite file.
    """

    def __init__(self, schema: Any, content: bytes) -> None:
        self._model = schema.ModelT.InitFromPackedBuf(content)
        self._graph = self._model.subgraphs[0]

    def __len__(self) -> int:
        return len(_present(self._graph.operators))

    def kind(self, index: int) -> str:
        """Return what an operator has in common with others: its code, and the types of its tensors."""
        operator = self._graph.operators[index]
        tensors = [
            (tensor.type, self._has_data(tensor), len(_present(tensor.shape)))
            for position in (*_present(operator.inputs), *_present(operator.outputs))
            if position >= 0
            for tensor in [self._graph.tensors[position]]
        ]
        return repr((operator.opcodeIndex, tensors))

    def alone(self, index: int) -> bytes:
        """Make the model of one operator.

        Its activations become the inputs, its results the outputs; constants, versions and options stay. Other
        subgraphs stay only if it calls one.
        """
        operator = copy.copy(self._graph.operators[index])
        inputs = [int(position) for position in _present(operator.inputs) if position >= 0]
        outputs = [int(position) for position in _present(operator.outputs)]
        between = [int(position) for position in _present(operator.intermediates)]
        used = list(dict.fromkeys([*inputs, *outputs, *between]))
        constant = {position for position in inputs if self._has_data(self._graph.tensors[position])}
        model, main = copy.copy(self._model), copy.copy(self._graph)
        if not _calls_subgraphs(operator):
            model.subgraphs = [main]
            new = {position: number for number, position in enumerate(used)}
            main.tensors = [copy.copy(self._graph.tensors[position]) for position in used]
            buffers = list(dict.fromkeys([0, *(tensor.buffer for tensor in main.tensors)]))
            for tensor in main.tensors:
                tensor.buffer = buffers.index(tensor.buffer)
            model.buffers = [self._model.buffers[position] for position in buffers]
        else:
            model.subgraphs = [main, *self._model.subgraphs[1:]]
            new = {position: position for position in used}
        operator.inputs = [new.get(int(position), -1) for position in _present(operator.inputs)]
        operator.outputs = [new[position] for position in outputs]
        operator.intermediates = [new[position] for position in between]
        main.operators = [operator]
        main.inputs = [new[position] for position in dict.fromkeys(inputs) if position not in constant]
        main.outputs = list(operator.outputs)
        model.metadata = model.metadataBuffer = model.signatureDefs = None
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _has_data(self, tensor: Any) -> bool:
        data = self._model.buffers[tensor.buffer].data
        return data is not None and len(data) > 0


def _calls_subgraphs(operator: Any) -> bool:
    options = operator.builtinOptions
    return options is not None and any(name.lower().endswith("subgraphindex") for name in vars(options))


def _present(vector: Any) -> Any:
    return () if vector is None else vector
