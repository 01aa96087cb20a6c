"""What `tinyedge export` prints."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyedge.manifest.manifest import MANIFEST_FILE, ExportManifest, Precision
from tinyedge.plural import counted
from tinyedge.quantisation.sensitivity import SensitivityReport

_MOST_SENSITIVE = 12


def print_export(manifest: ExportManifest, folder: Path, seconds: float, console: Console) -> None:
    """Print one line a file, then the figures that tell whether the export is good.

    Args:
        manifest: Of the export.
        folder: Where its files are.
        seconds: What it took.
        console: Where to print.
    """
    for name, record in manifest.files.items():
        console.print(f"{folder / name}  {record.bytes:,} bytes", highlight=False, soft_wrap=True, markup=False)
    for plot in sorted(folder.glob("*/*.png")):
        console.print(f"{plot}  {plot.stat().st_size:,} bytes", highlight=False, soft_wrap=True, markup=False)
    size = (folder / MANIFEST_FILE).stat().st_size
    console.print(
        f"{folder / MANIFEST_FILE}  {size:,} bytes  {seconds:.1f} s", highlight=False, soft_wrap=True, markup=False
    )
    table = Table("what", "value")
    for what, value in _rows(manifest):
        table.add_row(what, value)
    console.print(table)
    if manifest.parity["runtimes"]:
        console.print(_runtimes(manifest.parity["runtimes"]))
    if manifest.parity["worst_layers"]:
        console.print(_layers(manifest.parity))


def print_sensitivity(report: SensitivityReport, precision: Precision, console: Console) -> None:
    """Print the operators that INT8 hurts most.

    Args:
        report: From `measure_sensitivity`.
        precision: Of the exported model: its operators in 16x8 are marked.
        console: Where to print.
    """
    int16x8 = {operator.position for operator in precision.int16x8}
    table = Table(
        *("layer", "operator", "INT8\ndB", "16x8\ndB", "gain\ndB", "MACs\n%", "arena\nB"),
        title=f"What INT8 costs most: {min(_MOST_SENSITIVE, len(report.operators))} of {len(report.operators)} "
        f"operators, each alone, on {counted(report.images, 'train image')}; all of them together: "
        f"{report.int8_sqnr_db:.1f} dB",
        caption="gain of the INT8 model from one output in int16, and what runs in 16x8 and is alive at once then"
        + ("; * is in 16x8 here" if int16x8 else ""),
    )
    for row in report.operators[:_MOST_SENSITIVE]:
        table.add_row(
            f"{row.position}{'*' if row.position in int16x8 else ''} {escape(row.name)}",
            escape(row.op),
            f"{row.int8_sqnr_db:.1f}",
            "-" if row.int16x8_sqnr_db is None else f"{row.int16x8_sqnr_db:.1f}",
            f"{row.gain_db:.2f}",
            f"{100 * row.macs / max(report.macs, 1):.2f}",
            f"+{row.extra_arena_bytes:,}",
        )
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    console.print(table)


def _rows(manifest: ExportManifest) -> list[tuple[str, str]]:
    parity = manifest.parity
    rows = [
        ("model", f"{manifest.encoder} {manifest.kind}, strides {','.join(map(str, manifest.strides))}"),
        ("input", _tensor(manifest.input.shape, manifest.input.scale, manifest.input.zero_point)),
        ("output", _tensor(manifest.output.shape, manifest.output.scale, manifest.output.zero_point)),
    ]
    for stages, figures in (("PyTorch - ONNX", parity["torch_onnx"]), ("ONNX - float TFLite", parity["onnx_tflite"])):
        rows.append((stages, f"max {figures['max_abs']:.1e}, cosine {figures['cosine']:.7f}"))
    if manifest.operators:
        rows.append(("operators", ", ".join(f"{count} {op}" for op, count in manifest.operators.items())))
        rows.append(("TRANSPOSE", str(manifest.transposes)))
    precision = manifest.precision
    name = "INT8" if precision.name == "int8" else precision.name
    if precision.int16x8:
        share = f"{100 * precision.macs_share:.1f} % of the multiply-accumulates"
        rows.append(("16x8", f"{counted(len(precision.int16x8), 'operator')}, {share}"))
    int8, bits, neighbours = parity["float_int8"], parity["bit_exact"], parity["neighbours"]
    if int8:
        rows.append((f"float - {name}", f"cosine {int8['cosine']:.4f}, SQNR {int8['sqnr_db']:.1f} dB"))
    if neighbours:
        rows.append(
            (
                f"{neighbours['neighbours']} nearest by {neighbours['of']}",
                f"{neighbours['overlap']:.1f} % in common, float and {name}, among {neighbours['images']:,} images",
            )
        )
    if bits:
        rows.append(("TFLite Micro - our C", _bits(bits)))
    rows.extend(("remark", remark) for remark in parity.get("remarks", ()))  # An export of before had none.
    return rows


def _bits(bits: dict[str, Any]) -> str:
    if bits["differing_values"] is None:
        return "not compared: one of them did not run"
    if bits["differing_values"] == 0:
        return f"every output byte equal on {counted(bits['images'], 'image')}"
    wrong = counted(bits["differing_values"], "different value")
    return f"[red]{wrong}[/red] on {counted(bits['images'], 'image')}"


def _runtimes(rows: list[dict[str, Any]]) -> Table:
    table = Table("runtime", "images", "top-1 (%)", "float TFLite's on these", "same class (%)")
    for row in rows:
        if row["missing"]:
            table.add_row(row["runtime"], "not run", row["missing"])
            continue
        top1, float_top1 = ("" if row[key] is None else f"{row[key]:.2f}" for key in ("top1", "float_top1"))
        table.add_row(row["runtime"], f"{row['images']:,}", top1, float_top1, f"{row['agreement']:.2f}")
    return table


def _layers(parity: dict[str, Any]) -> Table:
    title = f"the {len(parity['worst_layers'])} worst layers, then the one that makes most noise itself"
    table = Table("layer", "operator", "SQNR in (dB)", "out", "own", title=title)
    for layer in parity["worst_layers"]:
        table.add_row(*_layer(layer))
    table.add_section()
    table.add_row(*_layer(parity["culprit"]))
    return table


def _layer(layer: dict[str, Any]) -> tuple[str, ...]:
    ratios = (layer["input_sqnr_db"], layer["sqnr_db"], layer["own_sqnr_db"])
    return (
        escape(f"{layer['index']} {layer['name']}".strip()),
        escape(layer["op"]),
        *(f"{ratio:.1f}" for ratio in ratios),
    )


def _tensor(shape: tuple[int, ...], scale: float | None, zero_point: int | None) -> str:
    sizes = "x".join(map(str, shape))
    return sizes if scale is None else f"{sizes} int8, scale {scale:.6g}, zero point {zero_point}"
