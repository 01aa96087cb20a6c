"""What `tinyedge quantise` prints."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tinyedge.manifest.manifest import TensorSpec
from tinyedge.manifest.quantised import QuantisedManifest
from tinyedge.plural import counted


def print_quantised(manifest: QuantisedManifest, console: Console) -> None:
    """Print what was made of a network, how it was understood, and the figures that tell whether it is good."""
    table = Table("what", "value")
    for what, value in _rows(manifest):
        table.add_row(escape(what), value if isinstance(value, Text) else escape(value))
    console.print(table)
    if manifest.parity["layers"]:
        console.print(_layers(manifest.parity["layers"]))


def _rows(manifest: QuantisedManifest) -> list[tuple[str, str | Text]]:
    parity, calibration = manifest.parity, manifest.calibration
    rows: list[tuple[str, str | Text]] = [("network", manifest.source.name)]
    rows += [("note", note) for note in manifest.source.notes]
    rows += [("input", _tensor(tensor)) for tensor in manifest.inputs]
    rows += [("output", _tensor(tensor)) for tensor in manifest.outputs]
    rows.append(("operators", ", ".join(f"{count} {op}" for op, count in manifest.operators.items())))
    rows.append(("float graph", f"{manifest.form.name} ({_figures(manifest.form.sqnr_db)})"))
    ranges = f"{calibration.ranges}, of {counted(calibration.images, 'sample')} ({_figures(calibration.sqnr_db)})"
    rows.append(("ranges", ranges))
    if manifest.precision.int16x8:
        share = f"{100 * manifest.precision.macs_share:.1f} % of the multiply-accumulates"
        rows.append(("16x8", f"{counted(len(manifest.precision.int16x8), 'operator')}, {share}"))
    if manifest.qat is not None:
        qat = manifest.qat
        rows.append(
            (
                "QAT",
                f"{counted(qat.epochs, 'epoch')}: {qat.sqnr_before_db:.1f} dB before, {qat.sqnr_after_db:.1f} after",
            )
        )
    stage = parity["float_parity"]
    rows.append((f"{parity['source']} - float", f"max {stage['max_abs']:.1e}, cosine {stage['cosine']:.7f}"))
    where = f"{counted(parity['samples'], 'sample')}{'' if parity['unseen'] else ', which calibration has seen'}"
    name = "INT8" if manifest.precision.name == "int8" else manifest.precision.name
    for output in parity["outputs"]:
        label = f"float - {name}" + (f", {output['name']}" if len(parity["outputs"]) > 1 else "")
        rows.append((label, _output(output, where)))
    rows.append(("TFLite Micro - our C", _bits(parity["bit_exact"])))
    rows += [("not run", sentence) for sentence in parity["missing"]]
    return rows


def _figures(sqnr_db: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:.1f}" for name, figure in sqnr_db.items()) + " dB"


def _output(output: dict[str, Any], where: str) -> str:
    agreement = output["top1_agreement"]
    top1 = "" if agreement is None else f", same top-1 on {agreement:.1f} %"
    return (
        f"cosine {output['cosine']:.4f}, SQNR {output['sqnr_db']:.1f} dB, max error {output['max_error']:.3g} of "
        f"{output['max_value']:.3g}{top1} ({where})"
    )


def _bits(bits: dict[str, Any]) -> str | Text:
    if bits["differing_values"] is None:
        return "not compared: one of them did not run"
    if bits["differing_values"]:
        return Text.assemble((f"{bits['differing_values']} values differ", "red"), f" on {bits['images']} samples")
    return f"every output byte equal on {bits['images']} samples"


def _layers(layers: list[dict[str, Any]]) -> Table:
    table = Table("layer", "operator", "SQNR in (dB)", "out", "own")
    for layer in layers:
        ratios = (f"{layer[key]:.1f}" for key in ("input_sqnr_db", "sqnr_db", "own_sqnr_db"))
        table.add_row(escape(f"{layer['index']} {layer['name']}".strip()), escape(layer["op"]), *ratios)
    return table


def _tensor(tensor: TensorSpec) -> str:
    sizes = "x".join(map(str, tensor.shape))
    scale = "" if tensor.scale is None else f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}"
    return f"{tensor.name}: {sizes}{scale}"
