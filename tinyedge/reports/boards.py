"""The verdict of `tinyedge check` for each board."""

from dataclasses import dataclass

from tinyedge.checks.budgets import Budget
from tinyedge.checks.verdict import TITLES
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject


@dataclass(frozen=True)
class BoardRow:
    """A model on a board by one runtime.

    Attributes:
        board: Its name.
        runtime: As sentences name it.
        flash: What it takes of the flash.
        ram: What it takes of the RAM.
        deploys: Whether it can be deployed so.
    """

    board: str
    runtime: str
    flash: Budget
    ram: Budget
    deploys: bool


@dataclass(frozen=True)
class Verdict:
    """What is said of a model before anybody flashes it.

    Attributes:
        rows: A row a board and runtime.
        boards: How many boards were asked about.
        fitting: The boards on which it can be deployed.
        failure: Why it can be deployed nowhere; None if it can.
        refusals: What each runtime says against the model.
        warnings: Of the check.
    """

    rows: tuple[BoardRow, ...]
    boards: int
    fitting: tuple[str, ...]
    failure: str | None
    refusals: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def boards_verdict(subject: Subject) -> Verdict | Missing | None:
    """Return what the check says, board by board."""
    check = subject.check
    if check is None:
        return subject.not_exported
    budgets = {(budget.board, budget.runtime, budget.memory): budget for budget in check.budgets}
    pairs = dict.fromkeys((budget.board, budget.runtime) for budget in check.budgets)
    rows = tuple(
        BoardRow(
            board=board,
            runtime=TITLES.get(runtime, "any runtime"),
            flash=budgets[board, runtime, "flash"],
            ram=budgets[board, runtime, "RAM"],
            deploys=(board, runtime) in check.deployments,
        )
        for board, runtime in pairs
    )
    return Verdict(
        rows=rows,
        boards=len({board for board, _ in pairs}),
        fitting=tuple(dict.fromkeys(board for board, _ in check.deployments)),
        failure=check.failure(),
        refusals=tuple(
            (TITLES[verdict.runtime], sentence)
            for verdict in check.verdicts
            for sentence in (*(one.sentence for one in verdict.diagnostics), *_one(verdict.not_built))
        ),
        warnings=tuple(warning.sentence for warning in check.warnings),
    )


def _one(sentence: str | None) -> tuple[str, ...]:
    return () if sentence is None else (sentence,)
