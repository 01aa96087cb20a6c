"""The `tinyedge` program: its commands, and what it says when something is wrong."""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import typer

from tinyedge.cli.usage import Command, describe_refusal
from tinyedge.errors import TinyEdgeError
from tinyedge.installation import missing_packages_told
from tinyedge.version import __version__

GROUPS = {
    "Train": ("train", "watch", "finetune", "probe", "detect"),
    "Export": ("export", "quantise", "requantise", "report", "pack"),
    "Compile": ("check", "compile", "build", "bench"),
    "Run": ("predict", "web", "flash", "enroll"),
    "Begin": ("demo", "doctor"),
}
"""What `--help` shows, in the order of the work. Each module `tinyedge.cli.NAME` holds the function NAME."""

COMMANDS = tuple(name for names in GROUPS.values() for name in names)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"tinyedge {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def make_app(words: Sequence[str] = ()) -> typer.Typer:
    """Return what parses a command line.

    Args:
        words: After the program's name. Where the first is a command, no other command is imported: together they
            take longer than many a command itself.
    """
    app = typer.Typer(
        name="tinyedge",
        help="Unlabelled images in, a proven INT8 vision encoder on a Cortex-M out.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in [name for name in COMMANDS if name in words[:1]] or COMMANDS:
        group = next((group for group, names in GROUPS.items() if name in names), None)
        command = getattr(importlib.import_module(f"tinyedge.cli.{name}"), name)
        app.command(name=name, cls=Command, rich_help_panel=group)(command)
    return app


def _end(number: int, _: FrameType | None) -> None:
    """End as Ctrl-C does: what is half-written is removed, and programs that were started end."""
    _say("stopped")
    sys.exit(128 + number)


def _let_threads_sleep() -> None:
    """Have OpenMP's threads wait for each other a few microseconds actively, and then asleep.

    PyTorch's library spins for a millisecond, in which the thread that is waited for may have no processor: beside one
    other program on two processors that trains a twentieth as fast. Sleeping at once costs an idle machine a third.
    Libraries without the count sleep at once.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "4000"}


def main() -> None:
    """Run the command line; a `TinyEdgeError` becomes one sentence on standard error and its exit code.

    So does a missing package of an extra. Whatever else could not be imported is a defect, and stays a traceback.
    """
    _let_threads_sleep()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    try:
        with missing_packages_told():
            sys.exit(make_app(sys.argv[1:])(prog_name="tinyedge", standalone_mode=False) or 0)
    except TinyEdgeError as error:
        _say(f"{error.title}: {error}")
        sys.exit(error.exit_code)
    except typer.Abort:
        _say("stopped")
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # The parser's usage errors have it, and no class of them is typer's.
            raise
        if not error.format_message():  # No arguments at all: its help is the answer.
            error.show()  # type: ignore[attr-defined]
        else:
            _say(f"error: {describe_refusal(error)}")
        sys.exit(2)


def _say(sentence: str) -> None:
    typer.secho(sentence, fg=typer.colors.RED, err=True)
