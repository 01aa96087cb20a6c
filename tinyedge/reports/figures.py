"""The figures by which one model is known, and two are compared."""

from dataclasses import dataclass

from tinyedge.plural import counted
from tinyedge.reports.accuracy import probe_rows
from tinyedge.reports.boards import Verdict, boards_verdict
from tinyedge.reports.exactness import bit_exactness
from tinyedge.reports.flash import Flash, flash_by_part
from tinyedge.reports.panel import Missing
from tinyedge.reports.provenance import flat
from tinyedge.reports.subject import Subject, number

LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Figure:
    """One fact of a subject.

    Attributes:
        label: What it is.
        text: As it is read.
        value: As it is compared; None where it is no number.
        better: "lower", "higher", or "" where neither is better.
        headline: Whether it stands at the head of a report.
    """

    label: str
    text: str
    value: float | None = None
    better: str = ""
    headline: bool = False


def describe(subject: Subject) -> str:
    """Return in one sentence what a subject is."""
    source = subject.source
    quantised, export, check = source.quantised, source.export, subject.check
    if export is not None:
        what = f"a classifier of {len(export.classes)} classes" if export.classes else "an encoder"
        text = f"{export.encoder} as {what}, {export.precision.name}"
    elif quantised is not None:
        text = f"{quantised.source.name} in {quantised.precision.name}"
    elif check is not None:
        text = "A TFLite model"
    else:
        text = f"{source.config.get('encoder', 'An encoder')}, trained and not exported"
    if source.config:
        text += f", pretrained by {source.config.get('method')} on {source.config.get('data')}"
    return f"{text}."


def figures(subject: Subject) -> tuple[Figure, ...]:
    """Return the figures of a subject, those that are known."""
    found = (*_of_model(subject), *_of_parity(subject), *_of_probes(subject), *_of_benches(subject), *_of_run(subject))
    known: dict[str, Figure] = {}
    for figure in found:  # Of two benchmarks alike the one that was given first counts.
        known.setdefault(figure.label, figure)
    return tuple(known.values())


def _count(
    label: str, value: float | None, unit: str = "", better: str = LOWER, headline: bool = False
) -> list[Figure]:
    return [] if value is None else [Figure(label, f"{value:,.0f}{unit}", float(value), better, headline)]


def _of_model(subject: Subject) -> list[Figure]:
    check, source = subject.check, subject.source
    found = []
    if check is not None:
        found += _count("parameters", check.parameters, headline=True)
        found += _count("multiply-accumulates", check.macs, headline=True)
        found += _count("file", check.file_bytes, " B", headline=True)
        found += _count("operators", len(check.layers), better="")
        program, flash = subject.program, flash_by_part(subject)
        if program is not None:
            found += _count("arena", program.plan.arena_bytes, " B", headline=True)
        if isinstance(flash, Flash):
            found += _count("flash", flash.total_bytes, " B", headline=True)
        verdict = boards_verdict(subject)
        if isinstance(verdict, Verdict):
            text = f"{len(verdict.fitting)} of {verdict.boards}"
            found.append(Figure("boards that take it", text, float(len(verdict.fitting)), HIGHER, headline=True))
        for title, ports in (("input", check.inputs), ("output", check.outputs)):
            for port in ports:
                shape = " × ".join(map(str, port.shape))
                scale = "" if port.scale is None else f", scale {port.scale:.6g}, zero point {port.zero_point}"
                found.append(Figure(f"{title} {port.name}", f"{shape} {port.type}{scale}"))
        found.append(Figure("SHA-256 of the model", check.sha256))
    if source.export is not None:
        found += _count("parameters of the trained encoder", source.export.parameters)
        found.append(Figure("SHA-256 of the trained weights", source.export.weights_sha256))
        calibration = source.export.calibration
        if calibration is not None:
            text = f"{counted(calibration.images, 'image')} of {calibration.dataset}, {calibration.ranges}"
            found.append(Figure("calibration", text))
    if source.classes:
        found.append(Figure("classes", ", ".join(source.classes)))
    return found


def _of_parity(subject: Subject) -> list[Figure]:
    parity = subject.source.parity
    found = []
    top1 = parity.get("top1")
    if isinstance(top1, dict):
        for name, label, headline in (("int8_top1", "top-1 in INT8", True), ("float_top1", "top-1 in float", False)):
            value = number(top1, name)
            if value is not None:
                found.append(Figure(label, f"{value:.2f} %", value, HIGHER, headline))
    whole = parity.get("float_int8")
    sqnr_db = number(whole, "sqnr_db") if isinstance(whole, dict) else None
    if sqnr_db is not None:
        found.append(Figure("signal to quantisation noise", f"{sqnr_db:.1f} dB", sqnr_db, HIGHER, headline=True))
    exact = bit_exactness(subject)
    if exact is not None and not isinstance(exact, Missing):
        ours = [one for one in exact if not one.note]
        if ours:
            inputs, differing = sum(one.inputs for one in ours), sum(one.differing for one in ours)
            text = f"on {counted(inputs, 'input')}" if not differing else f"no: {counted(differing, 'different value')}"
            found.append(Figure("equals TFLite Micro bit for bit", text, float(differing), LOWER, headline=True))
    return found


def _of_probes(subject: Subject) -> list[Figure]:
    return [
        Figure(f"probe {row.protocol}, {100 * row.fraction:g} % of the labels", f"{row.mean:.2f} %", row.mean, HIGHER)
        for row in probe_rows(subject)
    ]


def _of_benches(subject: Subject) -> list[Figure]:
    found = []
    for bench in subject.source.benches:
        for record in bench.results:
            where = f"{record.runtime} on {record.board or record.target}"
            found += _count(f"instructions, {where}", record.instructions)
            if record.modelled is not None:
                found += _count(f"modelled cycles, {where}", record.modelled.cycles)
                milliseconds = record.modelled.milliseconds
                found.append(Figure(f"modelled ms, {where}", f"{milliseconds:.1f}", milliseconds, LOWER))
            if record.latency_ms is not None:
                found.append(Figure(f"ms, {where}", f"{record.latency_ms:.2f}", record.latency_ms, LOWER))
            found += _count(f"stack, {where}", record.stack_used_bytes, " B")
    return found


def _of_run(subject: Subject) -> list[Figure]:
    found = [Figure(f"config: {key}", text) for key, text in flat(subject.source.config)]
    found += [Figure(f"version of {name}", version) for name, version in sorted(subject.source.versions.items())]
    return found
