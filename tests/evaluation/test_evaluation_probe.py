import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluation.probing import probe_encoder
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

from tinyedge.cli.app import make_app
from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.registry import load_dataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import CheckpointError, ConfigError, DataError
from tinyedge.evaluation import probe as probe_module
from tinyedge.evaluation.features import extract_features
from tinyedge.evaluation.probe import probe_run
from tinyedge.evaluation.trained_model import load_trained
from tinyedge.training.classifier_file import read_classifier
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, Run, load_run


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class _Pooled(Encoder):
    """Mean colours of a 4x4 grid: a fixed encoder that knows the digits a little."""

    def __init__(self) -> None:
        super().__init__("pooled", 32, ())
        self.feature_dim = 48
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.drop(nn.functional.adaptive_avg_pool2d(self.norm(images), 4)).flatten(1)


class _Blind(_Pooled):
    """Features that hold nothing about the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(int(images.double().abs().sum() * 1000))
        return torch.randn(len(images), self.feature_dim, generator=generator)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits")


def write_run(path: Path) -> None:
    """A finished run: TinyNeXt with random weights on the digits."""
    config = TrainConfig(method="random", encoder="tinynext_t", data="digits", image_size=16, strides=(2, 2, 2, 2, 1))
    config.save(path / CONFIG_FILE)
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=16, strides=config.strides)
    save_file(encoder.state_dict(), path / ENCODER_FILE)


@pytest.fixture
def new_run(tmp_path: Path) -> Run:
    """A finished run that was never probed."""
    path = tmp_path / "run"
    path.mkdir()
    write_run(path)
    return load_run(path)


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with its features, whose computing takes most of a probe's time."""
    path = tmp_path_factory.mktemp("probed") / "run"
    path.mkdir()
    write_run(path)
    probe_run(load_run(path), protocol="knn", seeds=1)
    (path / "probe.json").unlink()
    return path


@pytest.fixture
def run(probed: Path, tmp_path: Path) -> Run:
    """A copy of that run, as yet without a record."""
    return load_run(Path(shutil.copytree(probed, tmp_path / "run")))


def test_features_are_those_of_evaluation_mode(digits: ImageDataset) -> None:
    encoder = _Pooled().train()
    images = digits.train.images[:70]
    features = extract_features(encoder, images, digits.mean, digits.std, batch_size=32)
    assert encoder.training
    assert int(encoder.norm.num_batches_tracked) == 0
    assert features.shape == (70, 48)
    assert not features.requires_grad
    together = extract_features(encoder, images, digits.mean, digits.std, batch_size=70)
    torch.testing.assert_close(features, together)
    pixels = (images.float() / 255 - torch.tensor(digits.mean)[:, None, None]) / torch.tensor(digits.std)[:, None, None]
    expected = nn.functional.adaptive_avg_pool2d(pixels / (1 + 1e-5) ** 0.5, 4).flatten(1)
    torch.testing.assert_close(features, expected)


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_an_encoder_that_sees_beats_chance_and_a_blind_one(digits: ImageDataset, protocol: str) -> None:
    seeing = probe_encoder(_Pooled(), digits, label_fraction=0.1, protocol=protocol)
    blind = probe_encoder(_Blind(), digits, label_fraction=0.1, protocol=protocol, seeds=1)
    assert seeing.mean > 0.8
    assert blind.mean < 0.2
    assert seeing.test_images == 359
    assert len(seeing.accuracies) == 3
    assert seeing.sd is not None
    assert 0 < seeing.sd < 0.1
    assert min(seeing.accuracies) <= seeing.mean <= max(seeing.accuracies)
    again = probe_encoder(_Pooled(), digits, label_fraction=0.1, protocol=protocol, seeds=1)
    assert again.accuracies == seeing.accuracies[:1]


def test_more_labels_help(digits: ImageDataset) -> None:
    few = probe_encoder(_Pooled(), digits, label_fraction=0.03, seeds=1)
    many = probe_encoder(_Pooled(), digits, label_fraction=1.0, seeds=3)
    assert len(many.accuracies) == 1  # There is one subset of all labels.
    assert few.labels < many.labels == 1438
    assert few.mean < many.mean - 0.05
    assert many.sd is None


def test_probe_never_trains_on_the_test_split(digits: ImageDataset) -> None:
    assert digits.test is not None
    assert digits.test.labels is not None
    assert digits.train.labels is not None
    shuffled = digits.test.labels[torch.randperm(359, generator=torch.Generator().manual_seed(0))]
    train = ImageSplit(digits.train.images[:150], digits.train.labels[:150])
    noisy = replace(digits, train=train, test=ImageSplit(digits.test.images, shuffled))
    result = probe_encoder(_Pooled(), noisy, seeds=1)
    assert result.mean < 0.25


