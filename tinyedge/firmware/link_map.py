"""Reads what GNU ld writes with -Map: which object file brought how many bytes of which section."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import TargetError

_START = "Linker script and memory map"
# A long section name pushes its numbers to the next line. A blank before it tells an input section from an output one.
_SECTION = re.compile(
    r"^( ?)(\.[\w.$-]+|COMMON)(?:[ \t]*\n)?[ \t]+0x([0-9a-f]+)[ \t]+0x([0-9a-f]+)(?:[ \t]+(\S[^\n]*))?$", re.MULTILINE
)


@dataclass(frozen=True)
class LinkMap:
    """Section sizes of a linked image.

    Attributes:
        outputs: Bytes of each output section by name.
        inputs: Bytes by (object file as ld names it, input section).
    """

    outputs: dict[str, int]
    inputs: dict[tuple[str, str], int]

    def output_bytes(self, section: str) -> int:
        """How much the image's section of this name holds; 0 where there is none."""
        return self.outputs.get(section, 0)

    def input_bytes(self, source: str, kind: str) -> int:
        """How much one source brought.

        Args:
            source: An archive "libte_model.a", or a member of one "libte_model.a(model.c.obj)".
            kind: ".text", ".rodata", ".data" or ".bss" with all that begin with it; ".bss" counts COMMON too.
        """
        return sum(
            size
            for (origin, section), size in self.inputs.items()
            if (origin == source or origin.startswith(f"{source}("))
            and (section == kind or section.startswith(f"{kind}.") or (kind == ".bss" and section == "COMMON"))
        )


def read_link_map(path: Path) -> LinkMap:
    """Read a map file.

    Raises:
        TargetError: It is not one of GNU ld's.
    """
    _, found, text = path.read_text(encoding="utf-8", errors="replace").partition(_START)
    if not found:
        raise TargetError(f"{path} is not a map file of GNU ld: use arm-none-eabi-gcc as the compiler")
    outputs: dict[str, int] = {}
    inputs: Counter[tuple[str, str]] = Counter()
    for indent, section, _, size, origin in _SECTION.findall(text):
        if indent and origin:
            inputs[origin.rsplit("/", 1)[-1], section] += int(size, 16)
        elif not indent:
            outputs[section] = int(size, 16)
    return LinkMap(outputs, dict(inputs))
