"""The runtimes of this machine by name."""

from pathlib import Path

from tinyedge.compiler.program import Program
from tinyedge.errors import ConfigError
from tinyedge.runtimes.base import Runtime
from tinyedge.tflite.model import Model

RUNTIMES = ("onnx", "litert", "tflm", "aot")


def check_runtime(name: str) -> None:
    """Refuse what is not one of `RUNTIMES`.

    Raises:
        ConfigError: There is no such runtime.
    """
    if name not in RUNTIMES:
        raise ConfigError(f"no such runtime: {name}; choose --runtime {', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}")


def open_runtime(name: str, model: Model, program: Program | None = None, onnx: Path | None = None) -> Runtime:
    """Open a runtime; each import is as heavy as its package.

    Args:
        name: One of `RUNTIMES`.
        model: Any that the runtime takes: full INT8 for "aot" and "onnx".
        program: What it is compiled to, for "aot"; None compiles it.
        onnx: The float model that it was made from, for "onnx".

    Raises:
        ConfigError: There is no such runtime, or no ONNX model for it.
        ModelError: The runtime refuses the model.
        ToolMissing: The runtime's package, or a C compiler for "aot", is not installed.
    """
    check_runtime(name)
    if name == "aot":
        from tinyedge.runtimes.aot import AotRuntime

        return AotRuntime(model) if program is None else AotRuntime.from_program(program)
    if name == "tflm":
        from tinyedge.runtimes.tflm import TflmRuntime

        return TflmRuntime(model)
    if name == "litert":
        from tinyedge.runtimes.litert import LitertRuntime

        return LitertRuntime(model)
    if onnx is None:
        raise ConfigError("the onnx runtime needs the float model.onnx of a run; give a run directory, not a .tflite")
    from tinyedge.runtimes.onnx import OnnxRuntime

    return OnnxRuntime(onnx, model)