def test_unlabelled_images_of_the_train_split_are_left_out(digits: ImageDataset) -> None:
    assert digits.train.labels is not None
    labels = digits.train.labels.clone()
    labels[::2] = -1
    partly = replace(digits, train=ImageSplit(digits.train.images, labels))
    without = replace(digits, train=ImageSplit(digits.train.images[1::2], labels[1::2]))
    left, expected = (probe_encoder(_Pooled(), images, seeds=1, label_fraction=0.1) for images in (partly, without))
    assert left == expected


def test_run_keeps_a_record_for_each_protocol_and_fraction(run: Run, digits: ImageDataset) -> None:
    first = probe_run(run, label_fraction=0.05, seeds=1)
    probe_run(run, label_fraction=0.05, protocol="knn", seeds=1)
    last = probe_run(run, label_fraction=0.1, seeds=1)
    again = probe_run(run, label_fraction=0.05, protocol="knn", seeds=2)
    records = json.loads((run.path / "probe.json").read_text())
    assert [(r["protocol"], r["label_fraction"], len(r["accuracies"])) for r in records] == [
        ("knn", 0.05, 2),
        ("linear", 0.05, 1),
        ("linear", 0.1, 1),
    ]
    assert records[0]["mean"] == again.mean
    assert records[1]["mean"] == first.mean
    assert records[2]["accuracies"] == list(last.accuracies)
    assert records[0]["nearest_mean"] > 0.1
    assert records[0]["data"] == "digits"
    assert not list(run.path.glob(".*"))  # no temporary file is left


def test_written_classifier_gives_the_written_accuracy(run: Run) -> None:
    result = probe_run(run, label_fraction=0.05, seeds=2)
    stored = load_file(run.path / "probe.safetensors")
    dataset = run.load_dataset()
    assert dataset.test is not None
    features = extract_features(run.load_encoder(), dataset.test.images, dataset.mean, dataset.std)
    assert stored["weight"].shape == (10, features.shape[1])
    predicted = (features @ stored["weight"].T + stored["bias"]).argmax(1)
    assert float((predicted == dataset.test.labels).double().mean()) == pytest.approx(result.accuracies[0], abs=0.003)
    modified = (run.path / "probe.safetensors").stat().st_mtime_ns
    probe_run(run, protocol="knn", seeds=1)
    assert (run.path / "probe.safetensors").stat().st_mtime_ns == modified


def test_features_are_computed_once_for_an_encoder(new_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = probe_run(new_run, protocol="knn", seeds=1)
    calls = []
    compute = probe_module.frozen_features
    monkeypatch.setattr(probe_module, "frozen_features", lambda *arguments: calls.append(1) or compute(*arguments))
    assert probe_run(new_run, protocol="knn", seeds=1) == first
    assert not calls

    weights = load_file(new_run.path / ENCODER_FILE)
    name = next(name for name in weights if name.endswith("weight") and weights[name].ndim == 4)
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, new_run.path / ENCODER_FILE)
    changed = probe_run(new_run, label_fraction=0.1, protocol="knn", seeds=1)
    assert len(calls) == 1
    # The record of the encoder that is no more went with it.
    (record,) = json.loads((new_run.path / "probe.json").read_text())
    assert record["accuracies"] == list(changed.accuracies)

    stored = new_run.path / "features.safetensors"
    stored.write_bytes(stored.read_bytes()[:50])
    assert probe_run(new_run, label_fraction=0.1, protocol="knn", seeds=1) == changed
    assert len(calls) == 2


def test_images_cannot_be_held_out_of_a_run_that_learned_from_labels(run: Run) -> None:
    supervised = Run(run.path, replace(run.config, method="supervised"))
    assert probe_run(supervised, protocol="knn", seeds=1).mean > 0
    with pytest.raises(ConfigError, match="leave out --hold-out"):
        probe_run(supervised, protocol="knn", seeds=1, hold_out=300)


