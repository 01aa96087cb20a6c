"""`tinyedge flash`: a firmware image into a board, and the proof that the board runs it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.completions import BOARDS, zoo_models
from tinyedge.cli.output import JSON, given, print_json, print_next, report_console
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from tinyedge.boards.board import Board
    from tinyedge.devices.flash import FirmwareToFlash


def flash(
    source: Path = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite|ELF",
        autocompletion=zoo_models,
        help="What `tinyedge build` has built; or its .elf file itself.",
    ),
    board: str = typer.Option(DEFAULT_BOARD, autocompletion=BOARDS, help="A board's name or its .toml file."),
    tool: str = typer.Option(None, help="pyocd, openocd or st-flash.", show_default="the first that is installed"),
    probe: str = typer.Option(None, metavar="SERIAL", help="The debug probe, if several are connected."),
    port: str = typer.Option("auto", help="The board's serial port; auto finds it, none leaves out the check."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the commands and run none."),
    emulator: bool = typer.Option(False, "--emulator", help="Flash an emulated board, through its debug port."),
    serve: bool = typer.Option(False, "--serve", help="Keep the emulated board on a serial port until Ctrl-C."),
    json: bool = JSON,
) -> None:
    """Write a firmware image, verify it, reset the board and check which model answers."""
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
    console = report_console(json)

    def say(sentence: str) -> None:
        console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    if emulator:
        report = _flash_emulator(firmware, description, serve, say)
    else:
        chosen, program = choose_tool(tool)
        if dry_run:
            commands = [
                command_line(*step.command) for step in flash_steps(firmware, description, chosen, program, probe)
            ]
            if json:
                print_json({"board": description.name, "image": str(firmware.image.elf), "commands": commands})
            for command in () if json else commands:
                typer.echo(command)
            print_next(
                console,
                command_line(
                    "tinyedge",
                    "flash",
                    source,
                    *given(board=board, tool=tool, probe=probe, port=None if port == AUTO else port),
                ),
            )
            return
        used_probe = flash_board(firmware, description, chosen, program, probe, say)
        report = {"board": description.name, "image": str(firmware.image.elf), "port": None}
        if port != "none":
            try:
                device = choose_port(list_ports(), used_probe).device if port == AUTO else port
                info = confirm_on_port(device, firmware, description)
            except TargetError as error:
                raise TargetError(
                    f"the image is written and verified, but {error}; --port none leaves this out"
                ) from error
            say(f"{device}: m-ready; {info.board} runs {info.name} ({info.sha256})")
            report |= {"port": device, "model": info.name, "sha256": info.sha256}
    if json:
        print_json(report)
    model = "MODEL.tflite" if source.suffix == ".elf" else source
    place = given(target="emulator", board=board) if emulator else given(target="board", port=report["port"])
    print_next(console, command_line("tinyedge", "bench", model, *place))


def _flash_emulator(
    firmware: "FirmwareToFlash", board: "Board", serve: bool, say: Callable[[str], None]
) -> dict[str, str | None]:
    from tinyedge.devices.emulated_probe import FlashedEmulator
    from tinyedge.devices.flash import confirm
    from tinyedge.devices.pty_port import PtyPort

    with FlashedEmulator(firmware.image, board, say) as emulator:
        info = confirm(emulator.client, firmware, board)
        say(f"m-ready; the emulated {info.board} runs {info.name} ({info.sha256})")
        if serve:
            port = PtyPort(emulator.stream)
            say(f"its serial port is {port.name} until Ctrl-C")
            try:
                port.run()
            except KeyboardInterrupt:
                say("stopped")
    return {
        "board": board.name,
        "image": str(firmware.image.elf),
        "port": None,
        "model": info.name,
        "sha256": info.sha256,
    }
