"""How good a run's encoder is: linear probe and nearest neighbours on its frozen features."""

import hashlib
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tinyedge.atomic import atomic_path, write_json
from tinyedge.data.dataset import ImageDataset, require_labels
from tinyedge.data.splits import label_fraction_indices
from tinyedge.encoders.base import Encoder
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.evaluation.features import extract_features
from tinyedge.evaluation.knn import knn_predict, nearest_neighbour_predict
from tinyedge.evaluation.linear import LinearClassifier, fit_linear_probe

if TYPE_CHECKING:
    from tinyedge.training.run import Run

PROTOCOLS = ("linear", "knn")
PROBE_FILE = "probe.json"
CLASSIFIER_FILE = "probe.safetensors"
FEATURES_FILE = "features.safetensors"

_NEIGHBOURS = 20
_TEMPERATURE = 0.07
_SOLVERS = {
    "linear": "L-BFGS on standardised features, L2 chosen on a held-out tenth of the labels",
    "knn": f"weighted kNN, k={_NEIGHBOURS}, cosine, T={_TEMPERATURE}",
}


@dataclass(frozen=True)
class FrozenFeatures:
    """Features and labels of the labelled train images and of the test images.

    Attributes:
        train: (M, D) float32.
        train_labels: (M,) int64.
        test: (N, D) float32.
        test_labels: (N,) int64.
        num_classes: C.
    """

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    num_classes: int


@dataclass(frozen=True)
class ProbeResult:
    """Top-1 accuracy on the test split for each choice of labels.

    Attributes:
        protocol: `linear` or `knn`.
        solver: What exactly was run.
        label_fraction: Share of each class's train labels that was used.
        labels: Labelled images used.
        test_images: Images the accuracy is measured on.
        accuracies: In [0, 1], one a seed.
        mean: Of the accuracies.
        sd: Sample standard deviation of the accuracies; None for one seed.
        l2: The penalty that each seed chose; None but for the linear probe.
        nearest_accuracies: The single nearest neighbour by Euclidean distance, one a seed; None but for kNN.
        nearest_mean: Of those.
    """

    protocol: str
    solver: str
    label_fraction: float
    labels: int
    test_images: int
    accuracies: tuple[float, ...]
    mean: float
    sd: float | None
    l2: tuple[float, ...] | None = None
    nearest_accuracies: tuple[float, ...] | None = None
    nearest_mean: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)


def probe_run(run: "Run", *, label_fraction: float = 1.0, protocol: str = "linear", seeds: int = 3) -> ProbeResult:
    """Probe a run's encoder and write the figures into the run.

    `probe.json` keeps one record for each protocol and label fraction of the present encoder. After a linear probe
    `probe.safetensors` holds the classifier of seed 0: `weight` (C, D) and `bias` (C,), acting on the raw feature.
    The features are kept in `features.safetensors`, so that further probes of the same encoder take seconds.

    Args:
        run: A finished training run.
        label_fraction: Share of each class's train labels to use, in (0, 1].
        protocol: `linear` or `knn`.
        seeds: The label subsets 0 .. seeds - 1 are probed.

    Raises:
        DataError: The data set lacks labels, a test split or a second class, or a class has too few labels.
        CheckpointError: The run has no encoder, or its files are corrupt.
        ConfigError: An unknown protocol, or a fraction or count out of range.
    """
    _check_options(label_fraction, protocol, seeds)
    dataset = run.load_dataset()
    require_labels(dataset)
    encoder = run.load_encoder()
    digest = _encoder_digest(encoder)
    records = _read_records(run.path / PROBE_FILE)
    features = _cached_features(encoder, dataset, run.path / FEATURES_FILE, digest)
    result, classifier = probe_features(features, label_fraction=label_fraction, protocol=protocol, seeds=seeds)
    if classifier is not None:
        _save_classifier(run.path / CLASSIFIER_FILE, classifier, dataset.classes, label_fraction)
    kept = [
        record
        for record in records
        if record.get("encoder_sha256") == digest
        and (record.get("protocol"), record.get("label_fraction")) != (protocol, label_fraction)
    ]
    kept.append({**result.to_json(), "data": dataset.name, "encoder_sha256": digest})
    write_json(run.path / PROBE_FILE, sorted(kept, key=lambda record: (record["protocol"], record["label_fraction"])))
    return result


def probe_encoder(
    encoder: Encoder, dataset: ImageDataset, *, label_fraction: float = 1.0, protocol: str = "linear", seeds: int = 3
) -> ProbeResult:
    """Probe any encoder on any data set; nothing is written. The arguments and errors are those of `probe_run`."""
    _check_options(label_fraction, protocol, seeds)
    require_labels(dataset)
    features = _extract(encoder, dataset)
    return probe_features(features, label_fraction=label_fraction, protocol=protocol, seeds=seeds)[0]


