"""`tinyedge web --check`: a page that checks any model."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.destination import check_folder
from tinyedge.installation import missing_packages_told

if TYPE_CHECKING:
    from tinyedge.browser.check_site import CheckSiteReport


@missing_packages_told()
def web_check(out: Path | str, pyodide: Path | str) -> "CheckSiteReport":
    """Write a page that checks the .tflite files that are dropped on it, in Python inside the page.

    Args:
        out: A folder for `index.html` and a folder `check`; what tinyedge did not write is refused, not replaced.
        pyodide: A folder with an unpacked release of Pyodide that has NumPy.

    Raises:
        ConfigError: `out` cannot be written to, or holds what tinyedge did not write; or `pyodide` is no such release.
    """
    folder = Path(out)
    check_folder(folder, "give another folder to --out")
    from tinyedge.browser.check_site import write_check_site

    return write_check_site(folder, Path(pyodide))
