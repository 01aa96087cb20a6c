"""What every program that drives a debug probe has in common."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinyedge.boards.board import Board
from tinyedge.errors import TargetError

PLUG_IN = "plug the probe in (a cable with data lines) and look for it with `lsusb`"
UDEV = (
    "the probe is there but may not be opened by you: install udev rules (`apt-get install stlink-tools` brings those "
    "of ST-Links), then plug it in again"
)
IN_USE = "another program has the debug probe open: close the debugger, IDE or GDB server that holds it"
WRONG_CHIP = (
    "wrong chip: the probe sees device id {0} and {1} has {2}; nothing was written: check --board, or choose the other "
    "probe with --probe"
)
NOT_CONNECTED = (
    "the probe does not reach the chip: check the board's power, the SWD wires and jumpers, and hold the reset button "
    "while it starts if the old firmware sleeps"
)


@dataclass(frozen=True)
class ProbeInfo:
    """A debug probe.

    Attributes:
        id: What `--probe` takes: its serial number.
        description: For people.
    """

    id: str
    description: str


@dataclass(frozen=True)
class Job:
    """What is to be written where.

    Attributes:
        elf: The image with addresses.
        bin: The bytes of the flash from its first address on.
        board: Which has `flash_tools`.
        probe: The serial number of the probe; None for the only one.
    """

    elf: Path
    bin: Path
    board: Board
    probe: str | None


@dataclass(frozen=True)
class Step:
    """One run of the program.

    Attributes:
        purpose: What it is for: "write".
        command: Its words.
        check: Called with what it said where its exit status is 0; raises a `TargetError` of what is wrong even so.
    """

    purpose: str
    command: tuple[str, ...]
    check: Callable[[str], None] = lambda _: None


class FlashTool(Protocol):
    """A program that drives a debug probe."""

    @property
    def name(self) -> str:
        """What `--tool` takes."""

    @property
    def hint(self) -> str:
        """The command that installs it."""

    @property
    def failures(self) -> Sequence[tuple[re.Pattern[str], str]]:
        """What it says when something is wrong, the most telling first, and the sentence for it."""

    def find(self) -> str | None:
        """Return how the program is called, or None where it is not installed."""

    def probes(self, program: str, board: Board) -> list[ProbeInfo] | None:
        """Return the connected probes that it can use for a board; None where nobody can tell."""

    def check_support(self, program: str, board: Board) -> None:
        """Make sure that the program knows the board's chip.

        Raises:
            TargetError: It has to be taught first.
        """

    def steps(self, program: str, job: Job) -> list[Step]:
        """Return what it takes to identify the chip, write, verify and reset it."""


def explain(tool: FlashTool, step: Step, said: str) -> str:
    """Return the sentence for what a program said while it failed."""
    for pattern, sentence in tool.failures:
        match = pattern.search(said)
        if match:
            return sentence.format(*match.groups())
    lines = [line.strip() for line in said.splitlines() if re.search(r"error|fail| [EC] ", line, re.IGNORECASE)]
    last = lines[0] if lines else next((line for line in reversed(said.splitlines()) if line.strip()), "nothing")
    return f"{tool.name} could not {step.purpose} and says: {last}; `tinyedge flash --dry-run` prints its commands"


def check_chip(found: int, board: Board) -> None:
    """Compare the device id that a chip states with the board's.

    Args:
        found: The chip's DBGMCU_IDCODE or its lower twelve bits.
        board: Which has `flash_tools`.

    Raises:
        TargetError: It is another chip.
    """
    expected, device = board.required_flash_tools.chip_id, found & 0xFFF
    if device != expected:
        raise TargetError(WRONG_CHIP.format(f"{device:#05x}", board.name, f"{expected:#05x}"))
