"""The training loop: one for all methods, on any number of devices."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_

from tinyedge.announce import Progress
from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageDataset
from tinyedge.errors import CheckpointError, Interrupted, TrainingError
from tinyedge.plural import counted
from tinyedge.ssl.base import Batch, PretrainingMethod
from tinyedge.ssl.collapse import check_collapse, effective_rank, mean_feature_std
from tinyedge.ssl.distributed import gather_rows, mean_over_ranks
from tinyedge.training.average import WeightAverage
from tinyedge.training.batch_norm import batch_statistics, synchronised_batch_norm
from tinyedge.training.batches import step_seed
from tinyedge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tinyedge.training.config import Choices, TrainConfig
from tinyedge.training.failure import RankFailures
from tinyedge.training.loggers import Loggers
from tinyedge.training.metrics import MetricsLog
from tinyedge.training.optimizer import create_optimizer, learning_rate
from tinyedge.training.processes import Rank
from tinyedge.training.run import CHECKPOINT_FILE, resume_command
from tinyedge.training.source import BatchSource, SourceBatch
from tinyedge.training.status import last_probe
from tinyedge.training.stop_request import StopRequest
from tinyedge.training.views import ViewMaker
from tinyedge.zoo import locate

# How often the device is asked for its numbers: waiting for it on each step would idle a GPU.
_LOOK_EVERY_STEPS = 10
_LEAST_LOG_LINES = 20


def optimise(
    rank: Rank,
    method: PretrainingMethod,
    dataset: ImageDataset,
    source: BatchSource,
    config: TrainConfig,
    choices: Choices,
    out: Path,
    progress: Progress,
    loggers: Loggers | None = None,
) -> None:
    """Train `method` in place from the checkpoint in `out`, or from its first step where there is none.

    Args:
        rank: This process.
        method: What to train; ends on the first device of this rank.
        dataset: Gives the normalisation; its test split is not looked at.
        source: What the method trains on.
        config: Of the run.
        choices: What it may leave open.
        out: Run directory, which receives checkpoints and log.
        progress: Hears how far it is.
        loggers: Hear of each record of the log as well; of the first rank alone.

    Raises:
        CheckpointError: The checkpoint is corrupt or of another method.
        TrainingError: The loss is not finite or the features collapsed; the last good checkpoint is kept.
        Interrupted: Ctrl-C or SIGTERM; the checkpoint is of the step that it came in.
        TinyEdgeError: The disk is full; the last good checkpoint is kept.
    """
    training = _Training(rank, method, dataset, source, config, choices, out, loggers)
    try:
        training.run(progress)
    except BaseException as error:
        training.end("aborted" if isinstance(error, Interrupted | KeyboardInterrupt | SystemExit) else "failed")
        raise


class _Training:
    """A method between its checkpoint and its last step."""

    def __init__(
        self,
        rank: Rank,
        method: PretrainingMethod,
        dataset: ImageDataset,
        source: BatchSource,
        config: TrainConfig,
        choices: Choices,
        out: Path,
        loggers: Loggers | None,
    ) -> None:
        self._rank, self._dataset, self._source, self._config, self._out = rank, dataset, source, config, out
        self._batch_size = choices.batch_size
        self._method = method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._wrapped = rank.place(self._method)
        self._optimizer = create_optimizer(self._method, config.weight_decay, config.betas)
        # Of the whole method: its branches share weights with its encoder, and have others.
        self._average = WeightAverage(self._method, config.ema_decay) if config.ema_decay else None
        self._make_views = ViewMaker(method.views, choices.augment, dataset, method.encoder.input_size)
        self._generator = torch.Generator(rank.device)
        self._peak_lr = choices.lr_per_256 * choices.batch_size / 256
        self._total_steps = source.steps_per_epoch * config.epochs
        self._warmup_steps = round(choices.warmup_epochs * source.steps_per_epoch)
        self._log_every = min(config.log_every_steps, max(self._total_steps // _LEAST_LOG_LINES, 1))

        start = _restore(out / CHECKPOINT_FILE, self._method, self._optimizer, self._average)
        self._first_step, self._threads_before = start.step, start.threads
        self._elapsed_before_s, self._cpu_before_s = start.elapsed_s, start.cpu_s
        self._window = _Window({key: value.to(rank.device) for key, value in start.window.items()}, start.window_steps)
        self._failures = RankFailures(rank)
        self._log: MetricsLog | None = None
        with self._failures.raised_on_all_ranks():
            if rank.is_first:
                self._log = MetricsLog(out, start.step, loggers)
                if loggers is not None:
                    loggers.begin(out, config.to_dict(), start.step)
        self._began_s = self._saved_s = time.monotonic()
        self._cpu_began_s = time.process_time()

    def run(self, progress: Progress) -> None:
        """Train to the last step, with a log, checkpoints and progress on the way."""
        method, dataset, failures = self._method, self._dataset, self._failures
        batches = self._source.batches(self._first_step)
        begin = f"from step {self._first_step:,} on" if self._first_step else counted(self._config.epochs, "epoch")
        progress.say(
            f"training {self._config.encoder} by {self._config.method} on {self._rank.device.type}, {begin}, "
            f"{counted(self._total_steps, 'step')} of {counted(self._batch_size, 'image')}"
        )
        threads = torch.get_num_threads()
        if self._rank.device.type == "cpu" and self._threads_before not in (0, threads):
            progress.say(
                f"its last steps were computed on {self._threads_before} threads, these are on {threads}: the numbers "
                f"will not be those of an uninterrupted run; OMP_NUM_THREADS={self._threads_before} keeps them"
            )
        with failures.raised_on_all_ranks():
            chosen = next(batches)
        with failures.raised_on_all_ranks():
            method.progress = progress
            method.prepare(self._source.sample, dataset.mean, dataset.std)
        method.train()
        loss, accuracy, steps_began_s = math.nan, math.nan, time.monotonic()
        probed = _known_probe(self._out, self._config)
        progress.show("step", self._first_step, self._total_steps)
        with synchronised_batch_norm(method), StopRequest(self._rank) as stop:
            for step in range(self._first_step, self._total_steps):
                self._window.add(self._train_step(step, chosen))
                done, last = step + 1, step + 1 == self._total_steps
                every = self._config.checkpoint_every_steps
                due = last or (every > 0 and done % every == 0)
                look = due or done % _LOOK_EVERY_STEPS == 0
                if look:
                    self._window.check_finite(done)
                    loss = self._window.mean("loss")
                    accuracy = self._window.mean("accuracy") if "accuracy" in self._window.sums else math.nan
                took_s = max(time.monotonic() - steps_began_s, 1e-9)
                images_per_s = (done - self._first_step) * self._batch_size / took_s
                shown = "" if math.isnan(loss) else f"loss {loss:.3f}  "
                shown += "" if math.isnan(accuracy) else f"acc {100 * accuracy:.1f} %  "
                progress.show("step", done, self._total_steps, f"{shown}{images_per_s:.0f} images/s{probed}")
                if done % self._log_every == 0 or last:
                    self._log_window(done, chosen, images_per_s)
                if not last:
                    with failures.held():
                        chosen = next(batches, chosen)
                if self._rank.world_size == 1 or look:
                    failures.raise_on_all_ranks()  # before a checkpoint holds what came of it
                    stopped_by = stop.noted_on_any_rank()
                    late = time.monotonic() - self._saved_s > self._config.checkpoint_every_s
                    if self._rank.is_first and (due or late or stopped_by):
                        self._save(done)
                    if stopped_by:
                        failures.raise_on_all_ranks()  # where the checkpoint could not be written
                        raise Interrupted(
                            f"{done:,} of {self._total_steps:,} steps are saved; go on with "
                            f"`{resume_command(self._out, self._config)}`",
                            stopped_by,
                        )
        if self._average is not None:
            self._average.copy_to_module()
        with failures.raised_on_all_ranks():
            if self._log is not None:
                self._log.close()

    def end(self, status: str) -> None:
        """Tell the loggers that the training ended before its last step; see `MetricsLog.end`."""
        if self._log is not None:
            self._log.end(status)

    def _train_step(self, step: int, chosen: SourceBatch) -> dict[str, torch.Tensor]:
        """Take one step on some images; return its metrics, the mean over all ranks."""
        method = self._method
        self._generator.manual_seed(step_seed(self._config.seed, step))
        done_share = step / self._total_steps
        sizes = self._config.view_sizes
        size = sizes[step * len(sizes) // self._total_steps] if sizes else None
        views, windows = self._make_views(chosen.images, self._generator, method.view_strength(done_share), size)
        batch = Batch(views, chosen.indices, chosen.labels, windows)
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr(step)
        with self._rank.autocast():
            result = self._wrapped(batch, self._generator, done_share)
        self._optimizer.zero_grad(set_to_none=True)
        result.loss.float().backward()
        norm = clip_grad_norm_(method.parameters(), self._config.grad_clip)
        self._optimizer.step()
        if self._average is not None:
            self._average.update(step)
        metrics = {key: value.float() for key, value in result.metrics.items()}
        metrics["gradient_norm"] = norm.detach()
        if self._rank.world_size > 1:
            metrics = _mean_metrics(metrics)
        method.after_step(metrics)
        return metrics

    def _lr(self, step: int) -> float:
        final = self._peak_lr * self._config.min_lr_fraction
        return learning_rate(step, self._total_steps, self._warmup_steps, peak=self._peak_lr, final=final)

    def _log_window(self, done: int, chosen: SourceBatch, images_per_s: float) -> None:
        """Write a line of the log for the steps since the last one, and make sure that the features are features."""
        method, dataset = self._method, self._dataset
        self._window.check_finite(done)
        features = _clean_features(self._rank, method, normalise(chosen.images, dataset.mean, dataset.std))
        _check_finite({"features": features.sum()}, done)  # the last update may have broken what the loss held
        feature_std = float(mean_feature_std(features))
        record = {
            "step": done,
            "epoch": done / self._source.steps_per_epoch,
            "lr": self._lr(done - 1),
            **self._window.means(),
            **{key: float(value) for key, value in method.state_metrics().items()},
            "feature_std": feature_std,
            "effective_rank": float(effective_rank(features)),
            "images_per_s": images_per_s,
            "elapsed_s": self._elapsed_s(),
            "cpu_s": self._cpu_s(),
        }
        if self._log is not None:
            with self._failures.held():
                self._log.append(record)
        check_collapse(feature_std, method.encoder.feature_dim, done)
        self._window = _Window({}, 0)

    def _save(self, done: int) -> None:
        """Write a checkpoint."""
        self._window.check_finite(done)
        checkpoint = Checkpoint(
            done,
            self._method.state_dict(),
            self._optimizer.state_dict(),
            self._window.sums,
            self._window.steps,
            self._elapsed_s(),
            {} if self._average is None else self._average.state_dict(),
            self._cpu_s(),
            torch.get_num_threads(),
        )
        with self._failures.held():
            save_checkpoint(self._out / CHECKPOINT_FILE, checkpoint)
        self._saved_s = time.monotonic()

    def _elapsed_s(self) -> float:
        return self._elapsed_before_s + time.monotonic() - self._began_s

    def _cpu_s(self) -> float:
        """Unlike the elapsed time, it says what a run costs on a machine that does other work beside."""
        return self._cpu_before_s + time.process_time() - self._cpu_began_s


def _known_probe(out: Path, config: TrainConfig) -> str:
    """Return what is known of how good the features are: the last probe of this run, or of the one it begins with."""
    for run in (out, *([Path(config.from_run)] if config.from_run else [])):
        mean = last_probe(locate(run)).get("mean")
        if isinstance(mean, float) and 0 <= mean <= 1:
            return f"  {'probe' if run == out else 'start'} {100 * mean:.1f} %"
    return ""


@dataclass
class _Window:
    """The metrics of the steps since the last line of the log.

    Attributes:
        sums: Of each metric, on the device.
        steps: How many.
    """

    sums: dict[str, torch.Tensor]
    steps: int

    def add(self, metrics: dict[str, torch.Tensor]) -> None:
        """Count a step."""
        self.sums = {key: self.sums[key] + value if self.sums else value for key, value in metrics.items()}
        self.steps += 1

    def mean(self, key: str) -> float:
        """Of one metric."""
        return float(self.sums[key]) / self.steps

    def means(self) -> dict[str, float]:
        """Of all metrics."""
        return {key: self.mean(key) for key in self.sums}

    def check_finite(self, step: int) -> None:
        """See `_check_finite`."""
        _check_finite(self.sums, step)


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
