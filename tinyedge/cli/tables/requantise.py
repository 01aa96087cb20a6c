"""What `tinyedge requantise` prints."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyedge.plural import counted

if TYPE_CHECKING:
    from tinyedge.exporter.requantise_model import OutputDistance, RequantisedModel


def print_requantised(made: "RequantisedModel", console: Console) -> None:
    """Print what of a model is the same, and how near its outputs are."""
    table = Table("what", "value")
    if made.channels:
        table.add_row(
            "weights", f"{made.channels - made.rescaled_channels} of {counted(made.channels, 'channel')} the same"
        )
    if made.rescaled_channels:
        table.add_row("", f"{made.rescaled_channels} rounded, to scales of at most {made.coarsest:.2f} times theirs")
    table.add_row("inputs, outputs", "int8 where they were uint8: the old code less 128")
    if made.distance is None:
        table.add_row("uint8 - int8", escape(f"not compared: {made.not_compared}"))
    else:
        table.add_row("uint8 - int8", _outputs(made.distance))
        if made.distance.same_largest is not None:
            table.add_row("largest output", f"{made.distance.same_largest} of {made.distance.inputs} at the same place")
    console.print(table)


def _outputs(distance: "OutputDistance") -> str:
    where = f"of {counted(distance.inputs, 'random input')}, by LiteRT"
    if distance.differing == 0:
        return f"all {distance.values:,} values the same, {where}"
    steps = counted(distance.largest_steps, "step")
    return f"{distance.differing:,} of {distance.values:,} values differ, by {steps} at most, {where}"
