"""The fixture model, the protocol built for this machine, and images for the boards, each built once."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from firmware.named_model import model_flags
from machines.board_images import countdown_image
from once import OncePerSession

from tinyedge.c_sources import firmware_root
from tinyedge.firmware.image import FirmwareImage, ImageOptions

FIXTURES = Path(__file__).parent / "fixtures"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")


@pytest.fixture(scope="session")
def host_protocol(tmp_path_factory) -> Path:
    root = firmware_root()
    program = tmp_path_factory.mktemp("protocol") / "host_protocol"
    model = FIXTURES / "countdown"
    sources = [FIXTURES / "host_protocol.c", model / "countdown_model.c", root / "runtime" / "aot" / "te_runtime_aot.c"]
    sources += [root / "app" / f"{name}.c" for name in ("te_protocol", "te_text", "te_crc32")]
    includes = [model, root / "app", root / "runtime", root / "kernels"]
    subprocess.run(
        ["gcc", *WARNINGS, "-g", "-O1", "-DTE_PROFILE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        + [f"-I{folder}" for folder in includes]
        + model_flags("countdown")
        + [str(source) for source in sources]
        + ["-o", str(program)],
        check=True,
    )
    return program


@pytest.fixture(scope="session")
def image(once: OncePerSession) -> Callable[..., FirmwareImage]:
    """A function that builds the fixture model for a board, once."""

    def build(name: str, mlperf_id: str = "", layers: bool = False, classes: int = 0) -> FirmwareImage:
        return countdown_image(once, name, ImageOptions(mlperf_id=mlperf_id, layers=layers, classes=classes))

    return build
