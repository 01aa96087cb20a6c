"""The worst-case stack of a compiled model alone, without the firmware around it."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tinyedge.boards.board import Board
from tinyedge.compiler.emit.header import ModelStack
from tinyedge.errors import TargetError
from tinyedge.firmware.stack import function_stacks
from tinyedge.toolchain import find_tool

_OPTIMISATION = "-O2"
_FLAGS = ("-std=c99", _OPTIMISATION, "-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su")
_LINK_FLAGS = ("--specs=nano.specs", "-nostartfiles", "-Wl,--gc-sections")


def model_stack(files: Mapping[PurePosixPath, bytes], name: str, board: Board) -> ModelStack:
    """Compile a model as its CMake target does, and find the deepest chain of calls from NAME_invoke() on.

    Args:
        files: The C sources by their paths, as `tinyedge.compiler.emit.emitter.program_files` gives them.
        name: What the model is called in C.
        board: Whose processor it is compiled for.

    Raises:
        ToolMissing: The cross compiler is not installed.
        TargetError: The model does not compile for that processor, or its stack cannot be known.
    """
    gcc = find_tool("arm-none-eabi-gcc")
    cpu_flags = board.cpu_flags.split()
    with tempfile.TemporaryDirectory(prefix="tinyedge-stack-") as folder:
        sources, build = Path(folder) / "src", Path(folder) / "CMakeFiles" / "te_model.dir"
        build.mkdir(parents=True)
        objects = []
        for path, content in files.items():
            (sources / path).parent.mkdir(parents=True, exist_ok=True)
            (sources / path).write_bytes(content)
        for path in files:
            if path.suffix == ".c":
                objects.append(build / f"{path.name}.obj")
                _run(gcc.path, *cpu_flags, *_FLAGS, "-c", sources / path, "-o", objects[-1])
        elf = build / "model.elf"
        _run(gcc.path, *cpu_flags, *_LINK_FLAGS, f"-Wl,-e,{name}_invoke", *objects, "-o", elf)
        report = function_stacks(build, elf, gcc.path, [f"{name}_invoke"])[f"{name}_invoke"]
    if report.worst_case_bytes is None:
        raise TargetError(f"the stack of {name}_invoke() cannot be known: {report.unknown}; leave --board out")
    return ModelStack(report.worst_case_bytes, f"{gcc.name} {gcc.version} {board.cpu_flags} {_OPTIMISATION}")


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise TargetError(f"the model does not compile for the processor of the board ({first}): give another --board")
