"""How a compiler is told which model the firmware runs, as firmware/CMakeLists.txt does."""

from tinyedge.c_sources import firmware_root


def model_flags(name: str) -> list[str]:
    """Definitions and include folder of firmware/runtime/aot/te_model.h for NAME_model.h."""
    return [
        f"-I{firmware_root() / 'runtime' / 'aot'}",
        f'-DTE_MODEL_HEADER="{name}_model.h"',
        f"-DTE_MODEL={name}",
        f"-DTE_MODEL_UPPER={name.upper()}",
    ]
