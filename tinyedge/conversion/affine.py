"""Constants that are multiplied and added, in as few operators as they can be.

A product with a constant and a sum with one belong into the weights and biases beside them: an INT8 operator of their
own would round once more. Those of a channel that are left get a scale each in `tinyedge.quantisation.channel_scales`.
Hard-sigmoid and hard-swish, which exporters spell out, come back as what kernels compute.

Every rule is exact but for the rounding of float32. Its graph is changed in place.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tinyedge.conversion.float_options import PRODUCT, SUM
from tinyedge.tflite.graph import Graph, Operator, Tensor

_FLOAT = np.dtype(np.float32)
_SIX = np.float32(6)
# The axes of weights, and of the input channels where each weight sees one of all of them.
_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


def fold_affine(graph: Graph) -> None:
    """Apply the rules to a float graph until none of them finds anything."""
    while any(_apply(graph, rule) for rule in _RULES):
        pass


class _Place:
    """An operator within its graph, and what reads and writes beside it."""

    def __init__(self, operator: Operator, around: "_Surroundings") -> None:
        self.operator = operator
        self._around = around

    def writer(self, tensor: Tensor | None, *ops: str) -> Operator | None:
        """Return the operator that makes a tensor, if it is one of these."""
        found = None if tensor is None else self._around.writers.get(tensor)
        return found if found is not None and found.op in ops else None

    def only_reader(self, tensor: Tensor) -> Operator | None:
        """Return what alone reads a tensor that is no output of the graph."""
        found = self._around.readers.get(tensor, [])
        return found[0] if len(found) == 1 and tensor not in self._around.outputs else None


class _Surroundings:
    """Who reads and writes the tensors of a graph, as it is now."""

    def __init__(self, graph: Graph) -> None:
        self.readers = graph.readers()
        self.writers = {tensor: writer for writer in graph.operators for tensor in writer.outputs}
        self.outputs = graph.outputs


_Replacement = tuple[list[Operator], list[Operator]]
"""The operators that go, and those that come in the place of the last of them."""
_Rule = Callable[[_Place], _Replacement | None]


def _apply(graph: Graph, rule: _Rule) -> bool:
    """Apply a rule wherever it finds something, once; return whether it did."""
    changed = False
    position = 0
    around = _Surroundings(graph)
    while position < len(graph.operators):
        found = rule(_Place(graph.operators[position], around))
        if found is None:
            position += 1
            continue
        gone, new = found
        last = max(graph.operators.index(operator) for operator in gone)
        graph.operators[last : last + 1] = new
        graph.operators[:] = [operator for operator in graph.operators if operator not in gone]
        changed, position = True, max(0, position - len(gone))
        around = _Surroundings(graph)
    return changed


def _constant(name: str, data: np.ndarray) -> Tensor:
    data = np.ascontiguousarray(data, np.float32)
    return Tensor(name, data.shape, _FLOAT, data=data)


def _operands(operator: Operator) -> tuple[Tensor, np.ndarray] | None:
    """Return the activation and the constant of a float operator that has one of each."""
    if len(operator.inputs) != 2 or operator.output.dtype != _FLOAT:
        return None
    first, second = operator.inputs
    if first is None or second is None or first.is_constant == second.is_constant:
        return None
    activation, constant = (second, first) if first.is_constant else (first, second)
    if activation.shape != operator.output.shape:  # The constant widens it.
        return None
    return activation, constant.values


def _affine(operator: Operator | None, op: str) -> tuple[Tensor, np.ndarray] | None:
    """Return the activation and the constant of a MUL or ADD without an activation function of its own."""
    if operator is None or operator.op != op or operator.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    return _operands(operator)


def _channels(constant: np.ndarray, count: int) -> np.ndarray | None:
    """Return a constant of one value, or one a channel, as (count,); None for any other."""
    if constant.size == 1:
        return np.full(count, constant.reshape(()), np.float32)
    if constant.size == count == constant.shape[-1]:
        return constant.reshape(count)
    return None


def _difference_and_quotient(place: _Place) -> _Replacement | None:
    """A difference x - c is x + (-c), c - x is -x + c, and x / c is x * (1/c)."""
    operator = place.operator
    if operator.op not in ("SUB", "DIV") or (found := _operands(operator)) is None:
        return None
    source, constant = found
    activation = operator.options.get("fused_activation_function", "NONE")
    if operator.inputs[0] is not source:
        if operator.op == "DIV":
            return None
        negated = dataclasses.replace(operator.output, name=f"{operator.output.name}/negated")
        minus = Operator("MUL", (source, _constant(f"{negated.name}/by", np.array([-1.0]))), (negated,), PRODUCT)
        total = _constant(f"{operator.output.name}/added", constant)
        options = {**SUM, "fused_activation_function": activation}
        return [operator], [minus, Operator("ADD", (negated, total), operator.outputs, options, index=operator.index)]
    if operator.op == "DIV" and not np.all(constant):
        return None
    op, options, value = ("ADD", SUM, -constant) if operator.op == "SUB" else ("MUL", PRODUCT, 1 / constant)
    options = {**options, "fused_activation_function": activation}
    inputs = (source, _constant(f"{operator.output.name}/constant", value))
    return [operator], [Operator(op, inputs, operator.outputs, options, index=operator.index)]


def _reciprocal_root(place: _Place) -> _Replacement | None:
    """A quotient x / sqrt(y) is x * rsqrt(y), which has a kernel."""
    operator = place.operator
    if operator.op != "DIV" or operator.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    numerator, denominator = operator.input(0), operator.input(1)
    root = place.writer(denominator, "SQRT")
    if root is None or place.only_reader(denominator) is not operator or numerator is denominator:
        return None
    inverse = dataclasses.replace(denominator, name=f"{denominator.name}/reciprocal")
    new = [Operator("RSQRT", root.inputs, (inverse,), index=root.index)]
    if numerator.is_constant and np.all(numerator.values == 1) and denominator.shape == operator.output.shape:
        new[0] = dataclasses.replace(new[0], outputs=operator.outputs)
    else:
        new.append(Operator("MUL", (numerator, inverse), operator.outputs, PRODUCT, index=operator.index))
    return [root, operator], new


def _hard_swish(place: _Place) -> _Replacement | None:
    """The product x * clip(x/6 + 1/2, 0, 1)."""
    operator = place.operator
    if operator.op != "MUL" or len(operator.inputs) != 2:
        return None
    for source, gate in (operator.inputs, operator.inputs[::-1]):
        clip = place.writer(gate, "RELU_0_TO_1")
        if clip is None or gate is None or place.only_reader(gate) is not operator:
            continue
        shift = place.writer(clip.input(0), "ADD")
        added = _affine(shift, "ADD")
        if shift is None or added is None or place.only_reader(clip.input(0)) is not clip:
            continue
        scaling = place.writer(added[0], "MUL")
        scaled = _affine(scaling, "MUL")
        if scaling is None or scaled is None or place.only_reader(added[0]) is not shift or scaled[0] is not source:
            continue
        if np.allclose(scaled[1], 1 / 6, rtol=1e-5) and np.allclose(added[1], 0.5, rtol=1e-5):
            if operator.options.get("fused_activation_function", "NONE") != "NONE":
                continue
            swish = Operator("HARD_SWISH", (source,), operator.outputs, index=operator.index)
            return [scaling, shift, clip, operator], [swish]
    return None


def _hard_swish_of_relu6(place: _Place) -> _Replacement | None:
    """The product x * relu6(x + 3) / 6, as older exporters write it."""
    operator = place.operator
    found = _affine(operator, "MUL")
    product = None if found is None else place.writer(found[0], "MUL")
    if found is None or product is None or len(product.inputs) != 2 or not np.allclose(found[1], 1 / 6, rtol=1e-5):
        return None
    if place.only_reader(found[0]) is not operator or product.options.get("fused_activation_function") != "NONE":
        return None
    for source, gate in (product.inputs, product.inputs[::-1]):
        clip = place.writer(gate, "RELU6", "ADD")
        if clip is None or gate is None or place.only_reader(gate) is not product:
            continue
        shift = place.writer(clip.input(0), "ADD") if clip.op == "RELU6" else clip
        added = _affine(shift, "ADD") if shift is not clip else _operands(clip)
        clips = clip.op == "RELU6" or clip.options.get("fused_activation_function") == "RELU6"
        alone = clip is shift or place.only_reader(clip.input(0)) is clip
        if shift is None or added is None or not clips or not alone:
            continue
        if added[0] is source and np.all(added[1] == 3):
            gone = [shift, product, operator] if clip is shift else [shift, clip, product, operator]
            return gone, [Operator("HARD_SWISH", (source,), operator.outputs, index=operator.index)]
    return None


def _clip_of_one(place: _Place) -> _Replacement | None:
    """clip(x, 0, 1) is relu6(6x) / 6: no kernel clips at 1."""
    operator = place.operator
    if operator.op != "RELU_0_TO_1":
        return None
    six, clipped = (
        dataclasses.replace(operator.output, name=f"{operator.output.name}/{name}") for name in ("six_times", "clipped")
    )
    return [operator], [
        Operator("MUL", (operator.input(0), _constant(f"{six.name}/by", np.array([6.0]))), (six,), PRODUCT),
        Operator("RELU6", (six,), (clipped,)),
        Operator(
            "MUL",
            (clipped, _constant(f"{clipped.name}/by", np.array([1 / _SIX]))),
            operator.outputs,
            PRODUCT,
            index=operator.index,
        ),
    ]


def _product_before_sum(place: _Place) -> _Replacement | None:
    """(x + c) * k is x * k + c * k, and (x * c) * k is x * (c * k): of constants that give no larger one."""
    operator = place.operator
    if operator.op != "MUL" or (found := _operands(operator)) is None:
        return None
    middle, factor = found
    first = place.writer(middle, "ADD", "MUL")
    inner = None if first is None else _affine(first, first.op)
    if first is None or inner is None or place.only_reader(middle) is not operator:
        return None
    source, constant = inner
    name = operator.output.name
    product = _constant(f"{name}/constant", constant * factor)
    if product.elements > max(constant.size, factor.size):
        return None
    if first.op == "MUL":
        return [first, operator], [dataclasses.replace(operator, inputs=(source, product))]
    scaled = dataclasses.replace(operator.output, name=f"{name}/scaled")
    options = {**SUM, "fused_activation_function": operator.options.get("fused_activation_function", "NONE")}
    return [first, operator], [
        Operator("MUL", (source, _constant(f"{name}/by", factor)), (scaled,), PRODUCT, index=first.index),
        Operator("ADD", (scaled, product), operator.outputs, options, index=operator.index),
    ]


def _sums_of_constants(place: _Place) -> _Replacement | None:
    """(x + c) + d is x + (c + d): of constants that give no larger one."""
    operator = place.operator
    if operator.op != "ADD" or (found := _operands(operator)) is None:
        return None
    middle, constant = found
    first = place.writer(middle, "ADD")
    inner = _affine(first, "ADD")
    if first is None or inner is None or place.only_reader(middle) is not operator:
        return None
    total = _constant(f"{operator.output.name}/constant", inner[1] + constant)
    if total.elements > max(inner[1].size, constant.size):
        return None
    return [first, operator], [dataclasses.replace(operator, inputs=(inner[0], total))]


def _scale_behind_product(place: _Place) -> _Replacement | None:
    """A product x * (g * k), for a number k, is (x * g) * k: that of a gate goes on to the weights behind it."""
    operator = place.operator
    if operator.op != "MUL" or operator.options.get("fused_activation_function", "NONE") != "NONE":
        return None
    if len(operator.inputs) != 2 or any(tensor is None or tensor.is_constant for tensor in operator.inputs):
        return None
    for position in (0, 1):
        gate, other = operator.input(position), operator.input(1 - position)
        scaling = place.writer(gate, "MUL")
        scaled = _affine(scaling, "MUL")
        if scaling is None or scaled is None or scaled[1].size != 1 or place.only_reader(gate) is not operator:
            continue
        if other is gate:
            continue
        middle = dataclasses.replace(operator.output, name=f"{operator.output.name}/unscaled")
        pair = (scaled[0], other) if position == 0 else (other, scaled[0])
        return [scaling, operator], [
            Operator("MUL", pair, (middle,), PRODUCT, index=operator.index),
            Operator(
                "MUL",
                (middle, _constant(f"{operator.output.name}/by", scaled[1].reshape(1))),
                operator.outputs,
                PRODUCT,
            ),
        ]
    return None


def _nothing(place: _Place) -> _Replacement | None:
    """Both x * 1 and x + 0 are x, where something else made x and nothing is clipped."""
    operator = place.operator
    neutral = {"MUL": 1.0, "ADD": 0.0}.get(operator.op)
    if neutral is None or (found := _affine(operator, operator.op)) is None or not np.all(found[1] == neutral):
        return None
    writer = place.writer(found[0], *_OUTPUT_AXIS, "MUL", "ADD", "RELU6", "CONCATENATION")
    if writer is None or place.only_reader(found[0]) is not operator:
        return None
    return [writer, operator], [dataclasses.replace(writer, outputs=operator.outputs)]


def _into_weights_before(place: _Place) -> _Replacement | None:
    """A product or a sum of each channel of what a layer makes is in its weights and bias."""
    operator = place.operator
    if operator.op not in ("MUL", "ADD") or (found := _operands(operator)) is None:
        return None
    middle, constant = found
    layer = place.writer(middle, *_OUTPUT_AXIS)
    if layer is None or place.only_reader(middle) is not operator:
        return None
    if layer.options.get("fused_activation_function") != "NONE" or not layer.input(1).is_constant:
        return None
    values = _channels(constant, middle.shape[-1])
    bias = layer.optional_input(2)
    if values is None or (bias is not None and not bias.is_constant):
        return None
    name = operator.output.name
    weight = layer.input(1)
    old = np.zeros(len(values), np.float32) if bias is None else bias.values
    if operator.op == "MUL":
        shape = [1] * weight.values.ndim
        shape[_OUTPUT_AXIS[layer.op]] = -1
        weight = _constant(f"{name}/weight", weight.values * values.reshape(shape))
        new = None if bias is None else _constant(f"{name}/bias", old * values)
    else:
        new = _constant(f"{name}/bias", old + values)
    inputs = (layer.input(0), weight) if new is None else (layer.input(0), weight, new)
    activation = operator.options.get("fused_activation_function", "NONE")
    options = {**layer.options, "fused_activation_function": activation}
    return [layer, operator], [dataclasses.replace(layer, inputs=inputs, outputs=operator.outputs, options=options)]


def _into_weights_behind(place: _Place) -> _Replacement | None:
    """A product of each channel of what a layer reads is in its weights, for 0 pads stay 0."""
    operator = place.operator
    if (found := _affine(operator, "MUL")) is None:
        return None
    layer = place.only_reader(operator.output)
    if layer is None or layer.op not in _OUTPUT_AXIS or layer.input(0) is not operator.output:
        return None
    weight = layer.input(1)
    if not weight.is_constant:
        return None
    source, constant = found
    values = _channels(constant, source.shape[-1])
    if values is None:
        return None
    if constant.size == 1:
        scaled = weight.values * constant.reshape(())
    elif layer.op == "DEPTHWISE_CONV_2D":
        scaled = weight.values * np.repeat(values, weight.shape[3] // len(values))
    elif weight.shape[-1] == len(values):
        scaled = weight.values * values
    else:
        return None
    inputs = (source, _constant(f"{weight.name}/scaled", scaled), *layer.inputs[2:])
    return [operator, layer], [dataclasses.replace(layer, inputs=inputs)]


_RULES: tuple[_Rule, ...] = (
    _difference_and_quotient,
    _reciprocal_root,
    _hard_swish,
    _hard_swish_of_relu6,
    _clip_of_one,
    _product_before_sum,
    _sums_of_constants,
    _scale_behind_product,
    _nothing,
    _into_weights_before,
    _into_weights_behind,
)
