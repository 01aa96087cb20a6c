"""The two protocols that take passes over the images: a linear layer by SGD, and fine-tuning."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from evaluation.probing import probe_encoder
from torch import nn

from tinyedge.data.augment import Augment, AugmentConfig
from tinyedge.data.dataset import ImageDataset, ImageSplit
from tinyedge.data.registry import load_dataset
from tinyedge.encoders.base import Encoder
from tinyedge.errors import DataError
from tinyedge.evaluation import linear_sgd
from tinyedge.evaluation.finetune import fine_tune, predict
from tinyedge.evaluation.linear_sgd import crops_and_flips, fit_linear_sgd


class SmallEncoder(Encoder):
    """Two strided convolutions: 16-pixel images, D = 24."""

    def __init__(self) -> None:
        super().__init__("small", 16, (2, 2))
        self.feature_dim = 24
        self.first = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU())

    def forward_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        early = self.first(images)
        return [early, early, early, self.second(early)]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", image_size=16)


@pytest.fixture
def encoder() -> SmallEncoder:
    torch.manual_seed(0)
    return SmallEncoder().eval()


UNCHANGED = AugmentConfig(crop_area=(1.0, 1.0), flip_probability=0.0, jitter_probability=0.0, greyscale_probability=0.0)


def test_views_are_crops_and_flips_alone() -> None:
    views = crops_and_flips("photographs", 32)
    assert views.crop_area[0] < 1
    assert views.flip_probability == 0.5
    assert views.jitter_probability == views.greyscale_probability == views.blur_probability == 0
    assert crops_and_flips("digits", 16).flip_probability == 0


def test_sgd_is_the_naive_loop_of_torch(digits, encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch an epoch and images that are not augmented: torch's own SGD has to give the same weights."""
    assert digits.train.labels is not None
    images, labels = digits.train.images[:200], digits.train.labels[:200]
    monkeypatch.setattr(linear_sgd, "LEARNING_RATES", (0.3,))
    probe = fit_linear_sgd(encoder, images, labels, Augment(UNCHANGED, digits.mean, digits.std), 10, seed=0, epochs=15)
    with torch.no_grad():
        pixels = images.float() / 255 - torch.tensor(digits.mean)[:, None, None]
        features = encoder(pixels / torch.tensor(digits.std)[:, None, None])
    mean, std = features.mean(0), features.std(0, correction=0)
    std[std == 0] = torch.inf  # a dead ReLU
    head = nn.Linear(24, 10)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.3, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(head((features - mean) / std), labels).backward()
        optimizer.step()
        schedule.step()
    # torch scales the buffer by the present rate, as ours does; only rounding differs.
    expected = head((features - mean) / std)
    scores = features @ probe.classifier.weight.T + probe.classifier.bias
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-3)


def test_held_out_rows_do_not_move_the_first_heads(encoder) -> None:
    heads = 0.1 * torch.randn(4, 25, 3)
    features, labels = torch.randn(9, 24), torch.arange(9) % 3
    held_out = torch.arange(9) >= 6
    gradient = linear_sgd._gradient(heads, features, labels, held_out)
    for index in range(4):
        rows = slice(0, 6) if index < 2 else slice(0, 9)
        head = heads[index].clone().requires_grad_()
        F.cross_entropy(features[rows] @ head[:-1] + head[-1], labels[rows]).backward()
        torch.testing.assert_close(gradient[index], head.grad)


@pytest.mark.parametrize("protocol", ["linear-sgd", "finetune"])
def test_protocol_learns_and_leaves_the_encoder_alone(digits, encoder, protocol: str) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    options = {"label_fraction": 0.5, "protocol": protocol, "seeds": 1, "epochs": 60 if protocol == "finetune" else 12}
    result = probe_encoder(encoder, digits, **options)
    assert result.mean > (0.6 if protocol == "linear-sgd" else 0.8)
    assert result.epochs == options["epochs"]
    assert (result.learning_rates is not None) == (protocol == "linear-sgd")
    assert result.l2 is None
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not encoder.training
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("protocol", ["linear-sgd", "finetune"])
def test_a_seed_gives_one_result_whatever_the_callers_random_numbers_are(digits, encoder, protocol: str) -> None:
    results = []
    for _ in range(2):
        results.append(probe_encoder(encoder, digits, label_fraction=0.5, protocol=protocol, seeds=1, epochs=2))
        torch.rand(3)
    assert results[0] == results[1]


def test_fine_tuning_moves_every_layer_of_its_copy(digits, encoder) -> None:
    assert digits.train.labels is not None
    augment = Augment(crops_and_flips("digits", 16), digits.mean, digits.std)
    model = fine_tune(encoder, digits.train.images[:50], digits.train.labels[:50], augment, 10, seed=0, epochs=3)
    for (name, tuned), original in zip(model.encoder.named_parameters(), encoder.parameters(), strict=True):
        assert not torch.equal(tuned, original), name
    assert predict(model, digits.train.images[:7], augment).shape == (7,)
    assert not model.training


def test_unlabelled_images_and_missing_classes(digits, encoder) -> None:
    assert digits.train.labels is not None
    labels = digits.train.labels.clone()
    labels[::2] = -1
    partly = replace(digits, train=ImageSplit(digits.train.images, labels))
    without = replace(digits, train=ImageSplit(digits.train.images[1::2], labels[1::2]))
    for protocol in ("linear-sgd", "finetune"):
        options = {"protocol": protocol, "seeds": 1, "epochs": 1}
        assert probe_encoder(encoder, partly, **options) == probe_encoder(encoder, without, **options)
    one = labels.clone()
    one[labels == 3] = -1
    with pytest.raises(DataError, match=r"class 3 has 0 labelled"):
        probe_encoder(encoder, replace(digits, train=ImageSplit(digits.train.images, one)), protocol="linear-sgd")
