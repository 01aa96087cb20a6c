"""`tinyedge.bench`: size, speed, accuracy and bit-exactness of a model, on the host, an emulated board or a board."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import SILENCE, Progress, silent
from tinyedge.destination import check_file
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.model_path import resolve_model

if TYPE_CHECKING:
    from tinyedge.benchmark.record import BenchReport


@missing_packages_told()
def bench(
    model: Path | str,
    *,
    target: str = "host",
    board: str | None = None,
    port: str = "auto",
    timed_runs: int = 10,
    runtime: str | None = None,
    inputs: int = 20,
    seed: int = 0,
    input: Path | str | None = None,
    outputs: Path | str | None = None,
    accuracy_images: int | None = None,
    data: str | None = None,
    layers: bool = False,
    cascade: str = "auto",
    optimize: str = "balanced",
    kernels_in: str = "flash",
    weights_in: str = "flash",
    announce: Callable[[str], None] = silent,
    progress: Progress = SILENCE,
) -> "BenchReport":
    """Measure size, speed, accuracy and bit-exactness of a model.

    Args:
        model: A .tflite file (full INT8, but for the interpreters), or a run directory with an export.
        target: `host`, `emulator` or `board`.
        board: The board; None is stm32f405 on the emulator, and whatever answers at the port.
        port: The serial port of `target="board"`; `auto` finds it by its USB ids.
        timed_runs: Inferences that a board's medians are taken of.
        runtime: `onnx`, `litert`, `tflm`, `aot` or `all`; None is all on the host, `aot` elsewhere.
        inputs: How many inputs to compare: test images of a run, else random ones.
        seed: Of the random inputs.
        input: A .npy file of (n, *shape[1:]) inputs of the model's type to run instead; of several inputs a .npz file
            with an array of each, by its name or in their order.
        outputs: A .npy file that the outputs are written to; of several as records with a field of each.
        accuracy_images: Test images for the accuracy; None is all on the host, 20 elsewhere.
        data: Data set in place of a run's own, which may lie elsewhere on this machine.
        layers: Whether to measure each layer; emulator only.
        cascade: As for `tinyedge.compile`.
        optimize: As for `tinyedge.compile`.
        kernels_in: As for `tinyedge.build`; emulator only.
        weights_in: The same.
        announce: Called with the name of each step when it begins, but those of a board.
        progress: Hears how far a board is, see `tinyedge.announce`.

    Raises:
        ConfigError: There is no such target, board or runtime, the options exclude each other, or `outputs` cannot be
            written.
        ModelError: The model cannot be read or compiled.
        BudgetExceeded: It does not fit the board.
        ToolMissing: A runtime or a tool of the build is not installed.
        TargetError: The emulator or the board did not answer as it should.
    """
    resolve_model(Path(model))
    if outputs is not None:
        check_file(Path(outputs), "--outputs")
    from tinyedge.benchmark.bench import run_bench

    report, _ = run_bench(
        Path(model),
        target=target,
        board_name=board,
        runtime=runtime,
        inputs=inputs,
        seed=seed,
        input_path=None if input is None else Path(input),
        outputs_path=None if outputs is None else Path(outputs),
        accuracy_images=accuracy_images,
        data=data,
        layers=layers,
        port=port,
        timed_runs=timed_runs,
        cascade=cascade,
        optimize=optimize,
        kernels_in=kernels_in,
        weights_in=weights_in,
        announce=announce,
        progress=progress,
    )
    return report
