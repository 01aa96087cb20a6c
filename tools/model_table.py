"""What a pull request does to .tflite files, as a table in Markdown: the work of action.yml.

python tools/model_table.py --board BOARD --base COMMIT --bench true --out TABLE.md -- MODEL.tflite...
"""

import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

import tinyedge
from tinyedge.errors import TinyEdgeError

_FIGURES = ("parameters", "MACs", "RAM, bytes", "flash, bytes", "instructions", "modelled cycles")
_DEPLOYABLE, _NOT_DEPLOYABLE = 0, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; return 3 where a model cannot be deployed, or computes other bytes than TFLite Micro.

    Args:
        arguments: Of the command line; None: those of this process.
    """
    parser = ArgumentParser("model_table", description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--board", default="stm32f405")
    parser.add_argument("--base", default="", help="the commit to compare with; by default none")
    parser.add_argument("--bench", default="true", choices=("true", "false"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    rows, told, status = [], [], _DEPLOYABLE
    for model in given.models:
        figures, sentences, good = measured(model, given.board, given.bench == "true")
        with tempfile.TemporaryDirectory(prefix="tinyedge-base-") as folder:
            before = file_before(model, given.base, Path(folder))
            former = measured(before, given.board, given.bench == "true")[0] if before is not None else {}
        rows.append(row_of(model, figures, former, bool(given.base)))
        told += [f"- {_code(model)}: {_plain(sentence)}" for sentence in sentences]
        status = status if good else _NOT_DEPLOYABLE
    given.out.write_text(page(given.board, rows, told), encoding="utf-8")
    return status


def measured(model: Path, board: str, bench: bool) -> tuple[dict[str, int | str], list[str], bool]:
    """Check a model and run it.

    Args:
        model: The file.
        board: What it has to fit.
        bench: Whether to run it on the emulated board.

    Returns:
        Its figures, what is to be said of it, and whether it is good.
    """
    try:
        report = tinyedge.check(model, board=board)
        failure = report.failure()
        sentences = [warning.sentence for warning in report.warnings]
        figures: dict[str, int | str] = {"parameters": report.parameters, "MACs": report.macs}
        figures |= {f"{one.memory}, bytes": one.used for one in report.budgets if one.runtime == "aot"}
        if failure is not None:
            return figures | {"verdict": "no"}, [failure, *sentences], False
        good = True
        if bench:
            (record,) = tinyedge.bench(model, target="emulator", board=board, inputs=2, accuracy_images=0).results
            good = record.bit_exact is not False
            if record.instructions is not None:
                figures["instructions"] = record.instructions
            if record.modelled is not None:
                figures["modelled cycles"] = record.modelled.cycles
            exact = {True: "yes, bit-exact", False: "other bytes", None: "yes"}[record.bit_exact]
            return figures | {"verdict": exact}, sentences, good
        return figures | {"verdict": "yes"}, sentences, good
    except TinyEdgeError as error:
        return {"verdict": "no"}, [str(error)], False


def file_before(model: Path, base: str, folder: Path) -> Path | None:
    """Write a file as it was in a commit into a folder; None where it was not there, or no commit is given."""
    if not base:
        return None
    done = subprocess.run(["git", "show", f"{base}:./{model}"], capture_output=True, check=False)
    if done.returncode != 0:
        return None
    path = folder / model.name
    path.write_bytes(done.stdout)
    return path


def row_of(model: Path, figures: Mapping[str, int | str], former: Mapping[str, int | str], compared: bool) -> str:
    """A row of the table: each figure, and by how much it changed."""
    new = " (new)" if compared and not former else ""
    cells = [f"{_code(model)}{new}", str(figures["verdict"]), *(_cell(figures.get(n), former.get(n)) for n in _FIGURES)]
    return f"| {' | '.join(cells)} |"


def _cell(value: int | str | None, before: int | str | None) -> str:
    if not isinstance(value, int):
        return ""
    if not isinstance(before, int) or before == value or not before:
        return f"{value:,}"
    return f"{value:,} ({100 * (value - before) / before:+.1f} %)"


def _code(model: Path) -> str:
    """A file's name as code; what would end it, or the cell that it stands in, is "?"."""
    return "`" + "".join(one if one.isprintable() and one not in "`|" else "?" for one in str(model)) + "`"


def _plain(sentence: str) -> str:
    """A sentence, in which names come from models, as Markdown that means nothing but its characters."""
    return re.sub(r"[^\w\s.,:;()'/-]", lambda found: f"&#{ord(found[0])};", sentence)


def page(board: str, rows: Sequence[str], told: Sequence[str]) -> str:
    """The whole table, and below it what is to be said."""
    if not rows:
        return "tinyedge: there is no .tflite file to check.\n"
    head = ("model", f"runs on {board}", *_FIGURES)
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * len(_FIGURES)}", *rows]
    return "\n".join(["### tinyedge", "", *lines, "", *told]).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
