"""Detection probe: an SSDLite head on an encoder, all layers fine-tuned, beside the same from random weights.

Liu et al., 2016, "SSD"; Sandler et al., 2018, "MobileNetV2", section 6.2 (SSDLite). The box generator, the head, the
multibox loss with its 3:1 hard negatives and the suppression are torchvision's; the backbone is ours.
"""

import statistics
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tinyedge.atomic import write_json
from tinyedge.data.voc import BoxDataset, BoxSplit, load_voc
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError, TrainingError
from tinyedge.evaluation.average_precision import AveragePrecision, Detections, Objects, mean_average_precision
from tinyedge.evaluation.protocols import check_detection
from tinyedge.training.optimizer import learning_rate

if TYPE_CHECKING:
    from torchvision.models.detection.ssd import SSD

    from tinyedge.training.run import Run

DETECTION_FILE = "detection.json"

_LEARNING_RATE = 0.01
_MOMENTUM = 0.9
_WEIGHT_DECAY = 5e-4
_BATCH_SIZE = 32
_WARMUP = 0.05
_NATIVE_SIZE = 224  # The size whose default strides are the encoder's own.
_EXTRA_CHANNELS = (128, 64)
_ASPECT_RATIOS = [[2, 3]] * 4


@dataclass(frozen=True)
class DetectionResult:
    """Mean average precision at IoU 0.5 on the test images, of the run's encoder and of random weights.

    Attributes:
        epochs: Passes over the train images.
        image_size: S in pixels.
        train_images: Images trained on.
        test_images: Images measured on.
        classes: Names.
        area: Of the run's encoder, one a seed, in [0, 1]; area under the precision-recall curve.
        eleven_point: As `area`, averaged at eleven recalls (VOC 2007).
        random_area: As `area`, from random weights of the same encoder.
        random_eleven_point: As `eleven_point`, from random weights.
        ratio: Mean of `area` over mean of `random_area`; None if random weights find nothing.
    """

    epochs: int
    image_size: int
    train_images: int
    test_images: int
    classes: tuple[str, ...]
    area: tuple[float, ...]
    eleven_point: tuple[float, ...]
    random_area: tuple[float, ...]
    random_eleven_point: tuple[float, ...]
    ratio: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)


def detect_run(
    run: "Run",
    voc: Path,
    *,
    epochs: int = 60,
    image_size: int = 160,
    seeds: int = 3,
    announce: Callable[[str], None] | None = None,
) -> DetectionResult:
    """Train detectors from a run's encoder and from random weights, and write `detection.json` into the run.

    Args:
        run: A finished training run. Its encoder is never written. Its data set is loaded for mean and deviation.
        voc: The folder that holds `VOCdevkit`, see `tinyedge.data.voc.load_voc`.
        epochs: Passes over the train images.
        image_size: S in pixels, whatever the run was trained at: the encoder is convolutional and takes its own
            strides, those for photographs.
        seeds: Detectors trained from each start.
        announce: Called with a line after each detector.

    Raises:
        ConfigError: A number out of range.
        DataError: The images or boxes are missing or broken.
        CheckpointError: The run has no encoder, or its files are corrupt.
        TrainingError: The loss became NaN or infinite.
    """
    check_detection(epochs, image_size, seeds)
    if run.config.channels == 1:
        raise ConfigError(f"{run.path} was trained on greyscale images, and VOC's are colour: give a run of RGB images")
    trained = run.load_encoder()
    dataset = load_voc(voc, image_size)
    pretrained_on = run.load_dataset()
    figures: dict[str, list[AveragePrecision]] = {"run": [], "random": []}
    for seed in range(seeds):
        for start, results in figures.items():
            torch.manual_seed(seed)
            encoder = encoder_at(trained, image_size)
            if start == "run":
                _load_weights(encoder, trained)
            detector = create_detector(encoder, len(dataset.classes), pretrained_on.mean, pretrained_on.std)
            train_detector(detector, dataset.train, epochs=epochs, seed=seed)
            results.append(evaluate_detector(detector, dataset.test, len(dataset.classes)))
            if announce is not None:
                announce(f"seed {seed}, {start}: mAP {100 * results[-1].area:.2f} %")
    result = _summarise(figures, dataset, epochs, image_size)
    write_json(run.path / DETECTION_FILE, result.to_json())
    return result


