"""What the page of `tinyedge web --check` asks of the check, in Python that runs inside that page."""

import dataclasses
import json
from pathlib import Path

from tinyedge.boards.board import DEFAULT_BOARD, board_names, load_board
from tinyedge.checks.check import examine_model
from tinyedge.errors import TinyEdgeError


def answer(name: str) -> str:
    """Check a file of the working folder for all boards.

    Returns:
        JSON: `html`, the report as in a notebook, with the memory plan; or `error`, a sentence.
    """
    try:
        examined = examine_model(Path(name), [load_board(board) for board in board_names()])
    except TinyEdgeError as error:
        return json.dumps({"error": str(error)})
    html = dataclasses.replace(examined.report, model=name)._repr_html_()
    program = examined.programs.get(DEFAULT_BOARD)
    if program is not None:
        html += f"<h2>Memory plan on {DEFAULT_BOARD}</h2>{program.plan._repr_html_()}"
    return json.dumps({"html": html})
