"""Pretraining, from a configuration to a run directory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from tinyedge.announce import SILENCE, Progress
from tinyedge.atomic import atomic_path
from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageDataset, ImageSplit
from tinyedge.data.registry import absolute_name, is_shard_pattern, load_dataset
from tinyedge.data.shards import Shards, ShardStream, open_shards
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder, encoder_plugin
from tinyedge.errors import ConfigError, DataError
from tinyedge.manifest.manifest import EXPORT_FOLDER
from tinyedge.plugins import load_plugin, registered_plugins
from tinyedge.plural import counted
from tinyedge.ssl.base import PretrainingMethod
from tinyedge.ssl.registry import create_method, former_options, learns_from_labels, method_entry
from tinyedge.ssl.teacher import Teacher
from tinyedge.training.batch_norm import recalibrate_batch_norm
from tinyedge.training.batches import epoch_order
from tinyedge.training.check import check_epochs, check_training
from tinyedge.training.checkpoint import load_checkpoint
from tinyedge.training.classifier_file import StoredClassifier, save_classifier
from tinyedge.training.config import Choices, TrainConfig, changed_keys, load_config
from tinyedge.training.encoder_file import encoder_bytes, weights_digest
from tinyedge.training.failure import RankFailures
from tinyedge.training.loggers import Logger, Loggers
from tinyedge.training.loop import optimise
from tinyedge.training.overwrite import remove_run
from tinyedge.training.processes import Rank, default_precision, run_on_devices
from tinyedge.training.run import (
    BRANCHES,
    CHECKPOINT_FILE,
    CLASSIFIER_FILE,
    CONFIG_FILE,
    CONFUSION_PLOT,
    EMBEDDING_PLOT,
    ENCODER_FILE,
    GALLERY_FILE,
    Run,
)
from tinyedge.training.run_lock import locked_run
from tinyedge.training.source import BatchSource, ResidentSource, ShardSource
from tinyedge.training.status import PROBE_FILE
from tinyedge.training.teacher import load_teacher
from tinyedge.training.teacher_source import absolute_source, chosen_options, named_source
from tinyedge.training.warm_start import absolute_start, load_start

_RANDOM_INIT_BATCHES = 10
_SMALL_DATASET = 10_000


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    download: bool = False,
    progress: Progress = SILENCE,
    loggers: Sequence[Logger | str] | None = None,
) -> Run:
    """Pretrain an encoder without labels and write a run directory.

    Args:
        config: What to train; choices that it leaves open are made here and written to `config.yaml`.
        out: The run directory.
        resume: Go on from the last checkpoint in `out`; on a CPU, to the same numbers as an uninterrupted run. With
            another number of `epochs` it goes on to that one, and its learning rate is that of such a run from there.
        overwrite: Replace a run in `out`.
        download: Whether a registered data set may be downloaded.
        progress: Hears how far it is.
        loggers: Hear of the metrics as well, see `tinyedge.training.loggers`.

    Raises:
        ConfigError: An option is not valid, `out` already holds a run, a resumed run's configuration has changed, or it
            has trained more epochs than it is resumed for.
        DataError: The data set cannot be loaded.
        BudgetExceeded: The encoder has too many parameters.
        CheckpointError: There is nothing to resume, or it is corrupt.
        TrainingError: The loss is not finite, the features collapsed or the device's memory is full; the last good
            checkpoint is kept.
        TinyEdgeError: The disk is full; the last good checkpoint is kept.
    """
    if resume and (out / CONFIG_FILE).is_file():
        config = _with_former_options(config, load_config(out / CONFIG_FILE))
    options = chosen_options(config)
    precision = config.precision or default_precision(config.accelerator)
    config = replace(config, precision=precision, method_options=options)
    work = partial(
        _train_rank,
        plugins=registered_plugins(),
        config=config,
        out=out,
        resume=resume,
        overwrite=overwrite,
        download=download,
    )
    return run_on_devices(
        partial(work, progress, Loggers(loggers, progress.say)),
        partial(work, SILENCE, None),
        config.accelerator,
        config.devices,
        precision,
    )


def _train_rank(
    progress: Progress,
    loggers: Loggers | None,
    rank: Rank,
    plugins: tuple[str, ...],
    config: TrainConfig,
    out: Path,
    resume: bool,
    overwrite: bool,
    download: bool,
) -> Run:
    failures = RankFailures(rank)
    with failures.raised_on_all_ranks():
        for plugin in plugins:  # A process that was started by the first one has yet to import them.
            load_plugin(plugin)
        if rank.is_first:
            check_training(config, out, resume=resume, overwrite=overwrite, download=download)
    with failures.raised_on_all_ranks():
        root = Path(config.data_root) if config.data_root else None
        progress.say(f"loading {config.data}")
        dataset = load_dataset(
            config.data,
            image_size=config.image_size,
            channels=config.channels,
            white_level=config.white_level,
            root=root,
            download=download,
        )
        torch.manual_seed(config.seed)  # the same initial weights on every rank
        encoder = create_encoder(
            config.encoder,
            input_size=dataset.train.images.shape[-1],
            strides=config.strides,
            act=config.act,
            hidden=config.hidden,
            channels=config.channels,
            feature_stages=config.feature_stages,
            enforce_budget=config.enforce_budget,
        )
        encoder.initialise_from(dataset.train.images, dataset.mean, dataset.std, config.seed)
        saved = load_config(out / CONFIG_FILE) if resume else None
        from_digest = None
        if config.from_run is not None:
            if saved is not None and (out / CHECKPOINT_FILE).is_file():  # Which has gone on from these weights.
                from_digest = saved.from_digest
            else:
                progress.say(f"beginning with the encoder of {config.from_run}")
                from_digest = load_start(encoder, config.from_run)
        teacher = None
        if config.teacher is not None:
            progress.say(f"loading the teacher {named_source(config.teacher)}")
            labelled = learns_from_labels(config.method)
            teacher = load_teacher(config.teacher, dataset, download=download, with_classifier=labelled)
        method = create_method(config.method, encoder, config.method_options, teacher)
        if method.views and not any(parameter.requires_grad for parameter in encoder.parameters()):
            raise ConfigError(f"{config.encoder} has nothing to train; give --method random, or another --encoder")
        _check_view_sizes(method, config)
        if config.compile:
            method.compile()
        split: ImageSplit | Shards
        if is_shard_pattern(config.data):
            _refuse_shards(method, config)
            split = open_shards(config.data)
        else:
            split = method.training_split(dataset.train, config.seed)
        if len(split) < 2 * rank.world_size:
            raise DataError(
                f"{config.data} has too few images to train on, {len(split)}: a step takes two on each device; "
                "give a folder of more"
            )
        asked = config
        if saved is not None and config.warmup_epochs is None:
            config = replace(config, warmup_epochs=saved.warmup_epochs)  # Also where there are more epochs now.
        choices = _choose(config, len(split), rank.world_size)
        config = _resolve(config, choices, dataset, encoder, teacher, from_digest)
        _check_batch_size(choices.batch_size, rank.world_size)
        source = _source(rank, method, dataset, split, config.seed, choices.batch_size) if method.views else None
        if saved is not None:
            config = replace(config, earlier_epochs=_earlier_epochs(saved, config, source, out))
            _require_same_config(saved, config, out)
    with ExitStack() as held:
        with failures.raised_on_all_ranks():
            if rank.is_first:
                out.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked_run(out))
                if overwrite:
                    remove_run(out)
                if saved is None or saved.epochs != config.epochs:
                    config.save(out / CONFIG_FILE)
        if rank.is_first:
            _note_choices(asked, config, dataset, len(split), progress)
            if saved is not None and saved.epochs != config.epochs:
                progress.say(
                    f"{out} was made for {counted(saved.epochs, 'epoch')} and is for {config.epochs} now: from here on "
                    f"its learning rate is that of a run of {counted(config.epochs, 'epoch')} at the same step"
                )
        _optimise_and_save(
            rank, failures, encoder, method, dataset, split, source, config, choices, out, progress, loggers
        )
    return Run(out, config)


def _optimise_and_save(
    rank: Rank,
    failures: RankFailures,
    encoder: Encoder,
    method: PretrainingMethod,
    dataset: ImageDataset,
    split: ImageSplit | Shards,
    source: BatchSource | None,
    config: TrainConfig,
    choices: Choices,
    out: Path,
    progress: Progress,
    loggers: Loggers | None,
) -> None:
    """Train to the last step, and write the encoder and the branches with statistics of clean images."""
    if source is not None:
        optimise(rank, method, dataset, source, config, choices, out, progress, loggers)
        batches = config.bn_recalibration_batches
    else:
        batches = _RANDOM_INIT_BATCHES
    progress.say("averaging the statistics of the batch norms")
    with failures.raised_on_all_ranks():
        method.finish()
        if not rank.is_first:
            return
        seen = replace(dataset, train=split) if isinstance(split, ImageSplit) else dataset
        for name, branch in method.branches().items():
            folder = out / BRANCHES / name
            _save_branch(branch, config, folder)
            clean = _clean_batches(seen, config, choices.batch_size, config.bn_recalibration_batches, rank.device)
            _save_recalibrated(branch, seen, clean, rank.device, folder, progress)
        clean = _clean_batches(seen, config, choices.batch_size, batches, rank.device)
        _save_recalibrated(encoder, seen, clean, rank.device, out, progress, _classifier(method, config, dataset))


def _choose(config: TrainConfig, images: int, devices: int) -> Choices:
    """Make the choices that the configuration leaves open, for a number of images."""
    entry = method_entry(config.method)
    batch_size = config.batch_size or (256 if images >= _SMALL_DATASET else 128)
    return Choices(
        augment=config.augment or entry.augment,
        batch_size=images - images % devices if batch_size > images else batch_size,
        lr_per_256=config.lr_per_256 or entry.lr_per_256,
        warmup_epochs=min(10.0, config.epochs / 10) if config.warmup_epochs is None else config.warmup_epochs,
    )


def _resolve(
    config: TrainConfig,
    choices: Choices,
    dataset: ImageDataset,
    encoder: Encoder,
    teacher: Teacher | None,
    from_digest: str | None,
) -> TrainConfig:
    """Return the configuration with every open choice made."""
    entry = method_entry(config.method)
    return replace(
        config,
        data=absolute_name(config.data),
        from_run=None if config.from_run is None else absolute_start(config.from_run),
        from_digest=from_digest,
        teacher=None if config.teacher is None else absolute_source(config.teacher),
        teacher_digest=None if teacher is None else teacher.digest,
        held_out=dataset.held_out,
        skipped_files=len(dataset.skipped_files),
        white_level=dataset.white_level,
        image_size=encoder.input_size,
        hidden=encoder.hidden,
        strides=encoder.strides,
        encoder_plugin=encoder_plugin(config.encoder),
        method_plugin=entry.plugin,
        **asdict(choices),
    )


def _note_choices(
    asked: TrainConfig, config: TrainConfig, dataset: ImageDataset, images: int, progress: Progress
) -> None:
    """Say what was chosen because of the images that there are."""
    if config.held_out is not None:
        labels = dataset.train.labels
        bare = 0 if labels is None else int((labels < 0).sum())
        progress.say(
            f"{dataset.name}: {counted(len(dataset.classes), 'class')}, {len(dataset.train)} images to train on"
            f"{f', {bare} of them without a class' if bare else ''}; held out to test on: {config.held_out}"
        )
    if asked.batch_size is not None and config.batch_size != asked.batch_size:
        progress.say(f"batch size {config.batch_size} in place of {asked.batch_size}: {images} images are there")


@torch.no_grad()
def _check_view_sizes(method: PretrainingMethod, config: TrainConfig) -> None:
    encoder, sizes = method.encoder, config.view_sizes
    if sizes is None:
        return
    if not method.views:
        raise ConfigError(f"{config.method} takes no steps, and so no views; leave out --view-sizes")
    if not method.any_view_size:
        raise ConfigError(
            f"{config.method} needs views of the images' own size; leave out --view-sizes, or choose a method that "
            "compares features alone, such as vicreg, simclr or best"
            + (", or give --option cached_views=1" if "cached_views" in config.method_options else "")
        )
    if sizes[-1] != encoder.input_size:
        raise ConfigError(
            f"the images have {encoder.input_size} pixels a side and the last views {sizes[-1]}; "
            f"end --view-sizes with {encoder.input_size}"
        )
    encoder.eval()
    for size in sizes:
        try:
            encoder.forward_maps(torch.zeros(1, encoder.channels, size, size))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:  # As learned positions of tokens do.
            raise ConfigError(f"{config.encoder} takes no images of {size} pixels; leave out --view-sizes") from error


def _check_batch_size(batch_size: int, devices: int) -> None:
    if batch_size % devices or batch_size < 2 * devices:
        raise ConfigError(
            f"batch_size {batch_size} does not divide into 2 or more images on each of {devices} devices; "
            f"give a multiple of {devices} to --batch-size"
        )


def _refuse_shards(method: PretrainingMethod, config: TrainConfig) -> None:
    if method.uses_labels:
        raise ConfigError(f"{config.method} needs labels, which shards do not have; give a labelled folder to --data")
    if config.method_options.get("cached_views"):
        raise ConfigError("a teacher's features cannot be cached for shards; leave out --option cached_views")


def _source(
    rank: Rank,
    method: PretrainingMethod,
    dataset: ImageDataset,
    split: ImageSplit | Shards,
    seed: int,
    batch_size: int,
) -> BatchSource:
    place = {"rank": rank.rank, "world_size": rank.world_size}
    if isinstance(split, ImageSplit):
        return ResidentSource(split, batch_size, seed, **place, device=rank.device, with_labels=method.uses_labels)
    own_batch = batch_size // rank.world_size
    stream = ShardStream(
        split,
        method.encoder.input_size,
        own_batch,
        seed,
        **place,
        channels=method.encoder.channels,
        white_level=dataset.white_level,
    )
    return ShardSource(stream, dataset.train.images, rank.device)


def _earlier_epochs(
    saved: TrainConfig, config: TrainConfig, source: BatchSource | None, out: Path
) -> tuple[int, ...] | None:
    """Return what `epochs` was until now for a run that goes on, of `config.epochs`.

    Raises:
        ConfigError: It has trained more epochs than that.
        CheckpointError: Its checkpoint is corrupt.
    """
    checkpoint = out / CHECKPOINT_FILE
    if saved.epochs == config.epochs or source is None or not checkpoint.is_file():
        return saved.earlier_epochs
    check_epochs(config.epochs, load_checkpoint(checkpoint).step / source.steps_per_epoch, out)
    return (*(saved.earlier_epochs or ()), saved.epochs)


def _with_former_options(config: TrainConfig, saved: TrainConfig) -> TrainConfig:
    """Return a configuration with what the record of a run by the same method lacks, see `former_options`."""
    if saved.method != config.method:
        return config
    former = former_options(saved.method, saved.method_options)
    return replace(config, method_options={**former, **config.method_options})


def _require_same_config(saved: TrainConfig, config: TrainConfig, out: Path) -> None:
    """Refuse to go on with what would be another run; it may be a longer one."""
    saved = replace(saved, epochs=config.epochs, earlier_epochs=config.earlier_epochs)
    if saved.teacher_digest is None:  # of a run that began before this was written
        saved = replace(saved, teacher_digest=config.teacher_digest)
    if saved.method == config.method:
        saved = _with_former_options(saved, saved)
    # What follows from other choices comes last: other labels may be another batch size.
    for key in sorted(changed_keys(saved, config), key=("batch_size", "warmup_epochs").__contains__):
        before, after = saved.to_dict()[key], config.to_dict()[key]
        if key == "method_options":
            key = next(name for name in after if after[name] != before.get(name))
            before, after = before.get(key), after[key]
        raise ConfigError(
            f"{key} is {after}, but the run in {out} was started with {before}; "
            "resume it as it was, or give another --out"
        )


def _clean_batches(
    dataset: ImageDataset, config: TrainConfig, batch_size: int, batches: int, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield at most one pass of unaugmented train images, in a random but fixed order."""
    chunks = epoch_order(len(dataset.train), config.seed, config.epochs).split(batch_size)
    for indices in chunks[:batches]:
        if len(indices) > 1:
            images = normalise(dataset.train.images[indices].to(device), dataset.mean, dataset.std)
            yield images.contiguous(memory_format=torch.channels_last)


