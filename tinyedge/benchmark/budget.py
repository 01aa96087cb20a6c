"""What a model may use, and what it does use."""

from dataclasses import dataclass

from tinyedge.benchmark.record import BenchReport
from tinyedge.boards.board import Board

PARAMETER_LIMIT = 1_000_000


@dataclass(frozen=True)
class BudgetRow:
    """One budget: `used` of `limit`, in `unit`."""

    name: str
    used: int
    limit: int
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the budget is kept."""
        return self.used < self.limit if self.unit == "parameters" else self.used <= self.limit


def budget_rows(report: BenchReport, board: Board) -> list[BudgetRow]:
    """Return the parameter budget and, from the board's first record, its flash and RAM budgets."""
    rows = [BudgetRow("parameters of the model", report.model.params, PARAMETER_LIMIT, "parameters")]
    record = next((record for record in report.results if record.board == board.name), None)
    if record is not None and record.flash_bytes is not None and record.ram_bytes is not None:
        rows.append(BudgetRow("flash", record.flash_bytes, board.flash_bytes, "bytes"))
        rows.append(BudgetRow("RAM with stack", record.ram_bytes + board.stack_bytes, board.ram_bytes, "bytes"))
    return rows
