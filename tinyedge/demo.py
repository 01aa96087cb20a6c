"""The whole way on the embedded data set: unlabelled digits to an INT8 classifier on an emulated STM32F405."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tinyedge.announce import Progress
from tinyedge.atomic import write_json
from tinyedge.boards.board import DEFAULT_BOARD, load_board
from tinyedge.errors import ConfigError, TargetError
from tinyedge.shell import command_line
from tinyedge.training.config import TrainConfig, load_config
from tinyedge.training.run import CONFIG_FILE

if TYPE_CHECKING:
    from tinyedge.benchmark.record import BenchReport
    from tinyedge.evaluation.probe import ProbeResult

_EMULATED_IMAGES = 10

# Strides (2,1,2,2,2) suit a CPU: 17 M MACs an image instead of 71 M, with the same weights.
_CONFIG = TrainConfig(
    method="s0-plus", encoder="tinynext_t", data="digits", image_size=32, strides=(2, 1, 2, 2, 2), epochs=20, seed=0
)

_CHOSEN = ("method", "encoder", "data", "image_size", "strides", "epochs", "seed")

_Figure = TypeVar("_Figure", int, float)


@dataclass(frozen=True)
class DemoResult:
    """The figures of the demo's closing table.

    Attributes:
        parameters: Of the deployed classifier.
        macs: Multiply-accumulates an image.
        random_accuracy: Linear probe on the untrained encoder, top-1 in [0, 1].
        float_accuracy: Linear probe on the pretrained encoder, top-1 in [0, 1].
        int8_accuracy: The deployed INT8 classifier on all test images, top-1 in [0, 1].
        flash_bytes: The firmware image, protocol and model included.
        flash_limit_bytes: What the board has.
        ram_bytes: Its static RAM, the arena included.
        ram_limit_bytes: What the board has.
        instructions: An inference on the emulated board.
        bit_exact: TFLite Micro on the host = our C on the host = our C on the emulated board, every output byte.
    """

    parameters: int
    macs: int
    random_accuracy: float
    float_accuracy: float
    int8_accuracy: float
    flash_bytes: int
    flash_limit_bytes: int
    ram_bytes: int
    ram_limit_bytes: int
    instructions: int
    bit_exact: bool

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return asdict(self)


def run_demo(out: Path, announce: Callable[[str], None], progress: Progress) -> DemoResult:
    """Train, probe, export, build and bench, each step as its own command would.

    Args:
        out: Where the runs go; what an earlier demo left there is replaced.
        announce: Called with the command that each step amounts to.
        progress: Hears how far a training is.

    Returns:
        The figures, which are also in `out/demo.json`.

    Raises:
        ConfigError: `out` holds a run of another configuration, which is not the demo's to replace.
    """
    random, pretrained = out / "random", out / "s0-plus"
    for folder, method in ((random, "random"), (pretrained, _CONFIG.method)):
        _check_own(folder, replace(_CONFIG, method=method))

    from tinyedge.benchmark.bench import run_bench
    from tinyedge.evaluation.probe import probe_run
    from tinyedge.exporter.export import export_run
    from tinyedge.exporter.options import ExportOptions
    from tinyedge.firmware.build import build_firmware
    from tinyedge.manifest.model_path import resolve_model
    from tinyedge.training.curves import draw_curves
    from tinyedge.training.train import train

    recipe = ("--data", "digits", "--strides", "2,1,2,2,2", "--epochs", _CONFIG.epochs)
    announce(command_line("tinyedge", "train", "--method", "random", *recipe, "--out", random))
    random_run = train(replace(_CONFIG, method="random"), random, overwrite=True, progress=progress)
    announce(command_line("tinyedge", "probe", random))
    random_probe = probe_run(random_run)
    announce(command_line("tinyedge", "train", "--method", "s0-plus", *recipe, "--out", pretrained))
    run = train(_CONFIG, pretrained, overwrite=True, progress=progress)
    draw_curves(run)
    announce(command_line("tinyedge", "probe", pretrained))
    float_probe = probe_run(run)
    announce(command_line("tinyedge", "export", pretrained, "--int8"))
    export_run(run, ExportOptions())
    announce(command_line("tinyedge", "build", pretrained, "--board", DEFAULT_BOARD, "--out", out / "firmware"))
    build_firmware(resolve_model(pretrained), load_board(DEFAULT_BOARD), out / "firmware")
    announce(command_line("tinyedge", "bench", pretrained, "--target", "host", "--runtime", "all"))
    host, _ = run_bench(pretrained, target="host")
    emulation = ("--target", "emulator", "--board", DEFAULT_BOARD, "--inputs", _EMULATED_IMAGES)
    announce(command_line("tinyedge", "bench", pretrained, *emulation))
    emulated, _ = run_bench(
        pretrained, target="emulator", board_name=DEFAULT_BOARD, inputs=_EMULATED_IMAGES, accuracy_images=0
    )
    result = _summarise(random_probe, float_probe, host, emulated)
    write_json(out / "demo.json", result.to_json())
    return result


def _check_own(folder: Path, wanted: TrainConfig) -> None:
    """Make sure that a run to be replaced is the one that the demo would train, so that nothing is lost."""
    if not (folder / CONFIG_FILE).is_file():
        return
    found = load_config(folder / CONFIG_FILE)
    if any(getattr(found, name) != getattr(wanted, name) for name in _CHOSEN):
        raise ConfigError(f"{folder} holds a run that the demo did not train: move it away, or give another --out")


def _summarise(
    random_probe: "ProbeResult", float_probe: "ProbeResult", host: "BenchReport", emulated: "BenchReport"
) -> DemoResult:
    on_host = {record.runtime: record for record in host.results}
    (on_board,) = emulated.results
    board = load_board(DEFAULT_BOARD)
    return DemoResult(
        parameters=host.model.params,
        macs=host.model.macs,
        random_accuracy=random_probe.mean,
        float_accuracy=float_probe.mean,
        int8_accuracy=_known(on_host["aot"].accuracy),
        flash_bytes=_known(on_board.flash_bytes),
        flash_limit_bytes=board.flash_bytes,
        ram_bytes=_known(on_board.ram_bytes),
        ram_limit_bytes=board.ram_bytes,
        instructions=_known(on_board.instructions),
        bit_exact=all(record.bit_exact is True for record in (on_host["tflm"], on_host["aot"], on_board)),
    )


def _known(figure: _Figure | None) -> _Figure:
    """Return a figure that the host's and the emulator's records always hold."""
    if figure is None:
        raise TargetError("a figure of the demo was not measured: run `tinyedge doctor`, then the demo again")
    return figure
