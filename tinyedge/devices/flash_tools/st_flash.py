"""st-flash of the stlink tools: ST-Links and STM32 only."""

import re
import shutil
import subprocess
from pathlib import Path

from tinyedge.boards.board import Board
from tinyedge.devices.flash_tools.base import (
    IN_USE,
    NOT_CONNECTED,
    PLUG_IN,
    UDEV,
    Job,
    ProbeInfo,
    Step,
    check_chip,
)
from tinyedge.errors import TargetError

_LIST_TIMEOUT_S = 60.0
_NEXT_PROBE = re.compile(r"(?=^\s*version:)", re.MULTILINE)


class StFlash:
    """stlink-tools 1.7 or later."""

    name = "st-flash"
    hint = "apt-get install stlink-tools"
    failures = (
        (re.compile(r"access error|Could not open USB device"), UDEV),
        (re.compile(r"unable to claim|libusb_claim_interface\(\) failed"), IN_USE),
        (
            re.compile(r"Couldn't find (?:any )?\S* ?ST-Link devices"),
            f"no debug probe is connected, or not that one: {PLUG_IN}",
        ),
        (
            re.compile(r"unknown chip id! (0x[0-9a-fA-F]+)"),
            "st-flash does not know the chip with id {0}: install stlink-tools 1.8 or later, or choose another --tool",
        ),
        (
            re.compile(r"Verification of flash failed at offset: (\d+)"),
            "verification failed at byte {0}: flash it again",
        ),
        (re.compile(r"Failed to connect to target|Could not find chip id|Failed to enter SWD mode"), NOT_CONNECTED),
        (re.compile(r"[Uu]nlock"), "the flash could not be unlocked: reset the board and flash it again"),
    )

    def find(self) -> str | None:
        """Return how it is called."""
        return self.name if shutil.which(self.name) else None

    def probes(self, program: str, board: Board) -> list[ProbeInfo]:
        """Return what st-info lists."""
        try:
            done = subprocess.run(_st_info(program), capture_output=True, text=True, timeout=_LIST_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"st-info does not answer ({error}): install it again with `{self.hint}`") from error
        return [
            ProbeInfo(fields["serial"], f"ST-Link {fields.get('version', '')}".strip())
            for fields in read_st_info(done.stdout + done.stderr)
            if "serial" in fields
        ]

    def check_support(self, program: str, board: Board) -> None:
        """Refuse what is no STM32; which of them st-flash knows shows when it sees the chip."""
        if board.part and not board.part.startswith("STM32"):
            raise TargetError(f"st-flash writes STM32 alone, and {board.name} has none: add --tool pyocd or openocd")

    def steps(self, program: str, job: Job) -> list[Step]:
        """Return two runs: st-flash takes whatever chip there is, so st-info looks first."""
        serial = ["--serial", job.probe] if job.probe else []

        def identify(said: str) -> None:
            for fields in read_st_info(said):
                if (job.probe is None or fields.get("serial") == job.probe) and "chipid" in fields:
                    chip = int(fields["chipid"], 16)
                    if chip == 0:
                        raise TargetError(NOT_CONNECTED)
                    check_chip(chip, job.board)
                    return
            raise TargetError(f"no debug probe is connected, or not that one: {PLUG_IN}")

        def verified(said: str) -> None:
            if "verified" not in said:
                raise TargetError("st-flash does not say that it verified what it wrote: flash it again")

        write = (program, "--reset", *serial, "write", str(job.bin), f"{job.board.flash.origin:#010x}")
        return [
            Step("identify the chip", _st_info(program), identify),
            Step("write, verify and reset", write, verified),
        ]


def _st_info(program: str) -> tuple[str, ...]:
    """The command that lists probes and chips; it comes in the same package."""
    return (str(Path(program).with_name("st-info")), "--probe")


def read_st_info(said: str) -> list[dict[str, str]]:
    """Return the fields that `st-info --probe` prints, by probe: version, serial, chipid and others."""
    return [
        dict(re.findall(r"^\s*([a-z-]+):\s+(\S+)", block, re.MULTILINE))
        for block in _NEXT_PROBE.split(said)
        if block.lstrip().startswith("version:")
    ]
