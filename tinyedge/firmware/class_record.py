"""How much flash learned classes take, and whether a board's store has it."""

from tinyedge.boards.board import Board
from tinyedge.errors import BudgetExceeded, ConfigError

_EXTRA_BYTES = 32 + 4  # A header, and a CRC at the end.
_BLOCK_BYTES = 32


def check_classes(classes: int, values: int, board: Board) -> None:
    """Make sure that a board can save so many classes.

    Args:
        classes: How many, at least 1.
        values: Of an embedding.
        board: With a store.

    Raises:
        BudgetExceeded: They do not fit a slot of its store.
        ConfigError: The board has no store.
    """
    if board.store is None:
        raise ConfigError(f"{board.name} cannot save classes: build without --enroll, or describe its [store]")
    needed, limit = record_bytes(classes, values), board.store.slot_bytes
    if needed > limit:
        most = (limit - _EXTRA_BYTES) // _class_bytes(values)
        raise BudgetExceeded(
            f"{classes} classes of {values:,} values take {needed:,} bytes and {board.name} saves up to {limit:,}: "
            f"give --enroll {most} or less"
            if most
            else f"a class of {values:,} values takes {needed:,} bytes and {board.name} saves up to {limit:,}: "
            "choose a model with a shorter embedding"
        )


def record_bytes(classes: int, values: int) -> int:
    """What `te save` writes: firmware/app/te_store.h and te_learning_memory.c."""
    contents = _EXTRA_BYTES + classes * _class_bytes(values)
    return -(-contents // _BLOCK_BYTES) * _BLOCK_BYTES


def _class_bytes(values: int) -> int:
    """A count and a sum for each value of the embedding, of int16."""
    return 2 + 2 * values
