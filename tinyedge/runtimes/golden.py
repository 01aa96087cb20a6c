"""The golden output of a compiled model: TFLite Micro's, and where that is not to be had, our C's on this machine."""

from tinyedge.compiler.emit.golden import Golden, crc32_of, golden_frame
from tinyedge.compiler.program import Program
from tinyedge.errors import ModelError, ToolMissing
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.apart import ApartRuntime
from tinyedge.tflite.model import Model


def golden_of(model: Model, program: Program) -> Golden | None:
    """Run one inference.

    Args:
        model: The file.
        program: What it was compiled to; it may take and give other types than the file.

    Returns:
        None where there is neither TFLite Micro nor a C compiler.
    """
    frame = golden_frame(program.inputs)
    as_in_the_file = [tensor.dtype for tensor in (*program.inputs, *program.outputs)]
    graph = model.any_graph()
    if as_in_the_file == [tensor.dtype for tensor in (*graph.inputs, *graph.outputs)]:
        try:
            with ApartRuntime("reference", model) as reference:
                return Golden(crc32_of(reference.run(frame)), "TFLite Micro")
        except (ModelError, ToolMissing):  # It lacks an operator, or there is none for this platform.
            pass
    try:
        return Golden(crc32_of(AotRuntime.from_program(program).run(frame)), "the same C on another machine")
    except ToolMissing:
        return None
