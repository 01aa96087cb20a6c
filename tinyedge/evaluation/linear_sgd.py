"""Linear probe by SGD on augmented images: the protocol of most published figures (methods such as solo-learn's)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tinyedge.data.augment import Augment, AugmentConfig, default_augment
from tinyedge.data.splits import label_fraction_indices
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating
from tinyedge.evaluation.features import encoder_device, extract_features, pooled_features
from tinyedge.evaluation.linear import require_two_per_class
from tinyedge.ssl.logistic import LinearClassifier, standardisation

LEARNING_RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
BATCH_SIZE = 256

_MOMENTUM = 0.9
_HELD_OUT = 0.1


@dataclass(frozen=True)
class SgdProbe:
    """A linear classifier and the learning rate that it was trained with.

    Attributes:
        classifier: Acts on the raw feature; its `l2` is 0.
        learning_rate: The best of `LEARNING_RATES` on a held-out tenth of the labels.
    """

    classifier: LinearClassifier
    learning_rate: float


def crops_and_flips(dataset_name: str, image_size: int) -> AugmentConfig:
    """Return the data set's usual crops and flips, without any change of colour."""
    usual = default_augment(dataset_name, image_size)
    return AugmentConfig(
        crop_area=usual.crop_area,
        crop_ratio=usual.crop_ratio,
        flip_probability=usual.flip_probability,
        jitter_probability=0.0,
        greyscale_probability=0.0,
    )


def fit_linear_sgd(
    encoder: Encoder,
    images: torch.Tensor,
    labels: torch.Tensor,
    augment: Augment,
    num_classes: int,
    *,
    seed: int,
    epochs: int = 100,
    stages: Sequence[int] | None = None,
) -> SgdProbe:
    """Train a linear layer on features that each epoch computes anew from crops and flips; the encoder is frozen.

    SGD of momentum 0.9, batches of 256, no weight decay, half a cosine to 0. Every learning rate has two layers that
    see the same batches: one leaves a class-stratified tenth of the labelled images out and is measured on it, the
    other has them all. The encoder therefore runs once for all of them.

    Args:
        encoder: Left as it came; its device is used.
        images: (M, C, H, W) uint8.
        labels: (M,) int64.
        augment: Makes the views, see `crops_and_flips`.
        num_classes: C.
        seed: Of the held-out tenth, the order and the views.
        epochs: Passes over the images.
        stages: Whose features are used, see `pooled_features`.

    Raises:
        DataError: A class has fewer than two labelled images.
    """
    require_two_per_class(labels, num_classes)
    device = encoder_device(encoder)
    clean = extract_features(encoder, images, augment.mean, augment.std, stages=stages).to(device)
    mean, inverse = standardisation(clean.double())
    mean, inverse = mean.float(), inverse.float()
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    held_out[label_fraction_indices(labels, _HELD_OUT, seed)] = True
    images, labels, held_out = images.to(device), labels.to(device), held_out.to(device)

    rates = torch.tensor(LEARNING_RATES, device=device).repeat(2)[:, None, None]  # (2L, 1, 1)
    heads = torch.zeros(len(rates), clean.shape[1] + 1, num_classes, device=device)  # the last row is the bias
    momentum = torch.zeros_like(heads)
    generator = torch.Generator(device).manual_seed(seed)
    batches = max(1, len(labels) // BATCH_SIZE)
    with evaluating(encoder):
        for epoch in range(epochs):
            order = torch.randperm(len(labels), generator=generator, device=device)
            for number, chosen in enumerate(order.tensor_split(batches)):
                views = augment(images[chosen], generator).contiguous(memory_format=torch.channels_last)
                with torch.no_grad():
                    features = (pooled_features(encoder, views, stages).float() - mean) * inverse
                gradient = _gradient(heads, features, labels[chosen], held_out[chosen])
                momentum = _MOMENTUM * momentum + gradient
                progress = (epoch * batches + number) / (epochs * batches)
                cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item())
                heads = heads - cosine * rates * momentum

    kept = ((clean - mean) * inverse)[held_out]
    scores = torch.baddbmm(heads[:, -1:], kept.expand(len(heads), *kept.shape), heads[:, :-1])  # (2L, H, C)
    correct = (scores[: len(LEARNING_RATES)].argmax(2) == labels[held_out]).sum(1)
    best = int(correct.argmax())  # the lowest rate wins a tie
    head = heads[len(LEARNING_RATES) + best]
    weight = inverse[:, None] * head[:-1]
    bias = head[-1] - mean @ weight
    return SgdProbe(LinearClassifier(weight.T.cpu().contiguous(), bias.cpu(), 0.0), LEARNING_RATES[best])


def _gradient(
    heads: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, held_out: torch.Tensor
) -> torch.Tensor:
    """Gradient of the mean cross entropy for heads (2L, D + 1, C); the first half does not see the held-out rows.

    The mean of softmax regression's gradient is X^T (p - y) / B: written out, all heads share one product.
    """
    half, count = len(heads) // 2, len(features)
    inputs = F.pad(features, (0, 1), value=1.0)  # (B, D + 1)
    error = (inputs @ heads).softmax(2) - F.one_hot(labels, heads.shape[2])  # (2L, B, C)
    seen = torch.ones(len(heads), count, 1, device=features.device)
    seen[:half] = (~held_out).float()[:, None]
    return inputs.T @ (error * seen / seen.sum(1, keepdim=True).clamp_min(1))  # (2L, D + 1, C)
