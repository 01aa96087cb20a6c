"""A model against the flash and RAM of boards."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.benchmark.budget import PARAMETER_LIMIT
from tinyedge.boards.board import Board
from tinyedge.checks.layers import Layer
from tinyedge.checks.verdict import RuntimeVerdict
from tinyedge.compiler.program import Program
from tinyedge.ops.kernel_call import PORTABLE

# Measured on images that `tinyedge build` made for Cortex-M4 with GCC 12.2 at -O2. The sum stays a little above them.
_FIRMWARE_CODE_BYTES = 11_100
_KERNEL_CODE_BYTES = 700
# A kernel in assembly, and the matrix product that most of them share.
_ASSEMBLY_KERNEL_CODE_BYTES = 1_400
_MATRIX_PRODUCT_CODE_BYTES = 5_100
_LAYER_BYTES = 70
_VARIABLES_BYTES = 192
# TFLite Micro's library with CMSIS-NN and the default registrations, and its static variables, on Cortex-M4.
_TFLM_CODE_BYTES = 90_000
_TFLM_VARIABLES_BYTES = 800

ANY_RUNTIME = "any"


@dataclass(frozen=True)
class Budget:
    """What a model takes of a memory of a board.

    Attributes:
        board: Its name.
        runtime: "aot", "tflm", or "any" for what no runtime can do without.
        memory: "flash" or "RAM".
        used: Bytes; the stack is counted in RAM.
        limit: What the board has, in bytes.
        basis: Where `used` comes from: "plan" (the compiler's own), "measured" (TFLite Micro's interpreter on this
            machine), "estimate" or "lower bound".
        peak: The operator that decides: the most weights, or the most activations alive.
    """

    board: str
    runtime: str
    memory: str
    used: int
    limit: int
    basis: str
    peak: int | None

    @property
    def fits(self) -> bool:
        """Whether the board has room for it."""
        return self.used <= self.limit


def parameters_fit(parameters: int) -> bool:
    """Whether a model keeps to the parameter budget."""
    return parameters < PARAMETER_LIMIT


def peak_layer(layers: Sequence[Layer], memory: str) -> Layer | None:
    """Return the layer to make smaller if "flash" or "RAM" is short; None for a model without operators."""
    return max(
        layers, key=lambda layer: layer.weight_bytes if memory == "flash" else layer.alive_bytes or 0, default=None
    )


def board_budgets(
    board: Board,
    verdicts: Sequence[RuntimeVerdict],
    on_board: Program | None,
    layers: Sequence[Layer],
    file_bytes: int,
    input_bytes: int,
) -> list[Budget]:
    """Return flash and RAM for each runtime that takes the model, or what they need at least if none does.

    Args:
        board: What to fit into.
        verdicts: Of the microcontrollers' runtimes.
        on_board: What the compiler makes of the board's kernels, if it takes the model.
        layers: Of the model.
        file_bytes: Of the .tflite file, which TFLite Micro keeps in flash as a whole.
        input_bytes: Of the model's inputs, which the firmware keeps apart from the arena.
    """
    alive_bytes = max((layer.alive_bytes or 0 for layer in layers), default=0)
    needs: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {}
    for verdict in verdicts:
        if not verdict.takes:
            continue
        if on_board is not None and verdict.runtime == "aot":
            arena_bytes = on_board.plan.arena_bytes + input_bytes + _VARIABLES_BYTES
            needs["aot"] = (estimate_flash(on_board).bytes, "estimate"), (arena_bytes, "plan")
        elif verdict.arena_bytes is not None:
            needs[verdict.runtime] = (
                (file_bytes + _TFLM_CODE_BYTES, "estimate"),
                (verdict.arena_bytes + _TFLM_VARIABLES_BYTES, "measured"),
            )
        else:
            needs[verdict.runtime] = (file_bytes + _TFLM_CODE_BYTES, "estimate"), (alive_bytes, "lower bound")
    if not needs:
        weight_bytes = sum(layer.weight_bytes for layer in layers)
        needs[ANY_RUNTIME] = (weight_bytes, "lower bound"), (alive_bytes, "lower bound")
    budgets = []
    for runtime, (flash, ram) in needs.items():
        for memory, (used, basis), limit in (
            ("flash", flash, board.flash_bytes),
            ("RAM", (ram[0] + board.stack_bytes, ram[1]), board.ram_bytes),
        ):
            layer = peak_layer(layers, memory)
            budgets.append(Budget(board.name, runtime, memory, used, limit, basis, layer.index if layer else None))
    return budgets


@dataclass(frozen=True)
class FlashEstimate:
    """What an image of `tinyedge build` takes of the flash, part by part, without building it.

    Attributes:
        constant_bytes: Weights and per-channel data, as the compiler writes them.
        layer_bytes: The layers' parameters and calls.
        kernel_bytes: The kernels' instructions.
        application_bytes: The start, the serial protocol and the C library.
    """

    constant_bytes: int
    layer_bytes: int
    kernel_bytes: int
    application_bytes: int

    @property
    def bytes(self) -> int:
        """The image."""
        return self.constant_bytes + self.layer_bytes + self.kernel_bytes + self.application_bytes


def estimate_flash(program: Program) -> FlashEstimate:
    """Return what a program's image takes of a board's flash, some kilobytes more than a build measures.

    Args:
        program: With the kernels of the board's instruction set.
    """
    kernels = {call.kernel for call in program.calls}
    in_assembly = {kernel for kernel in kernels if kernel.instruction_set != PORTABLE}
    kernel_bytes = len(kernels - in_assembly) * _KERNEL_CODE_BYTES
    if in_assembly:
        kernel_bytes += len(in_assembly) * _ASSEMBLY_KERNEL_CODE_BYTES + _MATRIX_PRODUCT_CODE_BYTES
    return FlashEstimate(program.constant_bytes, len(program.calls) * _LAYER_BYTES, kernel_bytes, _FIRMWARE_CODE_BYTES)
