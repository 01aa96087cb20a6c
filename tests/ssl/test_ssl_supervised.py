import pytest
import torch

from tinyedge.data.dataset import ImageSplit
from tinyedge.errors import DataError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.registry import create_method
from tinyedge.ssl.supervised import draw_boxes


def split_of(labels):
    labels = torch.as_tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    return ImageSplit(images, labels)


def build(encoder, labels, **options):
    torch.manual_seed(0)
    method = create_method("supervised", encoder, options)
    return method, method.training_split(split_of(labels), seed=0)


def test_it_learns_from_the_labelled_part_alone(toy_encoder):
    labels = [0] * 40 + [1] * 40 + [2] * 20 + [-1] * 50
    method, part = build(toy_encoder, labels, label_fraction=0.2)
    assert part.labels.bincount().tolist() == [8, 8, 4]
    assert part.labels.tolist() == [labels[i] for i in part.images[:, 0, 0, 0].tolist()]
    assert method.classifier.out_features == 3


def test_label_subsets_are_nested_and_of_their_seed(toy_encoder):
    labels = torch.arange(250) % 5  # images are told apart by their value, up to 255

    def images_of(**options):
        return set(build(toy_encoder, labels, **options)[1].images[:, 0, 0, 0].tolist())

    small, large = images_of(label_fraction=0.1), images_of(label_fraction=0.5)
    assert small < large
    assert small != images_of(label_fraction=0.1, label_subset_seed=1)
    assert images_of(label_fraction=1.0) == set(range(250))


@pytest.mark.parametrize(("labels", "count"), [([-1] * 6, "no class"), ([0] * 6, "1 class"), ([], "no class")])
def test_without_two_classes_there_is_nothing_to_learn(labels, count, toy_encoder):
    with pytest.raises(DataError, match=f"labels of {count}, .* needs 2 or more"):
        build(toy_encoder, torch.tensor(labels, dtype=torch.int64))


def test_without_labels_the_error_says_what_to_do(toy_encoder):
    images = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"labels of no class.*s0-plus"):
        create_method("supervised", toy_encoder).training_split(ImageSplit(images, None), 0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_cutmix_the_loss_is_cross_entropy(smoothing, toy_encoder):
    method, _ = build(toy_encoder, torch.arange(9) % 3, cutmix_probability=0.0, label_smoothing=smoothing)
    images, labels = torch.randn(7, 3, 16, 16), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    result = method.train()(Batch((images,), torch.arange(7), labels), torch.Generator(), 0.0)
    logits = method.classifier(toy_encoder(images)).detach().double()
    log_share = logits - logits.exp().sum(dim=1, keepdim=True).log()
    expected = 0.0
    for row, label in zip(log_share, labels, strict=True):
        target = torch.full((3,), smoothing / 3, dtype=torch.float64)
        target[label] += 1 - smoothing
        expected -= (target * row).sum().item()
    assert result.loss.item() == pytest.approx(expected / 7, rel=1e-4)
    assert result.metrics["accuracy"].item() == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_cutmix_weighs_labels_by_what_is_seen(toy_encoder):
    method, _ = build(toy_encoder, torch.arange(9) % 3, cutmix_probability=1.0, label_smoothing=0.0)
    # Every pixel names its image, so the share of each label can be counted in what the encoder saw.
    images = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, 16, 16)
    labels = torch.tensor([0, 1, 2, 2, 0, 1])
    seen = []
    toy_encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    logits = []
    method.classifier.register_forward_hook(lambda module, inputs, output: logits.append(output.detach().double()))
    loss = method.train()(Batch((images,), torch.arange(6), labels), torch.Generator().manual_seed(2), 0.0).loss
    expected, shares = 0.0, []
    for image, row in zip(seen[0], torch.log_softmax(logits[0], dim=1), strict=True):
        for value, count in zip(*image[0].unique(return_counts=True), strict=True):
            shares.append(count.item() / 256)
            expected -= shares[-1] * row[labels[int(value)]].item()
    assert min(shares) < 1
    assert loss.item() == pytest.approx(expected / 6, rel=1e-4)


def test_boxes_have_the_asked_share_and_size():
    boxes = draw_boxes(4000, 16, 0.5, torch.Generator().manual_seed(0))
    assert boxes.shape == (4000, 1, 16, 16)
    filled = boxes.flatten(1).any(dim=1)
    assert 0.45 < filled.float().mean() < 0.51  # some boxes fall between two pixels
    # Each box is a rectangle: its pixels are the product of its rows and its columns.
    rows, columns = boxes.any(dim=3).squeeze(1), boxes.any(dim=2).squeeze(1)
    assert torch.equal(boxes.squeeze(1), rows[:, :, None] & columns[:, None, :])
    # E[area] of a square of side s = sqrt(u) around a uniform centre, cut at the border: E[(s - s^2 / 4)^2].
    side = torch.rand(1_000_000).sqrt()
    expected = (side - side**2 / 4).square().mean()
    assert float(boxes[filled].float().mean()) == pytest.approx(float(expected), rel=0.06)
    assert not draw_boxes(50, 16, 0.0, torch.Generator()).any()
