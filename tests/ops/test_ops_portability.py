"""The kernels are strict C99 for host and target, and keep off what a microcontroller lacks."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from machines.case_machines import KERNELS, WARNINGS, KernelBuild, cached

SOURCES = sorted(KERNELS.glob("*.c"))
OF_DSP = [path for path in SOURCES if path.stem.endswith("_dsp")]
# Those for the vector extension may use instructions of the DSP extension, which comes with it.
OF_SIMD = [path for path in SOURCES if path.stem.endswith(("_dsp", "_mve"))]
CROSS = ["arm-none-eabi-gcc", "-O2", "-mthumb", "-mfloat-abi=soft", *WARNINGS]
# Models of float inputs and outputs, and DIV, compute in single precision.
OF_F32 = {
    *("__aeabi_fdiv", "__aeabi_fmul", "__aeabi_fsub"),
    *("__aeabi_f2iz", "__aeabi_fcmpge", "__aeabi_fcmpgt", "__aeabi_fcmple", "__aeabi_i2f"),
}
# Detections are floats, of which the corners are sums and products in double precision.
OF_DETECTIONS = {
    *OF_F32,
    *("__aeabi_fadd", "__aeabi_fcmpeq", "__aeabi_fcmplt", "__aeabi_dadd", "__aeabi_dmul", "__aeabi_d2f", "__aeabi_f2d"),
}


def test_kernels_compile_without_warnings_for_the_host(host_kernels: list[KernelBuild]) -> None:
    """This build and those of the boards are the ones that other tests run, each made once a session."""
    assert all(len(build.objects) == len(SOURCES) for build in host_kernels)


@pytest.mark.parametrize(
    ("board_name", "kernels"),
    [
        ("mps2_an385_m0plus", len(SOURCES) - len(OF_SIMD)),
        ("mps2_an385", len(SOURCES) - len(OF_SIMD)),
        ("mps2_an386", len(SOURCES)),
        ("mps3_an547", len(SOURCES)),
    ],
)
def test_kernels_compile_without_warnings_for_a_board(
    board_kernels: Callable[[str], KernelBuild], board_name: str, kernels: int
) -> None:
    assert len(board_kernels(board_name).objects) == kernels


def test_kernels_calculate_in_integers(board_kernels: Callable[[str], KernelBuild], tmp_path: Path) -> None:
    """Soft floating point, 64-bit division and the heap are all calls of library functions.

    A Cortex-M3 has no floating point; it takes all kernels but those for the DSP and vector extensions.
    """
    objects = [*board_kernels("mps2_an385").objects]
    for source in OF_SIMD:
        objects.append(tmp_path / f"{source.stem}.o")
        command = cached([*CROSS, "-mcpu=cortex-m4"], objects[-1])
        subprocess.run([*command, "-c", source, "-o", objects[-1]], check=True)
    wanted = undefined(objects)
    assert set(wanted) == {path.stem for path in SOURCES}
    for name, symbols in wanted.items():
        floats = OF_F32 if "_f32" in name else OF_DETECTIONS if "_detection" in name else ()
        allowed = {"memcpy", "memmove", "memset", *floats}
        assert {symbol for symbol in symbols if not symbol.startswith("te_")} <= allowed, name


def undefined(objects: Sequence[Path]) -> dict[str, set[str]]:
    """The symbols that each object takes from elsewhere, by the names of the files."""
    done = subprocess.run(["arm-none-eabi-nm", "-A", "-u", *objects], capture_output=True, text=True, check=True)
    found: dict[str, set[str]] = {path.stem: set() for path in objects}
    for path, symbol in re.findall(r"^(.+): +U (\S+)$", done.stdout, re.MULTILINE):
        found[Path(path).stem].add(symbol)
    return found


@pytest.mark.parametrize("source", OF_DSP, ids=lambda path: path.stem)
def test_a_cortex_m0_refuses_the_kernels_of_dsp(source: Path) -> None:
    if shutil.which(CROSS[0]) is None:
        pytest.skip(f"{CROSS[0]} is not installed: run `make system`")
    done = subprocess.run([*CROSS, "-mcpu=cortex-m0", "-fsyntax-only", source], capture_output=True, text=True)
    assert done.returncode != 0
    assert "This Cortex-M has no DSP extension" in done.stderr


def test_every_kernel_is_declared_once():
    header = (KERNELS / "te_kernels.h").read_text()
    declared = re.findall(r"^void (te_\w+)\(", header, re.MULTILINE)
    # A file with a header of its own is a part of several kernels.
    assert sorted(declared) == [path.stem for path in SOURCES if not path.with_suffix(".h").exists()]
