"""One axis of a window that slides over an image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """One axis of a sliding window.

    Attributes:
        stride: Input positions from one output to the next.
        dilation: Input positions from one tap to the next.
        pad_before: Positions of padding before the first input.
        taps: Of the kernel.
    """

    stride: int
    dilation: int
    pad_before: int
    taps: int

    @property
    def reach(self) -> int:
        """Positions from the first tap to the last."""
        return (self.taps - 1) * self.dilation + 1

    def under(self, begin: int, end: int, length: int) -> range:
        """Positions of an input of some length under the outputs from `begin` to `end`, at least one of them."""
        last = (end - 1) * self.stride - self.pad_before + self.reach
        return range(self.first_under(begin), min(last, length))

    def first_under(self, output: int) -> int:
        """The first position of the input that an output or a later one needs."""
        return max(output * self.stride - self.pad_before, 0)


PIXEL = Window(stride=1, dilation=1, pad_before=0, taps=1)
"""The window of a 1x1 convolution that visits every position."""
