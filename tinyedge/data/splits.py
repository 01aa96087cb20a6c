"""Class-stratified subsets of the labels, nested and the same on every machine."""

import numpy as np
import torch

from tinyedge.errors import ConfigError


def label_fraction_indices(labels: torch.Tensor, fraction: float, seed: int) -> torch.Tensor:
    """Return the indices of a class-stratified subset of the labelled images.

    For one seed a smaller fraction is a subset of a larger one. The order of the images within a class comes from
    PCG-64's raw output, which NumPy guarantees never to change, so a subset is the same with every library version.

    Args:
        labels: (N,) int64 class indices; -1 marks an image without a label, which is never chosen.
        fraction: Share of each class, in (0, 1]; at least one image a class is taken.
        seed: Chooses the subset.

    Returns:
        Ascending indices, (M,) int64.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"a label fraction is above 0 and at most 1, not {fraction}: 0.2 means 20 % of the labels")
    values = labels.cpu().numpy()
    keys = np.random.PCG64(seed).random_raw(len(values))
    chosen = []
    for label in np.unique(values[values >= 0]):
        members = np.flatnonzero(values == label)
        members = members[np.argsort(keys[members], kind="stable")]
        chosen.append(members[: max(1, round(fraction * len(members)))])
    indices = np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)
    return torch.from_numpy(indices.astype(np.int64))
