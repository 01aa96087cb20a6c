"""What Jupyter shows of a report: well-formed HTML, with names escaped and nothing left out."""

from pathlib import Path
from xml.etree import ElementTree

from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model

from tinyedge import notebook
from tinyedge.api.check import check
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord, ModelRecord
from tinyedge.compiler.compile import compile_model


def parsed(report: object) -> ElementTree.Element:
    html: str = report._repr_html_()  # type: ignore[attr-defined]
    assert "script" not in html
    return ElementTree.fromstring(f"<div>{html}</div>")


def text_of(element: ElementTree.Element) -> str:
    return " ".join(element.itertext())


def test_a_check_and_a_compiled_model_are_shown(tmp_path: Path) -> None:
    x, y, z = (TensorSpec((1, 4, 4, 4), 0.05, 0, name=name) for name in ("x", "y", "<b>&z"))
    path = tmp_path / "a<b>.tflite"
    path.write_bytes(build_model([OperatorSpec("RELU", [x], y), OperatorSpec("ADD", [x, y], z)], [x], [z]))
    report = check(path, board="stm32f405")
    shown = parsed(report)
    assert "a<b>.tflite" in text_of(shown)
    assert "can be deployed on stm32f405" in text_of(shown)
    assert len(shown.findall(".//tr")) >= 1 + len(report.verdicts) + len(report.budgets) + len(report.layers)

    compiled = compile_model(path, tmp_path / "c")
    drawing = parsed(compiled)
    assert f"{compiled.arena_bytes:,}" in text_of(drawing)
    blocks = [part for part in drawing.iter() if part.tag.endswith("rect")]
    assert len(blocks) == len(compiled.plan.tensors)
    assert any("<b>&z" in text_of(block) for block in blocks)


def test_a_benchmark_is_shown() -> None:
    layer = LayerRecord("conv<1>", "CONV_2D", "te_conv", 1000, 2000)
    record = BenchRecord(
        runtime="aot",
        target="emulator",
        board="stm32f405",
        cpu="cortex-m4",
        instructions=12345,
        outputs_sha256="",
        bit_exact=True,
        differing=0,
        inputs=2,
        layers=(layer,),
    )
    shown = parsed(BenchReport(ModelRecord("m.tflite", "", 1000, 10, 100), (record,)))
    assert "12,345" in text_of(shown)
    assert "conv<1>" in text_of(shown)
    assert "modelled" not in text_of(shown.find("table") or shown)


def test_cells_are_escaped_and_whole_numbers_separated() -> None:
    made = notebook.table(("<a>",), [(1234567,), (None,), (True,), ("<&>",)])
    assert "1,234,567" in made
    assert "&lt;&amp;&gt;" in made
    assert ">True<" in made
