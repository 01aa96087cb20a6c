"""The supervised baseline: cross entropy on the labelled part of the images, end to end.

Every other method sees all images and no label; this one sees the labels of a part, and that part's images alone.
CutMix: Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
section 3, with two deviations: every image has its own box instead of one box a batch, and its partner is the image
half of the device's batch away, which is as random as the order of the epoch is and needs no exchange between devices.
Images are cropped to a third of their area or more and enlarged, instead of moved within a border.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.dataset import ImageSplit
from tinyedge.data.splits import label_fraction_indices
from tinyedge.encoders.base import Encoder
from tinyedge.errors import DataError
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.distributed import own_rows, world_size
from tinyedge.ssl.method_options.supervised import SupervisedOptions


class ClassifiedStep(NamedTuple):
    """What a step makes of a batch.

    Attributes:
        images: (B, C, H, W), boxes of other images included.
        features: (B, D).
        logits: (B, C).
        loss: Cross entropy with the labels, a scalar.
        metrics: Detached scalars, `loss` among them.
    """

    images: torch.Tensor
    features: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor
    metrics: dict[str, torch.Tensor]


class Supervised(PretrainingMethod):
    """Encoder and linear classifier; `training_split` builds the classifier, since the labels say how many classes.

    Args:
        encoder: The encoder to train.
        options: See `SupervisedOptions`.
    """

    views = (View(),)
    any_view_size = True
    uses_labels = True
    classifier: nn.Linear

    def __init__(self, encoder: Encoder, options: SupervisedOptions):
        super().__init__()
        self.encoder = encoder
        self.options = options

    def training_split(self, train: ImageSplit, seed: int) -> ImageSplit:
        """Return the labelled part, the same for every `seed` of the training.

        Raises:
            DataError: There are no labels, or they are all of one class.
        """
        options = self.options
        classes = 0 if train.labels is None or len(train) == 0 else int(train.labels.max()) + 1
        if train.labels is None or classes < 2:
            count = "1 class" if classes == 1 else "no class"
            raise DataError(
                f"the images have labels of {count}, but supervised training needs 2 or more: "
                "put each class into a folder of its own below train/ and give that to --data, or use a method that "
                "needs no labels, such as --method s0-plus"
            )
        chosen = label_fraction_indices(train.labels, options.label_fraction, options.label_subset_seed)
        self.classifier = nn.Linear(self.encoder.feature_dim, classes)
        return replace(train, images=train.images[chosen], labels=train.labels[chosen])

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (B, D) to logits (B, C)."""
        logits: torch.Tensor = self.classifier(features)
        return logits

    def trained_classifier(self) -> nn.Linear:
        """Return the classifier, which is deployed with the encoder."""
        return self.classifier

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Classify the images, some of them with a box of another one."""
        step = self.classify_mixed(batch, generator)
        return StepResult(step.loss, step.metrics)

    def classify_mixed(self, batch: Batch, generator: torch.Generator) -> ClassifiedStep:
        """Cut boxes of other images into some of a batch's, and classify them."""
        images, labels = batch.views[0], batch.required_labels
        half = len(labels) // 2
        size = images.shape[-1]
        boxes = own_rows(
            draw_boxes(len(labels) * world_size(), size, self.options.cutmix_probability, generator)
        )  # (B, 1, H, W)
        mixed = torch.where(boxes, images.roll(half, dims=0), images)
        share = 1 - boxes.float().mean(dim=(1, 2, 3))  # (B,): the share of the image that is still its own
        mixed = mixed.contiguous(memory_format=torch.channels_last)
        features = self.encoder(mixed)  # (B, D)
        logits = self.classify(features)  # (B, C)
        with torch.autocast(logits.device.type, enabled=False):
            smoothing = self.options.label_smoothing
            own = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)  # (B,)
            other = F.cross_entropy(
                logits.float(), labels.roll(half, dims=0), reduction="none", label_smoothing=smoothing
            )
            loss = (share * own + (1 - share) * other).mean()
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return ClassifiedStep(mixed, features, logits, loss, {"loss": loss.detach(), "accuracy": accuracy})


def draw_boxes(count: int, size: int, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Return CutMix's boxes as masks (count, 1, size, size) bool, on the generator's device.

    A box of side size * sqrt(1 - lambda) with lambda uniform in [0, 1) has its centre anywhere in the image and ends
    where the image does; with 1 - `probability` it is empty.
    """
    mixing, area, row, column = torch.rand(4, count, 1, generator=generator, device=generator.device)
    half_side = torch.where(mixing < probability, size * (1 - area).sqrt() / 2, 0.0)  # (count, 1)
    pixel = torch.arange(size, device=generator.device) + 0.5
    rows, columns = ((pixel - size * centre).abs() < half_side for centre in (row, column))  # (count, size)
    boxes: torch.Tensor = rows[:, :, None] & columns[:, None, :]  # (count, size, size)
    return boxes.unsqueeze(1)
