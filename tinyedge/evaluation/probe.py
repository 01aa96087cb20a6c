"""How good a run's encoder is: linear probes and nearest neighbours on its frozen features, and fine-tuning."""

import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tinyedge.announce import silent
from tinyedge.atomic import atomic_path, write_json
from tinyedge.data.augment import Augment
from tinyedge.data.dataset import ImageDataset
from tinyedge.data.registry import absolute_name
from tinyedge.data.splits import label_fraction_indices
from tinyedge.encoders.base import Encoder
from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.evaluation import finetune, linear_sgd
from tinyedge.evaluation.features import extract_features
from tinyedge.evaluation.knn import knn_predict, nearest_neighbour_predict
from tinyedge.evaluation.linear import fit_linear_probe
from tinyedge.evaluation.probe_records import PROBE_FILE, read_probe_records
from tinyedge.evaluation.protocols import DEFAULT_EPOCHS, LAST_STAGE, OWN, TRAINED_PROTOCOLS, check_protocol
from tinyedge.evaluation.split import HELD_OUT, TEST, ProbeImages, probe_images
from tinyedge.plots.png import pictures_of
from tinyedge.plural import counted
from tinyedge.shell import command_line
from tinyedge.ssl.logistic import LinearClassifier
from tinyedge.ssl.registry import learns_from_labels
from tinyedge.training.classifier_file import StoredClassifier, read_classifier, save_classifier
from tinyedge.training.encoder_file import encoder_digest, weights_digest
from tinyedge.training.run import CLASSIFIER_FILE, CONFUSION_PLOT, EMBEDDING_PLOT, GALLERY_FILE, Run

FEATURES_FILE = "features.safetensors"

