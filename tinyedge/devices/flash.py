"""Writes a firmware image into a board's flash, and makes sure that the board runs its model."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards.board import Board
from tinyedge.devices.answers import DeviceInfo
from tinyedge.devices.elf import LoadImage, read_elf
from tinyedge.devices.flash_tools.base import PLUG_IN, UDEV, FlashTool, Job, ProbeInfo, Step, explain
from tinyedge.devices.flash_tools.openocd import Openocd
from tinyedge.devices.flash_tools.pyocd import Pyocd
from tinyedge.devices.flash_tools.st_flash import StFlash
from tinyedge.devices.flash_tools.usb import st_links
from tinyedge.devices.serial import DeviceClient, SerialStream
from tinyedge.errors import ConfigError, ModelError, TargetError, ToolMissing
from tinyedge.manifest.model_path import default_firmware_folder, resolve_model
from tinyedge.shell import command_line

# In the order in which they are preferred.
TOOLS: tuple[FlashTool, ...] = (Pyocd(), Openocd(), StFlash())

_STEP_TIMEOUT_S = 600
_BOOT_TIMEOUT_S = 30.0
_POLL_S = 0.2

Report = Callable[[str], None]


@dataclass(frozen=True)
class FirmwareToFlash:
    """An image that fits its board and holds the model that was meant.

    Attributes:
        image: What goes into the board's memories.
        bin: The same as the bytes of its flash.
        sha256: Of the model file, 64 hex digits.
    """

    image: LoadImage
    bin: Path
    sha256: str


def find_firmware(source: Path, board: Board) -> FirmwareToFlash:
    """Find the built image that a command means.

    Args:
        source: An ELF file; or a run or .tflite file whose image `tinyedge build` has put at its default place.
        board: What it has to be for.

    Raises:
        ModelError: `source` is none of these.
        TargetError: The image is not built, was built from another model or for another board.
    """
    if source.is_file() and source.read_bytes()[:4] == b"\x7fELF":
        image = read_elf(source)
        sha256 = image.model_sha256()
    else:
        model = resolve_model(source)
        if model.read_bytes()[4:8] != b"TFL3":
            raise ModelError(
                f"{model} is neither a firmware image (ELF) nor a TFLite model (no 'TFL3' at byte 4): give a .tflite "
                "file, a run, or the .elf file that `tinyedge build` has written"
            )
        elf = default_firmware_folder(source, board.name) / "tinyedge.elf"
        build = f"`{command_line('tinyedge', 'build', source, '--board', board.argument)}`"
        if not elf.is_file():
            raise TargetError(f"no firmware of {source} for {board.name} at {elf}: run {build} first")
        image, sha256 = read_elf(elf), _sha256(model)
        if image.model_sha256() != sha256:
            raise TargetError(
                f"{elf} holds the model {image.model_sha256()[:16]} and {model} is {sha256[:16]}: run {build} again"
            )
    _check_addresses(image, board)
    return FirmwareToFlash(image, image.elf.with_suffix(".bin"), sha256)


def choose_tool(name: str | None) -> tuple[FlashTool, str]:
    """Return a tool and how its program is called.

    Args:
        name: Of one of `TOOLS`; None for the first that is installed.

    Raises:
        ConfigError: There is no such tool.
        ToolMissing: It is not installed; or none is.
    """
    if name is not None and name not in (tool.name for tool in TOOLS):
        raise ConfigError(f"no tool {name!r}: choose --tool {', '.join(tool.name for tool in TOOLS)}")
    wanted = [tool for tool in TOOLS if name in (None, tool.name)]
    for tool in wanted:
        program = tool.find()
        if program is not None:
            return tool, program
    hints = " or ".join(f"`{tool.hint}`" for tool in wanted)
    raise ToolMissing(f"{f'{name} is not' if name else 'no program that writes flash is'} installed: run {hints}")


def choose_probe(probes: list[ProbeInfo], wanted: str | None) -> ProbeInfo:
    """Return the probe asked for, or the only one.

    Args:
        probes: The connected ones.
        wanted: Its serial number; None for the only one.

    Raises:
        TargetError: It is not there; or none is; or several are.
    """
    listed = ", ".join(f"{probe.id or 'no serial number'} ({probe.description})" for probe in probes)
    if not probes:
        # The tools leave out what they may not open.
        raise TargetError(UDEV if st_links() else f"no debug probe is connected: {PLUG_IN}")
    matching = [probe for probe in probes if wanted is None or wanted == probe.id]
    if not matching:
        raise TargetError(f"no debug probe {wanted}; connected: {listed}; choose one with --probe")
    if len(matching) > 1:
        raise TargetError(f"{len(probes)} debug probes are connected: {listed}; choose one with --probe")
    return matching[0]


def flash_steps(
    firmware: FirmwareToFlash, board: Board, tool: FlashTool, program: str, probe: str | None
) -> list[Step]:
    """Return the commands that write `firmware`.

    Args:
        firmware: What to write.
        board: Where.
        tool: With what.
        program: How it is called.
        probe: The serial number of the debug probe; None for the only one.

    Raises:
        ConfigError: The board exists in the emulator only.
        TargetError: The .bin beside the ELF file is missing or another.
    """
    board.required_flash_tools  # noqa: B018 - raises where there are none
    flat = firmware.image.bytes_from(board.flash.origin, board.flash.bytes)
    if not firmware.bin.is_file() or firmware.bin.read_bytes() != flat:
        raise TargetError(
            f"{firmware.bin} does not hold the bytes of {firmware.image.elf.name}: run `tinyedge build` again, which "
            "writes both"
        )
    return tool.steps(program, Job(firmware.image.elf, firmware.bin, board, probe))


def flash_board(
    firmware: FirmwareToFlash, board: Board, tool: FlashTool, program: str, probe: str | None, report: Report
) -> str | None:
    """Write, verify and reset a board through its debug probe.

    Args:
        firmware: What to write.
        board: Where.
        tool: With what.
        program: How it is called.
        probe: The serial number of the debug probe; None for the only one.
        report: Called with a sentence about each step that is done.

    Returns:
        The serial number of the probe; None where nobody can tell.

    Raises:
        TinyEdgeError: There is no probe, there are several, the chip is another, or a step failed.
    """
    steps = flash_steps(firmware, board, tool, program, probe)  # A mistake shows before the probe is touched.
    tool.check_support(program, board)
    probes = tool.probes(program, board)
    if probes is not None:
        probe = choose_probe(probes, probe).id or None
        steps = flash_steps(firmware, board, tool, program, probe)
    for step in steps:
        started = time.monotonic()
        _run(tool, step)
        report(f"{tool.name}: {step.purpose}, done in {time.monotonic() - started:.1f} s")
    return probe


def confirm(client: DeviceClient, firmware: FirmwareToFlash, board: Board) -> DeviceInfo:
    """Wait until a device that has just been reset answers, and make sure that it runs what was written.

    Raises:
        TargetError: It does not answer, or runs another image.
    """
    deadline = time.monotonic() + _BOOT_TIMEOUT_S
    while True:
        try:
            client.handshake()
            break
        except TargetError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
    info = client.info()
    if not info.sha256 or not firmware.sha256.startswith(info.sha256) or info.board != board.name:
        raise TargetError(
            f"the port answers as {info.board} with the model {info.name} ({info.sha256}), not as {board.name} with "
            f"{firmware.sha256[:16]}: another board is on that port, choose the right one with --port"
        )
    return info


def confirm_on_port(port: str, firmware: FirmwareToFlash, board: Board) -> DeviceInfo:
    """`confirm` for a board on a serial port."""
    client = DeviceClient(SerialStream(port, board.baud))
    try:
        return confirm(client, firmware, board)
    finally:
        client.close()


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_addresses(image: LoadImage, board: Board) -> None:
    regions = [region for region in (board.flash, board.boot) if region is not None]
    for segment in image.segments:
        if not any(region.origin <= segment.address and segment.end <= region.end for region in regions):
            raise TargetError(
                f"{image.elf} loads {segment.address:#010x} to {segment.end:#010x}, which is no flash of {board.name}: "
                f"build it with {command_line('--board', board.argument)}, or flash it with the board that it is for"
            )


def _run(tool: FlashTool, step: Step) -> None:
    try:
        done = subprocess.run(
            step.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_STEP_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"{tool.name} stopped ({error}): unplug the probe, plug it in and try again") from error
    if done.returncode != 0:
        raise TargetError(explain(tool, step, done.stdout))
    step.check(done.stdout)
