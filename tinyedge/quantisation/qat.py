"""Quantisation-aware finish: the codes of an INT8 graph are trained, without labels, towards its float graph's output.

The teacher is the float network and the student the kernels' integers (`integer_executor.py`), on views of the samples:
crops and flips of images, other samples as they are. Scales and zero points stay what calibration chose. The loss is
the power of the difference over the power of the teacher's output, noise over signal, because that decides whether INT8
predicts what float predicts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tinyedge.data.augment import Augment, default_augment
from tinyedge.errors import TrainingError
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.noise import sqnr_db
from tinyedge.quantisation.quantise import HIGHEST_CODE, LOWEST_CODE
from tinyedge.tflite.frames import frame_shape
from tinyedge.tflite.graph import Graph
from tinyedge.training.batches import epoch_order, step_seed
from tinyedge.training.optimizer import learning_rate

_BATCH = 64
_PEAK_RATE = 0.05  # Adam's, in codes of a weight and in output steps of a bias.
_WARMUP = 0.05
_AUGMENT_STRENGTH = 0.5  # Of the data set's own augmentation: close to the images that the network will see.

Views = Callable[[torch.Tensor, torch.Generator], Values]
"""Takes positions of samples, (B,) int64, and a generator, and returns what it sees of them: (B, ...) of each input."""

Progress = Callable[[int, int, float], None]
"""Takes the steps done, all steps, and the mean signal-to-noise ratio of late in decibels."""


@dataclass(frozen=True)
class Finish:
    """A finished graph.

    Attributes:
        graph: Int8, of the given one's scales; the given one itself where training did not help.
        sqnr_db: Signal-to-noise ratio of the output on samples that were not trained on, before and after training.
    """

    graph: Graph
    sqnr_db: tuple[float, float]


def image_views(images: torch.Tensor, dataset: str, mean: Sequence[float], std: Sequence[float]) -> Views:
    """Return what makes crops and flips of images (N, C, H, W) uint8, normalised and channels last.

    Args:
        images: To train on.
        dataset: Whose augmentation suits them.
        mean: Of each channel, for images scaled to [0, 1].
        std: Of each channel, likewise.
    """
    config = default_augment(dataset, images.shape[-1]).scaled(_AUGMENT_STRENGTH)
    augment = Augment(config, tuple(mean), tuple(std))
    return lambda chosen, generator: (augment(images[chosen], generator).permute(0, 2, 3, 1).contiguous(),)


def finish(
    graph: Graph,
    teacher: FloatExecutor,
    views: Views,
    count: int,
    unseen: Values,
    *,
    epochs: float,
    seed: int,
    progress: Progress | None = None,
) -> Finish:
    """Train the codes of an INT8 graph.

    Adam at 0.05 codes, batches of 64, a twentieth of the steps of warm-up, then half a cosine to 0.

    Args:
        graph: Int8, quantised from the teacher's; it is not changed.
        teacher: The float network.
        views: Makes what is trained on, of `count` samples.
        count: How many there are.
        unseen: Of each input, (M, ...) float32 of other samples, to measure on.
        epochs: Passes over the samples, a part of one allowed.
        seed: Of the order and the views.
        progress: Called now and then.

    Raises:
        TrainingError: The loss became NaN or infinite.
    """
    student = IntegerExecutor(graph)
    before = integer_sqnr(student, teacher, unseen)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.0)
    batches = max(1, count // _BATCH)
    steps = max(1, round(epochs * batches))
    generator = torch.Generator()
    late = 0.0
    for step in range(steps):
        epoch, position = divmod(step, batches)
        if position == 0:
            order = epoch_order(count, seed, epoch)
        chosen = order[position * _BATCH : (position + 1) * _BATCH]
        batch = views(chosen, generator.manual_seed(step_seed(seed, step)))
        noise = _noise(teacher.outputs(batch), _student_outputs(student, teacher, batch))
        if not torch.isfinite(noise):
            raise TrainingError(
                f"the INT8 network gave a loss of {float(noise.detach())} at step {step}; leave out --qat"
            )
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, int(_WARMUP * steps), peak=_PEAK_RATE, final=0.0)
        optimizer.zero_grad(set_to_none=True)
        noise.backward()
        optimizer.step()
        late += (float(noise.detach()) - late) / min(step + 1, 50)
        if progress is not None and ((step + 1) % 10 == 0 or step + 1 == steps):
            progress(step + 1, steps, -10 * math.log10(max(late, 1e-30)))
    after = integer_sqnr(student, teacher, unseen)
    return Finish(student.trained_graph() if after > before else graph, (before, after))


def integer_sqnr(student: IntegerExecutor, teacher: FloatExecutor, samples: Values) -> float:
    """Return the outputs' signal-to-noise ratio in decibels over samples, (M, ...) of each input."""
    with torch.no_grad():
        return sqnr_db(teacher.outputs(samples), _student_outputs(student, teacher, samples))


def student_outputs(student: IntegerExecutor, batch: Values) -> Values:
    """Return the real outputs (B, ...) of a batch, (B, ...) float32 of each input."""
    codes = []
    for tensor, values in zip(student.graph.inputs, batch, strict=True):
        rounded = torch.floor(values / tensor.q.scale + 0.5) + tensor.q.zero_point
        rounded = rounded.clamp(LOWEST_CODE, HIGHEST_CODE)
        codes.append(rounded.reshape(tensor.shape) if len(values) == 1 else rounded)
    return tuple(
        ((values - tensor.q.zero_point) * tensor.q.scale).reshape(len(batch[0]), *frame_shape(tensor))
        for tensor, values in zip(student.graph.outputs, student.run(tuple(codes)), strict=True)
    )


def _student_outputs(student: IntegerExecutor, teacher: FloatExecutor, samples: Values) -> Values:
    parts = [student_outputs(student, batch) for batch in teacher.batches(samples)]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


def _noise(wanted: Values, found: Values) -> torch.Tensor:
    """Return noise power over signal power, the mean over the outputs."""
    ratios = [(other - one).square().mean() / one.square().mean() for one, other in zip(wanted, found, strict=True)]
    return torch.stack(ratios).mean()
