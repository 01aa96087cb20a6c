"""Comparison of tensors by norm, which holds with the arithmetic of any instruction set.

The elements of a gradient are sums whose terms cancel: the rounding of such a sum is that of its terms, not of what is
left of them, so an element cannot be held to a share of itself.
"""

from collections.abc import Mapping

import torch

FLOAT32_EPSILON = torch.finfo(torch.float32).eps

_ROUNDINGS = 64  # of the largest gradient's size, in float64, that a sum that cancels wholly may be left with


def largest(tensor: torch.Tensor) -> float:
    """The maximum norm of a tensor; 0 of an empty one."""
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def assert_gradients_close(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], relative: float
) -> None:
    """Assert that each gradient differs by at most `relative` of its tensor's largest element.

    A shift before a batch norm has the gradient zero, so what is computed is rounding: a few epsilons of the largest
    gradient of all are allowed everywhere.
    """
    assert list(found) == list(expected)
    rounding = _ROUNDINGS * torch.finfo(torch.float64).eps * max(map(largest, expected.values()))
    for name, gradient in expected.items():
        assert found[name].shape == gradient.shape, name
        difference, size = largest(found[name] - gradient), largest(gradient)
        assert difference <= relative * size + rounding, (
            f"{name} differs by {difference:.3g}; its largest is {size:.3g}"
        )
