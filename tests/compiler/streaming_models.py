"""Small models that keep something from one inference to the next, as converters of streaming networks write them."""

from collections.abc import Sequence

import numpy as np
from compiler.tflite_builder import RESOURCE, OperatorSpec, TensorSpec, build_model, constant

CHANNELS = 6


def _handle(name: str) -> tuple[OperatorSpec, TensorSpec]:
    tensor = TensorSpec((), dtype=RESOURCE)
    return OperatorSpec("VAR_HANDLE", [], tensor, {"sharedName": name}), tensor


def _int32(*values: int) -> TensorSpec:
    return constant(np.array(values, np.int32))


def image(*shape: int) -> TensorSpec:
    """An int8 activation of the one quantisation that these models have."""
    return TensorSpec(shape, 0.05, -11)


def streaming_model(lengths: Sequence[int], whole: bool = False, seed: int = 0) -> bytes:
    """A ring buffer of each length in a row, and between them a convolution over all that it holds.

    Args:
        lengths: How many earlier frames each keeps.
        whole: Whether a buffer keeps the newest frame too and drops the oldest at the next inference, so that what is
            assigned is read by the convolution as well.
        seed: Of weights and of what the buffers hold at first.
    """
    rng = np.random.default_rng(seed)
    frame = first = image(1, 1, 1, CHANNELS)
    once: list[OperatorSpec] = []
    operators = [OperatorSpec("CALL_ONCE", [], None, {"initSubgraphIndex": 1})]
    for at, length in enumerate(lengths):
        kept_frames = length + 1 if whole else length
        kept, joined = image(1, kept_frames, 1, CHANNELS), image(1, length + 1, 1, CHANNELS)
        opened, variable = _handle(f"ring_{at}")
        operators += [opened, OperatorSpec("READ_VARIABLE", [variable], kept)]
        newest = _slice(operators, kept, 1) if whole else kept
        operators.append(OperatorSpec("CONCATENATION", [newest, frame], joined, {"axis": 1}))
        left = joined if whole else _slice(operators, joined, 1)
        operators.append(OperatorSpec("ASSIGN_VARIABLE", [variable, left], None))
        opened, variable = _handle(f"ring_{at}")
        values = rng.integers(-128, 128, (1, kept_frames, 1, CHANNELS)).astype(np.int8)
        held = constant(values, 0.05, -11)
        once += [opened, OperatorSpec("ASSIGN_VARIABLE", [variable, held], None)]
        weights = rng.integers(-127, 128, (CHANNELS, length + 1, 1, CHANNELS)).astype(np.int8)
        frame = image(1, 1, 1, CHANNELS)
        operators.append(
            OperatorSpec(
                "CONV_2D",
                [joined, constant(weights, [0.01] * CHANNELS, [0] * CHANNELS), constant(np.zeros(CHANNELS, np.int32))],
                frame,
                {"padding": "VALID", "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1},
                version=3,
            )
        )
    return build_model(operators, [first], [frame], once)


def _slice(operators: list[OperatorSpec], source: TensorSpec, begin: int) -> TensorSpec:
    """All frames of a buffer but the first ones."""
    frames = source.shape[1]
    output = image(1, frames - begin, 1, CHANNELS)
    bounds = [_int32(0, begin, 0, 0), _int32(1, frames, 1, CHANNELS), _int32(1, 1, 1, 1)]
    operators.append(OperatorSpec("STRIDED_SLICE", [source, *bounds], output))
    return output


def swapping_model() -> bytes:
    """Two states that change places in each inference, and an output that is a state as it was found."""
    x, a, b, total, y = (image(1, 5) for _ in range(5))
    operators, variables = [], []
    for name, old in (("a", a), ("b", b)):
        opened, variable = _handle(name)
        operators += [opened, OperatorSpec("READ_VARIABLE", [variable], old)]
        variables.append(variable)
    operators += [
        OperatorSpec("ASSIGN_VARIABLE", [variables[1], a], None),
        OperatorSpec("ADD", [b, x], total),
        OperatorSpec("ASSIGN_VARIABLE", [variables[0], total], None),
        OperatorSpec("ADD", [total, x], y),
    ]
    return build_model(operators, [x], [y, a])
