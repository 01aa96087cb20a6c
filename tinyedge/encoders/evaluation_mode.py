"""A look at a network in evaluation mode, after which it is as it came."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and leave each of its modules in the mode that it was in.

    Args:
        network: Its modules may be in several modes, such as norms that are frozen in training.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