def _summarise(
    figures: dict[str, list[AveragePrecision]], dataset: BoxDataset, epochs: int, image_size: int
) -> DetectionResult:
    area, random_area = (tuple(figure.area for figure in figures[start]) for start in ("run", "random"))
    chance = statistics.fmean(random_area)
    return DetectionResult(
        epochs=epochs,
        image_size=image_size,
        train_images=len(dataset.train),
        test_images=len(dataset.test),
        classes=dataset.classes,
        area=area,
        eleven_point=tuple(figure.eleven_point for figure in figures["run"]),
        random_area=random_area,
        random_eleven_point=tuple(figure.eleven_point for figure in figures["random"]),
        ratio=statistics.fmean(area) / chance if chance > 0 else None,
    )


def encoder_at(encoder: Encoder, image_size: int) -> Encoder:
    """Return an encoder of the same kind with fresh weights, for images of another size, at its own strides."""
    settings: dict[str, Any] = {"act": encoder.act, "hidden": encoder.hidden, "enforce_budget": False}
    native = create_encoder(encoder.name, input_size=_NATIVE_SIZE, **settings).strides
    return create_encoder(encoder.name, input_size=image_size, strides=native, **settings)


def _load_weights(encoder: Encoder, trained: Encoder) -> None:
    try:
        encoder.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise ConfigError(
            f"{trained.name} was built for {trained.input_size} pixels and its weights do not fit another size: "
            "pretrain a convolutional encoder, --encoder tinynext_t"
        ) from error


