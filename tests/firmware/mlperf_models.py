"""Small models with the inputs and outputs of MLPerf Tiny's four benchmarks."""

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

_POOLED = 4  # Pixels a side.


def benchmark_model(mlperf_id: str) -> bytes:
    """The .tflite file of a model for one of the benchmarks; the same each time."""
    rng = np.random.default_rng(0)
    if mlperf_id == "ad01":
        return _autoencoder(rng)
    if mlperf_id == "kws01":
        source = TensorSpec((1, 49, 10, 1), 0.6, 5)
        return _classifier(
            rng, source, [OperatorSpec("RESHAPE", [source, _shape(1, 490)], _like(source, (1, 490)))], 12
        )
    side, outputs = (32, 10) if mlperf_id == "ic01" else (96, 2)
    source = TensorSpec((1, side, side, 3), 1 / 255, -128)
    window = side // _POOLED
    pooled = _like(source, (1, _POOLED, _POOLED, 3))
    options = {"filterHeight": window, "filterWidth": window, "strideH": window, "strideW": window, "padding": "VALID"}
    flat = _like(source, (1, pooled.shape[1] * pooled.shape[2] * 3))
    operators = [
        OperatorSpec("AVERAGE_POOL_2D", [source], pooled, options),
        OperatorSpec("RESHAPE", [pooled, _shape(*flat.shape)], flat),
    ]
    return _classifier(rng, source, operators, outputs)


def _classifier(rng: np.random.Generator, source: TensorSpec, operators: list[OperatorSpec], outputs: int) -> bytes:
    values = operators[-1].output
    scores = TensorSpec((1, outputs), 0.02, 3)
    classes = TensorSpec((1, outputs), 1 / 256, -128)
    operators.append(_dense(rng, values, scores))
    operators.append(OperatorSpec("SOFTMAX", [scores], classes, {"beta": 1.0}))
    return build_model(operators, [source], [classes])


def _autoencoder(rng: np.random.Generator) -> bytes:
    source = TensorSpec((1, 640), 0.4, 11)
    code, output = TensorSpec((1, 8), 0.5, -7), TensorSpec((1, 640), 0.45, -2)
    operators = [_dense(rng, source, code), _dense(rng, code, output)]
    return build_model(operators, [source], [output])


def _dense(rng: np.random.Generator, source: TensorSpec, output: TensorSpec) -> OperatorSpec:
    depth, units = source.shape[-1], output.shape[-1]
    # Outputs that fill the range without clipping much.
    scale = 15.0 * output.scales / (75.0 * 75.0 * np.sqrt(depth) * source.scales)
    weights = constant(rng.integers(-127, 128, (units, depth)).astype(np.int8), scale)
    bias = constant(rng.integers(-999, 1000, units).astype(np.int32), scale * source.scales)
    return OperatorSpec("FULLY_CONNECTED", [source, weights, bias], output, {"fusedActivationFunction": "NONE"})


def _like(source: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(shape, source.scales, source.zero_points)


def _shape(*sizes: int) -> TensorSpec:
    return constant(np.array(sizes, np.int32))