def test_held_out_and_multi_stage_records_stand_beside_the_usual_one(run: Run) -> None:
    usual = probe_run(run, label_fraction=0.05, seeds=1)
    held = probe_run(run, label_fraction=0.05, seeds=1, hold_out=300)
    wide = probe_run(run, label_fraction=0.05, seeds=1, stages=(3, 4))
    records = json.loads((run.path / "probe.json").read_text())
    assert [(r["split"], r["stages"], r["test_images"]) for r in records] == [
        ("held-out", [4], 300),
        ("test", [3, 4], 359),
        ("test", [4], 359),
    ]
    assert [r["mean"] for r in records] == [held.mean, wide.mean, usual.mean]
    assert held.labels == pytest.approx(0.05 * (1438 - 300), abs=10)
    # What is exported may read several stages, and had all its labels.
    stored = read_classifier(run.path / "probe.safetensors")
    assert (stored.stages, stored.weight.shape[1]) == ((3, 4), 96 + 192)
    with torch.no_grad():
        model, test = load_trained(run.path), run.load_dataset().test
        found = model(normalise(test.images, model.mean, model.std)).argmax(dim=1)
    assert float((found == test.labels).float().mean()) == pytest.approx(wide.mean, abs=1e-6)
    modified = (run.path / "probe.safetensors").stat().st_mtime_ns
    again = probe_run(run, label_fraction=0.05, seeds=1, hold_out=300)
    assert again == held
    assert len(json.loads((run.path / "probe.json").read_text())) == 3
    assert (run.path / "probe.safetensors").stat().st_mtime_ns == modified  # Nor one that was measured otherwise.


def test_held_out_probe_does_not_read_the_test_images(digits: ImageDataset) -> None:
    assert digits.test is not None
    other = replace(digits, test=ImageSplit(255 - digits.test.images, digits.test.labels))
    options = {"label_fraction": 0.1, "seeds": 1}
    held, same = (probe_encoder(_Pooled(), images, hold_out=300, **options) for images in (digits, other))
    assert held == same
    read, unlike = (probe_encoder(_Pooled(), images, protocol="knn", **options) for images in (digits, other))
    assert read != unlike  # What a probe that does read them finds.


def test_stages_are_pooled_side_by_side(run: Run, digits: ImageDataset) -> None:
    encoder = run.load_encoder()
    images = digits.train.images[:6, :, ::2, ::2].contiguous()
    both = extract_features(encoder, images, digits.mean, digits.std, stages=(2, 4))
    alone = extract_features(encoder, images, digits.mean, digits.std)
    assert both.shape == (6, 64 + 192)
    torch.testing.assert_close(both[:, 64:], alone)
    pixels = (images.float() / 255 - torch.tensor(digits.mean)[:, None, None]) / torch.tensor(digits.std)[:, None, None]
    with torch.no_grad():
        expected = encoder.forward_maps(pixels)[1].mean((2, 3))
    torch.testing.assert_close(both[:, :64], expected)


def test_records_of_an_earlier_version_are_read(run: Run) -> None:
    probe_run(run, label_fraction=0.05, protocol="knn", seeds=1)
    path = run.path / "probe.json"
    (record,) = json.loads(path.read_text())
    for key in ("split", "stages", "epochs", "learning_rates"):
        del record[key]
    path.write_text(json.dumps([record]))
    probe_run(run, label_fraction=0.05, protocol="knn", seeds=2)
    (record,) = json.loads(path.read_text())
    assert len(record["accuracies"]) == 2


