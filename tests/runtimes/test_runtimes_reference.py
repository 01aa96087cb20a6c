"""The reference of a model with int8 functions that TFLite Micro lacks: its own results and, of those, LiteRT's."""

from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.errors import ModelError
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.reference import functions_by_litert, open_reference
from tinyedge.tflite.model import Model

CODES = np.random.default_rng(0).integers(-128, 128, (20, 40)).astype(np.int8)


def model(folder: Path, op: str, scale: float = 0.05, zero_point: int = 3) -> Model:
    """FULLY_CONNECTED, in which LiteRT rounds otherwise, the function, and another FULLY_CONNECTED."""
    rng = np.random.default_rng(1)
    x, y = TensorSpec((1, 40), 0.02, -3), TensorSpec((1, 10), 0.1, 4)
    inner, result = TensorSpec((1, 30), scale, zero_point), TensorSpec((1, 30), 0.02, -20)
    first, last = (constant(rng.integers(-127, 128, shape).astype(np.int8), 0.01) for shape in ((30, 40), (10, 30)))
    operators = [
        OperatorSpec("FULLY_CONNECTED", [x, first], inner),
        OperatorSpec(op, [inner], result),
        OperatorSpec("FULLY_CONNECTED", [result, last], y),
    ]
    path = folder / "model.tflite"
    path.write_bytes(build_model(operators, [x], [y]))
    return Model(path)


@pytest.mark.parametrize("op", ["EXP", "GELU", "LOG", "RELU_0_TO_1", "RELU_N1_TO_1", "RELU"])
def test_equals_the_compiled_model(op: str, tmp_path: Path) -> None:
    opened = model(tmp_path, op)
    assert functions_by_litert(opened.any_graph()) == ([] if op == "RELU" else [op])
    expected = open_reference(opened).run(CODES)
    np.testing.assert_array_equal(AotRuntime(opened).run(CODES), expected)
    assert np.abs(expected.astype(int) - LitertRuntime(opened).run(CODES)).max() <= 2


def test_values_without_a_result_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="SQRT, has no results of operator 1"):
        open_reference(model(tmp_path, "SQRT"))
