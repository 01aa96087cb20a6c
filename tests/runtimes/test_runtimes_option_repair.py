"""Options that a file lacks: the interpreters run what shapes and types say, which is what the compiler takes."""

from pathlib import Path

import numpy as np
from checks.foreign_models import narrow_biases, no_channel_multiplier

from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.runtimes.tflm_interpreter import open_interpreter

CODES = np.random.default_rng(0).integers(-128, 128, (3, 8, 8, 4)).astype(np.int8)


def test_a_channel_multiplier_of_zero_is_that_of_the_shapes(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(no_channel_multiplier())
    expected = AotRuntime(path).run(CODES)
    np.testing.assert_array_equal(TflmRuntime(path).run(CODES), expected)
    np.testing.assert_array_equal(LitertRuntime(path).run(CODES), expected)
    as_it_is = open_interpreter(path.read_bytes())
    as_it_is.set_input(CODES[:1], 0)
    as_it_is.invoke()
    assert not np.array_equal(as_it_is.get_output(0), expected[:1])  # It writes nothing.


def test_litert_is_told_that_biases_have_32_bits(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(narrow_biases())
    expected = AotRuntime(path).run(CODES)
    np.testing.assert_array_equal(TflmRuntime(path).run(CODES), expected)
    np.testing.assert_array_equal(LitertRuntime(path).run(CODES), expected)
