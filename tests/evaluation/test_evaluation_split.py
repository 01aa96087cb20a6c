import pytest
import torch

from tinyedge.data.dataset import ImageSplit, build_dataset
from tinyedge.data.splits import label_fraction_indices
from tinyedge.errors import ConfigError
from tinyedge.evaluation.split import hold_out_indices, probe_images

LABELS = torch.tensor([0] * 301 + [1] * 97 + [2] * 13 + [3] * 589)[
    torch.randperm(1000, generator=torch.Generator().manual_seed(0))
]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fractions_are_stratified_and_nested(seed: int) -> None:
    larger = set(range(1000))
    for fraction in (1.0, 0.2, 0.1, 0.01):
        indices = label_fraction_indices(LABELS, fraction, seed)
        counts = torch.bincount(LABELS[indices], minlength=4).tolist()
        assert counts == [max(1, round(fraction * size)) for size in (301, 97, 13, 589)]
        assert set(indices.tolist()) <= larger
        larger = set(indices.tolist())


@pytest.mark.parametrize("count", [4, 5, 50, 333, 996])
def test_held_out_images_are_counted_exactly_and_stratified(count: int) -> None:
    indices = hold_out_indices(LABELS, count)
    assert len(set(indices.tolist())) == len(indices) == count
    assert indices.tolist() == sorted(indices.tolist())
    for label, size in enumerate((301, 97, 13, 589)):
        held = int((LABELS[indices] == label).sum())
        assert 1 <= held <= size - 1
        if 50 <= count <= 333:
            assert abs(held - count * size / 1000) <= 1
    assert torch.equal(indices, hold_out_indices(LABELS, count))


@pytest.mark.parametrize("count", [-5, 1, 3, 997, 10_000])
def test_too_few_or_too_many_held_out(count: int) -> None:
    with pytest.raises(ConfigError, match=r"--hold-out -?[\d]+ is out of range: .* allow 4 to 996"):
        hold_out_indices(LABELS, count)


def test_held_out_images_are_train_images_that_no_label_is_taken_from() -> None:
    # The value of every pixel tells which image it is.
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 3, 8, 8).contiguous()
    labels = torch.arange(200) % 3
    labels[::7] = -1
    test_labels = torch.tensor([0, -1, 2])
    dataset = build_dataset("x", ImageSplit(images, labels), ImageSplit(images[:3] + 220, test_labels), ["a", "b", "c"])
    usual = probe_images(dataset)
    assert usual.split == "test"
    assert usual.test[:, 0, 0, 0].tolist() == [220, 222]
    assert usual.test_labels.tolist() == [0, 2]
    known = set(torch.arange(200)[labels >= 0].tolist())
    assert set(usual.train[:, 0, 0, 0].tolist()) == known
    held = probe_images(dataset, 50)
    assert held.split == "held-out"
    train, measured = set(held.train[:, 0, 0, 0].tolist()), set(held.test[:, 0, 0, 0].tolist())
    assert len(measured) == 50
    assert not train & measured
    assert train | measured == known
    assert held.train[:, 0, 0, 0].remainder(3).tolist() == held.train_labels.tolist()
    assert held.test[:, 0, 0, 0].remainder(3).tolist() == held.test_labels.tolist()
