"""pyOCD, a Python package: SWD through ST-Link, J-Link and CMSIS-DAP probes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
from tinyedge.installation import install_command

_LIST_TIMEOUT_S = 60.0


class Pyocd:
    """pyOCD 0.36 or later."""

    name = "pyocd"
    failures = (
        (re.compile(r"udev rule|Access denied"), UDEV),
        (re.compile(r"No connected debug probe matches unique ID '([^']*)'"), f"no debug probe {{0}}: {PLUG_IN}"),
        (re.compile(r"More than one debug probe matches"), "several debug probes match --probe: give its whole number"),
        (re.compile(r"No connected debug probes"), f"no debug probe is connected: {PLUG_IN}"),
        (re.compile(r"Target type (\S+) not recognized"), "pyocd lacks {0}: run `pyocd pack install {0}`"),
        (re.compile(r"Resource busy|Already opened in another mode"), IN_USE),
        (re.compile(r"No device connected|Get IDCODE error|No ACK|Debug power error"), NOT_CONNECTED),
        (
            re.compile(r"flash (?:erase|program|init) .*\((.*)\)"),
            "the flash could not be written ({0}): it may be protected, which `pyocd erase --mass` lifts",
        ),
    )

    @property
    def hint(self) -> str:
        """The command that installs it."""
        return install_command("flash")

    def find(self) -> str | None:
        """Return how pyOCD is called, also from an environment that is not activated."""
        if shutil.which(self.name):
            return self.name
        beside = Path(sys.executable).with_name(self.name)
        return str(beside) if beside.is_file() else None

    def probes(self, program: str, board: Board) -> list[ProbeInfo]:
        """Return the probes that pyOCD sees."""
        return [ProbeInfo(probe["unique_id"], probe["info"]) for probe in _ask(program, "--probes")["boards"]]

    def check_support(self, program: str, board: Board) -> None:
        """Make sure that pyOCD has the chip built in or from an installed pack."""
        target = board.required_flash_tools.pyocd_target
        known = {entry["name"].lower() for entry in _ask(program, "--targets")["targets"]}
        if target.lower() not in known:
            raise TargetError(
                f"pyocd needs the pack of {target}: run `pyocd pack install {target}`, or choose another --tool"
            )

    def steps(self, program: str, job: Job) -> list[Step]:
        """Return three runs: pyOCD's `load` does not read back what it wrote."""
        tools = job.board.required_flash_tools
        session = ["--no-wait", "--target", tools.pyocd_target, *(["--uid", job.probe] if job.probe else [])]
        origin = job.board.flash.origin

        def identify(said: str) -> None:
            match = re.search(rf"^{tools.chip_id_address:08x}:\s+([0-9a-f]{{8}})\b", said, re.MULTILINE)
            if match is None:
                raise TargetError(f"pyocd does not read the chip's id at {tools.chip_id_address:#010x}: check --board")
            check_chip(int(match[1], 16), job.board)

        def compare(said: str) -> None:
            match = re.search(r"Mismatched byte at (0x[0-9a-f]+)", said)
            if match is not None or "bytes match" not in said:
                where = f" at {match[1]}" if match else ""
                raise TargetError(
                    f"verification failed{where}: flash it again; if it stays, the flash is worn or locked"
                )

        read_id = f"read32 {tools.chip_id_address:#010x}"
        verify = f"compare {origin:#010x} {_quoted(job.bin)}"
        return [
            Step("identify the chip", (program, "commander", *session, "-c", read_id), identify),
            Step("write", (program, "load", *session, "--no-reset", str(job.elf))),
            Step("verify and reset", (program, "commander", *session, "-c", verify, "-c", "reset"), compare),
        ]


def _quoted(path: Path) -> str:
    """A path as pyOCD's command line splits words: like a shell."""
    return shlex.quote(str(path))


def _ask(program: str, what: str) -> dict[str, Any]:
    """What `pyocd json` answers."""
    try:
        done = subprocess.run([program, "json", what], capture_output=True, text=True, timeout=_LIST_TIMEOUT_S)
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise TargetError(
            f"{program} does not answer ({error}): install it again with `{install_command('flash')}`"
        ) from error
    if answer.get("status") != 0:
        said = str(answer.get("error", "no reason")).strip().splitlines()[-1]
        raise TargetError(f"pyocd could not list its {what.strip('-')} ({said}): run `{program} json {what}` by hand")
    return answer
