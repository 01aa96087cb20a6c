"""What a training run is made of: one frozen dataclass, YAML in and out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from tinyedge.atomic import write_text
from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options, convert_values, unknown_name

# A run may move to another machine and go on: these keys say where it runs, not what it computes.
PLACEMENT_KEYS = frozenset(
    {
        "accelerator",
        "devices",
        "data_root",
        "teacher",
        "checkpoint_every_s",
        "checkpoint_every_steps",
        "skipped_files",
        "compile",
        "encoder_plugin",
        "method_plugin",
    }
)

AUGMENT_PRESETS = ("strong", "weak", "teacher", "patch", "supervised")
_PRECISIONS = ("32-true", "bf16-mixed")
_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
# Of runs that were trained with Lightning; torchrun and Slurm say both.
_FORMER_KEYS = frozenset({"strategy", "num_nodes"})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the numbers of a run, and where it runs.

    `None` means "choose for me"; `tinyedge.training.train` writes the chosen value into the run's `config.yaml`.

    Attributes:
        method: Pretraining method, see `tinyedge.ssl.registry.method_names`.
        encoder: Encoder, see `tinyedge.encoders.registry.encoder_names`.
        data: Registered data set or path of an image folder.
        data_root: Folder that registered data sets are read from and downloaded to.
        held_out: Which images of a folder without a test split are not trained on, see
            `tinyedge.data.layout.Layout.held_out`; training writes it.
        skipped_files: Broken files that were left out; training writes it.
        white_level: White of 16-bit greyscale files; None takes it from the train split, see
            `tinyedge.data.white_level.find_white_level`.
        image_size: H = W in pixels; None takes the data set's own.
        channels: Of the images: 3 for RGB, or 1 for greyscale, which colour images are turned into.
        strides: Strides of the encoder's down-sampling layers; None takes its default for `image_size`.
        feature_stages: Stages, ascending to 4, whose pooled maps side by side are the encoder's feature.
        act: Activation of the encoder: `relu` is the cheapest, `gelu` the paper's; `silu` and `hard_swish` as well.
        hidden: Hidden channels of the encoder's blocks as pruning left them, first block first; None is its own.
        from_run: Run whose encoder's weights this one begins with, of the same architecture; see
            `tinyedge.training.warm_start`.
        from_digest: SHA-256 of those weights, as `probe.json` of that run has it; training writes it.
        teacher: What the method distils, see `tinyedge.training.teacher.load_teacher`; None for one without a teacher.
        teacher_digest: SHA-256 of the teacher's weights, which a resumed run has to find again; training writes it.
        enforce_budget: Refuse an encoder of 1,000,000 parameters or more.
        augment: Augmentation preset of the method's views; None takes the method's own, see
            `tinyedge.training.views.view_augment`.
        view_sizes: H = W in pixels of the views in each part of the training, parts of as many steps, ascending to
            `image_size`: early steps then cost less ("progressive learning", Tan & Le 2021, EfficientNetV2, arXiv
            2104.00298). None is `image_size` throughout.
        epochs: Passes over the train split.
        earlier_epochs: What `epochs` was before the run was resumed for another number of them: until then the learning
            rate followed that. Training writes it.
        batch_size: Images a step over all devices; None is 256, or 128 below 10,000 images.
        lr_per_256: Peak learning rate for 256 images a step; scaled linearly with `batch_size`. None takes the
            method's own.
        min_lr_fraction: Learning rate at the end of the cosine, as a fraction of the peak.
        weight_decay: AdamW weight decay; never on norms, biases and mask tokens.
        betas: AdamW momentum constants.
        grad_clip: Largest gradient norm.
        ema_decay: Decay of the average of the weights that is saved in place of the last step's; 0 saves the last
            step's.
        warmup_epochs: Linear warm-up; None is a tenth of the epochs, at most 10.
        bn_recalibration_batches: Clean batches that the batch-norm statistics are averaged over before the encoder is
            saved, at most one pass over the train split.
        seed: Seed of initial weights, data order and augmentation.
        precision: `32-true` or `bf16-mixed`; None is the latter where GPU or CPU (AVX512_BF16) have it.
        accelerator: `auto`, `cpu`, `cuda`, `mps`.
        devices: Devices of this machine, or `auto`; under torchrun or Slurm as many as were started.
        compile: Whether torch.compile makes the encoder's kernels: minutes at the start for a faster step on a GPU. Not
            for methods with gates.
        log_every_steps: Steps between two lines of `metrics.jsonl`; shorter for runs of few steps.
        checkpoint_every_s: Seconds between two checkpoints; the last step writes one too.
        checkpoint_every_steps: Steps between two checkpoints beside those; 0 for none.
        encoder_plugin: The plug-in that the encoder came from, its file or module; training writes it, and what reads
            the run again wants it named with --plugin (`tinyedge.plugins`).
        method_plugin: The same of the method.
        method_options: Options of the method; checked and completed by `tinyedge.ssl.registry.method_options`.
    """

    method: str = "s0-plus"
    encoder: str = "tinynext_t"
    data: str = "digits"
    data_root: str | None = None
    held_out: str | None = None
    skipped_files: int = 0
    white_level: int | None = None
    image_size: int | None = None
    channels: int = 3
    strides: tuple[int, ...] | None = None
    feature_stages: tuple[int, ...] = (4,)
    act: str = "relu"
    hidden: tuple[int, ...] | None = None
    from_run: str | None = None
    from_digest: str | None = None
    teacher: str | None = None
    teacher_digest: str | None = None
    enforce_budget: bool = True
    augment: str | None = None
    view_sizes: tuple[int, ...] | None = None
    epochs: int = 100
    earlier_epochs: tuple[int, ...] | None = None
    batch_size: int | None = None
    lr_per_256: float | None = None
    min_lr_fraction: float = 0.002
    weight_decay: float = 0.05
    betas: tuple[float, ...] = (0.9, 0.95)
    grad_clip: float = 1.0
    ema_decay: float = 0.0
    warmup_epochs: float | None = None
    bn_recalibration_batches: int = 50
    seed: int = 0
    precision: str | None = None
    accelerator: str = "auto"
    devices: int | str = "auto"
    compile: bool = False
    log_every_steps: int = 50
    checkpoint_every_s: float = 60.0
    checkpoint_every_steps: int = 0
    encoder_plugin: str | None = None
    method_plugin: str | None = None
    method_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least = {"epochs": 1, "log_every_steps": 1, "checkpoint_every_steps": 0, "seed": 0}
        at_least |= {"bn_recalibration_batches": 1, "batch_size": 2, "image_size": 8, "white_level": 1}
        check_options(
            self,
            positive=("lr_per_256", "grad_clip", "checkpoint_every_s"),
            not_negative=("min_lr_fraction", "weight_decay", "warmup_epochs"),
            at_least=at_least,
        )
        if self.channels not in (1, 3):
            raise ConfigError(f"channels is {self.channels}, but images have 3 (RGB) or 1 (greyscale)")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay is {self.ema_decay}, but has to be in [0, 1); 0.999 is usual")
        if self.precision is not None and self.precision not in _PRECISIONS:
            raise ConfigError(unknown_name("precision", self.precision, _PRECISIONS))
        if self.augment is not None and self.augment not in AUGMENT_PRESETS:
            raise ConfigError(unknown_name("augment", self.augment, AUGMENT_PRESETS))
        if self.view_sizes is not None and (not self.view_sizes or min(self.view_sizes) < 8):
            raise ConfigError(f"view_sizes is {list(self.view_sizes)}, but views have 8 pixels or more; write 16,24,32")
        if self.view_sizes is not None and list(self.view_sizes) != sorted(self.view_sizes):
            raise ConfigError(f"view_sizes is {list(self.view_sizes)}, but has to ascend; write 16,24,32")
        if self.accelerator not in _ACCELERATORS:
            raise ConfigError(unknown_name("accelerator", self.accelerator, _ACCELERATORS))
        if len(self.betas) != 2:
            raise ConfigError(f"betas has {len(self.betas)} values, but AdamW takes 2; write betas: [0.9, 0.95]")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas is {list(self.betas)}, but both have to be in [0, 1); write betas: [0.9, 0.95]")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain dictionaries, lists and scalars, as YAML and JSON hold it."""
        return {
            key: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
            for key, value in asdict(self).items()
        }

    def save(self, path: Path) -> None:
        """Write the configuration as YAML, whole or not at all."""
        import yaml

        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


