"""The exponential average of the weights over training: less noise than the last step's."""

import torch
from torch import nn


class WeightAverage:
    """The average of what trains in a module; batch-norm statistics are not in it, since they are measured at the end.

    Args:
        module: Whose parameters, those that have a gradient; the average begins at their values.
        decay: Share that the average keeps in each step, in [0, 1). It grows towards that from 0.1 as
            (1 + step) / (10 + step), so that a short run does not keep its initial weights.
    """

    def __init__(self, module: nn.Module, decay: float):
        trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
        self._names = [name for name, _ in trained]
        self._parameters = [parameter for _, parameter in trained]
        self._decay = decay
        self._values = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after a step, counted from 0."""
        kept = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._values, [parameter.detach() for parameter in self._parameters], 1 - kept)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Replace the module's parameters by their averages."""
        for parameter, value in zip(self._parameters, self._values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the averages by the parameters' names."""
        return dict(zip(self._names, self._values, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Set the averages to what `state_dict` returned.

        Raises:
            KeyError, RuntimeError: They are of another module.
        """
        for name, value in zip(self._names, self._values, strict=True):
            value.copy_(state[name])
