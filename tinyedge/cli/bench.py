"""`tinyedge bench`: size, speed, accuracy and bit-exactness of a model, on the host, an emulated board or a board."""

from pathlib import Path

import typer

from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.cli.cascade import CASCADE, PATCH, chosen_cascade
from tinyedge.cli.completions import ALL_RUNTIMES, BOARDS, TARGETS, zoo_models
from tinyedge.cli.optimize import OPTIMIZE
from tinyedge.cli.output import JSON, JSON_FILE, given, print_json, print_next, refuse_json_file, report_console
from tinyedge.cli.placement import KERNELS_IN, WEIGHTS_IN
from tinyedge.shell import command_line


def bench(
    model: Path = typer.Argument(
        ...,
        metavar="RUN|MODEL.tflite",
        autocompletion=zoo_models,
        help="A run directory, or a .tflite file: full INT8, but for tflm and litert.",
    ),
    target: str = typer.Option(
        "host", autocompletion=TARGETS, help="host, emulator or board.", rich_help_panel="Target"
    ),
    board: str = typer.Option(
        None,
        autocompletion=BOARDS,
        help="A board's name or its .toml file.",
        show_default=f"{DEFAULT_BOARD}; on a port what answers there",
        rich_help_panel="Target",
    ),
    port: str = typer.Option(
        "auto", help="The serial port of --target board; auto finds it by its USB ids.", rich_help_panel="Target"
    ),
    timed_runs: int = typer.Option(
        10, min=1, help="Inferences that the medians of --target board are taken of.", rich_help_panel="Target"
    ),
    runtime: str = typer.Option(
        None,
        autocompletion=ALL_RUNTIMES,
        help="onnx, litert, tflm, aot or all.",
        show_default="all on the host, aot on a board",
    ),
    inputs: int = typer.Option(
        20, min=1, help="How many inputs to compare: test images of a run, else random.", rich_help_panel="Inputs"
    ),
    seed: int = typer.Option(0, min=0, help="Seed of the random inputs.", rich_help_panel="Inputs"),
    input: Path = typer.Option(
        None,
        "--input",
        metavar="X.npy|X.npz",
        help="Inputs to run instead, (n, *shape[1:]) of the model's type; of several an archive by their names.",
        rich_help_panel="Inputs",
    ),
    outputs: Path = typer.Option(
        None, "--outputs", metavar="Y.npy", help="Where the outputs go.", rich_help_panel="Inputs"
    ),
    accuracy_images: int = typer.Option(
        None,
        min=0,
        help="Test images for the accuracy.",
        show_default="all on the host, 20 on a board",
        rich_help_panel="Inputs",
    ),
    data: str = typer.Option(
        None,
        help="Data set in place of a run's own, which may lie elsewhere on this machine.",
        rich_help_panel="Inputs",
    ),
    layers: bool = typer.Option(False, "--layers", help="Measure each layer; emulator only."),
    cascade: str = CASCADE,
    optimize: str = OPTIMIZE,
    kernels_in: str = KERNELS_IN,
    weights_in: str = WEIGHTS_IN,
    patch: bool = PATCH,
    json: bool = JSON,
    json_file: str = JSON_FILE,
) -> None:
    """Measure size, speed, accuracy and bit-exactness of a model."""
    refuse_json_file(json_file, command_line("tinyedge", "bench", model))
    from rich.console import Console

    from tinyedge.api.bench import bench as run_bench
    from tinyedge.cli.board_progress import BoardProgress
    from tinyedge.cli.steps import StepProgress

    shown = Console(stderr=True)
    with StepProgress(shown) as steps, BoardProgress(shown) as progress:
        report = run_bench(
            model,
            target=target,
            board=board,
            runtime=runtime,
            inputs=inputs,
            seed=seed,
            input=input,
            outputs=outputs,
            accuracy_images=accuracy_images,
            data=data,
            layers=layers,
            port=port,
            timed_runs=timed_runs,
            cascade=chosen_cascade(cascade, patch),
            optimize=optimize,
            kernels_in=kernels_in,
            weights_in=weights_in,
            announce=steps.begin,
            progress=progress,
        )

    from tinyedge.benchmark.budget import budget_rows
    from tinyedge.boards.board import load_board
    from tinyedge.cli.tables.bench import print_bench, print_layers

    console = report_console(json)
    measured = board or report.results[0].board or DEFAULT_BOARD
    if json:
        print_json(report.to_json())
    else:
        print_bench(report, budget_rows(report, load_board(measured)), console)
        print_layers(report, console)
    # What was measured without our C may not compile.
    alike = () if any(result.runtime == "aot" for result in report.results) else ("--runtime", "tflm")
    following = {
        "host": ("bench", model, "--target", "emulator", *given(board=board, data=data), *alike),
        "emulator": ("build", model, "--board", measured, *alike),
        "board": ("compile", model, "--out", "c"),
    }
    print_next(console, command_line("tinyedge", *following[target]))
