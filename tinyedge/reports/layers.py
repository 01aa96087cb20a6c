"""Every operator of a model's file: what it costs, and what INT8 does to it."""

from dataclasses import dataclass

from tinyedge.reports.panel import Missing
from tinyedge.reports.quantisation import layer_noise
from tinyedge.reports.subject import Subject


@dataclass(frozen=True)
class LayerRow:
    """One operator.

    Attributes:
        index: Its position in the file.
        name: Where it is in the encoder, if an export says so, else of its first output.
        op: TFLite's name of it.
        shape: Of its first output.
        macs: Multiply-accumulates.
        parameters: Weights and biases.
        weight_bytes: The same in bytes.
        alive_bytes: Activations in memory while it runs; None for one that the compiler removed.
        sqnr_db: Of its output; None where it was not compared.
        own_sqnr_db: Of what is lost here.
    """

    index: int
    name: str
    op: str
    shape: str
    macs: int
    parameters: int
    weight_bytes: int
    alive_bytes: int | None
    sqnr_db: float | None
    own_sqnr_db: float | None


@dataclass(frozen=True)
class Layers:
    """All operators.

    Attributes:
        rows: In the order of the file.
        most_macs: Of one operator, at least 1.
        most_weight_bytes: Likewise.
        most_alive_bytes: Likewise.
    """

    rows: tuple[LayerRow, ...]
    most_macs: int
    most_weight_bytes: int
    most_alive_bytes: int


def layer_table(subject: Subject) -> Layers | Missing | None:
    """Return a row an operator."""
    if subject.check is None:
        return subject.not_exported
    noise = {one.index: one for one in layer_noise(subject.source.parity)}
    rows = []
    for layer in subject.check.layers:
        own = noise.get(layer.index)
        own = own if own is not None and own.op == layer.op else None
        rows.append(
            LayerRow(
                index=layer.index,
                name=own.name if own is not None and own.name else layer.name,
                op=layer.op,
                shape="×".join(map(str, layer.output_shape)),
                macs=layer.macs,
                parameters=layer.parameters,
                weight_bytes=layer.weight_bytes,
                alive_bytes=layer.alive_bytes,
                sqnr_db=None if own is None else own.sqnr_db,
                own_sqnr_db=None if own is None else own.own_sqnr_db,
            )
        )
    return Layers(
        tuple(rows),
        max((row.macs for row in rows), default=0) or 1,
        max((row.weight_bytes for row in rows), default=0) or 1,
        max((row.alive_bytes or 0 for row in rows), default=0) or 1,
    )
