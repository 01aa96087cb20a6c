"""Interpreters in processes of their own: they give what they give in this one, and their deaths are sentences."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiler.streaming_models import streaming_model
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, one_operator

from tinyedge.errors import DataError, ModelError, UnsupportedOpError
from tinyedge.runtimes.apart import ApartRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, random_frames
from tinyedge.tflite.model import Model


def written(folder: Path, content: bytes) -> Model:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return Model(path)


def float_sum() -> bytes:
    """Two float inputs, of which the output is the sum."""
    a, b, total = (TensorSpec((1, 5), dtype=np.float32, name=name) for name in ("a", "b", "sum"))
    return build_model([OperatorSpec("ADD", [a, b], total)], [a, b], [total])


@pytest.mark.parametrize("name", ["tflm", "litert"])
def test_gives_the_sum_of_floats(tmp_path, name):
    model = written(tmp_path, float_sum())
    inputs = random_frames(model.any_graph().inputs, 4, seed=0)
    with ApartRuntime(name, model) as runtime:
        outputs, times_s = runtime.run_timed(inputs)
        assert runtime.name == name
        assert (runtime.arena_bytes is not None) == (name == "tflm")
        assert runtime.run(inputs[:0]).shape == (0, 5)
    np.testing.assert_array_equal(outputs, inputs["a"] + inputs["b"])
    assert len(times_s) == 4
    assert all(0 < time_s < 1 for time_s in times_s)


def test_states_go_on_and_begin_again(tmp_path):
    model = written(tmp_path, streaming_model([3, 5]))
    inputs = random_frames(model.any_graph().inputs, 6, seed=1)
    expected = TflmRuntime(model).run(inputs)
    with ApartRuntime("tflm", model) as runtime:
        parts = [runtime.run(inputs[:2]), runtime.run(inputs[2:])]
        runtime.reset()
        assert count_differing(runtime.run(inputs), expected) == 0
    assert count_differing(np.concatenate(parts), expected) == 0


def test_a_death_is_a_sentence(tmp_path):
    """A scale so small that a check in TFLite Micro's C++ aborts."""
    content = one_operator("SOFTMAX", [TensorSpec((1, 12), 1e-12)], TensorSpec((1, 12), 1 / 256, -128), beta=1.0)
    model = written(tmp_path, content)
    with pytest.raises(ModelError) as died:
        ApartRuntime("tflm", model)
    assert str(died.value) == (
        f"TFLite Micro died of SIGABRT when it loaded {model.path}: `tinyedge check {model.path}` names the operator "
        "at fault"
    )


def descendants(process: int) -> set[int]:
    """The processes that a process started, and those that they did, as Linux lists them."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    children = {int(child) for listed in lists for child in listed.read_text().split()}
    return children.union(*map(descendants, children))


def test_a_death_after_the_load_is_one_too(tmp_path):
    model = written(tmp_path, float_sum())
    with ApartRuntime("litert", model):  # So that the server is there.
        pass
    before = descendants(os.getpid())
    with ApartRuntime("tflm", model) as runtime:
        (interpreter,) = descendants(os.getpid()) - before
        os.kill(interpreter, signal.SIGSEGV)
        with pytest.raises(ModelError, match="TFLite Micro died of SIGSEGV when it ran"):
            runtime.run(random_frames(model.any_graph().inputs, 1, seed=0))


def test_refusals_pass_through_and_end_nothing(tmp_path):
    model = written(tmp_path, float_sum())
    with ApartRuntime("litert", model) as runtime:
        with pytest.raises(DataError, match="quantise with the model's scale"):
            runtime.run(np.zeros((1, 5), np.int8))
        assert len(runtime.run(random_frames(model.any_graph().inputs, 1, seed=0))) == 1
    gelu = written(tmp_path, one_operator("GELU", [TensorSpec((1, 4), 0.1)], TensorSpec((1, 4), 0.1)))
    with pytest.raises(UnsupportedOpError, match="TFLite Micro has no operator GELU"):
        ApartRuntime("tflm", gelu)


def test_a_script_needs_no_guard(tmp_path):
    """Nothing of the script that opens a runtime runs again in the other process."""
    model = written(tmp_path, float_sum())
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from tinyedge.runtimes.apart import ApartRuntime\n"
        "from tinyedge.tflite.model import Model\n"
        "print('once')\n"
        f"with ApartRuntime('tflm', Model(Path({str(model.path)!r}))) as runtime:\n"
        "    print(runtime.name)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["once", "tflm"]
