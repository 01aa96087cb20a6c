"""Runs the C of many compiled models in one program under both sanitisers.

GCC takes longest to begin, so all models are one translation unit: what each has of its own at file scope is renamed.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from machines.case_machines import WARNINGS, KernelBuild

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.header import model_header
from tinyedge.compiler.emit.source import model_source
from tinyedge.compiler.program import Program

_AT_FILE_SCOPE = re.compile(
    r"^(?:(?:static|union|typedef) [^=;{\n]*?\(?\*?\b(\w+)(?=\[|\(| =|;| \{|\))|#define (\w+))", re.MULTILINE
)
_TIMEOUT_S = 300
_BEGIN = """\
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t drawn = 1u;
static volatile uint8_t taken;

/* Anything, then the least and the largest values. */
static void fill(void *values, size_t bytes, int run) {
    if (run > 0) {
        memset(values, run == 1 ? 0x80 : 0x7F, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        ((uint8_t *)values)[i] = (uint8_t)(drawn >> 24);
    }
}

static void take(const void *values, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        taken = ((const uint8_t *)values)[i];
    }
}

#define FILL(index, function, type, bytes, ...) fill(function(), bytes, run);
#define TAKE(index, function, type, bytes, ...) take(function(), bytes);
"""
_RUN = """
static int run_{name}(void) {{
    int failed = {name}_init() != TE_OK;
    for (int run = 0; run < 3; run++) {{
        {upper}_INPUTS(FILL)
        failed |= {name}_invoke() != TE_OK;
        {upper}_OUTPUTS(TAKE)
    }}
    return failed;
}}
"""
_MAIN = """
static int (*const runs[])(void) = {{{functions}}};

int main(void) {{
    for (int i = 0; i < {count}; i++) {{
        printf("%d\\n", i);
        fflush(stdout);
        if (runs[i]() != 0) {{
            return 2;
        }}
    }}
    return 0;
}}
"""


class SanitisedError(Exception):
    """A program did what is undefined, or is no C.

    Attributes:
        index: Of the program; None where the compiler took none of them.
    """

    def __init__(self, message: str, index: int | None) -> None:
        super().__init__(message)
        self.index = index


def run_sanitised(programs: Sequence[Program], kernels: KernelBuild, folder: Path) -> None:
    """Compile and run programs three times each: on random bytes, and on the least and largest values.

    Args:
        programs: Of any instruction set.
        kernels: Under sanitisers, for this machine.
        folder: Receives the program and its files.

    Raises:
        SanitisedError: One of them does what it must not.
    """
    source = folder / "models.c"
    source.write_text(_unit(programs))
    try:
        unit = kernels.machine.compile(source, folder / "models.o", [*WARNINGS, f"-I{firmware_root()}", "-O0"])
    except AssertionError as error:
        raise SanitisedError(str(error), None) from error
    subprocess.run(["gcc", *kernels.machine.flags, unit, *kernels.linked, "-o", folder / "models"], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [folder / "models"], env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode != 0:
        raise SanitisedError(
            f"ended with {done.returncode}: {done.stderr.strip()}",
            int(done.stdout.split()[-1]) if done.stdout else None,
        )


def _unit(programs: Sequence[Program]) -> str:
    parts = [_BEGIN]
    names = [f"model_{index}" for index in range(len(programs))]
    for name, program in zip(names, programs, strict=True):
        source = model_source(program, name, None).replace(f'#include "{name}_model.h"\n', "")
        own = {"arena", *(name or macro for name, macro in _AT_FILE_SCOPE.findall(source))}
        renamed = re.sub(rf"\b({'|'.join(sorted(own))})\b", rf"{name}_own_\1", source)
        parts += [model_header(program, name, None, None), renamed, _RUN.format(name=name, upper=name.upper())]
    functions = ", ".join(f"run_{name}" for name in names)
    return "".join([*parts, _MAIN.format(functions=functions, count=len(names))])
