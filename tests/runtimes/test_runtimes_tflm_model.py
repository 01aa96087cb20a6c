"""What TFLite Micro lacks, in operators that it has: the bits of LiteRT and of our C."""

from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator

from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime


@pytest.mark.parametrize("multiples", [(1, 2, 1, 1), (1, 1, 3, 2), (1, 23, 1, 1), (1, 1, 1, 111)])
def test_tiles_run_as_joins(tmp_path: Path, multiples: tuple[int, ...]) -> None:
    shape = (1, 3, 2, 2)
    source = TensorSpec(shape, 0.1, 3)
    output = TensorSpec([size * times for size, times in zip(shape, multiples, strict=True)], 0.1, 3)
    path = tmp_path / "tile.tflite"
    path.write_bytes(one_operator("TILE", [source, constant(np.array(multiples, np.int32))], output))
    inputs = np.random.default_rng(0).integers(-128, 128, (3, *shape[1:])).astype(np.int8)
    expected = np.tile(inputs, multiples)
    for runtime in (TflmRuntime, LitertRuntime, AotRuntime):
        np.testing.assert_array_equal(runtime(path).run(inputs), expected)


def test_int4_channels_of_fully_connected_run_as_int8(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    scales = [0.01, 0.02, 0.03]
    weights = constant(rng.integers(-8, 8, (3, 9)).astype(np.int8), scales)
    weights.is_int4 = True
    source, output = TensorSpec((1, 9), 0.1, 3), TensorSpec((1, 3), 0.05, 3)
    path = tmp_path / "channels.tflite"
    path.write_bytes(one_operator("FULLY_CONNECTED", [source, weights], output))
    inputs = rng.integers(-128, 128, (20, 9)).astype(np.int8)
    sums = (inputs.astype(np.int64) - 3) @ weights.data.astype(np.int64).T
    reals = np.clip(np.rint(sums * np.array(scales) * 0.1 / 0.05) + 3, -128, 127)
    for runtime in (TflmRuntime, AotRuntime):
        assert np.abs(runtime(path).run(inputs) - reals).max() <= 1
    np.testing.assert_array_equal(TflmRuntime(path).run(inputs), AotRuntime(path).run(inputs))
