"""Where the C sources are: in the package when it is installed, beside it in a checkout."""

from pathlib import Path

from tinyedge.errors import ToolMissing
from tinyedge.installation import install_command


def firmware_root() -> Path:
    """The folder that holds kernels/, runtime/, boards/ and app/.

    Raises:
        ToolMissing: Neither the installed package nor a checkout has it.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_firmware", package.parent / "firmware"):
        if (candidate / "kernels" / "te_status.h").is_file():
            return candidate
    raise ToolMissing(
        f"the C sources of tinyedge are not in {package}: install it again with `{install_command()} --force-reinstall`"
    )