def _save_recalibrated(
    encoder: Encoder,
    dataset: ImageDataset,
    clean: Iterator[torch.Tensor],
    device: torch.device,
    run: Path,
    progress: Progress,
    own: StoredClassifier | None = None,
) -> None:
    """Write the encoder of a run or branch, after its own classifier; what was of an earlier encoder goes."""
    encoder = encoder.to(device)
    recalibrate_batch_norm(encoder, clean)
    content = encoder_bytes(encoder, encoder.state_dict(), dataset.mean, dataset.std, dataset.white_level)
    path, classifier = run / ENCODER_FILE, run / CLASSIFIER_FILE
    if path.is_file() and path.read_bytes() != content:
        path.unlink()  # First: no encoder is a training that has not ended.
        for measured in (PROBE_FILE, EMBEDDING_PLOT, CONFUSION_PLOT, GALLERY_FILE):
            (run / measured).unlink(missing_ok=True)
        if classifier.is_file():
            classifier.unlink()
            if own is None:
                progress.say(f"{classifier} was of the encoder before and is removed; probe the run again")
        if (run / EXPORT_FOLDER).is_dir():
            progress.say(f"{run / EXPORT_FOLDER} is of the encoder before still; export the run again")
    if own is not None:
        save_classifier(classifier, replace(own, encoder_sha256=weights_digest(encoder)))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _classifier(method: PretrainingMethod, config: TrainConfig, dataset: ImageDataset) -> StoredClassifier | None:
    """Return the classifier that was trained with the encoder, if the method has one."""
    trained = method.trained_classifier()
    if trained is None:
        return None
    weight, bias = (value.detach().float().cpu() for value in (trained.weight, trained.bias))
    fraction = config.method_options.get("label_fraction", 1.0)
    return StoredClassifier(weight, bias, tuple(dataset.classes), fraction, config.data)


def _save_branch(encoder: Encoder, config: TrainConfig, out: Path) -> None:
    """Write the configuration of a further encoder as that of a run, which other commands take as any other."""
    branch = replace(
        config,
        encoder=encoder.name,
        strides=encoder.strides,
        feature_stages=encoder.feature_stages,
        act=encoder.act,
        hidden=encoder.hidden,
        encoder_plugin=encoder_plugin(encoder.name),
    )
    branch.save(out / CONFIG_FILE)