def _without(dataset: ImageDataset, missing: str) -> ImageDataset:
    train, test = dataset.train, dataset.test
    assert test is not None
    one = torch.zeros(5, dtype=torch.int64)
    return {
        "labels": replace(dataset, train=ImageSplit(train.images, None)),
        "test split": replace(dataset, test=None),
        "test labels": replace(dataset, test=ImageSplit(test.images, None)),
        "second class": build_dataset(
            "x", ImageSplit(train.images[:5], one), ImageSplit(test.images[:5], one), ["one"]
        ),
    }[missing]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("labels", "has no labels"),
        ("test split", "no test split"),
        ("test labels", "test split of digits has no labels"),
        ("second class", r"1 class \(one\)"),
    ],
)
def test_data_that_cannot_be_probed(digits: ImageDataset, missing: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        probe_encoder(_Pooled(), _without(digits, missing))


def test_one_label_a_class_is_too_few_for_the_linear_probe_alone(digits: ImageDataset) -> None:
    with pytest.raises(DataError, match="raise --labels or use --protocol knn"):
        probe_encoder(_Pooled(), digits, label_fraction=0.001)
    assert probe_encoder(_Pooled(), digits, label_fraction=0.001, protocol="knn").labels == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_fraction": 0.0}, "--labels"),
        ({"label_fraction": 20}, "--labels"),
        ({"protocol": "svm"}, "unknown protocol .svm.: use --protocol linear, linear-sgd, knn, finetune or own"),
        ({"seeds": 0}, "--seeds"),
        ({"epochs": 5}, "--epochs has no meaning for --protocol linear"),
        ({"epochs": 0, "protocol": "finetune"}, "--epochs is at least 1"),
        ({"stages": (4, 3)}, "--stages '4,3'"),
        ({"stages": (0, 4)}, "--stages '0,4'"),
        ({"stages": ()}, "--stages ''"),
        ({"stages": (3, 4), "protocol": "finetune"}, "has no --stages: leave them out"),
        ({"label_fraction": 0.2, "protocol": "own"}, "--labels has no meaning for --protocol own"),
        ({"protocol": "own"}, "has no classifier of its own"),
        ({"hold_out": 5}, "--hold-out 5 is out of range"),
        ({"hold_out": -1}, "--hold-out -1 is out of range"),
    ],
)
def test_wrong_options_are_refused_before_any_work(new_run: Run, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        probe_run(new_run, **options)
    assert not (new_run.path / "features.safetensors").exists()


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_encoder_of_broken_weights(run: Run, protocol: str) -> None:
    weights = load_file(run.path / ENCODER_FILE)
    whole = weights["norm.weight"].clone()
    # Finite numbers whose product is not, and one that is none.
    weights["norm.weight"][7], weights["norm.running_mean"][7] = 3e38, -1e10
    save_file(weights, run.path / ENCODER_FILE)
    with pytest.raises(CheckpointError, match="NaN or infinity for 1438 of 1438 train images"):
        probe_run(run, protocol=protocol)
    whole[7] = float("nan")
    save_file({**weights, "norm.weight": whole}, run.path / ENCODER_FILE)
    with pytest.raises(CheckpointError, match=r"not finite, in norm\.weight"):
        probe_run(run, protocol=protocol)
    assert not (run.path / "probe.json").exists()


def test_run_without_encoder(new_run: Run) -> None:
    (new_run.path / ENCODER_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"encoder\.safetensors"):
        probe_run(new_run)
    assert sorted(path.name for path in new_run.path.iterdir()) == [CONFIG_FILE]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1]"])
def test_corrupt_record_file(run: Run, content: str) -> None:
    (run.path / "probe.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"probe.json is .*delete it and probe again"):
        probe_run(run, seeds=1)
    assert (run.path / "probe.json").read_text() == content


def test_command_prints_a_table_or_json(run: Run) -> None:
    runner = CliRunner()
    table = runner.invoke(
        make_app(), ["probe", str(run.path), "--labels", "0.05", "--seeds", "2"], env={"COLUMNS": "200"}
    )
    assert table.exit_code == 0, table.output
    assert "Newton-CG" in table.output
    for name in ("embedding", "confusion"):
        assert f"plots/{name}.png" in table.output.replace("\n", "")
        assert (run.path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "±" in table.output
    assert "stages" not in table.output
    several = runner.invoke(
        make_app(),
        ["probe", str(run.path), "--labels", "0.05", "--seeds", "1", "--stages", "3,4", "--no-plots"],
        env={"COLUMNS": "200"},
    )
    assert "a held-out tenth of the labels; stages 3, 4" in several.output.replace("\n", "")
    printed = runner.invoke(
        make_app(), ["probe", str(run.path), "--labels", "0.05", "--protocol", "knn", "--seeds", "2", "--json"]
    )
    record = json.loads(printed.stdout)
    assert record["protocol"] == "knn"
    assert len(record["accuracies"]) == 2


def test_a_collapsed_encoder_is_probed_whether_its_features_can_be_drawn_or_not(run: Run) -> None:
    """Every image has one feature: what draws an embedding of it may refuse."""
    path = run.path / ENCODER_FILE
    weights = load_file(path)
    weights["norm.weight"].zero_()
    save_file(weights, path)
    result = probe_run(load_run(run.path), seeds=1, plots=True)
    assert result.accuracies[0] == pytest.approx(0.1, abs=0.05)  # of ten digits
    gallery = json.loads((run.path / "plots" / "gallery.json").read_text())
    right = sum(gallery["confusion"][index][index] for index in range(10))
    assert right == round(result.accuracies[0] * result.test_images)
    (record,) = json.loads((run.path / "probe.json").read_text())
    assert record["accuracies"] == list(result.accuracies)
    assert (run.path / "probe.safetensors").is_file()


def test_a_picture_that_fails_decides_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        assert (run.path / "probe.json").is_file()
        raise RuntimeError("no such font")

    monkeypatch.setattr("tinyedge.plots.confusion.plot_confusion", fail)
    probe_run(run, seeds=1, label_fraction=0.05, plots=True)
    assert "no pictures of the probe: RuntimeError: no such font" in caplog.text
