"""Record what `tinyedge demo` prints as docs/demo.svg.

python benchmarks/demo_picture.py
"""

import argparse
import os
import pty
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
COLUMNS = 100


def record(command: list[str]) -> str:
    """Run a command in a terminal of its own and return everything that it printed there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux's way to say that the other end is closed.
            break
        chunks.append(chunk)
    if process.wait() != 0:
        sys.exit(f"{' '.join(command)} failed")
    return b"".join(chunks).decode().replace("\r\n", "\n")


def main() -> None:
    """Run the demo and draw its output."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    printed = record([sys.executable, "-m", "tinyedge", "demo"])
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi("$ make demo\n" + printed))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="tinyedge demo")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
