"""Whole benchmarks of a small model on the host."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator

from tinyedge.benchmark.bench import run_bench
from tinyedge.benchmark.budget import budget_rows
from tinyedge.benchmark.inputs import LabelledInputs
from tinyedge.benchmark.measure import BenchOptions, Subject, bench_host
from tinyedge.boards.board import load_board
from tinyedge.errors import ModelError
from tinyedge.tflite.model import Model

# The documented fields of a record and of the environment.
RECORD_FIELDS = {
    *("runtime", "target", "board", "cpu", "instructions", "latency_ms", "arena_bytes", "ram_bytes", "flash_bytes"),
    *("flash_code_bytes", "flash_model_bytes", "outputs_sha256", "bit_exact", "layers"),
}
ENV_FIELDS = {"versions", "compiler", "flags", "seed"}
INPUTS, OUTPUTS = 6, 3


@pytest.fixture
def model(tmp_path):
    weights = np.random.default_rng(0).integers(-127, 128, (OUTPUTS, INPUTS), dtype=np.int8)
    content = one_operator(
        "FULLY_CONNECTED",
        [TensorSpec((1, INPUTS), 0.5, 3), constant(weights, 0.01), constant(np.zeros(OUTPUTS, np.int32), 0.005)],
        TensorSpec((1, OUTPUTS), 0.7, -5),
    )
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    return path


def test_the_report_has_every_documented_field(model):
    report, _ = run_bench(model, runtime="aot", inputs=4, seed=9)
    document = json.loads(json.dumps(report.to_json()))
    assert document["schema"] == 1
    assert set(document["model"]) == {"path", "sha256", "macs", "params", "bytes"}
    assert document["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (document["model"]["macs"], document["model"]["params"]) == (INPUTS * OUTPUTS, INPUTS * OUTPUTS + OUTPUTS)
    (record,) = document["results"]
    assert set(record) >= RECORD_FIELDS
    assert (record["runtime"], record["target"], record["bit_exact"], record["inputs"]) == ("aot", "host", True, 4)
    assert set(document["env"]) >= ENV_FIELDS
    assert document["env"]["seed"] == 9
    assert "-O2" in document["env"]["flags"]
    assert document["env"]["compiler"]


def test_outputs_of_given_inputs_are_the_same_in_both_integer_runtimes(model, tmp_path):
    inputs = np.random.default_rng(1).integers(-128, 128, (7, INPUTS), dtype=np.int8)
    np.save(tmp_path / "x.npy", inputs)
    outputs = {}
    for runtime in ("tflm", "aot"):
        path = tmp_path / f"{runtime}.out"  # Written under the very name that was given.
        report, _ = run_bench(model, runtime=runtime, input_path=tmp_path / "x.npy", outputs_path=path)
        outputs[runtime] = np.load(path)
        assert report.results[0].outputs_sha256 == hashlib.sha256(outputs[runtime].tobytes()).hexdigest()
    assert (outputs["aot"].shape, outputs["aot"].dtype) == ((7, OUTPUTS), np.int8)
    np.testing.assert_array_equal(outputs["aot"], outputs["tflm"])


@pytest.mark.parametrize(("asked", "images"), [(0, 0), (5, 5), (None, 12)])
def test_accuracy_takes_as_many_test_images_as_asked_for(model, asked, images):
    values = np.random.default_rng(2).integers(-128, 128, (12, INPUTS), dtype=np.int8)
    subject = Subject(Model(model), test=LabelledInputs(values, np.arange(12) % OUTPUTS))
    report = bench_host(subject, BenchOptions(("tflm", "aot"), inputs=2, accuracy_images=asked))
    assert [record.accuracy_images for record in report.results] == [images, images]
    assert all((record.accuracy is None) == (images == 0) for record in report.results)


def test_the_budget_of_the_ram_counts_the_stack(model):
    report, rows = run_bench(model, runtime="aot", inputs=1)
    assert [row.name for row in rows] == ["parameters of the model"]  # A host has no flash.
    board = load_board("stm32f405")
    filled = dataclasses.replace(
        report.results[0], board=board.name, flash_bytes=1, ram_bytes=board.ram_bytes - board.stack_bytes
    )
    full = budget_rows(dataclasses.replace(report, results=(filled,)), board)[-1]
    assert (full.used, full.holds) == (board.ram_bytes, True)


def test_an_interpreter_runs_what_the_compiler_lacks(tmp_path):
    """CUMSUM, which has no kernel here, after a FULLY_CONNECTED in float, which counts as ever."""
    weights = constant(np.ones((OUTPUTS, INPUTS), np.float32))
    x, y, out = (
        TensorSpec((1, size), dtype=np.float32, name=name) for size, name in ((INPUTS, "x"), (3, "y"), (3, "o"))
    )
    operators = [
        OperatorSpec("FULLY_CONNECTED", [x, weights, None], y),
        OperatorSpec("CUMSUM", [y, constant(np.array(1, np.int32))], out),
    ]
    path = tmp_path / "cumsum.tflite"
    path.write_bytes(build_model(operators, [x], [out]))
    np.save(tmp_path / "x.npy", np.arange(2 * INPUTS, dtype=np.float32).reshape(2, INPUTS))
    for runtime in ("tflm", "litert"):
        outputs = tmp_path / f"{runtime}.npy"
        report, _ = run_bench(path, runtime=runtime, input_path=tmp_path / "x.npy", outputs_path=outputs)
        assert (report.model.macs, report.model.params) == (INPUTS * OUTPUTS, INPUTS * OUTPUTS)
        assert report.results[0].bit_exact
        assert report.env["compiler"] is None
        np.testing.assert_array_equal(np.load(outputs), np.outer([15, 51], [1, 2, 3]))
    with pytest.raises(ModelError, match="float32 model: quantise it"):
        run_bench(path, runtime="aot")


def test_an_interpreter_that_dies_is_a_sentence(tmp_path):
    path = tmp_path / "tiny_scale.tflite"
    tiny = one_operator("SOFTMAX", [TensorSpec((1, 12), 1e-12)], TensorSpec((1, 12), 1 / 256, -128), beta=1.0)
    path.write_bytes(tiny)
    with pytest.raises(ModelError, match="TFLite Micro died of SIGABRT"):
        run_bench(path, runtime="tflm", inputs=1)
