"""`tinyedge compile`: a full-INT8 model as C99 for any project."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tinyedge.cli.cascade import CASCADE, PATCH, chosen_cascade
from tinyedge.cli.completions import BOARDS, zoo_models
from tinyedge.cli.optimize import OPTIMIZE
from tinyedge.cli.output import JSON, print_files, print_json, print_next, report_console
from tinyedge.plural import counted
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from tinyedge.compiler.compile import CompileReport

_TITLES = {
    "cmake": "CMake",
    "zephyr": "Zephyr",
    "arduino": "Arduino",
    "esp-idf": "ESP-IDF",
    "platformio": "PlatformIO",
    "cmsis-pack": "CMSIS-Pack",
    "make": "make",
}


def compile(
    model: Path = typer.Argument(
        ..., metavar="RUN|MODEL.tflite", autocompletion=zoo_models, help="A full-INT8 model, or a run with an export."
    ),
    out: Path = typer.Option(..., "--out", help="Folder for the C sources; other models in it stay."),
    name: str = typer.Option(
        None,
        "--name",
        help="What the model is called in C: ic gives ic_model.h, ic_invoke(). Default: as the file or run.",
    ),
    board: str = typer.Option(
        None,
        "--board",
        autocompletion=BOARDS,
        help="Choose kernels by their costs on a board, and tell in C the stack of an inference, found with the cross "
        "compiler.",
    ),
    instruction_set: str = typer.Option(
        None,
        "--instruction-set",
        help="portable: any processor; scalar: Cortex-M0+, M3, M23; dsp: M4, M7, M33; mve: M55, M85; wasm: "
        "WebAssembly. Default: the board's, or portable.",
    ),
    without: list[str] = typer.Option([], "--without", help="A pass to leave out; may be given again."),
    cascade: str = CASCADE,
    patch: bool = PATCH,
    quantised_ends: bool = typer.Option(
        False,
        "--quantised-ends",
        help="Take and give the int8 or int16 inside, where the model converts from and to float32 or uint8 itself.",
    ),
    optimize: str = OPTIMIZE,
    layout: list[str] = typer.Option(
        [],
        "--layout",
        help="A build system to make the folder for: cmake, zephyr, arduino, esp-idf, platformio, cmsis-pack or make; "
        "may be given again. Its example compares an inference with TFLite Micro's. Default: the first four, without "
        "that.",
    ),
    plan: Path = typer.Option(None, "--plan", help="A PNG to draw the memory plan into."),
    json: bool = JSON,
) -> None:
    """Compile a model to standalone C99: no malloc, no interpreter, floats only where a model takes or gives them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tinyedge.api.compile import compile as compile_to_c
    from tinyedge.cli.steps import StepProgress
    from tinyedge.destination import check_file
    from tinyedge.installation import package_missing
    from tinyedge.plots.memory import plot_plan

    if plan is not None and find_spec("matplotlib") is None:
        raise package_missing("matplotlib")
    if plan is not None:
        check_file(plan, "--plan")
    chosen = chosen_cascade(cascade, patch)
    with StepProgress(Console(stderr=True)) as progress:
        progress.begin("compiling")
        report = compile_to_c(
            model,
            out,
            name=name,
            board=board,
            instruction_set=instruction_set,
            without=without,
            cascade=chosen,
            quantised_ends=quantised_ends,
            optimize=optimize,
            layouts=layout,
        )
    if plan is not None:
        plot_plan(report.plan, report.model.name, plan)
    console = report_console(json)
    following = _next_command(report)
    if json:
        print_json(report.to_json())
        print_next(console, following)
        return
    kernels = [size for path, size in report.files.items() if path.startswith("src/kernels/")]
    systems = _listed([_TITLES[layout] for layout in report.layouts])
    print_files(console, *(report.directory / "src" / f"{report.name}_model.{ending}" for ending in "ch"))
    console.print(
        f"{report.directory / 'src' / 'kernels'}/  {sum(kernels):,} bytes in {counted(len(kernels), 'file')}, "
        f"and what {systems} {'asks' if len(report.layouts) == 1 else 'ask'} for",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if report.golden_source is not None:
        console.print(
            f"the examples run one inference, whose output has to be that of {report.golden_source}",
            highlight=False,
            soft_wrap=True,
        )
    if report.foreign:
        console.print(f"left as they are: {', '.join(report.foreign)}", highlight=False, soft_wrap=True, markup=False)
    operators = Table(
        "operator", "in the model", "to run", title=escape(f"{report.model.name} in {report.seconds:.2f} s")
    )
    for operator, count in report.operators_before.items():
        operators.add_row(escape(operator), str(count), str(report.operators_after.get(operator, 0)))
    console.print(operators)
    costs = Table("cost", "value")
    costs.add_row("instruction set", report.instruction_set)
    costs.add_row("arena", f"{report.arena_bytes:,} bytes (lower bound {report.lower_bound_bytes:,})")
    for first, last, rows in report.cascades:
        costs.add_row(f"layers {first} to {last}", f"{counted(rows, 'row')} at a time")
    if report.state_bytes:
        costs.add_row("states", f"{report.state_bytes:,} bytes that last from one inference to the next")
    if report.stack_bytes is not None:
        costs.add_row("stack", f"{report.stack_bytes:,} bytes on {board}")
    costs.add_row("constants", f"{report.constant_bytes:,} bytes")
    costs.add_row("parameters", f"{report.parameters:,}")
    costs.add_row("multiply-accumulates", f"{report.macs:,}")
    console.print(costs)
    for kept in report.kept_kernels:
        console.print(f"{kept.layer} runs {kept.kernel}: {kept.because}", highlight=False, soft_wrap=True, markup=False)
    if plan is not None:
        console.print(f"{plan}  the memory plan", highlight=False, soft_wrap=True, markup=False)
    print_next(console, following)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _next_command(report: "CompileReport") -> str:
    """What builds the example of the report's first layout."""
    example = report.directory / "examples" / report.name
    build = f"build/{report.name}"
    match report.layouts[0]:
        case "zephyr":
            return command_line("west", "build", "-b", "BOARD", example / "zephyr")
        case "arduino":
            return command_line("arduino-cli", "compile", "-b", "BOARD", "--library", report.directory, example)
        case "esp-idf":
            return command_line("idf.py", "-C", example / "esp_idf", "set-target", "esp32s3", "build")
        case "platformio":
            return command_line("pio", "run", "-d", example / "platformio", "-e", "native")
        case "cmsis-pack":
            (description,) = (path for path in report.files if path.endswith(".pdsc"))
            return command_line("cpackget", "add", report.directory / description)
        case "make":
            return command_line("make", "-C", report.directory, "check")
    configure = command_line("cmake", "-S", example / "cmake", "-B", build)
    return f"{configure} && {command_line('cmake', '--build', build)}"
