"""Instructions, modelled cycles and milliseconds of a model, whole and by layer, from its benchmarks."""

from dataclasses import dataclass

from tinyedge.benchmark.record import BenchRecord
from tinyedge.boards.board import DEFAULT_BOARD
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject
from tinyedge.shell import command_line


@dataclass(frozen=True)
class LayerCost:
    """A layer of an emulated inference.

    Attributes:
        name: Of the layer.
        kernel: That ran it.
        kept_because: Why no faster kernel did; "" where none might.
        macs: Multiply-accumulates.
        instructions: Executed.
        cycles: Modelled; None where there is no model.
        share: Per cent of all layers' cycles, or of their instructions without.
    """

    name: str
    kernel: str
    kept_because: str
    macs: int
    instructions: int
    cycles: int | None
    share: float


@dataclass(frozen=True)
class LayerCosts:
    """The layers of one record.

    Attributes:
        where: Runtime and board.
        rows: In the order of execution.
        cycles: Whether all rows have them.
        most: The largest share of a row.
    """

    where: str
    rows: tuple[LayerCost, ...]
    cycles: bool
    most: float


@dataclass(frozen=True)
class Speed:
    """All benchmarks of a model.

    Attributes:
        records: One a runtime and target.
        notes: What modelled cycles are worth, or why there are none, a sentence each.
        layers: Of the records that have them.
        more: The command that measures layers, where no record has them; else "".
    """

    records: tuple[BenchRecord, ...]
    notes: tuple[str, ...]
    layers: tuple[LayerCosts, ...]
    more: str


def speed_by_layer(subject: Subject) -> Speed | Missing | None:
    """Return what benchmarks of the very model say."""
    source = subject.source
    if source.model is None:
        return subject.not_exported
    where = ("--target", "emulator", "--board", DEFAULT_BOARD, "--layers", "--json")
    command = f"{command_line('tinyedge', 'bench', source.given, *where)} > bench.json"
    records = tuple(record for bench in source.benches for record in bench.results)
    if not records:
        return Missing("No benchmark of this very model was given with --bench or lies beside it.", command)
    models = dict.fromkeys(
        f"Modelled: {record.modelled.core}, {record.modelled.memory}; error {record.modelled.error}."
        if record.modelled is not None
        else f"Cycles are not modelled; {record.not_modelled_because}."
        for record in records
        if record.modelled is not None or record.not_modelled_because
    )
    published = [name for bench in source.benches if (name := bench.env.get("published"))]
    notes = [*models, *(f"From {name}: measured when the model was published." for name in published)]
    layers = tuple(_costs(record) for record in records if record.layers)
    return Speed(records, tuple(notes), layers, "" if layers else command)


def _costs(record: BenchRecord) -> LayerCosts:
    modelled = all(layer.modelled_cycles is not None for layer in record.layers)
    counts = [(layer.modelled_cycles or 0) if modelled else layer.instructions for layer in record.layers]
    total = sum(counts) or 1
    rows = tuple(
        LayerCost(
            name=layer.name,
            kernel=layer.kernel,
            kept_because=layer.kept_because,
            macs=layer.macs,
            instructions=layer.instructions,
            cycles=layer.modelled_cycles if modelled else None,
            share=round(100 * count / total, 2),
        )
        for layer, count in zip(record.layers, counts, strict=True)
    )
    where = f"{record.runtime} on {record.board or record.target}"
    return LayerCosts(where, rows, modelled, max(row.share for row in rows) or 1.0)
