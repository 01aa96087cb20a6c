"""Whether a run can start, as far as that shows before torch is imported."""

from pathlib import Path

from tinyedge.data.registry import check_dataset
from tinyedge.destination import check_folder
from tinyedge.encoders.registry import check_encoder, check_feature_stages
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.plugins import require_plugin
from tinyedge.plural import counted
from tinyedge.ssl.registry import check_start_given, check_teacher
from tinyedge.training.config import TrainConfig
from tinyedge.training.metrics import read_metrics
from tinyedge.training.overwrite import check_replaceable
from tinyedge.training.run import CHECKPOINT_FILE, CONFIG_FILE, METRICS_FILE
from tinyedge.training.run_lock import locked_run
from tinyedge.training.teacher_source import check_source, chosen_options
from tinyedge.training.warm_start import check_start

_ANY_SIZE = 32  # pixels, where the data set decides: names, strides and activations are the same for all


def check_training(
    config: TrainConfig, out: Path, *, resume: bool = False, overwrite: bool = False, download: bool = False
) -> None:
    """Refuse what `tinyedge.training.train.train` would refuse, before anything heavy is imported or written.

    See there for the arguments.

    Raises:
        ConfigError: An unknown name or option, or `out` cannot be trained into.
        DataError: The data set is missing.
        CheckpointError: There is nothing to resume, or the teacher or the run to begin with is none.
    """
    for plugin in (config.encoder_plugin, config.method_plugin):
        require_plugin(plugin, out)
    _check_directory(out, resume, overwrite)
    if resume:
        records = read_metrics(out / METRICS_FILE)  # A checkpoint, which only PyTorch reads, may be a little further.
        check_epochs(config.epochs, records[-1].get("epoch", 0.0) if records else 0.0, out)
    chosen_options(config)
    check_teacher(config.method, config.teacher is not None)
    if config.teacher is not None:
        check_source(config.teacher)
    check_start_given(config.method, config.from_run is not None)
    if config.from_run is not None and not (resume and (out / CHECKPOINT_FILE).is_file()):
        check_start(config.from_run, config, out)  # With a checkpoint, the run has gone on from there.
    size = config.image_size or _ANY_SIZE
    check_encoder(config.encoder, input_size=size, strides=config.strides, act=config.act)
    check_feature_stages(config.feature_stages)
    root = Path(config.data_root) if config.data_root else None
    check_dataset(config.data, image_size=config.image_size, root=root, download=download)


def check_epochs(epochs: int, done: float, out: Path) -> None:
    """Refuse to resume a run for fewer epochs than it has trained.

    Args:
        epochs: Asked for.
        done: Passes over the train split so far.
        out: The run directory.

    Raises:
        ConfigError: They are fewer.
    """
    if epochs < done:
        raise ConfigError(
            f"{out} has trained {counted(float(f'{done:.4g}'), 'epoch')} already, and --epochs {epochs} is fewer; "
            "leave out --epochs to end it as it was begun, or give more"
        )


def _check_directory(out: Path, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError(f"{out} can be gone on with or replaced, not both; leave out --resume or --overwrite")
    holds_run = (out / CONFIG_FILE).is_file()
    if resume and not holds_run:
        raise CheckpointError(f"{out} holds no run to resume; leave out --resume to start one")
    if holds_run and not (resume or overwrite):
        raise ConfigError(f"{out} already holds a run; add --resume to go on, add --overwrite, or give another --out")
    check_folder(out, "give another folder to --out")
    if out.exists() and not holds_run and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty and holds no run; give another folder to --out")
    with locked_run(out):
        pass
    if overwrite and holds_run:
        check_replaceable(out)
