"""Float against INT8: the stages of an export, the runtimes, and every layer's noise."""

from dataclasses import dataclass
from typing import Any

from tinyedge.reports.chart import Chart, Mark, Series, line, linear_axis
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject, number

_EXACT_DB = 120.0  # What `tinyedge.parity.distance` gives for equal values.
_WORST = 5


@dataclass(frozen=True)
class LayerNoise:
    """What INT8 does to the output of an operator; see `tinyedge.parity.layers.LayerParity`."""

    index: int
    name: str
    op: str
    sqnr_db: float
    own_sqnr_db: float
    cosine: float


@dataclass(frozen=True)
class RuntimeRow:
    """What a runtime says of the test images' classes; see `tinyedge.parity.parity.RuntimeParity`."""

    runtime: str
    images: int
    top1: float | None
    agreement: float | None
    missing: str


@dataclass(frozen=True)
class Quantisation:
    """How far INT8 is from float.

    Attributes:
        facts: Figures of the whole network, each with what it is.
        runtimes: Of a classifier.
        layers: In the order of the file; those that only copy are among them.
        worst: The five that are noisiest, the noisiest first.
        chart: Their noise; None where no layer was compared.
        failures: Gates that did not hold.
    """

    facts: tuple[tuple[str, str], ...]
    runtimes: tuple[RuntimeRow, ...]
    layers: tuple[LayerNoise, ...]
    worst: tuple[LayerNoise, ...]
    chart: Chart | None
    failures: tuple[str, ...]


def float_against_int8(subject: Subject) -> Quantisation | Missing | None:
    """Return what the parity report of an export, or of a quantised file, says."""
    source = subject.source
    if source.model is None:
        return subject.not_exported
    if not source.parity:
        # No command is advised: whoever has but this file has no network to quantise.
        return Missing("Nothing beside this file says what it was quantised from; `tinyedge quantise` measures it.")
    layers = layer_noise(source.parity)
    rounding = [layer for layer in layers if layer.own_sqnr_db < _EXACT_DB]
    worst = tuple(sorted(rounding, key=lambda layer: layer.sqnr_db)[:_WORST])
    failures = source.parity.get("failures")
    return Quantisation(
        facts=tuple(_facts(source.parity)),
        runtimes=tuple(_runtimes(source.parity)),
        layers=layers,
        worst=worst,
        chart=_chart(rounding) if rounding else None,
        failures=tuple(map(str, failures)) if isinstance(failures, list) else (),
    )


def layer_noise(parity: dict[str, Any]) -> tuple[LayerNoise, ...]:
    """Return the layers of a parity report in the order of the file; what is no record of one is left out."""
    found = {}
    for record in _list(parity, "layers"):
        figures = [number(record, name) for name in ("index", "sqnr_db", "own_sqnr_db", "cosine")]
        if not any(figure is None for figure in figures):
            index, sqnr_db, own_sqnr_db, cosine = (figure or 0.0 for figure in figures)
            name, op = str(record.get("name", "")), str(record.get("op", ""))
            found[int(index)] = LayerNoise(int(index), name, op, sqnr_db, own_sqnr_db, cosine)
    return tuple(found[index] for index in sorted(found))


def _list(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = record.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list | tuple) else []


def _facts(parity: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for name, label in (
        ("torch_onnx", "PyTorch to ONNX, largest difference"),
        ("onnx_tflite", "ONNX to float TFLite, largest difference"),
        ("float_parity", "source to float graph, largest difference"),
    ):
        relative = number(_object(parity, name), "relative")
        if relative is not None:
            facts.append((label, f"{relative:.1e} of the output"))
    whole = _object(parity, "float_int8")
    outputs = [("float to INT8", whole)] if whole else []
    outputs += [(f"float to INT8, output {one.get('name', '')}", one) for one in _list(parity, "outputs")]
    for label, one in outputs:
        sqnr_db, cosine = number(one, "sqnr_db"), number(one, "cosine")
        if sqnr_db is not None and cosine is not None:
            facts.append((label, f"{sqnr_db:.1f} dB, cosine {cosine:.5f}"))
    top1 = _object(parity, "top1")
    float_top1, int8_top1 = number(top1, "float_top1"), number(top1, "int8_top1")
    images = number(top1, "images")
    if float_top1 is not None and int8_top1 is not None and images is not None:
        text = f"{float_top1:.2f} % float, {int8_top1:.2f} % INT8, of {images:,.0f} images"
        facts.append(("top-1", text))
    near = _object(parity, "neighbours")
    overlap, chance = number(near, "overlap"), number(near, "chance")
    if overlap is not None and chance is not None:
        facts.append(("nearest images in common", f"{overlap:.1f} % (chance {chance:.1f} %)"))
    return facts


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _runtimes(parity: dict[str, Any]) -> list[RuntimeRow]:
    return [
        RuntimeRow(
            runtime=str(one.get("runtime", "")),
            images=int(number(one, "images") or 0),
            top1=number(one, "top1"),
            agreement=number(one, "agreement"),
            missing=str(one.get("missing") or ""),
        )
        for one in _list(parity, "runtimes")
    ]


def _chart(layers: list[LayerNoise]) -> Chart:
    x = linear_axis([layer.index for layer in layers], 6, snug=True)
    y = linear_axis([value for layer in layers for value in (layer.sqnr_db, layer.own_sqnr_db)], 5)
    whole = tuple(
        Mark(x.at(layer.index), 100 - y.at(layer.sqnr_db), f"{_label(layer)}: {layer.sqnr_db:.1f} dB up to here")
        for layer in layers
    )
    own = tuple(
        Mark(x.at(layer.index), 100 - y.at(layer.own_sqnr_db), f"{_label(layer)}: {layer.own_sqnr_db:.1f} dB made here")
        for layer in layers
    )
    lowest = min(layers, key=lambda layer: layer.sqnr_db)
    path = line([(layer.index, layer.sqnr_db) for layer in layers], x, y)
    return Chart(
        title="Signal to noise, layer by layer",
        summary=f"the lowest is {lowest.sqnr_db:.1f} dB at {_label(lowest)}; higher is better",
        x=x,
        y=y,
        x_label="operator of the INT8 file",
        y_label="dB, higher is better",
        series=(Series("all noise up to here", 0, path, whole), Series("noise made here", 1, "", own)),
    )


def _label(layer: LayerNoise) -> str:
    return " ".join(filter(None, (str(layer.index), layer.name, layer.op)))
