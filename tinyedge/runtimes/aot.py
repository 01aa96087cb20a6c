"""The compiled C, built for this machine and called through ctypes: the sources that go onto the board.

Only the constants are spelled as strings, which a compiler reads sooner.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinyedge.compiler.emit.c_text import string_array
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import ToolMissing
from tinyedge.runtimes.base import InProcess
from tinyedge.runtimes.inputs import as_model_inputs
from tinyedge.tflite.frames import empty_frames
from tinyedge.tflite.model import Model, open_model

COMPILE_FLAGS = ("-std=c99", "-O2", "-ftree-vectorize", "-fPIC")
LINK_FLAGS = ("-shared",)

# What the model is called in the C that only this process sees.
_NAME = "driven"
# Loops over the inputs in C, so that a test set does not pay for a Python call an image.
_DRIVER = """\
#include <string.h>

#include "driven_model.h"

void te_driver_start(void);
void te_driver_run(const char *inputs, char *outputs, int64_t count);

void te_driver_start(void) {
    (void)driven_init();
}

#define FILL(index, function, type, bytes, ...) memcpy(function(), inputs, bytes), inputs += (bytes);
#define READ(index, function, type, bytes, ...) memcpy(outputs, function(), bytes), outputs += (bytes);

void te_driver_run(const char *inputs, char *outputs, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        DRIVEN_INPUTS(FILL)
        (void)driven_invoke();
        DRIVEN_OUTPUTS(READ)
    }
}
"""


class AotRuntime(InProcess):
    """Runs a model through the C that tinyedge generates, compiled with `$CC` or `cc`.

    Attributes:
        name: "aot".
        arena_bytes: The generated arena; the C needs no other RAM but the stack.
        program: What was compiled.
    """

    name = "aot"

    def __init__(self, model: Path | Model, options: CompileOptions = CompileOptions()) -> None:
        """Compile the model and load it.

        Args:
            model: A full-INT8 .tflite file, or its path.
            options: How to compile it; this machine runs what stands in for another processor's kernels in C.

        Raises:
            ModelError: The model cannot be read or compiled.
            ToolMissing: There is no working C compiler.
        """
        self._load(compile_graph(open_model(model).graph(), options))

    @classmethod
    def from_program(cls, program: Program) -> "AotRuntime":
        """Load what is compiled already; see `__init__`."""
        runtime = cls.__new__(cls)
        runtime._load(program)
        return runtime

    def _load(self, program: Program) -> None:
        self.program = program
        self.arena_bytes: int | None = self.program.plan.arena_bytes
        # The library is loaded for as long as the process lives; the folder is needed only until then.
        with tempfile.TemporaryDirectory(prefix="tinyedge-aot-") as folder:
            self._library = ctypes.CDLL(str(_build(self.program, Path(folder))))
        self.reset()

    def reset(self) -> None:
        """Forget earlier inputs; see `Runtime.reset`."""
        self._library.te_driver_start()

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Run every input; see `Runtime.run`."""
        batch = as_model_inputs(inputs, self.program.inputs)
        outputs = empty_frames(len(batch), self.program.outputs)
        self._library.te_driver_run(
            batch.ctypes.data_as(ctypes.c_void_p), outputs.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(batch))
        )
        return outputs


def compiler_version() -> str:
    """Return the first line that the C compiler says of itself, or its name where it says nothing."""
    compiler = _compiler()
    try:
        said = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        said = ""
    return said.partition("\n")[0].strip() or compiler[0]


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc")) or ["cc"]


def _build(program: Program, folder: Path) -> Path:
    """Compile the program and the driver into a shared library."""
    compiler = _compiler()
    if shutil.which(compiler[0]) is None:
        raise ToolMissing(
            f"no C compiler '{compiler[0]}': install one (Debian: `apt install gcc`) or name one in the variable CC"
        )
    emit(program, _NAME, folder, print_array=string_array)
    (folder / "driver.c").write_text(_DRIVER, encoding="utf-8")
    # A call a file, on all processors, of names below the working folder: `CC="ccache cc"` finds a kernel again.
    sources = sorted(str(source.relative_to(folder)) for source in folder.rglob("*.c"))
    objects = [f"{source}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = [
            pool.submit(_call, [*compiler, *COMPILE_FLAGS, "-c", source, "-o", target], folder)
            for source, target in zip(sources, objects, strict=True)
        ]
    for step in steps:
        step.result()
    library = folder / "model.so"
    _call([*compiler, *LINK_FLAGS, *objects, "-o", str(library)], folder)
    return library


def _call(command: list[str], folder: Path) -> None:
    """Run the C compiler in a folder."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ToolMissing(
            f"`{' '.join(_compiler())}` cannot build a shared library ({last}): install a working C compiler"
        )
