"""Losses between what a student predicts and what its teacher gives; in float32 or wider, whatever autocast says."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


def cosine_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return mean(1 - cos) of predictions and targets, both (B, D): in [0, 2], 0 for equal directions."""
    with torch.autocast(predicted.device.type, enabled=False):
        return 1 - F.cosine_similarity(_wide(predicted), _wide(target), dim=1).mean()


def relational_loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    queue: torch.Tensor,
    student_temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """Return how far the student's similarities to other images are from the teacher's: SEED's loss.

    Both compare an image to its own teacher embedding and to the queue; the loss is KL(teacher || student) of the
    softmaxes over these similarities. SEED (Fang et al. 2021, equation 5) has the cross entropy, which is larger by the
    teacher's entropy and has the same gradient; this one is 0 where both agree.

    Args:
        predicted: (B, D) of the student.
        target: (B, D) of the teacher, row by row of the same images.
        queue: (K, D) earlier teacher embeddings of unit length.
        student_temperature: Divides the student's similarities.
        teacher_temperature: Divides the teacher's; lower is sharper.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        predicted = F.normalize(_wide(predicted), dim=1)
        target = F.normalize(target.to(predicted), dim=1)
        queue = queue.to(predicted)
        log_probabilities = []
        for embeddings, temperature in ((predicted, student_temperature), (target, teacher_temperature)):
            own = (embeddings * target).sum(dim=1, keepdim=True)  # (B, 1)
            similarities = torch.cat([own, embeddings @ queue.T], dim=1)  # (B, 1 + K)
            log_probabilities.append(F.log_softmax(similarities / temperature, dim=1))
        student, teacher = log_probabilities
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def similarity_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of the cosines between any two images of a batch.

    Tung & Mori 2019, "Similarity-Preserving Knowledge Distillation", with cosines for the normalised products. Unlike
    `relational_loss` it compares predictions with predictions, which may lie in a space of any number of dimensions.

    Args:
        predicted: (B, D) of the student, B at least 2.
        target: (B, D') of the teacher, row by row of the same images.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        student, teacher = (F.normalize(_wide(x), dim=1) for x in (predicted, target))
        difference = student @ student.T - teacher @ teacher.T  # (B, B), its diagonal 0
        return difference.square().sum() / (len(predicted) * (len(predicted) - 1))


def map_loss(adapted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean of 1 - cos over the cells of two maps (B, C, H, W) and (B, C, H', W').

    Each is averaged to the coarser of the two grids.
    """
    with torch.autocast(adapted.device.type, enabled=False):
        grid = _coarser_grid(adapted, target)
        adapted, target = (F.adaptive_avg_pool2d(_wide(x), grid) for x in (adapted, target))
        return 1 - F.cosine_similarity(adapted, target, dim=1).mean()


class MultiScaleDistillation(nn.Module):
    """Matches a student's maps to a teacher's; its 1x1 adapters are discarded after pretraining.

    The weights of the scales double from each one to the next coarser one and add up to 1: (1/4, 1/2, 1) / 1.75 for
    three.

    Args:
        student_channels: Of the student's maps, the finest first.
        teacher_channels: Of the teacher's, as many.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]):
        super().__init__()
        self.adapters = nn.ModuleList(
            nn.Conv2d(ours, theirs, 1, bias=False)
            for ours, theirs in zip(student_channels, teacher_channels, strict=True)
        )
        weights = [2.0**level for level in range(len(student_channels))]
        self.weights = tuple(weight / sum(weights) for weight in weights)

    def forward(self, maps: Sequence[torch.Tensor], targets: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted sum of `map_loss` over the scales."""
        losses = []
        for weight, adapter, ours, target in zip(self.weights, self.adapters, maps, targets, strict=True):
            # An average of what an adapter makes is what it makes of the average, which has fewer cells.
            ours = F.adaptive_avg_pool2d(ours, _coarser_grid(ours, target))
            losses.append(weight * map_loss(adapter(ours), target))
        return torch.stack(losses).sum()


def _coarser_grid(one: torch.Tensor, other: torch.Tensor) -> tuple[int, int]:
    return min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3])


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
