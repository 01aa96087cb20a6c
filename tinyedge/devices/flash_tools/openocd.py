"""OpenOCD: a C program that Linux distributions bring."""

import re
import shutil
from pathlib import Path

from tinyedge.boards.board import Board
from tinyedge.devices.flash_tools.base import (
    IN_USE,
    NOT_CONNECTED,
    PLUG_IN,
    UDEV,
    WRONG_CHIP,
    Job,
    ProbeInfo,
    Step,
)
from tinyedge.devices.flash_tools.usb import st_links
from tinyedge.errors import TargetError

_WRONG_CHIP = re.compile(r"tinyedge: chip (0x[0-9a-f]+), but (\S+) has (0x[0-9a-f]+)")


class Openocd:
    """OpenOCD 0.12 or later."""

    name = "openocd"
    hint = "apt-get install openocd"
    failures = (
        (_WRONG_CHIP, WRONG_CHIP),
        (re.compile(r"LIBUSB_ERROR_ACCESS"), UDEV),
        (re.compile(r"LIBUSB_ERROR_BUSY"), IN_USE),
        (re.compile(r"Error: open failed"), f"no debug probe is connected, or not that one: {PLUG_IN}"),
        (re.compile(r"Can't find (\S+\.cfg)"), "OpenOCD lacks {0}: install OpenOCD 0.12 or later, or another --tool"),
        (
            re.compile(r"\*\* Verify Failed \*\*"),
            "verification failed: flash it again; if it stays, the flash is worn or locked",
        ),
        (re.compile(r"Cannot identify target as an? (.*)"), "wrong chip: the probe sees no {0}; check --board"),
        (
            re.compile(r"\*\* Programming Failed \*\*"),
            "the flash could not be written: it may be protected, or the chip is another",
        ),
        (re.compile(r"init mode failed|unable to connect to the target|Unable to reset target"), NOT_CONNECTED),
    )

    def find(self) -> str | None:
        """Return how it is called."""
        return self.name if shutil.which(self.name) else None

    def probes(self, program: str, board: Board) -> list[ProbeInfo] | None:
        """Return the ST-Links: OpenOCD lists none itself, and of several it takes any. Other probes nobody lists."""
        return st_links() if "stlink" in board.required_flash_tools.openocd_config else None

    def check_support(self, program: str, board: Board) -> None:
        """Everything that OpenOCD knows is in its configuration files; it names a missing one."""

    def steps(self, program: str, job: Job) -> list[Step]:
        """Return the one run that does everything."""
        tools = job.board.required_flash_tools
        options = [word for name in tools.openocd_config.split() for word in ("-f", name)]
        if job.probe is not None:
            options += ["-c", f"adapter serial {_braced(job.probe)}"]
        # OpenOCD's own Tcl looks at the chip before anything is erased.
        said = f"tinyedge: chip 0x%03x, but {job.board.name} has {tools.chip_id:#05x}"
        commands = [
            "init",
            "reset init",
            f"set te_id [expr {{[mrw {tools.chip_id_address:#010x}] & 0xfff}}]",
            f"if {{$te_id != {tools.chip_id:#05x}}} {{echo [format {{{said}}} $te_id]; shutdown error}}",
            f"program {_braced(job.elf)} verify reset exit",
        ]
        words = [word for command in commands for word in ("-c", command)]
        return [Step("write, verify and reset", (program, *options, *words))]


def _braced(text: Path | str) -> str:
    """A path, or a serial number as any USB device may have it, as a word of Tcl in which nothing is replaced."""
    if set(str(text)) & set("{}\\"):
        advice = f"move {text}" if isinstance(text, Path) else "unplug that probe, or take another flash tool"
        raise TargetError(f"OpenOCD takes no braces or backslashes, and {str(text)!r} has some: {advice}")
    return f"{{{text}}}"
