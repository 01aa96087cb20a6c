import math

import pytest
import torch

from tinyedge.ssl.scheduler import DynamicCorruptionScheduler

CHANCE = (1.0, math.log(3))


def scheduler(beta=0.9, chance=CHANCE, weighting="difficulty"):
    return DynamicCorruptionScheduler(beta, chance, weighting)


def update(target, reconstruction, rotation):
    target.update(torch.tensor(reconstruction), torch.tensor(rotation))


def clip(value, low, high):
    return min(max(value, low), high)


@pytest.mark.parametrize("weighting", ["difficulty", "inverse"])
@pytest.mark.parametrize("chance", [CHANCE, (1.0, 1.0)])
def test_follows_the_formulas_over_many_steps(weighting, chance):
    target, ema = scheduler(chance=chance, weighting=weighting), None
    for step in range(30):
        losses = (1.3 * 0.9**step, 1.1 + 0.3 * math.sin(step))
        update(target, *losses)
        ema = losses if ema is None else tuple(0.9 * old + 0.1 * new for old, new in zip(ema, losses, strict=True))
        u_m, u_r = ema[0] / chance[0], ema[1] / chance[1]
        ratios = [clip(u_m / (u_m + u_r), 0.25, 0.5), clip(u_r / (u_m + u_r), 0.25, 0.5)]
        first = u_m / (u_m + u_r) if weighting == "difficulty" else (1 / u_m) / (1 / u_m + 1 / u_r)
        first = clip(2 * first, 0.5, 1.5)
        assert target.ratios.tolist() == pytest.approx(ratios, rel=1e-5)
        assert target.weights.tolist() == pytest.approx([first, 2 - first], rel=1e-5)
        assert max(target.ratios.tolist()) == 0.5
        assert float(target.weights.sum()) == pytest.approx(2)


def test_before_the_first_loss_both_tasks_are_equal():
    assert scheduler().ratios.tolist() == [0.5, 0.5]
    assert scheduler().weights.tolist() == [1, 1]


def test_the_first_loss_initialises_the_average():
    target = scheduler(beta=0.99)
    update(target, 2.0, 0.5)
    assert target.ema.tolist() == [2.0, 0.5]


@pytest.mark.parametrize(
    ("tokens", "losses", "expected"),
    [
        (64, (1.0, 1.0), (32, 16)),
        (64, (9.0, 1.0), (32, 8)),
        (64, (1.0, 9.0), (16, 24)),
        (16, (1.0, 1.0), (8, 4)),
        (16, (9.0, 1.0), (8, 2)),
        (16, (1.0, 9.0), (4, 6)),
        (4, (1.0, 1.0), (2, 1)),
    ],
)
def test_token_counts(tokens, losses, expected):
    target = scheduler(chance=(1.0, 1.0))
    update(target, *losses)
    masked, rotated = target.token_counts(tokens)
    assert (int(masked), int(rotated)) == expected
    assert tokens - masked - rotated >= tokens / 4


def test_nothing_carries_a_gradient_and_the_state_is_saved():
    target = scheduler()
    target.update(torch.tensor(0.7, requires_grad=True) * 2, torch.tensor(0.4, requires_grad=True) * 2)
    assert not any(value.requires_grad for value in (target.ema, target.ratios, target.weights))
    other = scheduler()
    other.load_state_dict(target.state_dict())
    update(target, 0.5, 0.6)
    update(other, 0.5, 0.6)
    assert torch.equal(target.weights, other.weights)
