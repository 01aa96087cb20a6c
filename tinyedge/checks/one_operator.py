"""Each operator of a model as a model of its own, so that a runtime can be asked about one at a time."""

from typing import Any

import flatbuffers


def only_operator(schema: Any, content: bytes, index: int) -> bytes:
    """Make the model of one operator of the first subgraph.

    Its activations become the inputs, its results the outputs; constants, versions and options stay. Other subgraphs
    stay only if it calls one.

    Args:
        schema: The `schema_py_generated` module of the runtime's package.
        content: A .tflite file.
        index: The operator's position.
    """
    model = schema.ModelT.InitFromPackedBuf(content)
    main = model.subgraphs[0]
    operator = main.operators[index]
    inputs = [int(position) for position in _present(operator.inputs) if position >= 0]
    outputs = [int(position) for position in _present(operator.outputs)]
    used = list(dict.fromkeys([*inputs, *outputs, *(int(position) for position in _present(operator.intermediates))]))
    if not _calls_subgraphs(operator):
        model.subgraphs = [main]
        new = {position: number for number, position in enumerate(used)}
        tensors = [main.tensors[position] for position in used]
        buffers = list(dict.fromkeys([0, *(tensor.buffer for tensor in tensors)]))
        for tensor in tensors:
            tensor.buffer = buffers.index(tensor.buffer)
        model.buffers = [model.buffers[position] for position in buffers]
        main.tensors = tensors
    else:
        new = {position: position for position in used}
    constant = {position for position in inputs if _has_data(model, main.tensors[new[position]])}
    operator.inputs = [new.get(int(position), -1) for position in _present(operator.inputs)]
    operator.outputs = [new[position] for position in outputs]
    operator.intermediates = [new[int(position)] for position in _present(operator.intermediates)]
    main.operators = [operator]
    main.inputs = [new[position] for position in dict.fromkeys(inputs) if position not in constant]
    main.outputs = list(operator.outputs)
    model.metadata = model.metadataBuffer = model.signatureDefs = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _calls_subgraphs(operator: Any) -> bool:
    options = operator.builtinOptions
    return options is not None and any(name.lower().endswith("subgraphindex") for name in vars(options))


def _present(vector: Any) -> Any:
    return () if vector is None else vector


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0
