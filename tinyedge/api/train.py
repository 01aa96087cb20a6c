"""`tinyedge.train`: unlabelled images to an encoder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from tinyedge.announce import SILENCE, Progress
from tinyedge.errors import DataError
from tinyedge.evaluation.protocols import OWN
from tinyedge.installation import missing_packages_told
from tinyedge.training.check import check_training
from tinyedge.training.config import TrainConfig, TrainOptions, config_from_mapping, load_config
from tinyedge.training.launch import find_place
from tinyedge.training.loggers import Logger, check_loggers
from tinyedge.training.run import CONFIG_FILE, Run
from tinyedge.training.warm_start import with_architecture


@missing_packages_told()
def train(
    out: Path | str,
    config: TrainConfig | Path | str | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    download: bool = False,
    progress: Progress = SILENCE,
    loggers: Sequence[Logger | str] | None = None,
    **options: Unpack[TrainOptions],
) -> Run:
    """Pretrain an encoder on unlabelled images and write a run directory.

    With several devices a script keeps its work behind `if __name__ == "__main__"`: the other processes import it.

    Args:
        out: The run directory.
        config: What to start from: a configuration, or a YAML file of one; by default the run's own with `resume`, else
            all defaults.
        resume: Go on from the last checkpoint in `out`; on a CPU, to the same numbers as an uninterrupted run. With
            another number of `epochs` it goes on to that one, and its learning rate is that of such a run from there.
        overwrite: Replace a run in `out`.
        download: Whether a registered data set may be downloaded.
        progress: Hears how far it is, see `tinyedge.announce`.
        loggers: Where the metrics go beside the run's files: "tensorboard", "wandb", "mlflow", and objects with the
            interface of `lightning.fabric.loggers.Logger`. None is TensorBoard in the run, where it is installed.
        **options: Fields of `TrainConfig`, such as `data="digits"`, `method="s0-plus"` or `epochs=100`, set on top of
            `config`; `method_options` on top of its. With `from_run` and no `config`, what is left out of the encoder
            is that run's.

    Raises:
        ToolMissing: The package of a logger is not installed.
        ConfigError: An option is not valid, `out` already holds a run, a resumed run's configuration has changed, or it
            has trained more epochs than it is resumed for.
        DataError: The data set cannot be loaded.
        BudgetExceeded: The encoder has too many parameters.
        CheckpointError: There is nothing to resume, or it is corrupt.
        TrainingError: The loss is not finite, the features collapsed or the device's memory is full; the last good
            checkpoint is kept.
        TinyEdgeError: The disk is full; the last good checkpoint is kept.
    """
    out = Path(out)
    if config is None and resume and (out / CONFIG_FILE).is_file():
        config = out / CONFIG_FILE
    base = config if isinstance(config, TrainConfig) else TrainConfig() if config is None else load_config(Path(config))
    chosen = config_from_mapping(options, base)
    chosen = replace(chosen, method_options={**base.method_options, **options.get("method_options", {})})
    if not resume:  # Else its choices are made.
        chosen = with_architecture(chosen, options if config is None else {*base.to_dict()})
    check_loggers(loggers)
    if find_place() is None:  # else the first rank checks, and tells the others
        check_training(chosen, out, resume=resume, overwrite=overwrite, download=download)
        progress.say("loading PyTorch")
    from tinyedge.ssl.distributed import is_first_rank
    from tinyedge.training.curves import draw_curves
    from tinyedge.training.train import train as train_run

    run = train_run(
        chosen, out, resume=resume, overwrite=overwrite, download=download, progress=progress, loggers=loggers
    )
    if is_first_rank():
        draw_curves(run)
        if run.has_own_classifier:
            _measure(run, progress)
    return run


def _measure(run: Run, progress: Progress) -> None:
    """Write into `probe.json` how good the classifier is that was trained with the encoder."""
    from tinyedge.evaluation.probe import probe_run

    progress.say("measuring the classifier on the test images")
    try:
        probe_run(run, protocol=OWN, seeds=1)
    except DataError as error:  # Trained it is all the same.
        progress.say(f"not measured: {error}")
