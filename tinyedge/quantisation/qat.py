"""Quantisation-aware finish: the codes of an INT8 graph are trained, without labels, towards its float graph's output.

The teacher is the float network and the student the kernels' integers (`integer_network`), on crops and flips of the
train images. Scales and zero points stay what calibration chose. The loss is the power of the difference over the power
of the teacher's output, noise over signal, because that decides whether INT8 predicts what float predicts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tinyedge.data.augment import Augment
from tinyedge.errors import TrainingError
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.observers import image_sqnr_db
from tinyedge.quantisation.quantise import HIGHEST_CODE, LOWEST_CODE
from tinyedge.tflite.graph import Graph
from tinyedge.training.batches import epoch_order, step_seed
from tinyedge.training.optimizer import learning_rate

_BATCH = 64
_PEAK_RATE = 0.05  # Adam's, in codes of a weight and in output steps of a bias.
_WARMUP = 0.05

Progress = Callable[[int, int, float], None]
"""Takes the steps done, all steps, and the mean signal-to-noise ratio of late in decibels."""


@dataclass(frozen=True)
class Finish:
    """A finished graph.

    Attributes:
        graph: Int8, of the given one's scales; the given one itself where training did not help.
        sqnr_db: Signal-to-noise ratio of the output on images that were not trained on, before and after training.
    """

    graph: Graph
    sqnr_db: tuple[float, float]


def finish(
    graph: Graph,
    teacher: FloatExecutor,
    images: torch.Tensor,
    unseen: torch.Tensor,
    augment: Augment,
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
        images: (N, 3, H, W) uint8, to train on.
        unseen: (M, H, W, 3) float32, normalised: others, to measure on.
        augment: Makes the normalised views of the images.
        epochs: Passes over the images, a part of one allowed.
        seed: Of the order and the views.
        progress: Called now and then.

    Raises:
        TrainingError: The loss became NaN or infinite.
    """
    student = IntegerExecutor(graph)
    before = integer_sqnr(student, teacher, unseen)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.0)
    batches = max(1, len(images) // _BATCH)
    steps = max(1, round(epochs * batches))
    generator = torch.Generator()
    late = 0.0
    for step in range(steps):
        epoch, position = divmod(step, batches)
        if position == 0:
            order = epoch_order(len(images), seed, epoch)
        chosen = order[position * _BATCH : (position + 1) * _BATCH]
        views = augment(images[chosen], generator.manual_seed(step_seed(seed, step))).permute(0, 2, 3, 1).contiguous()
        with torch.no_grad():
            wanted = teacher(views)
        noise = (student_output(student, views) - wanted).square().mean() / wanted.square().mean()
        if not torch.isfinite(noise):
            raise TrainingError(
                f"the INT8 network gave a loss of {float(noise.detach())} at step {step}; export without --qat"
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


def student_output(student: IntegerExecutor, images: torch.Tensor) -> torch.Tensor:
    """Return the real output (B, K) of images (B, H, W, 3) float32, normalised."""
    source, output = student.graph.inputs[0].q, student.graph.outputs[0].q
    codes = (torch.floor(images / source.scale + 0.5) + source.zero_point).clamp(LOWEST_CODE, HIGHEST_CODE)
    out: torch.Tensor = (student(codes) - output.zero_point) * output.scale
    return out


def integer_sqnr(student: IntegerExecutor, teacher: FloatExecutor, images: torch.Tensor) -> float:
    """Return the output's signal-to-noise ratio in decibels, the mean over images (M, H, W, 3) float32, normalised."""
    with torch.no_grad():
        ratios = [image_sqnr_db(teacher(batch), student_output(student, batch)) for batch in images.split(_BATCH)]
    return float(torch.cat(ratios).mean())
