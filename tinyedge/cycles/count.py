"""Modelled cycles of an inference in the emulator: what QEMU's plug-in is told, and what it writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards.board import Memory
from tinyedge.cycles.model import CycleModel
from tinyedge.cycles.plugin import cycle_plugin, qemu_text
from tinyedge.devices.elf import find_function
from tinyedge.errors import TargetError

# Of firmware/runtime/te_runtime.h and firmware/app/te_protocol.c.
_INFERENCE = "te_runtime_invoke"
_AFTER_LAYER = "te_on_layer_done"


@dataclass(frozen=True)
class CycleCount:
    """What passed in some part of an inference.

    Attributes:
        cycles: Of the modelled processor.
        flash_wait_cycles: Those of them in which it waited for the flash.
        instructions: Executed ones, exactly.
    """

    cycles: int
    flash_wait_cycles: int
    instructions: int


@dataclass(frozen=True)
class CycleCounter:
    """Counts the modelled cycles of one inference of an image in the emulator.

    Attributes:
        plugin: What QEMU's option `-plugin` takes.
        _out: Where the plug-in writes.
    """

    plugin: str
    _out: Path

    def inference(self) -> CycleCount:
        """Return what the inference took, once it is over.

        Raises:
            TargetError: The plug-in saw none.
        """
        counts = self._read("call")
        if len(counts) != 1:
            raise TargetError(f"QEMU's plug-in counted {len(counts)} inferences, not one: run `tinyedge doctor`")
        return counts[0]

    def laps(self) -> Sequence[CycleCount]:
        """Return what passed up to the end of each layer, or each stripe of one, since the one before."""
        return self._read("lap")

    def _read(self, what: str) -> list[CycleCount]:
        lines = [line.split() for line in self._out.read_text(encoding="ascii").splitlines()]
        return [CycleCount(*map(int, numbers)) for kind, *numbers in lines if kind == what]


def cycle_counter(
    model: CycleModel, elf: Path, flash: Memory, out: Path, *, inference: int = 1, layers: bool = False
) -> CycleCounter:
    """Prepare to count an inference.

    Args:
        model: Of the board that the count is for.
        elf: The image that the emulator runs.
        flash: Where that image keeps code and constants.
        out: A file that the plug-in writes.
        inference: Which one since the start, 1 is the first.
        layers: Whether the image was built for `te layers`, which then is the inference.

    Raises:
        TargetError: The image is none of tinyedge's.
        ToolMissing: As for `cycle_plugin`.
    """
    arguments: dict[str, object] = {
        **model.arguments,
        "flash_begin": flash.origin,
        "flash_end": flash.end,
        "function": find_function(elf, _INFERENCE),
        "call": inference,
        "out": out,
    }
    if layers:
        arguments["hook"] = find_function(elf, _AFTER_LAYER)
    options = ",".join(f"{key}={qemu_text(value)}" for key, value in arguments.items())
    return CycleCounter(f"{qemu_text(cycle_plugin())},{options}", out)
