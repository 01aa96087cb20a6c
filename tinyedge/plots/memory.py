"""A picture of the arena: which tensor is where while the layers run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tinyedge.plots.png import new_figure, save_png

_LABELLED_SHARE = 0.06  # Of the arena; figures of smaller tensors would not fit their rectangles.


class _PlacedTensor(Protocol):
    """A tensor of a memory plan: `bytes` from `offset` on, from the layer `first` to the layer `last`."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class _Plan(Protocol):
    """What is drawn of a `tinyedge.compiler.memory.memory_plan.MemoryPlan`."""

    @property
    def tensors(self) -> Sequence[_PlacedTensor]: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def lower_bound_bytes(self) -> int: ...


def plot_plan(plan: _Plan, title: str, path: Path) -> None:
    """Draw a memory plan as a PNG: a rectangle a tensor, from the layer that writes it to the last that reads it.

    Large ones carry their bytes. Where an output lies over an input that dies with its layer, the two colours mix.

    Args:
        plan: Of a compiled model.
        title: What the model is called.
        path: The PNG.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    layers = max(tensor.last for tensor in plan.tensors)
    figure = new_figure(min(max(8, 0.16 * layers), 24), 5.5)
    axes = figure.subplots()
    colours = colormaps["tab20"]
    for index, tensor in enumerate(plan.tensors):
        width = tensor.last - tensor.first + 1
        # Twenty colours that can be told apart are the most there are: they come round again.
        colour = colours(index % colours.N)
        axes.add_patch(
            Rectangle((tensor.first, tensor.offset), width, tensor.bytes, facecolor=(*colour[:3], 0.6), edgecolor="0.3")
        )
        if tensor.bytes > _LABELLED_SHARE * plan.arena_bytes:
            axes.text(
                tensor.first + width / 2,
                tensor.offset + tensor.bytes / 2,
                f"{tensor.bytes:,}",
                ha="center",
                va="center",
                fontsize=7,
                rotation=90 if width < layers / 12 else 0,
                clip_on=True,
            )
    axes.axhline(plan.arena_bytes, color="black", linewidth=1, label=f"arena, {plan.arena_bytes:,} bytes")
    bound = f"lower bound, {plan.lower_bound_bytes:,} bytes"
    axes.axhline(plan.lower_bound_bytes, color="tab:red", linewidth=1.5, linestyle="--", label=bound)
    axes.set_xlim(-1, layers + 1)
    axes.set_ylim(0, 1.15 * plan.arena_bytes)  # The legend lies above the plan.
    axes.set_xlabel("layer (-1: the input is filled)")
    axes.set_ylabel("byte of the arena")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(title)
    axes.legend(loc="upper right", fontsize=8, ncols=2)
    save_png(figure, path)
