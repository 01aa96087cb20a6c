"""ONNX nodes that onnx2tf converts badly or not at all, each written as others that it converts well.

The model is folded and of static shapes; each function here says what goes wrong without it.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx


def rewrite(model: "onnx.ModelProto") -> None:
    """Rewrite a folded model in place."""
    rewriter = _Rewriter(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        rule = _RULES.get(node.op_type)
        nodes.extend([node] if rule is None else rule(rewriter, node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_copies(model)


class _Rewriter:
    """The constants, shapes and types of a model, and the constants that rewrites add to it."""

    def __init__(self, model: "onnx.ModelProto") -> None:
        import onnx

        self._graph = model.graph
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._readers: dict[str, set[str]] = defaultdict(set)
        for node in model.graph.node:
            for name in node.input:
                self._readers[name].add(node.op_type)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self._types = {
            value.name: value.type.tensor_type for value in (*inferred.input, *inferred.value_info, *inferred.output)
        }

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an activation or a constant."""
        if name in self._initializers:
            return tuple(self._initializers[name].dims)
        return tuple(dimension.dim_value for dimension in self._types[name].shape.dim)

    def readers(self, name: str) -> set[str]:
        """The kinds of the nodes that read an activation."""
        return self._readers[name]

    def element_type(self, name: str) -> int:
        """ONNX's number of the type of an activation or a constant."""
        return int(self._initializers[name].data_type if name in self._initializers else self._types[name].elem_type)

    def constant(self, name: str) -> np.ndarray | None:
        """The values of a constant; None of an activation."""
        import onnx

        return onnx.numpy_helper.to_array(self._initializers[name]) if name in self._initializers else None

    def add(self, name: str, value: np.ndarray) -> str:
        """Add a constant; return its name."""
        import onnx

        self._graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a constant of integers; return its name."""
        return self.add(name, np.array(values, np.int64))

    def slice(self, source: str, axis: int, start: int, end: int, output: str) -> "onnx.NodeProto":
        """A part of an activation."""
        limits = [
            self.integers(f"{output}/{name}", value) for name, value in (("start", start), ("end", end), ("axis", axis))
        ]
        return _node("Slice", [source, *limits], output)

    def reshape(self, source: str, shape: tuple[int, ...], output: str) -> "onnx.NodeProto":
        """An activation in another shape."""
        return _node("Reshape", [source, self.integers(f"{output}/shape", *shape)], output)


def _node(op: str, inputs: list[str], output: str, **attributes: Any) -> "onnx.NodeProto":
    """A node that is called as its output."""
    import onnx

    return onnx.helper.make_node(op, inputs, [output], name=output, **attributes)


def _attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    import onnx

    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _drop_copies(model: "onnx.ModelProto") -> None:
    """Leave out nodes that change nothing, in place.

    Where one makes an output of the network, onnx2tf renames what it copies for that one reader and forgets the others.
    """
    rewriter = _Rewriter(model)
    outputs = {value.name for value in model.graph.output}
    made = {name for node in model.graph.node for name in node.output}
    renamed: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        source, output = node.input[0] if node.input else "", node.output[0]
        if not _is_copy(rewriter, node) or source not in made or source in outputs:
            nodes.append(node)
        elif output not in outputs:
            renamed[output] = source
        else:
            for earlier in nodes:
                earlier.input[:] = [output if name == source else name for name in earlier.input]
                earlier.output[:] = [output if name == source else name for name in earlier.output]
            renamed = {name: output if known == source else known for name, known in renamed.items()}
            renamed[source] = output
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _is_copy(rewriter: _Rewriter, node: "onnx.NodeProto") -> bool:
    if node.op_type == "Cast":
        return rewriter.element_type(node.input[0]) == rewriter.element_type(node.output[0])
    if node.op_type == "Reshape":
        return rewriter.shape(node.input[0]) == rewriter.shape(node.output[0])
    return node.op_type == "Identity"


def _slices(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A Split of more than four axes, as of queries, keys and values, gets outputs of dynamic shapes."""
    axis = _attributes(node).get("axis", 0) % len(rewriter.shape(node.input[0]))
    slices, start = [], 0
    for output in node.output:
        end = start + rewriter.shape(output)[axis]
        slices.append(rewriter.slice(node.input[0], axis, start, end, output))
        start = end
    return slices


