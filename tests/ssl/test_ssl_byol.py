import copy

import pytest
import torch

from tinyedge.ssl.base import Batch
from tinyedge.ssl.byol import momentum_at
from tinyedge.ssl.registry import create_method


@pytest.fixture
def method(toy_encoder):
    torch.manual_seed(0)
    return create_method("byol", toy_encoder, {"projector_hidden": 32, "embedding_dim": 16}).train()


def step(method, progress=0.0):
    views = torch.randn(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return method(Batch(tuple(views), torch.arange(8), None), torch.Generator(), progress)


def test_momentum_rises_from_first_to_one():
    rising = [momentum_at(p / 50, 0.99) for p in range(51)]
    assert rising[0] == pytest.approx(0.99)
    assert rising == sorted(rising)
    assert rising[25] == pytest.approx(0.995)
    assert rising[-1] == pytest.approx(1)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_target_follows_slowly_and_gets_no_gradient(method, progress):
    target = list(method.target.parameters())
    online = [*method.encoder.parameters(), *method.projector.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(target, online, strict=True))
    result = step(method, progress)
    result.loss.backward()
    assert not any(value.requires_grad for value in target)
    with torch.no_grad():
        for value in online:
            value += 1
    before = copy.deepcopy(target)
    method.after_step(result.metrics)
    stays = momentum_at(progress, 0.99)
    for now, old, new in zip(target, before, online, strict=True):
        torch.testing.assert_close(now, stays * old + (1 - stays) * new, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_over_both_directions(method):
    views = torch.randn(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    both = torch.cat(tuple(views))
    predicted = method.predictor(method.projector(method.encoder(both))).detach().chunk(2)
    target = method.target(both).detach().chunk(2)
    expected = 0.0
    for p, t in ((predicted[0], target[1]), (predicted[1], target[0])):
        for a, b in zip(p, t, strict=True):
            expected += (a / a.norm() - b / b.norm()).square().sum().item()
    assert step(method).loss.item() == pytest.approx(expected / 16, rel=1e-4)


def test_the_target_is_in_the_state_but_not_in_the_encoder(method):
    state = set(method.state_dict())
    assert {f"target.0.{key}" for key in method.encoder.state_dict()} <= state
    assert not any("target" in key for key in method.encoder.state_dict())
    assert method.branches() == {}