@dataclass(frozen=True)
class Choices:
    """What a `TrainConfig` may leave open and a run has to have; see there."""

    augment: str
    batch_size: int
    lr_per_256: float
    warmup_epochs: float


class TrainOptions(TypedDict, total=False):
    """The fields of `TrainConfig`, where they are keyword arguments; see there."""

    method: str
    encoder: str
    data: str
    data_root: str | None
    image_size: int | None
    channels: int
    strides: tuple[int, ...] | None
    feature_stages: tuple[int, ...]
    act: str
    hidden: tuple[int, ...] | None
    from_run: str | None
    from_digest: str | None
    teacher: str | None
    teacher_digest: str | None
    enforce_budget: bool
    augment: str | None
    view_sizes: tuple[int, ...] | None
    epochs: int
    earlier_epochs: tuple[int, ...] | None
    batch_size: int | None
    lr_per_256: float | None
    min_lr_fraction: float
    weight_decay: float
    betas: tuple[float, ...]
    grad_clip: float
    ema_decay: float
    warmup_epochs: float | None
    bn_recalibration_batches: int
    seed: int
    precision: str | None
    accelerator: str
    devices: int | str
    compile: bool
    log_every_steps: int
    checkpoint_every_s: float
    checkpoint_every_steps: int
    encoder_plugin: str | None
    method_plugin: str | None
    held_out: str | None
    skipped_files: int
    white_level: int | None
    method_options: Mapping[str, Any]


