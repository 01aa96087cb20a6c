"""What the cycle model knows of a board: its core, what its flash costs, and how far published counts were from it."""

from dataclasses import dataclass

from tinyedge.boards.board import Board
from tinyedge.errors import ConfigError

NOT_CHECKED = "not checked"

# By core, modelled against published counts (docs/cycles.md).
_ERRORS = {
    "cortex-m0plus": "-4 % beside the Cortex-M4 (CoreMark alone)",
    "cortex-m3": "-10 % to -6 % (7 programs of pqm3 at 0 wait states)",
    "cortex-m4": "-7 % to -2 % (7 programs of pqm4 at 0 wait states)",
    "cortex-m7": "-19 % beside the Cortex-M4 (CoreMark alone)",
    "cortex-m33": "+1 % to +3 % beside the Cortex-M4 (CoreMark alone)",
    "cortex-m55": "-12 % to +14 % (25 MVE kernels of an Apollo510)",
}
# The caches before the flash of STM32L4+ and STM32F4, whose model is one.
_FLASH_ERROR = "the flash's +3 % (CoreMark)"
_FLASHES_CHECKED = ("stm32l4+", "stm32f4")


@dataclass(frozen=True)
class CycleModel:
    """How the cycles of an image are modelled.

    Attributes:
        core: GCC's name of the processor.
        clock_hz: The clock that makes milliseconds of cycles.
        memory: What code and constants are read from, for people.
        error: How far modelled counts were from published ones, or `NOT_CHECKED`.
        arguments: What the plug-in has to know of the core and the flash.
    """

    core: str
    clock_hz: int
    memory: str
    error: str
    arguments: dict[str, str | int]


def cycle_model(board: Board) -> CycleModel:
    """Return the model of a board.

    Raises:
        ConfigError: There is none of its core, or its description does not say how its flash is read.
    """
    if board.cpu not in _ERRORS:
        raise ConfigError(f"there is no cycle model of {board.cpu}: choose a --board with {', '.join(_ERRORS)}")
    arguments: dict[str, str | int] = {"core": board.cpu, "wait_states": 0, "read_bytes": 4}
    memory, error = "memory without wait states", _ERRORS[board.cpu]
    if board.flash_reads is not None and board.clock is not None:
        reads = board.flash_reads
        # Wait states are of the bus, of which a cycle may be several of the processor.
        arguments |= {"wait_states": board.clock.flash_wait_states * board.clock.ahb_divider, **vars(reads)}
        memory = (
            f"flash with {board.clock.flash_wait_states} wait states, {8 * reads.read_bytes} bits a read, "
            f"{reads.instruction_cache_bytes:,} and {reads.data_cache_bytes:,} bytes of cache for instructions and data"
            f"{', prefetch' if reads.prefetch else ''}"
        )
        flash_error = _FLASH_ERROR if board.clock.family in _FLASHES_CHECKED else f"the flash's {NOT_CHECKED}"
        error = f"{error}, {flash_error}"
    elif board.part:
        raise ConfigError(
            f"{board.file.name} does not say how its flash is read: add [flash_reads] as in docs/cycles.md"
        )
    return CycleModel(board.cpu, board.clock_hz, memory, error, arguments)
