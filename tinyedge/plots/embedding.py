"""Features in the plane: which images an encoder puts side by side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.plots.png import new_figure, save_png

MOST_POINTS = 2000

_PRINCIPAL_COMPONENTS = 50
_PERPLEXITY = 30
_ITERATIONS = 500
_MOST_NAMES = 20
_FEWEST_NEIGHBOURS = 10  # Below, no map of neighbours says anything.


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Images in the plane.

    Attributes:
        chosen: (n,) int: which images, ascending.
        points: (n, 2) float: where each is.
        mapping: What put them there, as a reader is told.
    """

    chosen: np.ndarray
    points: np.ndarray
    mapping: str


def map_features(features: np.ndarray) -> EmbeddingMap:
    """Return features (N, D) in the plane: at most 2,000 rows, drawn with a fixed seed."""
    chosen: np.ndarray = np.arange(len(features))
    if len(features) > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(len(features), MOST_POINTS, replace=False))
    return EmbeddingMap(chosen, *embed(features[chosen]))


def plot_embedding(embedding: EmbeddingMap, labels: np.ndarray, classes: tuple[str, ...], path: Path) -> None:
    """Draw images in the plane as a PNG, a colour a class; the title says which map was used.

    Args:
        embedding: Of their features.
        labels: (N,) int class of every image, those that are not in the map among them.
        classes: Names; the legend has them up to 20.
        path: The PNG.
    """
    from matplotlib import colormaps

    points, labels = embedding.points, labels[embedding.chosen]
    figure = new_figure(8, 6.5)
    axes = figure.subplots()
    colours = colormaps["tab20" if len(classes) > 10 else "tab10"]
    for index in np.unique(labels):
        of_class = labels == index
        # Twenty colours that can be told apart are the most there are: they come round again.
        axes.scatter(
            points[of_class, 0], points[of_class, 1], s=7, color=colours(int(index) % colours.N), label=classes[index]
        )
    if len(classes) <= _MOST_NAMES:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, fontsize=8)
    axes.set_title(f"{embedding.mapping} of {len(points):,} images' features")
    axes.set_xticks([])
    axes.set_yticks([])
    save_png(figure, path)


def embed(features: np.ndarray) -> tuple[np.ndarray, str]:
    """Return standardised features (N, D) in the plane, (N, 2), and the name of the map.

    UMAP where umap-learn is installed, else t-SNE of the first 50 principal components; for fewer than 10 different
    features, as of a collapsed encoder, the first two components themselves. The seed is fixed.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 1e-12)
    # Of points that all lie in one place, t-SNE's C++ reads beyond its memory.
    if len(np.unique(scaled, axis=0)) < _FEWEST_NEIGHBOURS:
        left, spread, _ = np.linalg.svd(scaled, full_matrices=False)
        plane = np.zeros((len(features), 2))
        plane[:, : len(spread)] = (left * spread)[:, :2]
        return plane, "PCA"
    components = min(_PRINCIPAL_COMPONENTS, *scaled.shape)
    reduced = PCA(components, random_state=0).fit_transform(scaled)
    try:
        from umap import UMAP
    except ImportError:
        perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, max_iter=_ITERATIONS, init="pca", random_state=0)
        return tsne.fit_transform(reduced), f"t-SNE (perplexity {perplexity:.0f}, after PCA)"
    return UMAP(n_neighbors=15, min_dist=0.1, random_state=0).fit_transform(scaled), "UMAP"
