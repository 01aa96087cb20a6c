"""How a run is exported, and whether it can be; free of torch."""

from dataclasses import dataclass, field
from pathlib import Path

from tinyedge.destination import written_parts
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.manifest.manifest import EXPORT_FILES
from tinyedge.parity.gate_limits import Gates, NetworkGates
from tinyedge.quantisation.calibration import FEWEST_CALIBRATION_IMAGES
from tinyedge.shell import command_line
from tinyedge.training.run import CLASSIFIER_FILE

PRECISIONS = ("int8", "mixed", "16x8")


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        int8: Whether to write a quantised model, or the float ones alone.
        calibration_images: How many train images set the activations' ranges; where there are fewer, all of them.
        seed: Of their draw.
        gates: What the export has to hold.
        precision: Of the quantised model: "int8", "16x8" wherever TFLite Micro has it, or "mixed": 16x8 where
            `choose_wide` finds it worth its cost.
        sensitivity: Whether to write `sensitivity.json`, which "mixed" always does.
        qat_epochs: Passes over the train images of the quantisation-aware finish, of "int8" alone; 0 is none.

    Raises:
        ConfigError: There is no such precision, the options contradict each other, or they ask for too few calibration
            images.
    """

    int8: bool = True
    calibration_images: int = 512
    seed: int = 0
    gates: Gates = field(default_factory=Gates)
    precision: str = "int8"
    sensitivity: bool = False
    qat_epochs: float = 0.0

    @property
    def model_file(self) -> str | None:
        """The name of the quantised model."""
        return f"model_{self.precision}.tflite" if self.int8 else None

    def __post_init__(self) -> None:
        if self.qat_epochs < 0 or (self.qat_epochs > 0 and (not self.int8 or self.precision != "int8")):
            raise ConfigError(f"--qat {self.qat_epochs:g} does not fit: it takes epochs above 0, and --precision int8")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"no such precision: {self.precision}; choose --precision {', '.join(PRECISIONS)}")
        if not self.int8 and (self.precision != "int8" or self.sensitivity):
            raise ConfigError("--float quantises nothing; leave it out, or leave --precision and --sensitivity out")
        if self.calibration_images < FEWEST_CALIBRATION_IMAGES:
            raise ConfigError(
                f"{self.calibration_images} calibration images are too few; "
                f"pass --calibration {FEWEST_CALIBRATION_IMAGES} or more"
            )


@dataclass(frozen=True)
class QuantiseOptions:
    """How to quantise anybody's network.

    Attributes:
        precision: "int8", "mixed" or "16x8", as for an export.
        calibration_count: How many samples set the activations' ranges, at most.
        seed: Of their draw.
        qat_epochs: Passes over them of the quantisation-aware finish, of "int8" alone; 0 is none.
        layers: Whether to compare layer by layer.
        gates: What the result has to hold.

    Raises:
        ConfigError: There is no such precision, the options contradict each other, or a number is out of its range.
    """

    precision: str = "int8"
    calibration_count: int = 512
    seed: int = 0
    qat_epochs: float = 0.0
    layers: bool = False
    gates: NetworkGates = field(default_factory=NetworkGates)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"no such precision: {self.precision}; choose --precision {', '.join(PRECISIONS)}")
        if self.qat_epochs < 0 or (self.qat_epochs > 0 and self.precision != "int8"):
            raise ConfigError(f"--qat {self.qat_epochs:g} does not fit: it takes epochs above 0, and --precision int8")
        if self.calibration_count < FEWEST_CALIBRATION_IMAGES:
            raise ConfigError(
                f"{self.calibration_count} calibration samples are too few; "
                f"pass --calibration-count {FEWEST_CALIBRATION_IMAGES} or more"
            )
        if not 0 <= self.gates.cosine <= 1:
            raise ConfigError(f"--min-cosine {self.gates.cosine:g} is not between 0 and 1")


def check_export_folder(folder: Path) -> None:
    """Refuse a folder that an export would replace with what it does not consist of, before anything heavy is imported.

    Args:
        folder: May be absent.

    Raises:
        ConfigError: It holds something that no export wrote, which is named.
    """
    written_parts(folder, EXPORT_FILES, "move it away and export again")


def check_exportable(run_path: Path) -> None:
    """Refuse a run whose classifier is missing.

    Raises:
        CheckpointError: It has not been probed.
    """
    path = run_path / CLASSIFIER_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist, so there is no classifier to export; "
            f"run `{command_line('tinyedge', 'probe', run_path)}` first, or pass --encoder-only"
        )
