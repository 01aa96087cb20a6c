"""`tinyedge.web`: a page that runs a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.destination import check_folder
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.manifest import EXPORT_FOLDER
from tinyedge.manifest.model_path import resolve_model
from tinyedge.zoo import locate

if TYPE_CHECKING:
    from tinyedge.browser.site import WebReport


@missing_packages_told()
def web(model: Path | str, out: Path | str) -> "WebReport":
    """Write a page, one HTML file, that runs a model's C in a browser as WebAssembly.

    Args:
        model: A full-INT8 .tflite file, a run directory with an export, or a model of the zoo.
        out: A folder for `index.html`. What else is in it stays; an `index.html` that is not as tinyedge wrote it is
            refused.

    Raises:
        ConfigError: `out` cannot be written to, or holds a page of somebody else's.
        ModelError: The model cannot be read or compiled, or is none for images.
        ToolMissing: clang or wasm-ld is not installed.
    """
    file = resolve_model(model)
    folder = Path(out)
    check_folder(folder, "give another folder to --out")
    from tinyedge.browser.site import check_page, write_site
    from tinyedge.browser.wasm import find_wasm_tools

    check_page(folder)
    find_wasm_tools()
    return write_site(file, _title(locate(model), file), folder)


def _title(source: Path, file: Path) -> str:
    """What a run, or a model of the zoo, is called, or the file."""
    if not source.is_dir():
        return file.stem
    folder = source.resolve()
    return folder.parent.name if folder.name == EXPORT_FOLDER else folder.name