def probe_features(
    features: FrozenFeatures, *, label_fraction: float, protocol: str, seeds: int
) -> tuple[ProbeResult, LinearClassifier | None]:
    """Probe features; also return the linear classifier of seed 0, None for kNN.

    Raises:
        CheckpointError: A feature is NaN or infinite.
    """
    _check_options(label_fraction, protocol, seeds)
    for split, values in (("train", features.train), ("test", features.test)):
        broken = int((~torch.isfinite(values)).any(1).sum())
        if broken:
            raise CheckpointError(
                f"the encoder gives NaN or infinity for {broken} of {len(values)} {split} images: its weights are of "
                "no use, train again with a lower --lr"
            )
    accuracies, nearest, penalties = [], [], []
    first: LinearClassifier | None = None
    labels = 0
    for seed in range(seeds):
        chosen = label_fraction_indices(features.train_labels, label_fraction, seed)
        train, train_labels = features.train[chosen], features.train_labels[chosen]
        labels = len(chosen)
        if protocol == "linear":
            classifier = fit_linear_probe(train, train_labels, features.num_classes, seed)
            first = first or classifier
            penalties.append(classifier.l2)
            accuracies.append(_accuracy(classifier.predict(features.test), features.test_labels))
        else:
            voted = knn_predict(
                train, train_labels, features.test, features.num_classes, k=_NEIGHBOURS, temperature=_TEMPERATURE
            )
            accuracies.append(_accuracy(voted, features.test_labels))
            nearest.append(
                _accuracy(nearest_neighbour_predict(train, train_labels, features.test), features.test_labels)
            )
    result = ProbeResult(
        protocol=protocol,
        solver=_SOLVERS[protocol],
        label_fraction=label_fraction,
        labels=labels,
        test_images=len(features.test),
        accuracies=tuple(accuracies),
        mean=statistics.fmean(accuracies),
        sd=statistics.stdev(accuracies) if seeds > 1 else None,
        l2=tuple(penalties) or None,
        nearest_accuracies=tuple(nearest) or None,
        nearest_mean=statistics.fmean(nearest) if nearest else None,
    )
    return result, first


def _check_options(label_fraction: float, protocol: str, seeds: int) -> None:
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}: use --protocol {' or '.join(PROTOCOLS)}")
    if not 0 < label_fraction <= 1:
        raise ConfigError(f"--labels is above 0 and at most 1, not {label_fraction}: 0.2 means 20 % of the labels")
    if seeds < 1:
        raise ConfigError(f"--seeds is at least 1, not {seeds}: 3 is usual")


def _accuracy(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    return int((predicted == labels).sum()) / len(labels)


def _extract(encoder: Encoder, dataset: ImageDataset) -> FrozenFeatures:
    train, train_labels, test, test_labels = _labelled_images(dataset)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device)
    train_features, test_features = (
        extract_features(encoder, images, dataset.mean, dataset.std) for images in (train, test)
    )
    return FrozenFeatures(train_features, train_labels, test_features, test_labels, len(dataset.classes))


def _labelled_images(dataset: ImageDataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and labels of the labelled part of each split."""
    assert dataset.train.labels is not None
    assert dataset.test is not None
    assert dataset.test.labels is not None
    images, labels = dataset.train.images, dataset.train.labels
    if bool((labels < 0).any()):  # STL-10 has unlabelled images among the others
        images, labels = images[labels >= 0], labels[labels >= 0]
    return images, labels, dataset.test.images, dataset.test.labels


def _cached_features(encoder: Encoder, dataset: ImageDataset, path: Path, encoder_digest: str) -> FrozenFeatures:
    """Features from `path` if they are of this encoder and these images, else computed and stored there."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    train, train_labels, test, test_labels = _labelled_images(dataset)
    key = hashlib.sha256(f"{encoder_digest} {dataset.mean} {dataset.std}".encode())
    for images in (train, test):
        key.update(images.contiguous().numpy().data)
    wanted = key.hexdigest()
    if path.is_file():
        try:
            with safe_open(path, framework="pt") as stored:
                if (stored.metadata() or {}).get("key") == wanted:
                    return FrozenFeatures(
                        stored.get_tensor("train"),
                        train_labels,
                        stored.get_tensor("test"),
                        test_labels,
                        len(dataset.classes),
                    )
        except (SafetensorError, OSError, ValueError):
            pass  # Half a file is as good as none: they are computed again.
    features = _extract(encoder, dataset)
    with atomic_path(path) as temporary:
        save_file({"train": features.train, "test": features.test}, temporary, metadata={"key": wanted})
    return features


def _encoder_digest(encoder: Encoder) -> str:
    """SHA-256 of all weights and batch-norm statistics, and of the settings that change what they compute."""
    digest = hashlib.sha256(f"{encoder.input_size} {encoder!r}".encode())  # repr() names every stride and activation
    for name, chunk in _named_bytes(encoder):
        digest.update(name.encode())
        digest.update(chunk)
    return digest.hexdigest()


def _named_bytes(encoder: Encoder) -> Iterator[tuple[str, bytes]]:
    for name, tensor in sorted(encoder.state_dict().items()):
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype}", tensor.detach().cpu().contiguous().numpy().tobytes()


def _read_records(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is corrupt ({error}): delete it and probe again") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CheckpointError(f"{path} is no list of probe records: delete it and probe again")
    return records


def _save_classifier(path: Path, classifier: LinearClassifier, classes: tuple[str, ...], label_fraction: float) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file(
            {"weight": classifier.weight, "bias": classifier.bias},
            temporary,
            metadata={
                "classes": json.dumps(classes),
                "label_fraction": str(label_fraction),
                "l2": str(classifier.l2),
                "seed": "0",
            },
        )
