"""Tables for the terminal."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from tinyedge.benchmark.budget import BudgetRow
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord
from tinyedge.installation import EXTRAS, package_missing

_WIDEST_PROFILE = 200


def print_bench(report: BenchReport, budgets: Iterable[BudgetRow], console: Console | None = None) -> None:
    """Print the results of a benchmark, a row a runtime, and the budgets below."""
    console = console or Console()
    model = report.model
    console.print(f"[bold]{model.path}[/bold]", highlight=False, soft_wrap=True)
    console.print(f"{model.macs:,} MACs, {model.params:,} parameters, {model.bytes:,} bytes")
    columns = {
        "runtime": [record.runtime for record in report.results],
        "on": [record.board or record.target for record in report.results],
        "instructions": [_count(record.instructions) for record in report.results],
        "cycles": [_count(record.cycles) for record in report.results],
        "MACs per cycle": [_figure(record.macs_per_cycle) for record in report.results],
        "ms": [_figure(record.latency_ms) for record in report.results],
        "ms by timestamps": [_figure(record.timestamps_ms) for record in report.results],
        "arena B": [_count(record.arena_bytes) for record in report.results],
        "stack B": [_count(record.stack_used_bytes) for record in report.results],
        "top-1 (images)": [_accuracy(record) for record in report.results],
        "bit_exact": [_exactness(record) for record in report.results],
    }
    # A host counts no instructions, an emulator no milliseconds: only what was measured takes room.
    measured = {title: cells for title, cells in columns.items() if any(cells)}
    table = Table(*measured, box=box.SIMPLE_HEAD)
    for row in zip(*measured.values(), strict=True):
        table.add_row(*row)
    console.print(table)
    if all(record.bit_exact is None for record in report.results):
        lacking = "there is no package of TFLite Micro for this machine"
        if "tflite-micro" in EXTRAS["bench"]:
            lacking = str(package_missing("tflite-micro"))
        console.print(f"bit_exact: not checked; {lacking}", markup=False, soft_wrap=True)
    else:
        console.print(f"bit_exact: every output byte equals TFLite Micro's on {report.results[0].inputs} inputs")
    table = Table("budget", "used", "limit", "", box=box.SIMPLE_HEAD)
    for budget in budgets:
        mark = "[green]ok[/green]" if budget.holds else "[red]over[/red]"
        table.add_row(budget.name, f"{budget.used:,}", f"{budget.limit:,}", mark)
    console.print(table)


def print_layers(report: BenchReport, console: Console | None = None) -> None:
    """Print each layer's MACs and instructions, the slowest in bold, for the records that have them."""
    console = console or Console()
    for record in report.results:
        if not record.layers:
            continue
        total = sum(layer.instructions for layer in record.layers)
        slowest = max(record.layers, key=lambda layer: layer.instructions)
        table = Table("layer", "operator", "kernel", title=f"{record.runtime} {record.board}", box=box.SIMPLE_HEAD)
        for figure in ("MACs", "instructions", "a MAC", "%"):
            table.add_column(figure, justify="right")
        for layer in record.layers:
            per_mac = f"{layer.instructions / layer.macs:.2f}" if layer.macs else ""
            table.add_row(
                layer.name,
                layer.op,
                layer.kernel,
                f"{layer.macs:,}",
                f"{layer.instructions:,}",
                per_mac,
                _share(layer, total),
                style="bold" if layer is slowest else None,
            )
        # A profile is read by its figures: a narrow terminal wraps its lines, and no cell is cut.
        wide = console.options.update(width=_WIDEST_PROFILE)
        console.width = max(console.width, console.measure(table, options=wide).maximum)
        console.print(table)
        console.print(
            f"slowest: {slowest.name} ({slowest.kernel}), {_share(slowest, total)} % of {total:,} instructions",
            highlight=False,
            soft_wrap=True,
        )


def _share(layer: LayerRecord, total: int) -> str:
    return f"{100 * layer.instructions / total:.1f}" if total else ""


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _accuracy(record: BenchRecord) -> str:
    if record.accuracy is None:
        return ""
    return f"{100 * record.accuracy:.1f} % ({record.accuracy_images:,})"


def _exactness(record: BenchRecord) -> str:
    if record.bit_exact is None:
        return "not checked"
    return "[green]true[/green]" if record.bit_exact else f"false ({record.differing:,} values)"
