"""Tables for the terminal."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tinyedge.benchmark.budget import BudgetRow
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord
from tinyedge.installation import EXTRAS, package_missing
from tinyedge.plural import counted


def print_bench(report: BenchReport, budgets: Iterable[BudgetRow], console: Console | None = None) -> None:
    """Print the results of a benchmark, a row a runtime, and the budgets below."""
    console = console or Console()
    model = report.model
    console.print(model.path, style="bold", highlight=False, soft_wrap=True, markup=False)
    console.print(f"{model.macs:,} MACs, {model.params:,} parameters, {model.bytes:,} bytes")
    figures = {
        "on": [record.board or record.target for record in report.results],
        "emulated on": [record.emulated_on or "" for record in report.results],
        "instructions": [_count(record.instructions) for record in report.results],
        "modelled cycles": [_count(record.modelled.cycles if record.modelled else None) for record in report.results],
        "modelled ms": [
            _figure(record.modelled.milliseconds if record.modelled else None) for record in report.results
        ],
        "cycles": [_count(record.cycles) for record in report.results],
        "MACs per cycle": [_figure(record.macs_per_cycle) for record in report.results],
        "ms": [_figure(record.latency_ms) for record in report.results],
        "ms by timestamps": [_figure(record.timestamps_ms) for record in report.results],
        "arena B": [_count(record.arena_bytes) for record in report.results],
        "stack B": [_count(record.stack_used_bytes) for record in report.results],
        "top-1 (images)": [_accuracy(record) for record in report.results],
        "bit_exact": [_exactness(record) for record in report.results],
    }
    table = Table("", box=box.SIMPLE_HEAD)
    for record in report.results:
        table.add_column(record.runtime, justify="right")
    for what, cells in figures.items():
        if any(cells):  # A host counts no instructions, an emulator no milliseconds: only what was measured takes room.
            table.add_row(what, *cells)
    console.print(table)
    _print_model(report.results, console)
    if all(record.bit_exact is None for record in report.results):
        lacking = "there is no package of TFLite Micro for this machine"
        if "tflite-micro" in EXTRAS["bench"]:
            lacking = str(package_missing("tflite-micro"))
        console.print(f"bit_exact: not checked; {lacking}", markup=False, soft_wrap=True)
    else:
        console.print(
            f"bit_exact: every output byte equals TFLite Micro's on {counted(report.results[0].inputs, 'input')}"
        )
        by_litert = report.env.get("functions_by_litert")
        if by_litert:
            console.print(f"TFLite Micro has no int8 {', '.join(by_litert)}: there the reference is LiteRT's kernel")
    table = Table("budget", "used", "limit", "", box=box.SIMPLE_HEAD)
    for budget in budgets:
        mark = "[green]ok[/green]" if budget.holds else "[red]over[/red]"
        table.add_row(budget.name, f"{budget.used:,}", f"{budget.limit:,}", mark)
    console.print(table)


def print_layers(report: BenchReport, console: Console | None = None) -> None:
    """Print each layer's figures, the slowest layer in bold, for the records that have them.

    A terminal has a layer's name and kernel on one line and its figures below; anything else a line a layer, whose last
    three words are its name, its operator and its kernel.
    """
    console = console or Console()
    for record in report.results:
        if not record.layers:
            continue
        total = sum(layer.instructions for layer in record.layers)
        slowest = max(record.layers, key=lambda layer: layer.instructions)
        cycles = all(layer.modelled_cycles is not None for layer in record.layers)
        header = ("MACs", "instructions", "a MAC", "%", *(("modelled cycles", "a MAC") if cycles else ()))
        rows = [_layer_figures(layer, total, cycles) for layer in record.layers]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        beside = "" if console.is_terminal else "  layer, operator, kernel"
        _plain(console, f"\n{record.runtime} {record.board}, layer by layer", style="bold")
        _plain(console, f"{_aligned(header, widths)}{beside}")
        for layer, figures in zip(record.layers, rows, strict=True):
            style = "bold" if layer is slowest else None
            kept = f" {layer.kept_because}" if layer.kept_because else ""
            if console.is_terminal:
                _plain(console, f"{layer.name}  {layer.kernel}{kept}", style=style)
                _plain(console, _aligned(figures, widths), style=style)
            else:
                name = "_".join(layer.name.split())
                _plain(console, f"{_aligned(figures, widths)}  {name} {layer.op} {layer.kernel}{kept and f'  #{kept}'}")
        _plain(
            console, f"slowest: {slowest.name} ({slowest.kernel}), {_share(slowest, total)} % of {total:,} instructions"
        )


def _layer_figures(layer: LayerRecord, total: int, cycles: bool) -> tuple[str, ...]:
    """Return a layer's row; "-" is where there is no figure, so that every row has as many words."""
    figures = (
        f"{layer.macs:,}",
        f"{layer.instructions:,}",
        _a_mac(layer.instructions, layer),
        _share(layer, total),
        *((_count(layer.modelled_cycles), _a_mac(layer.modelled_cycles, layer)) if cycles else ()),
    )
    return tuple(figure or "-" for figure in figures)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _plain(console: Console, line: str, style: str | None = None) -> None:
    """Print a line as it is: a terminal wraps what is longer than it is wide, and a file has all of it."""
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _print_model(records: Iterable[BenchRecord], console: Console) -> None:
    """Say what modelled cycles are worth, once for all records, or why there are none."""
    models = {
        f"modelled {record.modelled.core}, {record.modelled.memory}: error {record.modelled.error} (docs/cycles.md)"
        for record in records
        if record.modelled is not None
    }
    reasons = {
        f"modelled cycles: none; {record.not_modelled_because}" for record in records if record.not_modelled_because
    }
    for line in sorted(models | reasons):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _a_mac(count: int | None, layer: LayerRecord) -> str:
    return f"{count / layer.macs:.2f}" if count is not None and layer.macs else ""


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
