import math

import pytest
import torch

from tinyedge.evaluation import knn
from tinyedge.evaluation.knn import knn_predict, nearest_neighbour_predict


def _features(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + 3.0


def _cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.mark.parametrize("k", [1, 5, 20, 100])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("chunk_values", [1, 500, 1 << 26])
def test_weighted_vote_against_a_naive_one(
    k: int, temperature: float, chunk_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn, "_CHUNK_VALUES", chunk_values)
    train, test = _features(61, 5, 0), _features(23, 5, 1)
    labels = torch.arange(61) % 4
    expected = []
    for query in test.tolist():
        near = sorted(
            ((_cosine(query, row), label) for row, label in zip(train.tolist(), labels.tolist(), strict=True))
        )
        votes = [0.0] * 4
        for similarity, label in near[::-1][:k]:
            votes[label] += math.exp(similarity / temperature)
        expected.append(votes.index(max(votes)))
    assert knn_predict(train, labels, test, 4, k=k, temperature=temperature).tolist() == expected


@pytest.mark.parametrize("chunk_values", [1, 1 << 26])
def test_nearest_neighbour_against_a_naive_search(chunk_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_CHUNK_VALUES", chunk_values)
    train, test = _features(61, 5, 0) + 100, _features(40, 5, 1) + 100
    labels = torch.arange(61)
    expected = [min(range(61), key=lambda row: math.dist(train[row].tolist(), query.tolist())) for query in test]
    assert nearest_neighbour_predict(train, labels, test).tolist() == expected


def test_length_matters_to_euclid_alone() -> None:
    train = torch.tensor([[10.0, 10.0], [1.0, 0.0]])
    query = torch.tensor([[1.0, 0.9]])
    assert knn_predict(train, torch.tensor([0, 1]), query, 2, k=1).tolist() == [0]
    assert nearest_neighbour_predict(train, torch.tensor([0, 1]), query).tolist() == [1]
