"""The kernels are strict C99 for host and target, and keep off what a microcontroller lacks."""

import re
import shutil
import subprocess

import pytest
from machines.case_machines import KERNELS, WARNINGS, compiler_cache

SOURCES = sorted(KERNELS.glob("*.c"))
_CONVERSIONS = {"__aeabi_f2iz", "__aeabi_fcmpge", "__aeabi_fcmpgt", "__aeabi_fcmple", "__aeabi_i2f"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "compiler",
    [
        ["gcc", "-O2"],
        ["arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"],
        ["arm-none-eabi-gcc", "-O2", "-mcpu=cortex-m0", "-mthumb"],
    ],
    ids=" ".join,
)
def test_kernel_compiles_without_warnings_and_without_float(compiler, source, tmp_path):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed: run `make system`")
    assembly = tmp_path / "kernel.s"
    result = subprocess.run(
        [*compiler_cache(source), *compiler, *WARNINGS, "-S", str(source), "-o", str(assembly)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "-mcpu=cortex-m0" in compiler and source.stem.endswith("_dsp"):
        assert result.returncode != 0
        assert "This Cortex-M has no DSP extension" in result.stderr
        return
    assert result.returncode == 0, result.stderr
    if "-mfloat-abi=soft" in compiler:
        # Soft floating point, 64-bit division and the heap are all calls of library functions.
        calls = set(re.findall(r"\bbl\s+([\w.]+)", assembly.read_text()))
        kernels = {call for call in calls if call.startswith("te_")}
        assert calls <= {
            "memcpy",
            "memmove",
            "memset",
            *kernels,
            # Models of float inputs and outputs, and DIV, compute in single precision.
            *({"__aeabi_fdiv", "__aeabi_fmul", "__aeabi_fsub", *_CONVERSIONS} if "_f32" in source.stem else ()),
            *re.findall(r"^([\w.]+):$", assembly.read_text(), re.MULTILINE),
        }


def test_kernels_compile_without_warnings_for_the_cortex_m55(board_kernels):
    """That build is the one that emulated tests run, made once a session."""
    assert len(board_kernels("mps3_an547").objects) == len(SOURCES)


def test_every_kernel_is_declared_once():
    header = (KERNELS / "te_kernels.h").read_text()
    declared = re.findall(r"^void (te_\w+)\(", header, re.MULTILINE)
    # A file with a header of its own is a part of several kernels.
    assert sorted(declared) == [path.stem for path in SOURCES if not path.with_suffix(".h").exists()]
