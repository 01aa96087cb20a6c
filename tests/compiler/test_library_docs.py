"""docs/library.md: its two models in one program are compiled, built and run as it says."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def block_after(text: str, words: str) -> str:
    """The first indented block of a page after some words."""
    found = re.search(r"\n\n((?:(?:    .*)?\n)+)", text[text.index(words) + len(words) :])
    assert found is not None
    return textwrap.dedent(found.group(1)).strip("\n") + "\n"


def test_two_models_run_as_the_page_says(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "library.md").read_text()
    (tmp_path / "models").symlink_to(REPOSITORY / "models")
    for command in block_after(page, "## Several models").splitlines():
        program, *arguments = shlex.split(command)
        assert program == "tinyedge"
        subprocess.run([sys.executable, "-m", "tinyedge", *arguments], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "main.c").write_text(block_after(page, "This `main.c` asks both"))
    (tmp_path / "CMakeLists.txt").write_text(block_after(page, "With this `CMakeLists.txt`"))
    (commands,) = re.findall(r"`(cmake -B build .* build/two)`", page)
    done = subprocess.run(commands, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.endswith(block_after(page, commands))
