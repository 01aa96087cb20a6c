"""Models of one recurrent operator: UNIDIRECTIONAL_SEQUENCE_LSTM or SVDF."""

from typing import Any

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant


def lstm(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    units: int,
    kind: Any = np.int8,
    *,
    time_major: bool = False,
    clip: float = 0.0,
    cell_exponent: int = -11,
    zero_points: tuple[int, int] = (-13, 7),
    gain: float = 1.0,
    **changes: Any,
) -> tuple[bytes, TensorSpec]:
    """A model of one LSTM; `changes` replace operands by their place, as "input_9"."""
    in_c = shape[2]
    batches = shape[1] if time_major else shape[0]
    given, made = zero_points if kind is np.int8 else (0, 0)
    wide = 1 if kind is np.int8 else 1 / 256
    source = TensorSpec(shape, 0.03 * wide, given, kind)
    output = TensorSpec((*shape[:2], units), wide / 128, made, kind)

    def weights(columns: int) -> TensorSpec:
        return constant(
            rng.integers(-127, 128, (units, columns)).astype(np.int8), float(gain * rng.uniform(0.002, 0.02))
        )

    def bias() -> TensorSpec:
        values = rng.integers(-3000, 3000, units)
        return constant(values.astype(np.int32 if kind is np.int8 else np.int64), 1e-4)

    inputs: list[TensorSpec | None] = [source, *(weights(in_c) for _ in range(4)), *(weights(units) for _ in range(4))]
    inputs += [None] * 3 + [bias() for _ in range(4)] + [None] * 2
    inputs.append(TensorSpec((batches, units), wide / 128, made, kind, is_variable=True))
    inputs.append(TensorSpec((batches, units), 2.0**cell_exponent, 0, np.int16, is_variable=True))
    inputs += [None] * 4
    for place, tensor in changes.items():
        inputs[int(place.rpartition("_")[2])] = tensor
    options = {"timeMajor": time_major, "cellClip": clip, "fusedActivationFunction": "TANH"}
    return build_model(
        [OperatorSpec("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, output, options)], [source], [output]
    ), source


def svdf(
    rng: np.random.Generator,
    sizes: tuple[int, int, int, int, int],
    kind: Any = np.int8,
    *,
    zero_points: tuple[int, int, int] = (-5, 0, 9),
    scales: tuple[float, float, float] = (0.05, 0.1, 0.2),
    has_bias: bool = True,
) -> tuple[bytes, TensorSpec]:
    """A model of one SVDF; sizes are batches, values, units, rank and memory."""
    batches, in_c, units, rank, memory = sizes
    filters = units * rank
    source, output = (
        TensorSpec((batches, in_c), scales[0], zero_points[0]),
        TensorSpec((batches, units), scales[2], zero_points[2]),
    )
    features = constant(rng.integers(-127, 128, (filters, in_c)).astype(np.int8), 0.011)
    limit = 128 if kind is np.int8 else 2000
    times = constant(
        rng.integers(1 - limit, limit, (filters, memory)).astype(kind), 0.013 if kind is np.int8 else 0.0007
    )
    # The reference asks of the bias the product of those scales.
    step = float(np.float32(scales[1]) * np.float32(times.scales))
    bias = constant(rng.integers(-4000, 4000, units).astype(np.int32), step) if has_bias else None
    state_zero = zero_points[1] if kind is np.int8 else 0
    state = TensorSpec((batches, filters * memory), scales[1], state_zero, kind, is_variable=True)
    operator = OperatorSpec("SVDF", [source, features, times, bias, state], output, {"rank": rank})
    return build_model([operator], [source], [output]), source
