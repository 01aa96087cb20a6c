"""Runs the commands of the ```console blocks in the documentation and writes below each what it prints.

    python benchmarks/console_blocks.py [PAGE.md ...]

A line that begins with `$ ` is a command for bash; the lines up to the next one are its output, standard error too.
The commands of a page run one after the other in one temporary folder, in which `models` is the zoo, 80 columns wide.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tinyedge.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_TIMEOUT_S = 300


def has_blocks(page: Path) -> bool:
    """Return whether a page has a command to run."""
    return _BLOCK.search(page.read_text(encoding="utf-8")) is not None


def with_outputs(text: str) -> str:
    """Return the text of a page with the outputs that its commands have now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").symlink_to(ROOT / "models")
        return _BLOCK.sub(lambda block: _run_block(block.group(), folder), text)


def _run_block(block: str, folder: Path) -> str:
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n{_run(command, folder)}" for command in commands)


def _run(command: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1; {command}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,  # A page may show what a mistake is told.
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    for page in parser.parse_args().pages:
        text = page.read_text(encoding="utf-8")
        if has_blocks(page):
            write_text(page, with_outputs(text))
            print(f"wrote {page}")


if __name__ == "__main__":
    main()
