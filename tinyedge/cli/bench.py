"""`tinyedge bench`: size, speed, accuracy and bit-exactness of a model, on the host, an emulated board or a board."""

import json as json_module
from pathlib import Path

import typer

from tinyedge.cli.cascade import CASCADE, PATCH, chosen_cascade


def bench(
    model: Path = typer.Argument(..., metavar="RUN|MODEL.tflite", help="A run directory, or a full-INT8 .tflite file."),
    target: str = typer.Option("host", help="host, emulator or board."),
    board: str = typer.Option(
        None, help="A board's name or its .toml file. [default: stm32f405; on a port what answers there]"
    ),
    port: str = typer.Option("auto", help="The serial port of --target board; auto finds it by its USB ids."),
    timed_runs: int = typer.Option(10, min=1, help="Inferences that the medians of --target board are taken of."),
    runtime: str = typer.Option(
        None, help="onnx, litert, tflm, aot or all. [default: all on the host, aot on a board]"
    ),
    inputs: int = typer.Option(20, min=1, help="How many inputs to compare: test images of a run, else random."),
    seed: int = typer.Option(0, min=0, help="Seed of the random inputs."),
    input: Path = typer.Option(None, "--input", metavar="X.npy", help="(n, *input_shape[1:]) int8 to run instead."),
    outputs: Path = typer.Option(None, "--outputs", metavar="Y.npy", help="Where the int8 outputs go."),
    accuracy_images: int = typer.Option(
        None, min=0, help="Test images for the accuracy. [default: all on the host, 20 on a board]"
    ),
    data: str = typer.Option(None, help="Data set in place of a run's own, which may lie elsewhere on this machine."),
    layers: bool = typer.Option(False, "--layers", help="Measure each layer; emulator only."),
    cascade: str = CASCADE,
    patch: bool = PATCH,
    json: Path = typer.Option(None, "--json", metavar="FILE", help="Write the report there; - prints it."),
) -> None:
    """Measure size, speed, accuracy and bit-exactness of a model."""
    from tinyedge.benchmark.bench import run_bench
    from tinyedge.cli.tables.bench import print_bench, print_layers

    report, budgets = run_bench(
        model,
        target=target,
        board_name=board,
        runtime=runtime,
        inputs=inputs,
        seed=seed,
        input_path=input,
        outputs_path=outputs,
        accuracy_images=accuracy_images,
        data=data,
        layers=layers,
        port=port,
        timed_runs=timed_runs,
        cascade=chosen_cascade(cascade, patch),
    )
    if json is not None and str(json) == "-":
        typer.echo(json_module.dumps(report.to_json(), indent=2))
        return
    print_bench(report, budgets)
    print_layers(report)
    if json is not None:
        from tinyedge.atomic import write_json

        write_json(json, report.to_json())
        typer.echo(f"wrote {json}")
