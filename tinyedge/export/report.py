"""What `tinyedge export` prints."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from tinyedge.export.manifest import MANIFEST_FILE, ExportManifest


def print_export(manifest: ExportManifest, folder: Path, seconds: float, console: Console) -> None:
    """Print one line a file, then the figures that tell whether the export is good.

    Args:
        manifest: Of the export.
        folder: Where its files are.
        seconds: What it took.
        console: Where to print.
    """
    for name, record in manifest.files.items():
        console.print(f"{folder / name}  {record.bytes:,} bytes", highlight=False, soft_wrap=True)
    size = (folder / MANIFEST_FILE).stat().st_size
    console.print(f"{folder / MANIFEST_FILE}  {size:,} bytes  {seconds:.1f} s", highlight=False, soft_wrap=True)
    table = Table("what", "value")
    for what, value in _rows(manifest):
        table.add_row(what, value)
    console.print(table)


def _rows(manifest: ExportManifest) -> list[tuple[str, str]]:
    parity = manifest.parity
    rows = [
        ("model", f"{manifest.encoder} {manifest.kind}, strides {','.join(map(str, manifest.strides))}"),
        ("input", _tensor(manifest.input.shape, manifest.input.scale, manifest.input.zero_point)),
        ("output", _tensor(manifest.output.shape, manifest.output.scale, manifest.output.zero_point)),
        ("PyTorch - ONNX", f"max {parity['torch_onnx']['max_abs']:.1e}"),
        ("ONNX - float TFLite", f"max {parity['onnx_tflite']['max_abs']:.1e}"),
    ]
    if manifest.operators:
        rows.append(("operators", ", ".join(f"{count} {op}" for op, count in manifest.operators.items())))
        rows.append(("TRANSPOSE", str(manifest.transposes)))
    int8 = parity["float_int8"]
    if int8:
        rows.append(("float - INT8", f"cosine {int8['cosine']:.4f}, SQNR {int8['sqnr_db']:.1f} dB"))
    top1 = parity["top1"]
    if top1:
        rows.append(
            (
                "top-1",
                f"float {top1['float_top1']:.2f} %, INT8 {top1['int8_top1']:.2f} % on {top1['images']} test images",
            )
        )
    return rows


def _tensor(shape: tuple[int, ...], scale: float | None, zero_point: int | None) -> str:
    sizes = "x".join(map(str, shape))
    return sizes if scale is None else f"{sizes} int8, scale {scale:.6g}, zero point {zero_point}"
