"""Two models in one program, from one folder: each gives TFLite Micro's bits, on this machine and on a Cortex-M4."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network
from machines.case_machines import SANITISED, SANITISERS, WARNINGS, HostMachine, KernelBuild, Machine, emulated_machine
from machines.case_programs import CaseEntry, run_entries

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.compile import CompileReport, compile_model
from tinyedge.compiler.options import CompileOptions
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite

ZOO_MODEL = Path(__file__).resolve().parents[2] / "models" / "mobilenetv2_035_cifar10" / "model_int8.tflite"
RUNS = 2

# Both inputs are there before either model runs, and both outputs are read at the end.
APART = """\
    memcpy(image_input(), inputs[0], IMAGE_INPUT_BYTES);
    memcpy(mixed_input(), inputs[1], MIXED_INPUT_BYTES);
    const te_status first = image_init() == TE_OK ? image_invoke() : TE_ERR_STATE;
    const te_status second = mixed_init() == TE_OK ? mixed_invoke() : TE_ERR_STATE;
    if (first == TE_OK && second == TE_OK) {
        memcpy(output, image_output(), IMAGE_OUTPUT_BYTES);
        memcpy((int8_t *)output + IMAGE_OUTPUT_BYTES, mixed_output(), MIXED_OUTPUT_BYTES);
    }
"""

# The arena of one is that of the other: one model from input to output, then the other.
SHARED = """\
    static uint64_t arena[((IMAGE_ARENA_BYTES > MIXED_ARENA_BYTES ? IMAGE_ARENA_BYTES : MIXED_ARENA_BYTES) + 7) / 8];
    if (image_init(arena, sizeof arena) == TE_OK && mixed_init(arena, sizeof arena) == TE_OK) {
        memcpy(image_input(), inputs[0], IMAGE_INPUT_BYTES);
        if (image_invoke() == TE_OK) {
            memcpy(output, image_output(), IMAGE_OUTPUT_BYTES);
        }
        memcpy(mixed_input(), inputs[1], MIXED_INPUT_BYTES);
        if (mixed_invoke() == TE_OK) {
            memcpy((int8_t *)output + IMAGE_OUTPUT_BYTES, mixed_output(), MIXED_OUTPUT_BYTES);
        }
    }
"""


@dataclass(frozen=True)
class Pair:
    """Two models in a folder, with their inputs and TFLite Micro's outputs."""

    folder: Path
    reports: tuple[CompileReport, CompileReport]
    inputs: tuple[np.ndarray, np.ndarray]
    outputs: np.ndarray


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """An image model in INT8 with cascades and DSP kernels, and one with int16 layers and portable kernels."""
    folder = tmp_path_factory.mktemp("pair")
    mixed = folder / "mixed.tflite"
    mixed.write_bytes(random_network(3, mixed=True))
    image_report = compile_model(ZOO_MODEL, folder / "lib", CompileOptions("dsp"), name="image")
    mixed_report = compile_model(mixed, folder / "lib", name="mixed")
    assert image_report.cascades
    random = np.random.default_rng(0)
    inputs, outputs = [], []
    for model in (ZOO_MODEL, mixed):
        shape = read_tflite(model).inputs[0].shape
        inputs.append(random.integers(-128, 128, (RUNS, *shape[1:])).astype(np.int8))
        outputs.append(TflmRuntime(model).run(inputs[-1]).reshape(RUNS, -1))
    return Pair(folder / "lib", (image_report, mixed_report), tuple(inputs), np.concatenate(outputs, axis=1))


