import numpy as np
import pytest
import torch

from tinyedge.ssl.corruption import blank_cells, cell_targets, corrupt_tokens, draw_corruption, roll_tokens


def draw(grid=8, masked=32, rotated=16, *, batch=50, block=1, per_token=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor(masked), torch.tensor(rotated)
    return draw_corruption(batch, grid, *counts, block=block, shift_per_token=per_token, generator=generator)


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize(
    ("grid", "masked", "rotated"),
    [(8, 32, 16), (8, 32, 8), (8, 16, 24), (4, 8, 4), (4, 6, 5), (5, 12, 6), (2, 2, 1), (3, 4, 2)],
)
def test_masked_rotated_and_clean_partition_the_tokens(grid, masked, rotated, block):
    plan = draw(grid, masked, rotated, block=block)
    assert not (plan.masked & plan.rotated).any()
    assert (plan.masked.sum(1) == masked).all()
    assert (plan.rotated.sum(1) == rotated).all()
    clean = ~(plan.masked | plan.rotated)
    assert (clean.sum(1) >= grid * grid // 4).all()
    assert not (plan.clean_sample & ~clean).any()
    assert (plan.clean_sample.sum(1) == min(rotated, grid * grid - masked - rotated)).all()


def test_samples_differ_and_every_token_has_its_turn():
    plan = draw(batch=400)
    assert len(plan.masked.unique(dim=0)) > 390
    assert plan.masked.float().mean(0).sub(0.5).abs().max() < 0.12
    assert plan.rotated.float().mean(0).sub(0.25).abs().max() < 0.12
    assert set(plan.shifts.unique().tolist()) == {1, 2, 3}


def test_one_shift_a_sample_unless_each_token_has_its_own():
    assert (draw().shifts == draw().shifts[:, :1]).all()
    own = draw(per_token=True).shifts
    assert (own != own[:, :1]).any(dim=1).all()


def test_blocks_are_masked_whole_but_for_the_last():
    masked = draw(8, 18, 4, block=2).masked.reshape(-1, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).reshape(50, 16, 4).sum(-1)
    assert (masked.sort(dim=1, descending=True).values[:, :5] == torch.tensor([4, 4, 4, 4, 2])).all()


def test_roll_matches_numpy_and_is_undone_by_the_opposite_roll():
    tokens = torch.randn(3, 5, 7)
    shifts = torch.randint(-9, 10, (3, 5))
    expected = np.stack(
        [[np.roll(t, k) for t, k in zip(*row, strict=True)] for row in zip(tokens, shifts, strict=True)]
    )
    rolled = roll_tokens(tokens, shifts)
    np.testing.assert_array_equal(rolled.numpy(), expected)
    assert torch.equal(roll_tokens(rolled, -shifts), tokens)


@pytest.mark.parametrize("unit", [1, 6])
def test_corruption_of_each_kind_of_token(unit):
    plan = draw(4, 6, 5, batch=9)
    tokens, mask_token = torch.randn(9, 16, 24), torch.randn(24)
    corrupted = corrupt_tokens(tokens, plan, mask_token, unit)
    for b in range(9):
        for n in range(16):
            expected = tokens[b, n]
            if plan.masked[b, n]:
                expected = mask_token
            elif plan.rotated[b, n]:
                expected = torch.roll(expected, int(plan.shifts[b, n]) * unit)
            assert torch.equal(corrupted[b, n], expected)


def test_blank_cells_are_zero_and_the_others_untouched():
    images = torch.rand(2, 3, 12, 12) + 1
    masked = torch.rand(2, 16) < 0.5
    blanked = blank_cells(images, masked, 4)
    for b in range(2):
        for cell in range(16):
            y, x = 3 * (cell // 4), 3 * (cell % 4)
            window = (b, slice(None), slice(y, y + 3), slice(x, x + 3))
            assert torch.equal(blanked[window], images[window] * (not masked[b, cell]))


def test_targets_are_normalised_cells_in_token_order():
    images = torch.randn(2, 3, 12, 12)
    targets = cell_targets(images, 3)
    assert targets.shape == (2, 9, 48)
    for cell in range(9):
        y, x = 4 * (cell // 3), 4 * (cell % 3)
        pixels = images[1, :, y : y + 4, x : x + 4].permute(1, 2, 0).reshape(-1)
        torch.testing.assert_close(targets[1, cell], (pixels - pixels.mean()) / pixels.std(), atol=1e-4, rtol=1e-4)


def test_flat_cells_have_finite_targets():
    assert torch.equal(cell_targets(torch.full((1, 3, 8, 8), 0.3), 2), torch.zeros(1, 4, 48))