def config_from_mapping(values: Mapping[str, Any], base: TrainConfig | None = None) -> TrainConfig:
    """Return `base` (default: a `TrainConfig` of defaults) with `values` set.

    Raises:
        ConfigError: An unknown key (with the closest match) or a value of the wrong type.
    """
    return replace(base or TrainConfig(), **convert_values(TrainConfig, values))


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Read a YAML configuration and set `overrides` (from the command line) on top.

    Raises:
        ConfigError: A missing or malformed file, an unknown key (with the closest match), a value of the wrong type.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; give an existing YAML file to --config") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: bytes, dates, long numbers
        reason = " ".join(str(error.strerror if isinstance(error, OSError) else error).split())
        raise ConfigError(f"{path} is not a readable YAML file ({reason}); mend it or leave it out") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no keys; write one `key: value` a line, such as `epochs: 100`")
    try:
        known = {key: value for key, value in values.items() if key not in _FORMER_KEYS}
        return config_from_mapping(overrides or {}, base=config_from_mapping(known))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def compose_config(path: Path | None, overrides: Mapping[str, Any], option_assignments: Sequence[str]) -> TrainConfig:
    """Return the configuration of a command line.

    Args:
        path: YAML file to start from; None starts from the defaults.
        overrides: Keys given on the command line; a value of None was not given.
        option_assignments: `key=value` texts for `method_options`, the value in YAML's notation.

    Raises:
        ConfigError: See `load_config`; or an assignment without `=`, or whose value is no YAML.
    """
    import yaml

    options: dict[str, Any] = {}
    for assignment in option_assignments:
        key, separator, value = assignment.partition("=")
        if not separator:
            raise ConfigError(f"--option {assignment} has no value; write --option KEY=VALUE")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except (ValueError, yaml.YAMLError) as error:  # ValueError: a date that does not exist
            reason = " ".join(str(error).split())
            raise ConfigError(f"--option {assignment} is no YAML ({reason}); write --option KEY=VALUE") from error
    given = {key: value for key, value in overrides.items() if value is not None}
    config = load_config(path, given) if path is not None else config_from_mapping(given)
    return replace(config, method_options={**config.method_options, **options})


def changed_keys(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Return the keys that decide a run's numbers and differ between two resolved configurations."""
    before, after = old.to_dict(), new.to_dict()
    return [key for key in before if key not in PLACEMENT_KEYS and before[key] != after[key]]