_NEIGHBOURS = 20
_TEMPERATURE = 0.07
_SOLVERS = {
    "linear": "Newton-CG on standardised features, L2 chosen on a held-out tenth of the labels",
    "knn": f"weighted kNN, k={_NEIGHBOURS}, cosine, T={_TEMPERATURE}",
    "linear-sgd": (
        f"SGD m=0.9 on standardised features of crops and flips, batch {linear_sgd.BATCH_SIZE}, cosine, no weight "
        f"decay, lr of {linear_sgd.LEARNING_RATES} chosen on a held-out tenth of the labels"
    ),
    OWN: "the run's own classifier, trained end to end with its encoder",
    "finetune": (
        f"all layers, AdamW lr {finetune.LEARNING_RATE}, weight decay {finetune.WEIGHT_DECAY}, label smoothing "
        f"{finetune.LABEL_SMOOTHING}, batch {finetune.BATCH_SIZE} of crops and flips, {finetune.WARMUP:.0%} "
        "warm-up, cosine"
    ),
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

    def to(self, device: torch.device) -> "FrozenFeatures":
        """Return the same features and labels on a device."""
        return replace(
            self,
            train=self.train.to(device),
            train_labels=self.train_labels.to(device),
            test=self.test.to(device),
            test_labels=self.test_labels.to(device),
        )


@dataclass(frozen=True)
class ProbeResult:
    """Top-1 accuracy for each choice of labels.

    Attributes:
        protocol: One of `tinyedge.evaluation.protocols.PROTOCOLS`.
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
        split: `test`, or `held-out`: train images kept from the labels, to choose options without the test images.
        stages: Whose pooled maps are the features.
        epochs: Passes over the labelled images; None where nothing is trained by passes.
        learning_rates: The rate that each seed chose; None but for `linear-sgd`.
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
    split: str = TEST
    stages: tuple[int, ...] = LAST_STAGE
    epochs: int | None = None
    learning_rates: tuple[float, ...] | None = None

    @property
    def exportable(self) -> bool:
        """Whether it left a classifier for the export: a linear one of stages up to 4, measured on the test split."""
        return self.protocol.startswith("linear") and self.stages[-1:] == LAST_STAGE and self.split == TEST

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)


def frozen_features(
    encoder: Encoder, dataset: ImageDataset, images: ProbeImages, stages: tuple[int, ...]
) -> FrozenFeatures:
    """Return the features of all images, on the GPU where there is one."""
    encoder = encoder.to(_device())
    train, test = (
        extract_features(encoder, pixels, dataset.mean, dataset.std, stages=stages)
        for pixels in (images.train, images.test)
    )
    return FrozenFeatures(train, images.train_labels, test, images.test_labels, len(dataset.classes))


class Probed(NamedTuple):
    """What a probe leaves.

    Attributes:
        result: Its figures.
        classifier: The linear classifier of seed 0; None where there is none.
        features: What was probed; None where the images were passed through the encoder again and again.
    """

    result: ProbeResult
    classifier: LinearClassifier | None
    features: FrozenFeatures | None


def probe_run(
    run: Run,
    *,
    label_fraction: float = 1.0,
    protocol: str = "linear",
    seeds: int = 3,
    epochs: int | None = None,
    stages: Sequence[int] | None = None,
    hold_out: int = 0,
    plots: bool = False,
    announce: Callable[[str], None] = silent,
) -> ProbeResult:
    """Probe a run's encoder and write the figures into the run.

    `probe.json` keeps one record for each protocol, label fraction, split and choice of stages of the present encoder.
    After a linear probe on the test split of stages that end with 4, `probe.safetensors` holds the classifier of seed
    0: `weight` (C, D) and `bias` (C,), acting on the raw feature, and names its data set and stages; the export reads
    all. A classifier that was trained with the encoder stays there instead. The features are kept in
    `features*.safetensors`, so that further probes of the same encoder take seconds.

    Args:
        run: A finished training run. Its encoder is never written.
        label_fraction: Share of each class's train labels to use, in (0, 1]; of those not held out.
        protocol: One of `tinyedge.evaluation.protocols.PROTOCOLS`.
        seeds: The label subsets 0 .. seeds - 1 are probed. All labels are one, which `linear` and `knn` probe once.
        epochs: Of `linear-sgd` and `finetune`; None is 100.
        stages: Ascending, of 1 to 4: the pooled maps that are put side by side; None is the encoder's own feature,
            which is all that `finetune` takes.
        hold_out: Train images that are measured instead of the test split and never labelled, see
            `tinyedge.evaluation.split.probe_images`; 0 measures the test split.
        plots: Whether a linear probe draws `plots/embedding.png` and `plots/confusion.png`, and keeps what a report
            shows in `plots/gallery.json`.
        announce: Called with the name of each step when it begins.

    Raises:
        DataError: The data set lacks labels, a test split or a second class, or a class has too few labels.
        CheckpointError: The run has no encoder, or its files are corrupt.
        ConfigError: An unknown protocol, a fraction, count or stage out of range, images held out of a run that learned
            from labels, or `own` of a run without a classifier of its own.
    """
    check_protocol(label_fraction, protocol, seeds, epochs, None if stages is None else tuple(stages))
    if protocol == OWN and not run.has_own_classifier:
        tune = command_line("tinyedge", "finetune", run.path)
        raise ConfigError(
            f"{run.path} has no classifier of its own, which --method supervised and `{tune}` train with the encoder; "
            "use --protocol linear"
        )
    if hold_out and learns_from_labels(run.config.method):
        raise ConfigError(
            f"{run.path} has learned from labels, those of held-out images among them; leave out --hold-out"
        )
    announce(f"loading {run.config.data}")
    dataset = run.load_dataset()
    images = probe_images(dataset, hold_out)
    encoder = run.load_encoder()
    digest = encoder_digest(encoder)
    records = read_probe_records(run.path / PROBE_FILE)
    if protocol == OWN:
        result, classifier, features = _measure_own(run, encoder, dataset, images, announce)
    else:
        result, classifier, features = probe_encoder(
            encoder,
            dataset,
            images,
            label_fraction=label_fraction,
            protocol=protocol,
            seeds=seeds,
            epochs=epochs,
            stages=stages,
            extract=partial(_cached_features, folder=run.path, encoder_digest=digest),
            announce=announce,
        )
    if classifier is not None and result.exportable and not run.has_own_classifier:
        stored = StoredClassifier(
            classifier.weight,
            classifier.bias,
            dataset.classes,
            label_fraction,
            absolute_name(run.config.data),
            weights_digest(encoder),
            None if result.stages == encoder.feature_stages else result.stages,
        )
        save_classifier(run.path / CLASSIFIER_FILE, stored, l2=classifier.l2)
    record = {**result.to_json(), "data": dataset.name, "held_out": dataset.held_out, "encoder_sha256": digest}
    kept = [old for old in records if old.get("encoder_sha256") == digest and _record_key(old) != _record_key(record)]
    write_json(run.path / PROBE_FILE, sorted([*kept, record], key=_record_key))
    if plots and classifier is not None and features is not None:
        announce("plots")
        with pictures_of("the probe"):
            _draw(run.path, images, features, classifier, dataset.classes, result)
    return result


def own_record(run: Run) -> dict[str, Any] | None:
    """Return the record of a run's own classifier on the run's own data; None where that was not measured.

    Raises:
        CheckpointError: The file is corrupt.
    """
    key = OWN, Path(run.config.data).resolve().name  # A folder is named as `load_folder` names it.
    records = read_probe_records(run.path / PROBE_FILE)
    return next((record for record in records if (record["protocol"], record.get("data")) == key), None)


def _record_key(record: dict[str, Any]) -> tuple[str, float, str, tuple[int, ...], str, int]:
    """Records of earlier versions measured stage 4 on the test split."""
    split, stages = record.get("split", TEST), tuple(record.get("stages", LAST_STAGE))
    data, epochs = record.get("data", ""), record.get("epochs") or 0
    return record["protocol"], record["label_fraction"], split, stages, data, epochs


def probe_encoder(
    encoder: Encoder,
    dataset: ImageDataset,
    images: ProbeImages,
    *,
    label_fraction: float = 1.0,
    protocol: str = "linear",
    seeds: int = 3,
    epochs: int | None = None,
    stages: Sequence[int] | None = None,
    extract: Callable[[Encoder, ImageDataset, ProbeImages, tuple[int, ...]], FrozenFeatures] = frozen_features,
    announce: Callable[[str], None] = silent,
) -> Probed:
    """Probe any encoder; nothing is written.

    Args:
        encoder: Of any kind.
        dataset: What `images` are of.
        images: From `probe_images`.
        label_fraction: As for `probe_run`.
        protocol: As for `probe_run`.
        seeds: As for `probe_run`.
        epochs: As for `probe_run`.
        stages: As for `probe_run`.
        extract: Gives the features of all images, for a protocol that keeps the encoder frozen.
        announce: Called with the name of each step when it begins.

    Raises:
        DataError: A class has too few labels.
        ConfigError: An unknown protocol, or a fraction, count or stage out of range.
    """
    check_protocol(label_fraction, protocol, seeds, epochs, None if stages is None else tuple(stages))
    stages = encoder.feature_stages if stages is None else tuple(stages)
    if protocol in TRAINED_PROTOCOLS:
        announce(f"{protocol}, {counted(seeds, 'seed')}")
        result, classifier = _probe_images(
            encoder, dataset, images, label_fraction, protocol, seeds, epochs or DEFAULT_EPOCHS, stages
        )
        return Probed(result, classifier, None)
    announce("features")
    features = extract(encoder, dataset, images, stages)
    announce(f"{protocol}, {counted(_subsets(label_fraction, seeds), 'seed')}")
    result, classifier = probe_features(features, label_fraction=label_fraction, protocol=protocol, seeds=seeds)
    return Probed(replace(result, split=images.split, stages=stages), classifier, features)


def probe_features(
    features: FrozenFeatures, *, label_fraction: float, protocol: str, seeds: int
) -> tuple[ProbeResult, LinearClassifier | None]:
    """Probe features by `linear` or `knn`; also return the linear classifier of seed 0, None for kNN.

    It runs on the GPU where there is one.

    Raises:
        CheckpointError: A feature is NaN or infinite.
    """
    check_protocol(label_fraction, protocol, seeds, None, None)
    if protocol == OWN:
        raise ConfigError("--protocol own measures the classifier of a run: use --protocol linear for features alone")
    _require_finite("train", features.train)
    _require_finite("test", features.test)
    features = features.to(_device())
    accuracies, nearest, penalties = [], [], []
    first: LinearClassifier | None = None
    labels = 0
    for seed in range(_subsets(label_fraction, seeds)):
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
    result = replace(
        _summary(protocol, label_fraction, labels, len(features.test), accuracies),
        l2=tuple(penalties) or None,
        nearest_accuracies=tuple(nearest) or None,
        nearest_mean=statistics.fmean(nearest) if nearest else None,
    )
    return result, first


def _subsets(label_fraction: float, seeds: int) -> int:
    """Return how many label subsets there are to probe features by: all labels are one."""
    return 1 if label_fraction == 1.0 else seeds


def _probe_images(
    encoder: Encoder,
    dataset: ImageDataset,
    images: ProbeImages,
    label_fraction: float,
    protocol: str,
    seeds: int,
    epochs: int,
    stages: tuple[int, ...],
) -> tuple[ProbeResult, LinearClassifier | None]:
    """Probe by passes over the images; also return the linear classifier of seed 0, None for fine-tuning."""
    encoder = encoder.to(_device())
    views = linear_sgd.crops_and_flips(dataset.name, images.train.shape[-1])
    augment = Augment(views, dataset.mean, dataset.std)
    num_classes = len(dataset.classes)
    test = extract_features(encoder, images.test, dataset.mean, dataset.std, stages=stages)
    _require_finite("test", test)
    accuracies, rates = [], []
    first: LinearClassifier | None = None
    labels = 0
    for seed in range(seeds):
        chosen = label_fraction_indices(images.train_labels, label_fraction, seed)
        train, train_labels = images.train[chosen], images.train_labels[chosen]
        labels = len(chosen)
        if protocol == "finetune":
            model = finetune.fine_tune(encoder, train, train_labels, augment, num_classes, seed=seed, epochs=epochs)
            predicted = finetune.predict(model, images.test, augment)
        else:
            probe = linear_sgd.fit_linear_sgd(
                encoder, train, train_labels, augment, num_classes, seed=seed, epochs=epochs, stages=stages
            )
            first = first or probe.classifier
            rates.append(probe.learning_rate)
            predicted = probe.classifier.predict(test)
        accuracies.append(_accuracy(predicted, images.test_labels))
    result = replace(
        _summary(protocol, label_fraction, labels, len(images.test), accuracies),
        split=images.split,
        stages=stages,
        epochs=epochs,
        learning_rates=tuple(rates) or None,
    )
    return result, first


def _measure_own(
    run: Run, encoder: Encoder, dataset: ImageDataset, images: ProbeImages, announce: Callable[[str], None]
) -> Probed:
    """Measure the classifier that was trained with the encoder; nothing is fitted."""
    stored = read_classifier(run.path / CLASSIFIER_FILE, encoder)
    if stored.classes != tuple(dataset.classes):
        tune = command_line("tinyedge", "finetune", run.path, "--data", run.config.data)
        raise ConfigError(
            f"the classifier of {run.path} knows {len(stored.classes)} classes and {dataset.name} has "
            f"{len(dataset.classes)}, or others; run `{tune}` for one of these"
        )
    announce("features")
    test = extract_features(encoder.to(_device()), images.test, dataset.mean, dataset.std, stages=stored.stages)
    _require_finite("test", test)
    features = FrozenFeatures(test[:0], images.train_labels[:0], test, images.test_labels, len(dataset.classes))
    classifier = LinearClassifier(stored.weight, stored.bias, 0.0)
    labels = len(label_fraction_indices(images.train_labels, stored.label_fraction, 0))
    accuracy = _accuracy(classifier.predict(test), images.test_labels)
    result = _summary(OWN, stored.label_fraction, labels, len(test), [accuracy])
    return Probed(replace(result, stages=encoder.feature_stages), classifier, features)


def _summary(
    protocol: str, label_fraction: float, labels: int, test_images: int, accuracies: list[float]
) -> ProbeResult:
    """Return what every protocol reports of its accuracies, one a seed."""
    return ProbeResult(
        protocol=protocol,
        solver=_SOLVERS[protocol],
        label_fraction=label_fraction,
        labels=labels,
        test_images=test_images,
        accuracies=tuple(accuracies),
        mean=statistics.fmean(accuracies),
        sd=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
    )


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _require_finite(split: str, values: torch.Tensor) -> None:
    broken = int((~torch.isfinite(values)).any(1).sum())
    if broken:
        raise CheckpointError(
            f"the encoder gives NaN or infinity for {broken} of {len(values)} {split} images: its weights are of "
            "no use, train again with a lower --lr"
        )


def _accuracy(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    return int((predicted == labels).sum()) / len(labels)


def _cached_features(
    encoder: Encoder,
    dataset: ImageDataset,
    images: ProbeImages,
    stages: tuple[int, ...],
    folder: Path,
    encoder_digest: str,
) -> FrozenFeatures:
    """Features that the run keeps, if they are of this encoder and these images, else computed and stored there."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    path = folder / _features_name(images.split, stages)
    key = hashlib.sha256(f"{encoder_digest} {dataset.mean} {dataset.std}".encode())
    for pixels in (images.train, images.test):
        key.update(pixels.contiguous().numpy().data)
    wanted = key.hexdigest()
    if path.is_file():
        try:
            with safe_open(path, framework="pt") as stored:
                if (stored.metadata() or {}).get("key") == wanted:
                    return FrozenFeatures(
                        stored.get_tensor("train"),
                        images.train_labels,
                        stored.get_tensor("test"),
                        images.test_labels,
                        len(dataset.classes),
                    )
        except (SafetensorError, OSError, ValueError):
            pass  # Half a file is as good as none: they are computed again.
    features = frozen_features(encoder, dataset, images, stages)
    with atomic_path(path) as temporary:
        save_file({"train": features.train, "test": features.test}, temporary, metadata={"key": wanted})
    return features


def _features_name(split: str, stages: tuple[int, ...]) -> str:
    """`features.safetensors` for the usual probe, with the split and the stages in the name for others."""
    stem, suffix = FEATURES_FILE.split(".")
    if split == HELD_OUT:
        stem += f"-{HELD_OUT}"
    if stages != LAST_STAGE:
        stem += "-stages-" + "-".join(map(str, stages))
    return f"{stem}.{suffix}"


def _draw(
    folder: Path,
    images: ProbeImages,
    features: FrozenFeatures,
    classifier: LinearClassifier,
    classes: tuple[str, ...],
    result: ProbeResult,
) -> None:
    from tinyedge.plots.confusion import plot_confusion
    from tinyedge.plots.embedding import map_features, plot_embedding
    from tinyedge.plots.gallery import write_gallery

    labels = features.test_labels.numpy()
    predicted = classifier.predict(features.test).numpy()
    what = "own classifier" if result.protocol == OWN else "linear probe"
    title = f"{what}, {result.labels:,} labels, {result.split} images: {100 * result.accuracies[0]:.2f} %"
    plot_confusion(predicted, labels, classes, title, folder / CONFUSION_PLOT)
    embedding = map_features(features.test.numpy())
    plot_embedding(embedding, labels, classes, folder / EMBEDDING_PLOT)
    pixels = images.test[torch.from_numpy(embedding.chosen)].permute(0, 2, 3, 1).numpy()
    write_gallery(folder / GALLERY_FILE, title, embedding, pixels, labels, predicted, classes)
