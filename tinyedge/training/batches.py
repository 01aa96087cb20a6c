"""The order of the data and the seeds of the steps: functions of (seed, epoch, step, rank), with no state to lose."""

import numpy as np
import torch


def epoch_order(images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the permutation (images,) int64 in which an epoch visits the train split."""
    generator = torch.Generator().manual_seed(derive_seed(seed, 0, epoch))
    return torch.randperm(images, generator=generator)


def rank_batch(order: torch.Tensor, position: int, batch_size: int, rank: int, world_size: int) -> torch.Tensor:
    """Return the indices of one rank's share of the batch at `position` within the epoch.

    All ranks' shares together are the batch that a single device would see.
    """
    batch = order[position * batch_size : (position + 1) * batch_size]
    return batch[rank::world_size]


def step_seed(seed: int, step: int) -> int:
    """Return the seed of all randomness of one step on every rank: any step can be repeated from its number alone."""
    return derive_seed(seed, 1, step, 0)


def derive_seed(*path: int) -> int:
    """Return a 32-bit seed for a path of numbers; nearby paths give unrelated seeds."""
    # 32 bits: torch's CPU generator takes no more of a seed.
    return int(np.random.SeedSequence(path).generate_state(1)[0])
