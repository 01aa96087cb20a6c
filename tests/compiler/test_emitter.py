"""The generated folder: complete, deterministic, free of warnings, and correct under the sanitisers."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from firmware.named_model import model_flags
from machines.case_machines import compile_object

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic"]
SANITISERS = ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

# What a user of the folder writes, with TE_PROFILE.
MAIN = r"""
#include <stdio.h>
#include "ic_model.h"
static void count(void *context, int32_t layer) { *(int32_t *)context += layer + 1; }
int main(void) {
    int32_t layers = 0;
    while (fread(ic_input(), 1, IC_INPUT_BYTES, stdin) == IC_INPUT_BYTES) {
        if (ic_invoke_profiled(count, &layers) != TE_OK) {
            return 1;
        }
        fwrite(ic_output(), 1, IC_OUTPUT_BYTES, stdout);
    }
    fprintf(stderr, "%d", (int)layers);
    return 0;
}
"""


@pytest.fixture(scope="module", params=[False, True], ids=["int8", "mixed"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.tflite"
    path.write_bytes(random_network(3, mixed=request.param))
    return path


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def compiled(command: list[str], sources: Path, folder: Path) -> list[Path]:
    """The objects of all C files of a folder."""
    return [compile_object(command, source, folder / f"{source.stem}.o") for source in sorted(sources.rglob("*.c"))]


@pytest.mark.parametrize("flags", [["-O2"], SANITISERS], ids=["plain", "sanitised"])
def test_the_folder_alone_gives_tflite_micros_bits(model: Path, tmp_path: Path, flags: list[str]) -> None:
    report = compile_model(model, tmp_path / "c", name="ic")
    shutil.copytree(tmp_path / "c" / "src", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "main.c").write_text(MAIN)
    program = tmp_path / "program"
    objects = compiled(["gcc", *WARNINGS, "-DTE_PROFILE", *flags], tmp_path / "elsewhere", tmp_path)
    subprocess.run(["gcc", *flags, *objects, "-o", program], check=True)
    golden = TflmRuntime(model)
    shape = read_tflite(model).inputs[0].shape
    inputs = np.random.default_rng(1).integers(-128, 128, (5, *shape[1:])).astype(np.int8)
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    result = subprocess.run([str(program)], input=inputs.tobytes(), capture_output=True, check=True, env=environment)
    outputs = golden.run(inputs)
    np.testing.assert_array_equal(np.frombuffer(result.stdout, dtype=np.int8).reshape(outputs.shape), outputs)
    layers = sum(report.operators_after.values())
    assert int(result.stderr) == 5 * layers * (layers + 1) // 2


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m0"])
def test_compiles_for_cortex_m_without_warnings_or_float(model: Path, tmp_path: Path, core: str) -> None:
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: run `make system`")
    compile_model(model, tmp_path / "c")
    command = [compiler, *WARNINGS, "-O2", f"-mcpu={core}", "-mthumb", "-mfloat-abi=soft"]
    objects = compiled(command, tmp_path / "c" / "src", tmp_path)
    assert len(objects) > 3
    symbols = subprocess.run(["arm-none-eabi-nm", "-A", *objects], capture_output=True, text=True, check=True).stdout
    # With soft floats, any floating-point arithmetic is a call to one of these.
    assert not re.search(r" (__aeabi_[fd2]|__aeabi_[il]2[fd]|\w*(malloc|free))", symbols)


def test_the_runtime_adapter_compiles(model: Path, tmp_path: Path) -> None:
    compile_model(model, tmp_path / "c", name="ic")
    runtime = firmware_root() / "runtime"
    folders = [f"-I{tmp_path / 'c' / 'src'}", f"-I{runtime}", f"-I{firmware_root() / 'kernels'}"]
    command = ["gcc", *WARNINGS, *folders, *model_flags("ic"), "-c", runtime / "aot" / "te_runtime_aot.c"]
    for profile in ([], ["-DTE_PROFILE"]):
        subprocess.run([*command, *profile, "-o", tmp_path / "o"], check=True)


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    compile_model(model, tmp_path / "first")
    compile_model(model, tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_header_names_the_model_and_the_plan(model: Path, tmp_path: Path) -> None:
    program = compile_graph(read_tflite(model))
    emit(program, "ic", tmp_path / "c")
    header, source = ((tmp_path / "c" / name).read_text() for name in ("ic_model.h", "ic_model.c"))
    assert program.graph.sha256 in header
    assert f"#define IC_ARENA_BYTES {program.plan.arena_bytes}\n" in header
    for tensor in program.plan.tensors:
        assert f"{tensor.offset:>8} {tensor.bytes:>8} {tensor.first:>5} {tensor.last:>5}  " in source
    assert max(len(line) for line in (source + header).splitlines()) <= 130


def test_equal_arrays_are_printed_once(tmp_path: Path) -> None:
    x, y, z = (TensorSpec((1, 4), 0.1, 0) for _ in range(3))
    values = np.random.default_rng(0).integers(-127, 128, (4, 4)).astype(np.int8)
    layers = [
        OperatorSpec("FULLY_CONNECTED", [x, constant(values, 0.01), None], y),
        OperatorSpec("FULLY_CONNECTED", [y, constant(values, 0.01), None], z),
    ]
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(layers, [x], [z]))
    compile_model(path, tmp_path / "c")
    source = (tmp_path / "c" / "src" / "model_model.c").read_text()
    assert len(re.findall(r"static const int8_t \w+_weights\[16\]", source)) == 1
    assert source.count(".weights = layer_0_weights") == 2


def test_every_layer_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = ["x", "a", "a.2", "f;a", "a b", "a_b", "-"]
    x, *layers = (TensorSpec((1, 8), 0.1 + 0.01 * i, 3, name=name) for i, name in enumerate(names))
    weights = constant(np.eye(8, dtype=np.int8), 0.9)
    operators = [
        OperatorSpec("FULLY_CONNECTED", [before, weights, None], after)
        for before, after in zip([x, *layers], layers, strict=False)
    ]
    path = tmp_path / "names.tflite"
    path.write_bytes(build_model(operators, [x], [layers[-1]]))
    program = compile_graph(read_tflite(path))
    assert [call.name for call in program.calls] == ["a", "a.2", "a.3", "a_b", "a_b.2", "-"]


def test_an_unknown_operator_writes_nothing(tmp_path: Path) -> None:
    x, y = TensorSpec((1, 4), 0.1, 0), TensorSpec((1, 4), 0.1, 0, name="strange")
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model([OperatorSpec("CUMSUM", [x], y)], [x], [y]))
    with pytest.raises(UnsupportedOpError, match=r"operator 0 \(CUMSUM\), tensor 'strange' .*CONV_2D"):
        compile_model(path, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_model_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    x, y = TensorSpec((1, 4), 0.1, 0), TensorSpec((1, 2, 2), 0.1, 0)
    path = tmp_path / "model.tflite"
    shape = constant(np.array([1, 2, 2], dtype=np.int32))
    path.write_bytes(build_model([OperatorSpec("RESHAPE", [x, shape], y)], [x], [y]))
    with pytest.raises(ModelError, match="computes nothing"):
        compile_model(path, tmp_path / "c")


def test_the_command_prints_files_and_costs(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinyedge", "compile", str(model), "--out", str(tmp_path / "c")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(tmp_path / "c" / "src" / "network_model.c") in shown.stdout
    assert "lower bound" in shown.stdout
    report = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert report["arena_bytes"] >= report["lower_bound_bytes"] > 0
    source = "src/network_model.c"
    assert report["files"][source] == (tmp_path / "c" / source).stat().st_size
    failed = subprocess.run([*command[:4], "no.tflite", "--out", "x"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: no such file or run: no.tflite")


def test_published_models_compile_without_warnings(tmp_path: Path, shared_model: Callable[[str], Path]) -> None:
    compile_model(shared_model("vww_mbv1_025_int8.tflite"), tmp_path / "c", name="ic")
    (tmp_path / "c" / "src" / "main.c").write_text(MAIN)
    objects = compiled(["gcc", *WARNINGS, "-O1", "-DTE_PROFILE"], tmp_path / "c" / "src", tmp_path)
    subprocess.run(["gcc", *objects, "-o", tmp_path / "program"], check=True)
