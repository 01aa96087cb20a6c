"""The pre-commit hook `tinyedge-check`: every .tflite file of a commit is one that a board takes."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from tinyedge.errors import TinyEdgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Check files, a line each; return 1 where one cannot be deployed, 2 where one cannot be read.

    Args:
        arguments: Of the command line; None: those of this process.
    """
    from tinyedge.api.check import check

    parser = ArgumentParser("tinyedge-check", description=__doc__)
    parser.add_argument("--board", help="a board's name or its .toml file; by default any board will do")
    parser.add_argument("models", nargs="*", metavar="MODEL.tflite", type=Path)
    given = parser.parse_args(arguments)
    status = 0
    for model in given.models:
        try:
            report = check(model, board=given.board)
        except TinyEdgeError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
            continue
        failure = report.failure()
        boards = ", ".join(dict.fromkeys(board for board, _ in report.deployments))
        print(f"{model}: {failure}" if failure else f"{model}: fits {boards}")
        status = max(status, 0 if failure is None else 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
