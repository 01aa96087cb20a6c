"""What lets a build system take the generated C as it lies, with an example that compares with the golden output.

The templates are in firmware/library, a folder a layout: in it `folder/` for what a folder of models has once, `model/`
for what each model has. Files of several layouts may lie in one folder of models.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.c_text import comment_safe
from tinyedge.compiler.program import Program
from tinyedge.errors import ConfigError
from tinyedge.version import __version__

# The parts of firmware/library that a layout is made of. A file of two of a folder's layouts is that of the later one:
# CMake's list of the root makes a component of ESP-IDF, too.
_PARTS = {
    "zephyr": ("zephyr",),
    "arduino": ("arduino",),
    "esp-idf": ("esp-idf",),
    "platformio": ("platformio",),
    "cmsis-pack": ("cmsis-pack",),
    "make": ("hosted", "make"),
    "cmake": ("hosted", "cmake"),
}
LAYOUTS = ("cmake", "zephyr", "arduino", "esp-idf", "platformio", "cmsis-pack", "make")
"""What `tinyedge compile --layout` takes."""

USUAL_LAYOUTS = ("cmake", "zephyr", "arduino", "esp-idf")
"""What a folder is made for where nothing is asked for."""

_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
# Beside the model: the program, its stack, and what the operating system of an example takes.
_TWISTER_COMPARES = """\
common:
  harness: console
  harness_config:
    type: one_line
    regex:
      - "{name}: CRC-32 [0-9a-f]{{8}}, as by "\
"""
_TWISTER_BUILDS = """\
# Nothing to compare with: `tinyedge compile --layout zephyr` writes what the output has to be.
common:
  build_only: true\
"""
_SYSTEM_RAM_BYTES, _SYSTEM_FLASH_BYTES = 16 * 1024, 64 * 1024


def check_layouts(layouts: Sequence[str]) -> None:
    """Refuse what is none of `LAYOUTS`.

    Raises:
        ConfigError: There is no such layout.
    """
    for layout in layouts:
        if layout not in LAYOUTS:
            raise ConfigError(f"no such layout: {layout}; choose --layout {', '.join(LAYOUTS[:-1])} or {LAYOUTS[-1]}")


def model_files(
    program: Program, name: str, layouts: Sequence[str] = USUAL_LAYOUTS, compared: bool = False
) -> dict[PurePosixPath, bytes]:
    """Return what one model has: its examples, and its switch in Zephyr's configuration.

    Args:
        program: The model.
        name: What it is called in C.
        layouts: For which build systems.
        compared: Whether the examples have a golden output to compare with.

    Returns:
        Each file by its path below the folder.
    """
    ram = program.plan.arena_bytes + program.plan.state_bytes
    values = {
        "NAME": name,
        "UPPER": name.upper(),
        "MODEL": comment_safe(program.graph.name),
        "ARENA_BYTES": str(program.plan.arena_bytes),
        "CONSTANT_BYTES": str(program.constant_bytes),
        "RAM_KB": str(-(-(ram + _SYSTEM_RAM_BYTES) // 1024)),
        "TWISTER": _TWISTER_COMPARES.format(name=name) if compared else _TWISTER_BUILDS,
        "FLASH_KB": str(-(-(program.constant_bytes + _SYSTEM_FLASH_BYTES) // 1024)),
    }
    return dict(_filled("model", layouts, values))


def folder_files(models: Mapping[str, Sequence[str]], files: Sequence[str]) -> dict[PurePosixPath, bytes]:
    """Return what a folder of models has once.

    Args:
        models: The layouts of each model, by what it is called in C; at least one.
        files: The paths of all files of the models.

    Returns:
        Each file by its path below the folder.
    """
    names = list(models)
    kernels = sorted(path for path in files if path.startswith("src/kernels/"))
    examples = {
        layout: [name for name, layouts in models.items() if layout in layouts]
        for layout in ("cmsis-pack", "make", "platformio", "zephyr")
    }
    values = {
        "NAME": names[0],
        "NAMES": "_".join(names),
        "TARGET": f"{names[0]}_model",
        "TARGETS": ", ".join(f"{name}_model" for name in names),
        "HEADERS": ",".join(f"{name}_model.h" for name in names),
        "UPPER": names[0].upper(),
        "VERSION": __version__,
        "NAME_LIST": " ".join(examples["make"]),
        "HEADER_LIST": json.dumps([f"{name}_model.h" for name in names]),
        "EXAMPLE_LIST": json.dumps(
            [
                {"name": name, "base": f"examples/{name}/platformio", "files": ["platformio.ini", "src/main.cpp"]}
                for name in examples["platformio"]
            ]
        ),
        "ZEPHYR_SAMPLES": "\n".join(f"  - examples/{name}/zephyr" for name in examples["zephyr"]),
        "KERNEL_FILES": "\n".join(map(_pack_file, kernels)),
        "MODEL_COMPONENTS": "\n".join(_pack_component(name, files) for name in names),
        "CMSIS_PROJECTS": "\n".join(
            f"    - project: {name}/cmsis/{name}.cproject.yml" for name in examples["cmsis-pack"]
        ),
    }
    wanted = [layout for layout in LAYOUTS if any(layout in layouts for layouts in models.values())]
    return dict(_filled("folder", wanted, values))


def _pack_file(path: str) -> str:
    category = "header" if path.endswith(".h") else "sourceC"
    return f'        <file category="{category}" name="{path}"/>'


def _pack_component(name: str, files: Sequence[str]) -> str:
    own = [path for path in sorted(files) if re.fullmatch(rf"src/{name}_(golden|model)\.[ch]", path)]
    return (
        f'    <component Cclass="Machine Learning" Cgroup="tinyedge" Csub="{name}" Cversion="{__version__}" '
        'condition="kernels">\n'
        f"      <description>The INT8 model {name}</description>\n"
        "      <files>\n"
        '        <file category="include" name="src/"/>\n' + "\n".join(map(_pack_file, own)) + "\n"
        "      </files>\n"
        "    </component>"
    )


def _filled(part: str, layouts: Sequence[str], values: dict[str, str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The templates of a part with `values` in place of their placeholders, and of NAME and NAMES in their paths."""
    for folder in dict.fromkeys(folder for layout in _PARTS if layout in layouts for folder in _PARTS[layout]):
        root: Path = firmware_root() / "library" / folder / part
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            text = path.read_text(encoding="utf-8")
            place = path.relative_to(root).as_posix()
            place = place.replace("NAMES", values.get("NAMES", "")).replace("NAME", values["NAME"])
            yield PurePosixPath(place), _PLACEHOLDER.sub(lambda found: values[found.group(1)], text).encode()
