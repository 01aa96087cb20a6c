"""Nearest neighbours in feature space: what an encoder knows without any training on top of it."""

import torch
import torch.nn.functional as F

_CHUNK_VALUES = 1 << 26  # similarities held at once: 256 MiB of float32


def knn_predict(
    train_features: torch.Tensor,
    train_labels: torch.Tensor,
    test_features: torch.Tensor,
    num_classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> torch.Tensor:
    """Classify by the weighted vote of the k most similar training images (Wu et al., 2018, "instance discrimination").

    A neighbour of cosine similarity s votes with exp(s / temperature).

    Args:
        train_features: (M, D) float32.
        train_labels: (M,) int64.
        test_features: (N, D) float32.
        num_classes: C.
        k: Neighbours; all M if there are fewer.
        temperature: Smaller counts the nearest more.

    Returns:
        (N,) int64 classes; the lower one on a tie.
    """
    train = F.normalize(train_features, dim=1)
    test = F.normalize(test_features, dim=1)
    predictions = []
    for chunk in test.split(max(1, _CHUNK_VALUES // len(train))):
        similarity, index = (chunk @ train.T).topk(min(k, len(train)), dim=1)  # (n, k)
        # Dividing every vote by the same number keeps exp(1 / 0.07) out of float32's way.
        weight = ((similarity - 1) / temperature).exp()
        votes = torch.zeros(len(chunk), num_classes, device=chunk.device).scatter_add_(1, train_labels[index], weight)
        predictions.append(votes.argmax(1))
    return torch.cat(predictions)


def nearest_neighbour_predict(
    train_features: torch.Tensor, train_labels: torch.Tensor, test_features: torch.Tensor
) -> torch.Tensor:
    """Classify by the one training image at the smallest Euclidean distance.

    Args:
        train_features: (M, D) float32.
        train_labels: (M,) int64.
        test_features: (N, D) float32.

    Returns:
        (N,) int64 classes.
    """
    # Centred, the features are as small as they can be, and the expansion of the square loses the least.
    centre = train_features.mean(0)
    train, test = train_features - centre, test_features - centre
    square = train.square().sum(1)  # (M,)
    nearest = [
        torch.addmm(square, chunk, train.T, alpha=-2).argmin(1)
        for chunk in test.split(max(1, _CHUNK_VALUES // len(train)))
    ]
    return train_labels[torch.cat(nearest)]
