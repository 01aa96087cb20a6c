from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyedge.plots.confusion import confusion_matrix, plot_confusion
from tinyedge.plots.embedding import embed, map_features, plot_embedding


@pytest.mark.parametrize("classes", [2, 7, 23])
def test_confusion_counts_against_a_loop(classes: int) -> None:
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, classes, (2, 200))
    expected = np.zeros((classes, classes), dtype=int)
    for truth, guess in zip(labels, predicted, strict=True):
        expected[truth, guess] += 1
    np.testing.assert_array_equal(confusion_matrix(predicted, labels, classes), expected)


@pytest.mark.parametrize("classes", [3, 21])
def test_plots_are_images(tmp_path: Path, classes: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(120) % (classes - 1)  # the last class has no image
    features = random.normal(size=(120, 6)) + labels[:, None]
    names = tuple(f"class {index}" for index in range(classes))
    plot_confusion(labels, labels, names, "title", tmp_path / "plots" / "confusion.png")
    plot_embedding(map_features(features), labels, names, tmp_path / "plots" / "embedding.png")
    for name in ("confusion", "embedding"):
        pixels = np.asarray(Image.open(tmp_path / "plots" / f"{name}.png"))
        assert pixels.std() > 5
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["confusion.png", "embedding.png"]


def test_embedding_keeps_far_groups_apart_and_is_the_same_twice() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(150) % 3
    features = random.normal(size=(150, 20)) + 30 * np.eye(20)[labels]
    features[:, 5] = 1.0  # a constant dimension
    points, mapping = embed(features)
    assert mapping.split()[0] in ("t-SNE", "UMAP")
    assert points.shape == (150, 2)
    centres = np.stack([points[labels == index].mean(0) for index in range(3)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    assert (nearest == labels).mean() > 0.9
    np.testing.assert_array_equal(embed(features)[0], points)


@pytest.mark.parametrize("count", [1, 2, 9, 11])
def test_few_images_can_be_embedded(count: int) -> None:
    points, _ = embed(np.random.default_rng(0).normal(size=(count, 5)))
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


@pytest.mark.parametrize("different", [1, 2, 9])
def test_features_of_a_collapsed_encoder_have_a_map(different):
    features = np.random.default_rng(0).normal(size=(different, 16))[np.arange(200) % different].astype(np.float32)
    points, mapping = embed(features)
    assert mapping == "PCA"
    assert points.shape == (200, 2)
    assert len(np.unique(points.round(6), axis=0)) == different
