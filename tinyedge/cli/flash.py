"""`tinyedge flash`: a firmware image into a board, and the proof that the board runs it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tinyedge.boards.board import Board
    from tinyedge.devices.flash import FirmwareToFlash


def flash(
    source: Path = typer.Argument(
        ..., metavar="RUN|MODEL.tflite|ELF", help="What `tinyedge build` has built; or its .elf file itself."
    ),
    board: str = typer.Option("stm32f405", help="A board's name or its .toml file."),
    tool: str = typer.Option(None, help="pyocd, openocd or st-flash. [default: the first that is installed]"),
    probe: str = typer.Option(None, metavar="SERIAL", help="The debug probe, if several are connected."),
    port: str = typer.Option("auto", help="The board's serial port; auto finds it, none leaves out the check."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the commands and run none."),
    emulator: bool = typer.Option(False, "--emulator", help="Flash an emulated board, through its debug port."),
    serve: bool = typer.Option(False, "--serve", help="Keep the emulated board on a serial port until Ctrl-C."),
) -> None:
    """Write a firmware image, verify it, reset the board and check which model answers."""
    import shlex

    from tinyedge.boards.board import load_board
    from tinyedge.devices.flash import choose_tool, confirm_on_port, find_firmware, flash_board, flash_steps
    from tinyedge.devices.ports import AUTO, choose_port, list_ports
    from tinyedge.errors import ConfigError, TargetError

    if emulator and (tool or probe or dry_run or port != AUTO):
        raise ConfigError("--emulator takes no --tool, --probe, --port or --dry-run: leave them out")
    if serve and not emulator:
        raise ConfigError("--serve keeps an emulated board: add --emulator")
    description = load_board(board)
    firmware = find_firmware(source, description)
    if emulator:
        _flash_emulator(firmware, description, serve)
        return
    chosen, program = choose_tool(tool)
    if dry_run:
        for step in flash_steps(firmware, description, chosen, program, probe):
            typer.echo(shlex.join(step.command))
        return
    used_probe = flash_board(firmware, description, chosen, program, probe, typer.echo)
    if port == "none":
        return
    try:
        device = choose_port(list_ports(), used_probe).device if port == AUTO else port
        info = confirm_on_port(device, firmware, description)
    except TargetError as error:
        raise TargetError(f"the image is written and verified, but {error}; --port none leaves this out") from error
    typer.echo(f"{device}: m-ready; {info.board} runs {info.name} ({info.sha256})")


def _flash_emulator(firmware: "FirmwareToFlash", board: "Board", serve: bool) -> None:
    from tinyedge.devices.emulated_probe import FlashedEmulator
    from tinyedge.devices.flash import confirm
    from tinyedge.devices.pty_port import PtyPort

    with FlashedEmulator(firmware.image, board, typer.echo) as emulator:
        info = confirm(emulator.client, firmware, board)
        typer.echo(f"m-ready; the emulated {info.board} runs {info.name} ({info.sha256})")
        if not serve:
            return
        port = PtyPort(emulator.stream)
        typer.echo(f"its serial port is {port.name} until Ctrl-C")
        try:
            port.run()
        except KeyboardInterrupt:
            typer.echo("stopped")
