import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tinyedge.errors import DataError
from tinyedge.evaluation import linear
from tinyedge.evaluation.linear import L2_GRID, fit_linear_probe
from tinyedge.ssl import logistic
from tinyedge.ssl.logistic import LinearClassifier, fit_logistic, fit_path


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _blobs(count: int, dim: int, classes: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping Gaussian classes on dimensions of very different scale and offset."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(count) % classes
    features = centres[labels] + spread * torch.randn(count, dim, generator=generator)
    return features * torch.logspace(-2, 2, dim) + torch.linspace(-50, 50, dim), labels


@pytest.mark.parametrize(("count", "dim", "classes"), [(300, 7, 3), (500, 33, 10), (120, 64, 2)])
@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
def test_same_minimum_as_scikit_learn(count: int, dim: int, classes: int, l2: float) -> None:
    features, labels = _blobs(count, dim, classes, spread=2.0)
    test, _ = _blobs(1000, dim, classes, spread=2.0, seed=1)
    ours = fit_logistic(features, labels, classes, l2)
    scaler = StandardScaler().fit(features.double().numpy())
    # A softmax over two classes penalises twice what one logistic penalises: the same model at half the strength.
    strength = l2 / 2 if classes == 2 else l2
    theirs = LogisticRegression(C=1 / (strength * count), tol=1e-8, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(scaler.transform(features.double().numpy()), labels.numpy())
    expected = theirs.predict_proba(scaler.transform(test.double().numpy()))
    scores = test.double() @ ours.weight.double().T + ours.bias.double()
    # 120 images of 64 dimensions are separable: the weaker the penalty, the flatter the minimum.
    np.testing.assert_allclose(scores.softmax(1).numpy(), expected, atol=2e-2 if l2 < 1e-3 else 1e-3)
    agreement = (ours.predict(test).numpy() == expected.argmax(1)).mean()
    assert agreement >= 0.998


def _correlated(count: int, dim: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features whose variances span eight decades, some dimensions constant: what an untrained network gives."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(7)))[0]
    latent = torch.randn(count, dim, generator=generator)
    labels = (latent[:, :5] + 0.7 * torch.randn(count, 5, generator=generator)).argmax(1)
    features = (latent * torch.logspace(0, -4, dim)) @ mixing
    features[:, ::9] = 0.25
    return features, labels


def _objective(features: torch.Tensor, labels: torch.Tensor, weight: np.ndarray, bias: np.ndarray, l2: float) -> float:
    scores = features.double().numpy() @ weight.T + bias
    likelihood = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    scale = features.double().numpy().std(0)
    return -likelihood[np.arange(len(labels)), labels.numpy()].mean() + 0.5 * l2 * ((weight * scale) ** 2).sum()


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An element for each evaluation of the loss and for each product with its Hessian: both read all features."""
    counted: list[int] = []
    log_softmax, solve = logistic.F.log_softmax, logistic._conjugate_gradients
    monkeypatch.setattr(logistic.F, "log_softmax", lambda *pair: counted.append(1) or log_softmax(*pair))

    def counting(multiply: Callable[[torch.Tensor], torch.Tensor], *arguments: Any) -> torch.Tensor:
        return solve(lambda vector: counted.append(1) or multiply(vector), *arguments)

    monkeypatch.setattr(logistic, "_conjugate_gradients", counting)
    return counted


@pytest.mark.parametrize(("count", "dim"), [(900, 120), (150, 240)])
@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
def test_correlated_features_reach_the_minimum_in_few_steps(
    count: int, dim: int, l2: float, products: list[int]
) -> None:
    features, labels = _correlated(count, dim, seed=0)
    ours = fit_logistic(features, labels, 5, l2)
    assert len(products) < 250  # plain L-BFGS takes 1,000 for 900 images at 1e-5
    scaler = StandardScaler().fit(features.double().numpy())
    scaler.scale_[::9] = np.inf  # constant dimensions
    theirs = LogisticRegression(C=1 / (l2 * count), tol=1e-9, solver="newton-cg", max_iter=1000)
    theirs.fit(scaler.transform(features.double().numpy()), labels.numpy())
    weight = theirs.coef_ / scaler.scale_
    bias = theirs.intercept_ - scaler.mean_ @ weight.T
    expected = _objective(features, labels, weight, bias, l2)
    assert _objective(features, labels, ours.weight.double().numpy(), ours.bias.double().numpy(), l2) == pytest.approx(
        expected, rel=1e-4, abs=2e-6
    )


def test_many_classes_that_are_hard_to_tell_reach_the_minimum_in_few_steps(products: list[int]) -> None:
    # From 20,000 features of 200 classes that say little, L-BFGS took 1,000 steps and had not ended.
    generator = torch.Generator().manual_seed(0)
    classes, dim = 60, 64
    labels = torch.arange(3000) % classes
    latent = 0.15 * torch.randn(classes, dim, generator=generator)[labels] + torch.randn(3000, dim, generator=generator)
    features = (latent * torch.logspace(0, -1.5, dim)) @ torch.linalg.qr(torch.randn(dim, dim, generator=generator))[0]
    ours = fit_logistic(features, labels, classes, 1e-4)
    assert len(products) < 150
    scores = features.double() @ ours.weight.double().T + ours.bias.double()
    errors = scores.softmax(1) - torch.nn.functional.one_hot(labels, classes)
    inputs = (features.double() - features.double().mean(0)) / features.double().std(0, correction=0)
    gradient = errors.T @ inputs / len(inputs) + 1e-4 * ours.weight.double() * features.double().std(0, correction=0)
    assert float(gradient.abs().max()) < 1e-6
    assert float(errors.sum(0).abs().max()) / len(inputs) < 1e-6


def test_a_class_of_few_images_and_features_that_do_not_vary_are_fitted() -> None:
    labels = torch.tensor([0] * 50 + [1] * 2 + [2] * 48)
    features = torch.ones(100, 3)
    classifier = fit_logistic(features, labels, 3, 1e-5)
    shares = (features @ classifier.weight.T + classifier.bias).softmax(1)[0]
    np.testing.assert_allclose(shares.numpy(), [0.5, 0.02, 0.48], atol=1e-4)


def test_probe_is_deterministic_and_finds_the_classes() -> None:
    features, labels = _blobs(400, 16, 4, spread=1.0)
    test, test_labels = _blobs(400, 16, 4, spread=1.0, seed=1)
    first, second = fit_linear_probe(features, labels, 4, seed=0), fit_linear_probe(features, labels, 4, seed=0)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert first.l2 == second.l2
    assert (first.predict(test) == test_labels).float().mean() > 0.95


def test_penalty_is_the_best_on_the_held_out_tenth() -> None:
    # 300 images of 150 dimensions, two of them useful: a weak penalty fits the noise.
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 2
    features = torch.randn(300, 150, generator=generator)
    features[:, :2] += 0.8 * (2 * labels[:, None] - 1)
    chosen = fit_linear_probe(features, labels, 2, seed=0)
    test = torch.randn(4000, 150, generator=generator)
    test_labels = torch.arange(4000) % 2
    test[:, :2] += 0.8 * (2 * test_labels[:, None] - 1)
    accuracy = {
        l2: float((fit_logistic(features, labels, 2, l2).predict(test) == test_labels).float().mean()) for l2 in L2_GRID
    }
    assert accuracy[chosen.l2] > accuracy[L2_GRID[-1]] + 0.03
    assert accuracy[chosen.l2] > max(accuracy.values()) - 0.02


def test_weaker_penalties_are_left_out_once_two_in_a_row_were_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 60 noisy dimensions, 400 images: the weaker the penalty, the more of the noise is learned.
    features, labels = _blobs(400, 60, 4, spread=5.0)
    tried: list[LinearClassifier] = []

    def fit(*arguments: Any) -> Iterator[LinearClassifier]:
        for classifier in fit_path(*arguments):
            tried.append(classifier)
            yield classifier

    monkeypatch.setattr(linear, "fit_path", fit)
    chosen = fit_linear_probe(features, labels, 4, seed=0)
    penalties = [classifier.l2 for classifier in tried]
    assert penalties == list(L2_GRID[: len(tried)])
    assert len(tried) < len(L2_GRID)
    assert penalties.index(chosen.l2) == len(tried) - 3


def test_classifier_acts_on_the_raw_feature() -> None:
    features, labels = _blobs(200, 9, 3, spread=1.0)
    classifier = fit_logistic(features, labels, 3, 1e-3)
    assert classifier.weight.shape == (3, 9)
    assert classifier.bias.shape == (3,)
    expected = (features @ classifier.weight.T + classifier.bias).argmax(1)
    assert torch.equal(classifier.predict(features), expected)
    # Another unit of a feature is another weight, not another classifier.
    scale = torch.logspace(1, -1, 9)
    rescaled = fit_logistic(features * scale, labels, 3, 1e-3)
    torch.testing.assert_close(rescaled.weight * scale, classifier.weight, rtol=2e-2, atol=1e-3)


def test_constant_dimension_gets_no_weight() -> None:
    features, labels = _blobs(200, 9, 3, spread=1.0)
    features[:, 4] = 0.1
    features[:, 5] = 0.0
    classifier = fit_logistic(features, labels, 3, 1e-3)
    assert bool((classifier.weight[:, 4:6] == 0).all())
    assert bool(torch.isfinite(classifier.weight).all())


def test_too_few_labels_to_hold_any_out() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    with pytest.raises(DataError, match=r"class 2 has 1 labelled image\(s\)"):
        fit_linear_probe(torch.randn(6, 4), labels, 3, seed=0)
    with pytest.raises(DataError, match=r"class 3 has 0 labelled image\(s\)"):
        fit_linear_probe(torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2]), 4, seed=0)


def test_correlated_features_take_as_few_evaluations_as_independent_ones(monkeypatch) -> None:
    features, labels = _blobs(1_000, 48, 10, spread=6.0)
    rotation = torch.linalg.qr(torch.randn(48, 48, generator=torch.Generator().manual_seed(5))).Q
    spectrum = torch.logspace(-2, 0, 48)
    correlated = (features - features.mean(0)) / features.std(0) * spectrum @ rotation.T
    evaluations = 0
    log_softmax = logistic.F.log_softmax

    def count(scores: torch.Tensor, dim: int) -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        return log_softmax(scores, dim)

    monkeypatch.setattr(logistic.F, "log_softmax", count)
    fit_linear_probe(correlated, labels, 10, seed=0)
    assert evaluations < 400  # 189; along the features' own axes it takes 1,414