class DetectionBackbone(nn.Module):
    """The maps of an encoder's stages 3 and 4, and of two depthwise-separable layers that each halve the grid.

    Args:
        encoder: Its `input_size` is that of the images.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        with torch.no_grad(), evaluating(encoder):
            maps = encoder.forward_maps(torch.zeros(1, 3, encoder.input_size, encoder.input_size))
        self.out_channels = [maps[2].shape[1], maps[3].shape[1], *_EXTRA_CHANNELS]
        self.extra = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU6(),
                nn.Conv2d(after, after, 3, 2, 1, groups=after, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU6(),
                nn.Conv2d(after, after, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU6(),
            )
            for before, after in zip(self.out_channels[1:3], _EXTRA_CHANNELS, strict=True)
        )

    def forward(self, images: torch.Tensor) -> "OrderedDict[str, torch.Tensor]":
        """Map normalised images (B, 3, S, S) to four maps, the finest first."""
        maps = self.encoder.forward_maps(images)[2:]
        for layer in self.extra:
            maps.append(layer(maps[-1]))
        return OrderedDict((str(index), feature_map) for index, feature_map in enumerate(maps))


def create_detector(encoder: Encoder, num_classes: int, mean: tuple[float, ...], std: tuple[float, ...]) -> "SSD":
    """Return torchvision's SSD on an encoder, with SSDLite's depthwise-separable head.

    Args:
        encoder: It becomes a part of the detector.
        num_classes: C, the background not among them.
        mean: Per channel, for images in [0, 1]: those that the encoder was pretrained with.
        std: Per channel.
    """
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead

    backbone = DetectionBackbone(encoder)
    boxes = DefaultBoxGenerator(_ASPECT_RATIOS, min_ratio=0.2, max_ratio=0.95)
    norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)
    head = SSDLiteHead(backbone.out_channels, boxes.num_anchors_per_location(), num_classes + 1, norm)
    return SSD(
        backbone,
        boxes,
        (encoder.input_size, encoder.input_size),
        num_classes + 1,
        image_mean=list(mean),
        image_std=list(std),
        head=head,
        nms_thresh=0.45,
    )


def train_detector(detector: "SSD", split: BoxSplit, *, epochs: int, seed: int) -> list[float]:
    """Fine-tune all layers by SGD (0.01, momentum 0.9, weight decay 5e-4), batches of 32, warm-up and cosine.

    Images are cropped around their objects as SSD does (section 2.2, torchvision's `RandomIoUCrop`) and flipped.
    Difficult objects are not trained on, nor images without any other.

    Args:
        detector: Trained in place; it is left in evaluation mode, on the GPU where there is one.
        split: Images and boxes.
        epochs: Passes over the images.
        seed: Of the order and the crops.

    Returns:
        The mean loss of each epoch.

    Raises:
        TrainingError: The loss became NaN or infinite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    detector.to(device).train()
    usable = [index for index in range(len(split)) if bool((~split.difficult[index]).any())]
    optimizer = torch.optim.SGD(
        detector.parameters(), lr=_LEARNING_RATE, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY
    )
    augment = _augmentation(split.images.shape[-1])
    batches = max(1, len(usable) // _BATCH_SIZE)
    steps = epochs * batches
    history = []
    # torchvision's crops draw from the global generators: their state is the caller's.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            total = 0.0
            for number, chosen in enumerate(torch.randperm(len(usable)).tensor_split(batches)):
                rate = learning_rate(
                    epoch * batches + number, steps, int(_WARMUP * steps), peak=_LEARNING_RATE, final=0.0
                )
                for group in optimizer.param_groups:
                    group["lr"] = rate
                examples = [augment(split, usable[index]) for index in chosen.tolist()]
                images = [image.to(device) for image, _ in examples]
                targets = [{key: value.to(device) for key, value in target.items()} for _, target in examples]
                losses = detector(images, targets)
                loss = losses["bbox_regression"] + losses["classification"]
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += float(loss.detach())
            history.append(total / batches)
            if not torch.isfinite(torch.tensor(total)):
                raise TrainingError(
                    f"detector training gave a loss of {total} in epoch {epoch + 1} of {epochs}: the encoder's weights "
                    "are too large, train it again with a lower --lr"
                )
    detector.eval()
    return history


def _augmentation(size: int) -> Callable[[BoxSplit, int], tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return a function that gives one random view of an image, float32 in [0, 1], and its boxes and labels."""
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.Resize((size, size), antialias=True),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(),
        ]
    )

    def augment(split: BoxSplit, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        kept = ~split.difficult[index]
        boxes = tv_tensors.BoundingBoxes(split.boxes[index][kept], format="XYXY", canvas_size=(size, size))
        target = {"boxes": boxes, "labels": split.labels[index][kept] + 1}  # 0 is the background
        image, target = transform(tv_tensors.Image(split.images[index]), target)
        return image.as_subclass(torch.Tensor).float() / 255, {
            "boxes": target["boxes"].as_subclass(torch.Tensor),
            "labels": target["labels"],
        }

    return augment


@torch.inference_mode()
def evaluate_detector(detector: "SSD", split: BoxSplit, num_classes: int) -> AveragePrecision:
    """Return the mean average precision at IoU 0.5 of a detector in evaluation mode on images that are not changed."""
    device = next(detector.parameters()).device
    found: list[Detections] = []
    for batch in split.images.split(_BATCH_SIZE):
        for output in detector([image.to(device).float() / 255 for image in batch]):
            boxes, labels, scores = (output[key].cpu().numpy() for key in ("boxes", "labels", "scores"))
            found.append(Detections(boxes, labels - 1, scores))
    return mean_average_precision(found, _objects(split), num_classes)


def _objects(split: BoxSplit) -> Sequence[Objects]:
    return [
        Objects(boxes.numpy(), labels.numpy(), difficult.numpy())
        for boxes, labels, difficult in zip(split.boxes, split.labels, split.difficult, strict=True)
    ]
