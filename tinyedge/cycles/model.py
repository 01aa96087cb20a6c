"""What the cycle model knows of a board: its core, what its flash costs, and how far published counts were from it."""

from dataclasses import dataclass

from tinyedge.boards.board import Board
from tinyedge.errors import ConfigError

NOT_CHECKED = "not checked"

# By core, modelled against published counts (docs/cycles.md).
_ERRORS = {
    "cortex-m0plus": NOT_CHECKED,
    "cortex-m3": NOT_CHECKED,
    "cortex-m4": "-7 % to -2 % (7 programs of pqm4 at 0 wait states)",
}
_FLASH_ERROR = "the flash's at most +3 % (CoreMark)"


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
        arguments |= {"wait_states": board.clock.flash_wait_states, **vars(reads)}
        memory = (
            f"flash with {board.clock.flash_wait_states} wait states, {8 * reads.read_bytes} bits a read, "
            f"{reads.instruction_cache_bytes:,} and {reads.data_cache_bytes:,} bytes of cache for instructions and data"
            f"{', prefetch' if reads.prefetch else ''}"
        )
        if error != NOT_CHECKED:
            error = f"{error}, {_FLASH_ERROR}"
    elif board.clock is not None:
        raise ConfigError(
            f"{board.file.name} does not say how its flash is read: add [flash_reads] as in docs/cycles.md"
        )
    return CycleModel(board.cpu, board.clock_hz, memory, error, arguments)
