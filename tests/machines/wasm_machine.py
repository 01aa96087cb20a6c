"""A program of test cases as WebAssembly in a browser, compiled as `tinyedge web` compiles a model."""

import base64
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from chromium import Chromium
from machines.case_machines import KERNELS, PROGRAM, WARNINGS, ProgramStoppedError, compile_object

import tinyedge.browser
from tinyedge.browser.wasm import COMPILE_FLAGS, LINK_FLAGS
from tinyedge.compiler.kernels import PORTABLE

_INCLUDE = Path(tinyedge.browser.__file__).parent / "assets" / "include"
_RUN = """(async () => {
  const [bytes, input] = ["%s", "%s"].map((text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)));
  let [at, memory, status] = [0, null, null];
  const output = [];
  const machine = {
    read(pointer, count) {
      if (at + count > input.length) return 0;
      new Uint8Array(memory.buffer).set(input.subarray(at, at + count), pointer);
      at += count;
      return 1;
    },
    write(pointer, count) {
      output.push(...new Uint8Array(memory.buffer, pointer, count));
      return 1;
    },
    end(code) {
      status ??= code;
    },
  };
  const { instance } = await WebAssembly.instantiate(bytes, { machine });
  memory = instance.exports.memory;
  instance.exports.case_main();
  return { status, output };
})()"""


@dataclass(frozen=True)
class WasmMachine:
    """Clang and a browser; see `Machine`."""

    chromium: Chromium
    flags: Sequence[str] = COMPILE_FLAGS
    instruction_set: str = PORTABLE
    name: str = "wasm"
    instructions_per_tick: Fraction | None = None
    caller_flags: Sequence[str] = ()

    def compile(self, source: Path, target: Path, flags: Sequence[str] = ()) -> Path:
        """See `Machine.compile`."""
        includes = (f"-I{KERNELS}", f"-I{PROGRAM}", "-isystem", str(_INCLUDE))
        return compile_object(["clang", *self.flags, *includes, *flags], source, target)

    def run(self, objects: Iterable[Path], folder: Path, heap_bytes: int) -> None:
        """See `Machine.run`."""
        renamed = ("-Dmain=case_main", f"-DCASE_HEAP_BYTES={heap_bytes}u")
        parts = [
            self.compile(PROGRAM / f"{name}.c", folder / f"part_{name}.o", (*WARNINGS, *renamed))
            for name in ("case_program", "case_machine_wasm")
        ]
        program = folder / "cases.wasm"
        command = ["clang", *COMPILE_FLAGS, *LINK_FLAGS, "-Wl,--export=case_main", *parts, *objects, "-o", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        texts = (base64.b64encode(path.read_bytes()).decode() for path in (program, folder / "cases.in"))
        answer = self.chromium.run(_RUN % tuple(texts))
        (folder / "cases.out").write_bytes(bytes(answer["output"]))
        if answer["status"] != 0:
            raise ProgramStoppedError(f"the program ended with {answer['status']}")
