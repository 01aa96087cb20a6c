"""`tinyedge.finetune`: a trained encoder and labelled images to a classifier, trained end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Unpack

from tinyedge.announce import SILENCE, Progress
from tinyedge.api.train import train
from tinyedge.installation import missing_packages_told
from tinyedge.ssl.method_options.finetune import FinetuneOptions
from tinyedge.training.config import TrainConfig, TrainOptions, config_from_mapping, load_config
from tinyedge.training.loggers import Logger
from tinyedge.training.run import CONFIG_FILE, Run, load_run
from tinyedge.training.warm_start import with_architecture

EPOCHS = 30

_OF_METHOD = tuple(field.name for field in fields(FinetuneOptions))


class FinetuneKeywords(TrainOptions, total=False):
    """The fields of `TrainConfig` and of `FinetuneOptions`, where they are keyword arguments; see there."""

    label_fraction: float
    label_subset_seed: int
    label_smoothing: float
    cutmix_probability: float
    teacher_weight: float
    teacher_temperature: float


@missing_packages_told()
def finetune(
    run: Run | Path | str,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    download: bool = False,
    progress: Progress = SILENCE,
    loggers: Sequence[Logger | str] | None = None,
    **options: Unpack[FinetuneKeywords],
) -> Run:
    """Train a run's encoder and a classifier end to end on labelled images, and write a run of its own.

    It is `train` with the method `finetune` and `from_run`; `export` deploys the classifier that it trained.

    Args:
        run: What `train` returned, its directory, or a model of the zoo. It is left as it is.
        out: The run directory to write; None is that of `run` with `-finetuned` behind its name, for a model of the zoo
            in the current folder.
        resume: Go on from the last checkpoint in `out`.
        overwrite: Replace a run in `out`.
        download: Whether a registered data set may be downloaded.
        progress: Hears how far it is, see `tinyedge.announce`.
        loggers: Where the metrics go beside the run's files: "tensorboard", "wandb", "mlflow", and objects with the
            interface of `lightning.fabric.loggers.Logger`. None is TensorBoard in the run, where it is installed.
        **options: Fields of `TrainConfig`, such as `data="labelled/"` (by default the run's own), `epochs=30`,
            `lr_per_256`, `ema_decay` or `teacher`, and of `FinetuneOptions`: `label_fraction`, `label_smoothing`,
            `cutmix_probability`, `teacher_weight`, `teacher_temperature`. The encoder is the run's.

    Raises:
        ConfigError: An option is not valid, or `out` already holds a run.
        DataError: The data set cannot be loaded, or has no labels.
        CheckpointError: The run's training has not ended, or there is nothing to resume.
        TrainingError: The loss is not finite, the features collapsed or the device's memory is full.
    """
    source = run.path if isinstance(run, Run) else Path(run)
    out = finetuned_path(source) if out is None else Path(out)
    if resume and (out / CONFIG_FILE).is_file():
        base = load_config(out / CONFIG_FILE)  # With a checkpoint there, the run that it began with may have gone.
    else:
        found = load_run(source)
        base = TrainConfig(data=found.config.data, data_root=found.config.data_root, epochs=EPOCHS)
    given: Mapping[str, Any] = options
    settings = {key: value for key, value in given.items() if key not in _OF_METHOD}
    of_method = {key: value for key, value in given.items() if key in _OF_METHOD}
    chosen = config_from_mapping({**settings, "method": "finetune", "from_run": str(source)}, base)
    chosen = replace(chosen, method_options={**chosen.method_options, **of_method})
    if not resume:
        chosen = with_architecture(chosen, settings)
    return train(out, chosen, resume=resume, overwrite=overwrite, download=download, progress=progress, loggers=loggers)


def finetuned_path(run: Path) -> Path:
    """Return where a fine-tuned run goes if nobody says: beside the run, or of a model of the zoo here."""
    named = run if run.name.strip(".") else run.resolve()  # The current folder, or one above, has its name there only.
    return named.parent / f"{named.name}-finetuned"
