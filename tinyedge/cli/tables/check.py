"""What `tinyedge check` prints."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tinyedge.benchmark.budget import PARAMETER_LIMIT
from tinyedge.checks.budgets import parameters_fit
from tinyedge.checks.check import CheckReport, Port
from tinyedge.checks.verdict import TITLES, RuntimeVerdict
from tinyedge.tflite.inspection import Diagnostic

if TYPE_CHECKING:  # It needs torch, and a .tflite file does not.
    from tinyedge.checks.encoder import EncoderReport

_MOST_SENTENCES = 6
_WHERE = re.compile(r"operator \d+ |'[^']*'")
_SHORT = {"aot": "tinyedge", "tflm": "TFLM", "litert": "LiteRT"}


def print_check(report: CheckReport, console: Console | None = None) -> None:
    """Print a report, the layers first and the verdict last, where the terminal stops."""
    console = console or Console()
    console.print(Text.assemble((report.model, "bold"), f"  {report.file_bytes:,} bytes"), soft_wrap=True)
    for role, ports in (("input", report.inputs), ("output", report.outputs)):
        for port in ports:
            console.print(f"{role} {_port(port)}", highlight=False, markup=False)
    _print_layers(report, console)
    _print_operators(report, console)
    _print_diagnostics(report.verdicts, console)
    _print_budgets(report, console)
    for warning in report.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), warning.sentence))
    _print_deployments(report, console)


def print_encoder(report: "EncoderReport", console: Console | None = None) -> None:
    """Print what an encoder is while it trains, then what becomes of it on a board."""
    console = console or Console()
    size = f"{report.input_size}x{report.input_size}"
    strides = ",".join(str(stride) for stride in report.strides)
    console.print(
        f"[bold]{escape(report.encoder)}[/bold]  {size}, strides {strides}, act {report.act}", highlight=False
    )
    console.print(
        f"{report.parameters:,} parameters (below {PARAMETER_LIMIT:,}: {_fits(parameters_fit(report.parameters))}) "
        f"and {report.macs:,} MACs while it trains",
        highlight=False,
        soft_wrap=True,
    )
    if report.deployed is not None:
        console.print("on a board, with random weights:", highlight=False)
        print_check(report.deployed, console)


def _port(port: Port) -> str:
    quantisation = "" if port.scale is None else f", scale {port.scale:g}, zero point {port.zero_point}"
    return f"'{port.name}' {list(port.shape)} {port.type.lower()}{quantisation}"


def _print_layers(report: CheckReport, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    for title in ("output", "MACs", "params", "weights B", "alive B"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in report.layers:
        costs = (_count(value) for value in (layer.macs, layer.parameters, layer.weight_bytes))
        alive = "removed" if layer.alive_bytes is None else f"{layer.alive_bytes:,}"
        table.add_row(
            str(layer.index), escape(layer.op), "x".join(str(size) for size in layer.output_shape), *costs, alive
        )
    table.add_section()
    weights = sum(layer.weight_bytes for layer in report.layers)
    table.add_row("", "all", "", f"{report.macs:,}", f"{report.parameters:,}", f"{weights:,}", "")
    console.print(table)
    if report.peak is not None:
        peak = f"operator {report.peak.index} ({report.peak.op}) with {report.peak.alive_bytes or 0:,} bytes alive"
        if report.arena_bytes is not None:
            peak += f"; portable C takes an arena of {report.arena_bytes:,} bytes, a board what is in its RAM"
        console.print(f"peak {peak}", highlight=False, markup=False, soft_wrap=True)


def _count(value: int) -> str:
    return f"{value:,}" if value else ""


def _print_operators(report: CheckReport, console: Console) -> None:
    table = Table("operator", "version", "count", *_SHORT.values(), box=box.SIMPLE_HEAD)
    for row in report.operators:
        cells = []
        for runtime in _SHORT:
            refused = row.refused.get(runtime)
            mark = "not installed" if refused is None else "[green]ok[/green]"
            cells.append(f"[red]refuses {refused}[/red]" if refused else mark)
        table.add_row(escape(row.op), str(row.version), str(row.count), *cells)
    table.add_section()
    table.add_row("the model", "", "", *(_mark(report.verdicts, runtime) for runtime in _SHORT))
    console.print(table)


def _mark(verdicts: Sequence[RuntimeVerdict], runtime: str) -> str:
    verdict = next(verdict for verdict in verdicts if verdict.runtime == runtime)
    if verdict.takes is None:
        return verdict.proof
    return f"[green]{verdict.proof}[/green]" if verdict.takes else "[red]refused[/red]"


def _print_diagnostics(verdicts: Sequence[RuntimeVerdict], console: Console) -> None:
    for verdict in verdicts:
        alike: dict[str, list[Diagnostic]] = {}
        for diagnostic in verdict.diagnostics:
            alike.setdefault(_WHERE.sub("", diagnostic.sentence), []).append(diagnostic)
        for first, *others in list(alike.values())[:_MOST_SENTENCES]:
            more = ", ".join(str(other.operator) for other in others if other.operator is not None)
            sentence = first.sentence + (f" (likewise {more})" if more else "")
            console.print(Text.assemble((f"{TITLES[verdict.runtime]}: ", "red"), sentence))
        if verdict.not_built:
            console.print(Text.assemble((f"{TITLES[verdict.runtime]}: ", "red"), verdict.not_built))
        if len(alike) > _MOST_SENTENCES:
            console.print(f"... and {len(alike) - _MOST_SENTENCES} other reasons, which --json has", highlight=False)


def _print_budgets(report: CheckReport, console: Console) -> None:
    table = Table("board", "runtime", "budget", box=box.SIMPLE_HEAD)
    for title in ("used", "limit"):
        table.add_column(title, justify="right")
    table.add_column("")
    table.add_column("from")
    fits = parameters_fit(report.parameters)
    table.add_row("", "", "params", f"{report.parameters:,}", f"<{PARAMETER_LIMIT:,}", _fits(fits), "file")
    for row in report.budgets:
        used, limit, title = f"{row.used:,}", f"{row.limit:,}", _SHORT.get(row.runtime, row.runtime)
        table.add_row(row.board, title, row.memory, used, limit, _fits(row.fits), row.basis)
    console.print(table)


def _fits(fits: bool) -> str:
    return "[green]ok[/green]" if fits else "[red]over[/red]"


def _print_deployments(report: CheckReport, console: Console) -> None:
    boards: dict[str, list[str]] = {}
    for board, runtime in report.deployments:
        boards.setdefault(board, []).append(TITLES[runtime])
    for board, runtimes in boards.items():
        console.print(f"[green]can be deployed[/green] on {board} with {' or '.join(runtimes)}", highlight=False)
