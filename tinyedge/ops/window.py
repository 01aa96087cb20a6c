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


PIXEL = Window(stride=1, dilation=1, pad_before=0, taps=1)
"""The window of a 1x1 convolution that visits every position."""
