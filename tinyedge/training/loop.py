"""The training loop: one for all methods, on any number of devices."""

import math
import time
from pathlib import Path

import torch
from rich.console import Console
from torch.nn.utils import clip_grad_norm_

from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageDataset
from tinyedge.errors import CheckpointError, TrainingError
from tinyedge.plots.plots import plot_training
from tinyedge.ssl.base import Batch, PretrainingMethod
from tinyedge.ssl.collapse import check_collapse, effective_rank, mean_feature_std
from tinyedge.ssl.distributed import gather_rows, mean_over_ranks
from tinyedge.training.average import WeightAverage
from tinyedge.training.batch_norm import batch_statistics, synchronised_batch_norm
from tinyedge.training.batches import step_seed
from tinyedge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tinyedge.training.config import TrainConfig
from tinyedge.training.failure import RankFailures
from tinyedge.training.metrics import MetricsLog
from tinyedge.training.optimizer import create_optimizer, learning_rate
from tinyedge.training.processes import Rank
from tinyedge.training.progress import TrainingProgress
from tinyedge.training.run import CHECKPOINT_FILE
from tinyedge.training.source import BatchSource
from tinyedge.training.views import ViewMaker

# How often the device is asked for its numbers: waiting for it on each step would idle a GPU.
_LOOK_EVERY_STEPS = 10
_LEAST_LOG_LINES = 20


