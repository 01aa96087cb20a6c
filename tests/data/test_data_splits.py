import itertools

import pytest
import torch

from tinyedge.data.splits import label_fraction_indices
from tinyedge.errors import ConfigError

FRACTIONS = (0.01, 0.1, 0.2, 0.5, 1.0)


@pytest.fixture
def labels() -> torch.Tensor:
    counts = torch.tensor([500, 37, 1, 203])  # uneven, and one class of a single image
    values = torch.repeat_interleave(torch.arange(4), counts)
    return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(5))]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smaller_fraction_is_a_subset_of_a_larger_one(labels: torch.Tensor, seed: int) -> None:
    subsets = [set(label_fraction_indices(labels, fraction, seed).tolist()) for fraction in FRACTIONS]
    for smaller, larger in itertools.pairwise(subsets):
        assert smaller < larger
    assert subsets[-1] == set(range(len(labels)))


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_every_class_has_its_share_and_at_least_one(labels: torch.Tensor, fraction: float) -> None:
    chosen = torch.bincount(labels[label_fraction_indices(labels, fraction, 0)], minlength=4)
    for label, count in enumerate(chosen.tolist()):
        assert count == max(1, round(fraction * int((labels == label).sum())))


def test_indices_ascend_without_repetition(labels: torch.Tensor) -> None:
    indices = label_fraction_indices(labels, 0.2, 0)
    assert indices.dtype == torch.int64
    assert bool((indices[1:] > indices[:-1]).all())


def test_seeds_choose_different_images(labels: torch.Tensor) -> None:
    subsets = {tuple(label_fraction_indices(labels, 0.1, seed).tolist()) for seed in range(3)}
    assert len(subsets) == 3


def test_subset_never_changes_between_releases() -> None:
    # Recorded once: published figures depend on these very images.
    assert label_fraction_indices(torch.arange(20) % 2, 0.3, seed=0).tolist() == [2, 3, 8, 11, 13, 18]


def test_unlabelled_images_are_never_chosen() -> None:
    labels = torch.tensor([-1, 0, -1, 1, 0, -1])
    assert label_fraction_indices(labels, 1.0, 0).tolist() == [1, 3, 4]


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan"), 20])
def test_fraction_out_of_range_is_refused(labels: torch.Tensor, fraction: float) -> None:
    with pytest.raises(ConfigError, match="label fraction"):
        label_fraction_indices(labels, fraction, 0)
