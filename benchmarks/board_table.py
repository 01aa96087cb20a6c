"""The size table of docs/boards.md: what a model's image takes of every board.

    python benchmarks/board_table.py [MODEL.tflite]

Prints Markdown. Nothing runs, so that boards without an emulator are in it too.
"""

import argparse
import tempfile
from pathlib import Path

from tinyedge.boards.board import board_names, load_board
from tinyedge.errors import BudgetExceeded
from tinyedge.firmware.build import build_firmware

MODEL = Path(__file__).resolve().parents[1] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
HEADER = (
    "board",
    "flash B",
    "code B",
    "model B",
    "of flash",
    "RAM B with stack",
    "arena B",
    "RAM at",
    "of it",
    "worst-case stack B",
)


def main() -> None:
    """Build the model for every board and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    model = parser.parse_args().model
    print(f"| {' | '.join(HEADER)} |")
    print("|---" * len(HEADER) + "|")
    for name in board_names():
        board = load_board(name)
        with tempfile.TemporaryDirectory() as folder:
            try:
                image = build_firmware(model, board, Path(folder))
            except BudgetExceeded:
                print(f"| `{name}` | does not fit {board.flash_bytes:,} |{' |' * (len(HEADER) - 2)}", flush=True)
                continue
        sizes, stack = image.sizes, image.stack
        ram_bytes = sizes.ram_bytes + sizes.stack_bytes
        worst = (
            "not known" if stack.worst_case_bytes is None else f"{stack.worst_case_bytes:,} of {sizes.stack_bytes:,}"
        )
        cells = (
            f"`{name}`",
            f"{sizes.flash_bytes:,}",
            f"{sizes.flash_code_bytes:,}",
            f"{sizes.flash_model_bytes:,}",
            f"{sizes.flash_bytes / board.flash_bytes:.1%}",
            f"{ram_bytes:,}",
            f"{sizes.arena_bytes:,}",
            f"0x{image.ram.origin:08X}",
            f"{ram_bytes / image.ram.bytes:.1%}",
            worst,
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