def optimise(
    rank: Rank,
    method: PretrainingMethod,
    dataset: ImageDataset,
    source: BatchSource,
    config: TrainConfig,
    out: Path,
    console: Console,
) -> None:
    """Train `method` in place from the checkpoint in `out`, or from its first step where there is none.

    Args:
        rank: This process.
        method: What to train; ends on the first device of this rank.
        dataset: Gives the normalisation; its test split is not looked at.
        source: What the method trains on.
        config: Resolved: no choice is open.
        out: Run directory, which receives checkpoints, log and plots.
        console: Where progress is shown.

    Raises:
        CheckpointError: The checkpoint is corrupt or of another method.
        TrainingError: The loss is not finite or the features collapsed; the last good checkpoint is kept.
        TinyEdgeError: The disk is full; the last good checkpoint is kept.
    """
    assert config.batch_size is not None
    assert config.lr_per_256 is not None
    assert config.warmup_epochs is not None
    assert config.augment is not None
    world_size, first_rank = rank.world_size, rank.is_first
    peak_lr = config.lr_per_256 * config.batch_size / 256
    method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped = rank.place(method)
    optimizer = create_optimizer(method, config.weight_decay, config.betas)
    # Of the whole method: its branches share weights with its encoder, and have others.
    average = WeightAverage(method, config.ema_decay) if config.ema_decay else None
    make_views = ViewMaker(method.views, config.augment, dataset, method.encoder.input_size)
    generator = torch.Generator(rank.device)

    steps_per_epoch = source.steps_per_epoch
    total_steps = steps_per_epoch * config.epochs
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    log_every = min(config.log_every_steps, max(total_steps // _LEAST_LOG_LINES, 1))

    start = _restore(out / CHECKPOINT_FILE, method, optimizer, average)
    window = {key: value.to(rank.device) for key, value in start.window.items()}
    window_steps = start.window_steps
    failures = RankFailures(rank)
    log: MetricsLog | None = None
    with failures.raised_on_all_ranks():
        log = MetricsLog(out, start.step) if first_rank else None
    began_s = saved_s = time.monotonic()
    batches = source.batches(start.step)
    with failures.raised_on_all_ranks():
        chosen = next(batches)

    with failures.raised_on_all_ranks():
        method.prepare(source.sample, dataset.mean, dataset.std)
    method.train()
    with (
        synchronised_batch_norm(method),
        TrainingProgress(total_steps, start.step, config.batch_size, first_rank, console) as progress,
    ):
        for step in range(start.step, total_steps):
            generator.manual_seed(step_seed(config.seed, step))
            done_share = step / total_steps
            views = make_views(chosen.images, generator, method.view_strength(done_share))
            batch = Batch(views, chosen.indices, chosen.labels)

            lr = learning_rate(step, total_steps, warmup_steps, peak=peak_lr, final=peak_lr * config.min_lr_fraction)
            for group in optimizer.param_groups:
                group["lr"] = lr
            with rank.autocast():
                result = wrapped(batch, generator, done_share)
            optimizer.zero_grad(set_to_none=True)
            result.loss.float().backward()
            norm = clip_grad_norm_(method.parameters(), config.grad_clip)
            optimizer.step()
            if average is not None:
                average.update(step)
            metrics = {key: value.float() for key, value in result.metrics.items()}
            metrics["gradient_norm"] = norm.detach()
            if world_size > 1:
                metrics = _mean_metrics(metrics)
            method.after_step(metrics)

            done, last = step + 1, step + 1 == total_steps
            window = {key: window[key] + value if window else value for key, value in metrics.items()}
            window_steps += 1
            every = config.checkpoint_every_steps
            due = last or (every > 0 and done % every == 0)
            if due or done % _LOOK_EVERY_STEPS == 0:
                _check_finite(window, done)
                progress.update(done, float(window["loss"]) / window_steps)
            if done % log_every == 0 or last:
                _check_finite(window, done)
                features = _clean_features(rank, method, normalise(chosen.images, dataset.mean, dataset.std))
                _check_finite({"features": features.sum()}, done)  # the last update may have broken what the loss held
                feature_std = float(mean_feature_std(features))
                record = {
                    "step": done,
                    "epoch": done / steps_per_epoch,
                    "lr": lr,
                    **{key: float(value) / window_steps for key, value in window.items()},
                    **{key: float(value) for key, value in method.state_metrics().items()},
                    "feature_std": feature_std,
                    "effective_rank": float(effective_rank(features)),
                    "images_per_s": progress.images_per_s(done),
                    "elapsed_s": start.elapsed_s + time.monotonic() - began_s,
                }
                if log is not None:
                    with failures.held():
                        log.append(record)
                check_collapse(feature_std, method.encoder.feature_dim, done)
                window, window_steps = {}, 0
            if not last:
                with failures.held():
                    chosen = next(batches, chosen)
            if world_size == 1 or due or done % _LOOK_EVERY_STEPS == 0:
                failures.raise_on_all_ranks()  # before a checkpoint holds what came of it
                if first_rank and (due or time.monotonic() - saved_s > config.checkpoint_every_s):
                    _check_finite(window, done)
                    elapsed_s = start.elapsed_s + time.monotonic() - began_s
                    checkpoint = Checkpoint(
                        done,
                        method.state_dict(),
                        optimizer.state_dict(),
                        window,
                        window_steps,
                        elapsed_s,
                        {} if average is None else average.state_dict(),
                    )
                    with failures.held():
                        save_checkpoint(out / CHECKPOINT_FILE, checkpoint)
                    saved_s = time.monotonic()
    if average is not None:
        average.copy_to_module()
    with failures.raised_on_all_ranks():
        if log is not None:
            plot_training(log.close(), out / "plots")


def _restore(
    path: Path, method: PretrainingMethod, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Checkpoint:
    """Load the checkpoint at `path` into all of them; without one, return the state before the first step."""
    for leftover in path.parent.glob(f".{path.name}.*"):  # of a run that was killed while it wrote
        leftover.unlink(missing_ok=True)
    if not path.is_file():
        return Checkpoint(step=0, method={}, optimizer={}, window={}, window_steps=0, elapsed_s=0.0)
    checkpoint = load_checkpoint(path)
    try:
        method.load_state_dict(checkpoint.method)
        optimizer.load_state_dict(checkpoint.optimizer)
        if average is not None:
            average.load_state_dict(checkpoint.average)
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is of another method or encoder; train again with --overwrite") from error
    return checkpoint


@torch.no_grad()
def _clean_features(rank: Rank, method: PretrainingMethod, images: torch.Tensor) -> torch.Tensor:
    """Return features of this and all other ranks' images without corruption, which could hide a collapse.

    The state stays as it is.
    """
    # Early in a run the recorded statistics are far from any batch, and features seem to have collapsed.
    with batch_statistics(method.encoder), rank.autocast():
        features = method.encoder(images.contiguous(memory_format=torch.channels_last))
    return gather_rows(torch.as_tensor(features).float())


def _mean_metrics(metrics: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return each metric's mean over all ranks, in one exchange."""
    means = mean_over_ranks(torch.stack([value.float() for value in metrics.values()]))
    return dict(zip(metrics, means.unbind(), strict=True))


def _check_finite(window: dict[str, torch.Tensor], step: int) -> None:
    """Raise before anything that is not finite reaches the log or a checkpoint."""
    if not window:
        return
    values = torch.stack([value.float() for value in window.values()]).tolist()  # the device is waited for once
    for key, value in zip(window, values, strict=True):
        if not math.isfinite(value):
            raise TrainingError(
                f"{key} is not finite at step {step}; the last good checkpoint is kept; "
                "train again with a lower --lr, or with --precision 32-true"
            )
