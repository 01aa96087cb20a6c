"""`tinyedge web` as a function: a model file in, a folder with a page out."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.atomic import atomic_path
from tinyedge.browser.description import describe
from tinyedge.browser.page import is_own_page, page_html
from tinyedge.browser.wasm import compile_wasm
from tinyedge.browser.web_model import read_web_model
from tinyedge.errors import ConfigError

PAGE_FILE = "index.html"
SCHEMA = 1


@dataclass(frozen=True)
class WebReport:
    """A page that was written.

    Attributes:
        model: The .tflite file.
        sha256: Of that file.
        page: The page.
        page_bytes: Its size.
        wasm_bytes: Of the WebAssembly in it, before base64.
        instruction_set: Of the kernels.
        arena_bytes: RAM for all activations.
        constant_bytes: Read-only data of all layers.
        macs: Multiply-accumulates of one inference.
        classes: The names of the classes; empty for an encoder.
        learns: Whether the page can learn classes.
        learning_advice: Why it cannot, and what to do about it; None where it can.
        assumption: What was assumed of the model's input and classes; None where its manifest says it.
        seconds: What it took.
    """

    model: str
    sha256: str
    page: str
    page_bytes: int
    wasm_bytes: int
    instruction_set: str
    arena_bytes: int
    constant_bytes: int
    macs: int
    classes: tuple[str, ...]
    learns: bool
    learning_advice: str | None
    assumption: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As the documented JSON object."""
        return {"schema": SCHEMA, **vars(self)}


def check_page(folder: Path) -> None:
    """Refuse a folder whose page is not as tinyedge wrote it; other files in it are left as they are.

    Raises:
        ConfigError: There is such a page, or it cannot be read.
    """
    page = folder / PAGE_FILE
    try:
        if not page.is_symlink() and (not page.exists() or (page.is_file() and is_own_page(page.read_bytes()))):
            return
    except OSError as error:
        raise ConfigError(f"{page} cannot be read ({error.strerror}): give another folder to --out") from error
    raise ConfigError(f"{page} is not as `tinyedge web` writes it: move it away, or give another folder to --out")


def write_site(path: Path, title: str, folder: Path) -> WebReport:
    """Write the page of a model into a folder.

    Args:
        path: A full-INT8 .tflite file.
        title: What the page calls it.
        folder: Is created where it does not exist; a page of tinyedge's in it is replaced.

    Raises:
        ConfigError: The folder holds a page of somebody else's.
        ModelError: The model cannot be read or compiled, or is none for images.
        ToolMissing: clang or wasm-ld is not installed.
    """
    started = time.perf_counter()
    check_page(folder)
    model = read_web_model(path)
    wasm = compile_wasm(model.program, model.learning)
    content = page_html(title, describe(model, wasm), wasm)
    page = folder / PAGE_FILE
    with atomic_path(page) as temporary:
        temporary.write_bytes(content)
    program = model.program
    return WebReport(
        model=str(path),
        sha256=model.sha256,
        page=str(page),
        page_bytes=len(content),
        wasm_bytes=len(wasm),
        instruction_set=program.options.instruction_set,
        arena_bytes=program.plan.arena_bytes,
        constant_bytes=program.constant_bytes,
        macs=program.macs,
        classes=() if model.scores is None else model.scores.classes,
        learns=model.learning is not None,
        learning_advice=model.learning_advice,
        assumption=model.preprocessing.assumption,
        seconds=time.perf_counter() - started,
    )