@pytest.fixture(params=["host", "mps2_an386"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return HostMachine(SANITISED) if request.param == "host" else emulated_machine(request.param)


@pytest.mark.parametrize("arena", ["apart", "shared"])
def test_both_give_tflite_micros_bits(pair: Pair, machine: Machine, tmp_path: Path, arena: str) -> None:
    external = ["-DIMAGE_ARENA_EXTERNAL", "-DMIXED_ARENA_EXTERNAL"] if arena == "shared" else []
    sources = sorted((pair.folder / "src").rglob("*.c"))
    objects = [machine.compile(path, tmp_path / f"{path.stem}.o", [*WARNINGS, *external]) for path in sources]
    headers = "".join(f'#include "{pair.folder / "src" / name}_model.h"\n' for name in ("image", "mixed"))
    defines = "".join(f"#define {flag.removeprefix('-D')}\n" for flag in external)
    entry = CaseEntry(
        label=f"two models, arenas {arena}",
        declarations=defines + headers,
        body=SHARED if arena == "shared" else APART,
        inputs=pair.inputs,
        output_shape=pair.outputs.shape[1:],
        output_dtype=np.int8,
    )
    (outcome,) = run_entries([entry], KernelBuild(machine, objects), tmp_path)
    np.testing.assert_array_equal(outcome.outputs, pair.outputs)


# What can fail, and what is then as before.
EXTERNAL = """\
#include <stddef.h>
#include "image_model.h"
int main(void) {
    static uint64_t arena[(IMAGE_ARENA_BYTES + 7) / 8 + 1];
    uint8_t *const bytes = (uint8_t *)arena;
    if (image_invoke() != TE_ERR_STATE || image_input() != NULL || image_output() != NULL) {
        return 1;
    }
    if (image_init(NULL, sizeof arena) != TE_ERR_ARGUMENT || image_init(bytes + 4, sizeof arena) != TE_ERR_ARGUMENT) {
        return 2;
    }
    if (image_init(bytes, IMAGE_ARENA_BYTES - 1) != TE_ERR_SIZE || image_invoke() != TE_ERR_STATE) {
        return 3;
    }
    if (image_init(bytes + IMAGE_ARENA_ALIGNMENT, IMAGE_ARENA_BYTES) != TE_OK || image_invoke() != TE_OK) {
        return 4;
    }
    int8_t *const input = image_input();
    if (image_init(bytes, 1) != TE_ERR_SIZE || image_input() != input) {
        return 5;
    }
    return 0;
}
"""


def build_external(pair: Pair, tmp_path: Path, main: str, flags: list[str]) -> subprocess.CompletedProcess[str]:
    """A program of `main`, and a model whose arena is the caller's."""
    (tmp_path / "main.c").write_text(main)
    sources = [pair.folder / "src" / "image_model.c", *sorted((pair.folder / "src" / "kernels").glob("*.c"))]
    objects = [HostMachine(SANITISERS).compile(path, tmp_path / f"{path.stem}.o", [*WARNINGS, "-DIMAGE_ARENA_EXTERNAL"])
               for path in sources]  # fmt: skip
    command = ["gcc", *WARNINGS, *SANITISERS, *flags, f"-I{pair.folder / 'src'}", tmp_path / "main.c", *objects]
    return subprocess.run([*command, "-o", tmp_path / "main"], capture_output=True, text=True, check=False)


def test_an_arena_is_checked(pair: Pair, tmp_path: Path) -> None:
    done = build_external(pair, tmp_path, EXTERNAL, ["-DIMAGE_ARENA_EXTERNAL"])
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 0


def test_a_program_that_knows_nothing_of_the_callers_arena_does_not_link(pair: Pair, tmp_path: Path) -> None:
    main = '#include "image_model.h"\nint main(void) { return (int)image_init(); }\n'
    done = build_external(pair, tmp_path, main, [])
    assert done.returncode != 0
    assert "undefined reference to `image_init'" in done.stderr


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ([], "several models in .*, image_model.h and mixed_model.h: give the NAME of one with -DMODEL="),
        (["-DMODEL=vww"], "no model in .*src'"),
        (["-DMODEL=mixed"], ""),
    ],
)
def test_the_firmware_asks_which_model(pair: Pair, tmp_path: Path, choice: list[str], said: str) -> None:
    emulated_machine("mps2_an386")  # Skips the test where its compiler is not installed.
    root = firmware_root()
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={root / 'cmake' / 'arm-none-eabi.cmake'}"
    command = ["cmake", "-G", "Ninja", "-S", root, "-B", tmp_path, toolchain, f"-DMODEL_DIR={pair.folder / 'src'}"]
    done = subprocess.run([*command, "-DBOARD=mps2_an386", *choice], check=False, capture_output=True, text=True)
    assert (done.returncode == 0) == (said == ""), done.stderr
    assert re.search(said, " ".join(done.stderr.split()))


CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(two C)
add_subdirectory({first} first)
add_subdirectory({second} second)
add_executable(two main.c)
target_link_libraries(two PRIVATE image_model mixed_model)
"""


def test_two_folders_join_their_kernels_in_one_cmake_project(pair: Pair, tmp_path: Path) -> None:
    """As two vendors would deliver them, with kernels that both bring."""
    for report in pair.reports:
        compile_model(report.model, tmp_path / report.name, CompileOptions(report.instruction_set), name=report.name)
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(first=tmp_path / "image", second=tmp_path / "mixed"))
    (tmp_path / "main.c").write_text(
        '#include "image_model.h"\n#include "mixed_model.h"\n'
        "int main(void) { return (int)image_invoke() + (int)mixed_invoke(); }\n"
    )
    configure = ["cmake", "-G", "Ninja", "-S", tmp_path, "-B", tmp_path / "build", "-DTINYEDGE_OPTIMISATION=-O1"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, capture_output=True)
    subprocess.run([tmp_path / "build" / "two"], check=True)

    kernel = tmp_path / "mixed" / "src" / "kernels" / "te_kernels.h"
    kernel.write_text(kernel.read_text() + "/* of another version */\n")
    done = subprocess.run(configure, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "compile all models with the same version of tinyedge" in " ".join(done.stderr.split())
