"""The TCG plug-in of QEMU that counts modelled cycles: compiled on this machine, once."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tinyedge.atomic import atomic_path
from tinyedge.data.cache import cache_directory
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_tool

_SOURCES = Path(__file__).resolve().parent / "tcg"
_FLAGS = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-fPIC", "-fvisibility=hidden", "-shared")
# The linker of macOS wants to be told that QEMU has the rest.
_LINK_FLAGS = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()
_FIRST_API = 1
_REFUSED_API = re.compile(r"requires API version \d+, but this QEMU supports only .* version (\d+)")
_TIMEOUT_S = 120


@cache
def cycle_plugin() -> Path:
    """Compile the plug-in for the QEMU of this machine, unless that was done before, and try whether QEMU loads it.

    Returns:
        The shared library, in the user's cache folder.

    Raises:
        ToolMissing: There is no C compiler or no QEMU, or QEMU was built without plug-ins.
    """
    qemu = find_tool("qemu-system-arm").path
    plugin = _compiled(_FIRST_API)
    said = _loading(qemu, plugin)
    refused = _REFUSED_API.search(said)
    if refused is not None:
        plugin = _compiled(int(refused[1]))
        said = _loading(qemu, plugin)
    if said:
        raise ToolMissing(
            f"{qemu} does not load plug-ins ({said}): install a QEMU that was built with --enable-plugins"
        )
    return plugin


def _compiled(api: int) -> Path:
    """The plug-in for a version of QEMU's interface."""
    compiler = shlex.split(os.environ.get("CC", "cc")) or ["cc"]
    sources = sorted(_SOURCES.glob("*.c"))
    command = [*compiler, *_FLAGS, *_LINK_FLAGS, f"-DTE_QEMU_PLUGIN_API={api}", *map(str, sources)]
    digest = hashlib.sha256("\0".join(command).encode())
    for path in sorted(_SOURCES.iterdir()):
        digest.update(path.read_bytes())
    plugin = cache_directory() / "plugins" / f"te_cycles-{digest.hexdigest()[:16]}.so"
    if plugin.is_file():
        return plugin
    if shutil.which(compiler[0]) is None:
        raise ToolMissing(
            f"no C compiler '{compiler[0]}': install one (Debian: `apt install gcc`) or name one in the variable CC"
        )
    try:
        plugin.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(plugin) as temporary:
            subprocess.run([*command, "-o", str(temporary)], check=True, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise ToolMissing(f"{compiler[0]} does not compile the plug-in for QEMU ({last}): try another in CC") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"cannot make {plugin} ({error}): name a folder in the variable TINYEDGE_CACHE") from error
    return plugin


def _loading(qemu: Path, plugin: Path) -> str:
    """What QEMU says against the plug-in, in one line; "" where it loads it."""
    with tempfile.TemporaryFile() as said:
        command = [str(qemu), "-M", "none", "-display", "none", "-plugin", f"{qemu_text(plugin)},probe=on"]
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=said, timeout=_TIMEOUT_S).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    return "" if status == 0 else (lines or [f"status {status}"])[0]


def qemu_text(value: object) -> str:
    """A value as QEMU takes it between the commas of an option."""
    return str(value).replace(",", ",,")