def _static_reshape(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A Reshape to a size of -1 of more than four axes gets an output of dynamic shape."""
    shape = rewriter.shape(node.output[0])
    if 0 in shape:
        return [node]
    return [rewriter.reshape(node.input[0], shape, node.output[0])]


def _elu(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """Elu becomes TFLite's, whose alpha is 1."""
    alpha, (source,), (output,) = _attributes(node).get("alpha", 1.0), node.input, node.output
    if alpha == 1:
        return [node]
    zero, one = (rewriter.add(f"{output}/{value}", np.array(value, np.float32)) for value in (0, 1))
    factor = rewriter.add(f"{output}/alpha", np.array(alpha, np.float32))
    above, below, power, less, scaled = (f"{output}/{part}" for part in ("above", "below", "power", "less", "scaled"))
    return [
        _node("Max", [source, zero], above),
        _node("Min", [source, zero], below),
        _node("Exp", [below], power),
        _node("Sub", [power, one], less),
        _node("Mul", [less, factor], scaled),
        _node("Add", [above, scaled], output),
    ]


def _gelu(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """Gelu by the hyperbolic tangent becomes TFLite's by the error function, 5e-4 away."""
    if _attributes(node).get("approximate", b"none") != b"tanh":
        return [node]
    (source,), (output,) = node.input, node.output
    root, cubic, one, half = (
        rewriter.add(f"{output}/{name}", np.array(value, np.float32))
        for name, value in (("root", np.sqrt(2 / np.pi)), ("cubic", 0.044715), ("one", 1), ("half", 0.5))
    )
    square, factor, above, cube, scaled, bent, share, part = (
        f"{output}/{name}" for name in ("square", "factor", "above", "cube", "scaled", "bent", "share", "part")
    )
    return [
        _node("Mul", [source, source], square),
        _node("Mul", [square, cubic], factor),
        _node("Add", [factor, one], above),
        _node("Mul", [above, source], cube),
        _node("Mul", [cube, root], scaled),
        _node("Tanh", [scaled], bent),
        _node("Add", [bent, one], share),
        _node("Mul", [share, source], part),
        _node("Mul", [part, half], output),
    ]


def _triangle(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """CumSum has no kernel; it is a product with a triangle of ones."""
    axis = rewriter.constant(node.input[1])
    shape, attributes = rewriter.shape(node.input[0]), _attributes(node)
    if axis is None or shape[int(axis.item())] > _LONGEST_SUM:
        return [node]
    position, size = int(axis.item()) % len(shape), shape[int(axis.item())]
    exclusive = int(attributes.get("exclusive", 0))
    ones = np.tril(np.ones((size, size), np.float32), -exclusive)
    name = node.output[0]
    triangle = rewriter.add(f"{name}/triangle", ones if attributes.get("reverse", 0) else ones.T)
    if position == len(shape) - 1:
        return [_node("MatMul", [node.input[0], triangle], name)]
    order = list(range(len(shape)))
    order[position], order[-1] = order[-1], order[position]
    return [
        _node("Transpose", [node.input[0]], f"{name}/source", perm=order),
        _node("MatMul", [f"{name}/source", triangle], f"{name}/sums"),
        _node("Transpose", [f"{name}/sums"], name, perm=order),
    ]


def _wrapped(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A circular Pad has no kernel; it joins an end, the whole and a beginning."""
    pads = rewriter.constant(node.input[1])
    if _attributes(node).get("mode") != b"wrap" or pads is None:
        return [node]
    shape, source = rewriter.shape(node.input[0]), node.input[0]
    axes = rewriter.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else np.arange(len(shape))
    if axes is None or pads.min() < 0:
        return [node]
    nodes = []
    for axis, before, after in zip(axes % len(shape), pads[: len(axes)], pads[len(axes) :], strict=True):
        if before == after == 0:
            continue
        name, size, parts = f"{node.output[0]}/axis_{axis}", shape[axis], [source]
        if before:
            nodes.append(rewriter.slice(source, int(axis), size - int(before), size, f"{name}/end"))
            parts.insert(0, f"{name}/end")
        if after:
            nodes.append(rewriter.slice(source, int(axis), 0, int(after), f"{name}/beginning"))
            parts.append(f"{name}/beginning")
        nodes.append(_node("Concat", parts, name, axis=int(axis)))
        source = name
    return [*nodes, _node("Identity", [source], node.output[0])]


def _gather(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """GatherND has no int8 kernel; of constant positions it is a Gather along its axes as one.

    PyTorch's exporter by `torch.export` writes it for an index by a list, and for adaptive pooling by uneven windows.
    """
    positions = rewriter.constant(node.input[1])
    if positions is None or _attributes(node).get("batch_dims", 0):
        return [node]
    shape, output = rewriter.shape(node.input[0]), node.output[0]
    count = positions.shape[-1]
    sizes = shape[:count]
    places = np.ravel_multi_index(tuple(np.moveaxis(positions % np.array(sizes), -1, 0)), sizes)
    indices = rewriter.integers(f"{output}/indices", *places.reshape(-1))
    flat, rows = f"{output}/flat", f"{output}/rows"
    return [
        rewriter.reshape(node.input[0], (int(np.prod(sizes)), *shape[count:]), flat),
        _node("Gather", [flat, indices], rows, axis=0),
        rewriter.reshape(rows, (*positions.shape[:-1], *shape[count:]), output),
    ]


def _as_image(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A Conv of one dimension in groups, and a ConvTranspose that is dilated, are taken in two dimensions only."""
    shape, weights = rewriter.shape(node.input[0]), rewriter.constant(node.input[1])
    attributes = _attributes(node)
    groups, dilations = attributes.get("group", 1), attributes.get("dilations", [1])
    if len(shape) != 3 or weights is None or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return [node]
    if groups in (1, shape[1]) and (node.op_type == "Conv" or dilations == [1]):
        return [node]
    output = node.output[0]
    begin, end = attributes.get("pads", [0, 0])
    two = {"group": groups, "pads": [0, begin, 0, end], "kernel_shape": [1, weights.shape[2]]}
    two |= {name: [1, *attributes.get(name, [1])] for name in ("dilations", "strides")}
    if "output_padding" in attributes:
        two["output_padding"] = [0, *attributes["output_padding"]]
    inputs = [f"{output}/image", rewriter.add(f"{output}/weights", weights[:, :, None, :]), *node.input[2:]]
    return [
        rewriter.reshape(node.input[0], (*shape[:2], 1, shape[2]), inputs[0]),
        _node(node.op_type, inputs, f"{output}/convolved", **two),
        rewriter.reshape(f"{output}/convolved", rewriter.shape(output), output),
    ]


def _average(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """An AveragePool whose last windows hang over the end is averaged wrongly; one over depth alone has no kernel."""
    attributes, shape, output = _attributes(node), rewriter.shape(node.input[0]), node.output[0]
    kernel = attributes["kernel_shape"]
    count = len(kernel)
    strides, pads = attributes.get("strides", [1] * count), attributes.get("pads", [0] * 2 * count)
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or set(attributes.get("dilations", [1])) != {1}:
        return [node]
    if count == 3 and kernel[1:] == [1, 1] and set(strides) == {1} and not any(pads) and shape[0] == 1:
        channels, depth, height, width = shape[1:]
        return [
            rewriter.reshape(node.input[0], (1, channels, depth, height * width), f"{output}/flat"),
            _node("AveragePool", [f"{output}/flat"], f"{output}/averages", kernel_shape=[kernel[0], 1]),
            rewriter.reshape(f"{output}/averages", rewriter.shape(output), output),
        ]
    counts_pads = bool(attributes.get("count_include_pad", 0))
    if not attributes.get("ceil_mode", 0) or (counts_pads and rewriter.opset < _COUNTS_NO_OVERHANG):
        return [node]
    divisors, overhangs = np.ones((1, 1, *[1] * count), np.float32), []
    for axis, (size, places) in enumerate(zip(shape[2:], rewriter.shape(output)[2:], strict=True)):
        before, after = pads[axis], pads[count + axis]
        overhangs.append(max(0, (places - 1) * strides[axis] + kernel[axis] - size - before - after))
        first, last = (0, size + before + after) if counts_pads else (before, before + size)
        starts = np.arange(places) * strides[axis]
        counted = np.minimum(starts + kernel[axis], last) - np.maximum(starts, first)
        divisors = divisors * (counted / kernel[axis]).reshape([-1 if at == axis else 1 for at in range(count)])
    ends = [pad + overhang for pad, overhang in zip(pads[count:], overhangs, strict=True)]
    padding = rewriter.integers(f"{output}/pads", 0, 0, *pads[:count], 0, 0, *ends)
    factors = rewriter.add(f"{output}/factors", (1 / divisors).astype(np.float32))
    return [
        _node("Pad", [node.input[0], padding], f"{output}/padded"),
        _node("AveragePool", [f"{output}/padded"], f"{output}/averages", kernel_shape=kernel, strides=strides),
        _node("Mul", [f"{output}/averages", factors], output),
    ]


def _mean_of_image(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """Of the mean of a map that a Conv reads too, onnx2tf 2.6.9 may make one of a tensor that nobody writes."""
    source, output = node.input[0], node.output[0]
    shape = rewriter.shape(source)
    if len(shape) != _IMAGE_RANK or "Conv" not in rewriter.readers(source):
        return [node]
    if node.op_type == "ReduceMean":
        named = len(node.input) > 1 and node.input[1]
        axes = rewriter.constant(node.input[1]) if named else _attributes(node).get("axes")
        if axes is None or {int(axis) % _IMAGE_RANK for axis in axes} != {2, 3}:
            return [node]
    means, vector = f"{output}/means", f"{output}/vector"
    nodes = [_node("GlobalAveragePool", [source], means)]
    if len(rewriter.shape(output)) < _IMAGE_RANK:
        return [*nodes, rewriter.reshape(means, shape[:2], output)]
    back = rewriter.reshape(vector, (*shape[:2], 1, 1), output)
    return [*nodes, rewriter.reshape(means, shape[:2], vector), back]


def _constant_of_image(rewriter: _Rewriter, node: "onnx.NodeProto") -> "list[onnx.NodeProto]":
    """A constant of fewer axes than its image keeps their order where the image's become NHWC: it is given them all."""
    if len(rewriter.shape(node.output[0])) != _IMAGE_RANK:
        return [node]
    for place, name in enumerate(node.input):
        value = rewriter.constant(name)
        if value is not None and value.size > 1 and value.ndim < _IMAGE_RANK:
            value = value.reshape((*[1] * (_IMAGE_RANK - value.ndim), *value.shape))
            node.input[place] = rewriter.add(f"{node.output[0]}/{name}", value)
    return [node]


_IMAGE_RANK = 4
_COUNTS_NO_OVERHANG = 19  # The opset from which on what hangs over counts in no average.
_LONGEST_SUM = 1024  # The triangle has as many bytes as its square.
_Rule = Callable[[_Rewriter, "onnx.NodeProto"], "list[onnx.NodeProto]"]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"), _constant_of_image),
    "AveragePool": _average,
    "Conv": _as_image,
    "ConvTranspose": _as_image,
    "CumSum": _triangle,
    "Elu": _elu,
    "GatherND": _gather,
    "Gelu": _gelu,
    "GlobalAveragePool": _mean_of_image,
    "Pad": _wrapped,
    "ReduceMean": _mean_of_image,
    "Reshape": _static_reshape,
    "Split": _slices,
}
