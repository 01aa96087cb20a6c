"""Fine-tuning: a copy of the encoder and a linear head trained together on the labelled images."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.augment import Augment
from tinyedge.encoders.base import Encoder
from tinyedge.errors import TrainingError
from tinyedge.evaluation.features import encoder_device, extract_features
from tinyedge.ssl.logistic import standardisation
from tinyedge.training.optimizer import create_optimizer, learning_rate

LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
BATCH_SIZE = 256
WARMUP = 0.05

_BETAS = (0.9, 0.999)


class FineTuned(nn.Module):
    """An encoder and a linear head on its standardised feature.

    Args:
        encoder: Not shared with anyone.
        mean: (D,) of the features that the encoder gave before.
        inverse: (D,) inverse deviation of those.
        num_classes: C.
    """

    mean: torch.Tensor
    inverse: torch.Tensor

    def __init__(self, encoder: Encoder, mean: torch.Tensor, inverse: torch.Tensor, num_classes: int):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", mean)
        self.register_buffer("inverse", inverse)
        self.head = nn.Linear(len(mean), num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images (B, C, H, W) to logits (B, C)."""
        logits: torch.Tensor = self.head((self.encoder(images) - self.mean) * self.inverse)
        return logits


def fine_tune(
    encoder: Encoder,
    images: torch.Tensor,
    labels: torch.Tensor,
    augment: Augment,
    num_classes: int,
    *,
    seed: int,
    epochs: int = 100,
) -> FineTuned:
    """Train a copy of the encoder and a head that starts at 0.

    AdamW at 1e-3, weight decay 0.05 (not on norms and biases), label smoothing 0.1, batches of 256 of crops and flips,
    a twentieth of the steps of warm-up, then half a cosine to 0.

    Args:
        encoder: Left as it came: a copy is trained, on its device.
        images: (M, C, H, W) uint8, M at least 2.
        labels: (M,) int64.
        augment: Makes the views.
        num_classes: C.
        seed: Of the order and the views.
        epochs: Passes over the images.

    Returns:
        The model in evaluation mode.

    Raises:
        TrainingError: The loss became NaN or infinite.
    """
    device = encoder_device(encoder)
    clean = extract_features(encoder, images, augment.mean, augment.std).to(device)
    mean, inverse = standardisation(clean.double())
    model = FineTuned(copy.deepcopy(encoder).requires_grad_(True), mean.float(), inverse.float(), num_classes)
    model.to(device).train()
    optimizer = create_optimizer(model, WEIGHT_DECAY, _BETAS)
    images, labels = images.to(device), labels.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    batches = max(1, len(labels) // BATCH_SIZE)
    steps = epochs * batches
    step = 0
    # Dropout draws from the global generators: their state is the caller's.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        for _ in range(epochs):
            order = torch.randperm(len(labels), generator=generator, device=device)
            for chosen in order.tensor_split(batches):
                rate = learning_rate(step, steps, int(WARMUP * steps), peak=LEARNING_RATE, final=0.0)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                views = augment(images[chosen], generator).contiguous(memory_format=torch.channels_last)
                loss = F.cross_entropy(model(views), labels[chosen], label_smoothing=LABEL_SMOOTHING)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                step += 1
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"fine-tuning gave a loss of {float(loss)} at step {step} of {steps}: the encoder's weights are "
                    "too large, train it again with a lower --lr"
                )
    model.eval()
    return model


def predict(model: FineTuned, images: torch.Tensor, augment: Augment) -> torch.Tensor:
    """Return the class of each of (N, C, H, W) uint8 images, not augmented, (N,) int64 on the CPU."""
    features = extract_features(model.encoder, images, augment.mean, augment.std).to(model.mean)
    with torch.inference_mode():
        predicted: torch.Tensor = model.head((features - model.mean) * model.inverse).argmax(1).cpu()
    return predicted
