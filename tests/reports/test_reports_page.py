"""What the page says is what the files say, it needs nothing else, and a stranger's names are text in it."""

import base64
import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, one_operator
from reports.conftest import CLASSES, ZOO, bench_of
from reports.html_page import parse

import tinyedge
from tinyedge.boards.board import board_names
from tinyedge.reports.page import SECTIONS

EVERY = [section.name for section in SECTIONS]


@pytest.fixture(scope="module")
def page(full_report):
    return parse(full_report.path.read_text(encoding="utf-8"))


def test_all_sections_are_there_and_named_in_the_navigation(page, full_report):
    assert [section.attributes["id"] for section in page.all("section")] == EVERY
    (navigation,) = page.all("nav")
    assert [link.attributes["href"] for link in navigation.all("a")] == [f"#{name}" for name in EVERY]
    assert full_report.shown == {name: ["full"] for name in EVERY}
    assert not any(full_report.missing.values())


def test_the_page_is_small_and_needs_nothing_else(page, full_report):
    content = full_report.path.read_bytes()
    assert (full_report.bytes, full_report.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert len(content) < 3_000_000
    assert b"http:" not in content
    assert b"https:" not in content
    for element in page.walk():
        assert element.tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "action", "srcset"):
            assert element.attributes.get(name, "#").startswith("#")
        assert not [name for name in element.attributes if name.startswith("on")]
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(map(str, script.content)).encode()).digest()).decode()
    (policy,) = (one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_head_of_the_page_has_the_figures_of_the_check(page):
    check = tinyedge.check(ZOO / "model_int8.tflite")
    (headline,) = page.all("dl", cls="headline")
    figures = {one.all("dt")[0].text: one.all("dd")[0].text for one in headline.all("div")}
    assert figures["parameters"] == f"{check.parameters:,}"
    assert figures["multiply-accumulates"] == f"{check.macs:,}"
    assert figures["boards that take it"] == f"{len({board for board, _ in check.deployments})} of {len(board_names())}"
    assert figures["top-1 in INT8"] == f"{json.loads((ZOO / 'parity.json').read_text())['top1']['int8_top1']:.2f} %"
    rows = page.section("boards").rows()
    assert len(rows) == len({(budget.board, budget.runtime) for budget in check.budgets})
    for budget in check.budgets:
        used = f"{budget.used:,} of {budget.limit:,}"
        assert any(row[0] == budget.board and used in row for row in rows)
    layers = page.section("layers").rows()
    assert [int(row[0]) for row in layers] == [layer.index for layer in check.layers]
    assert [row[2] for row in layers] == [layer.op for layer in check.layers]
    assert [row[4] for row in layers] == [f"{layer.macs:,}" if layer.macs else "" for layer in check.layers]


def test_noise_and_probes_are_those_of_the_files(page):
    parity = json.loads((ZOO / "parity.json").read_text())
    layers = page.section("layers").rows()
    noise = {int(row[0]): row[7] for row in layers if row[7]}
    assert noise == {
        one["index"]: "exact" if one["sqnr_db"] >= 120 else f"{one['sqnr_db']:.1f}" for one in parity["layers"]
    }
    runtimes = page.section("quantisation").rows()
    assert [row[:3] for row in runtimes] == [
        [one["runtime"], f"{one['images']:,}", f"{one['top1']:.2f}"] for one in parity["runtimes"]
    ]
    probes = json.loads((ZOO / "probe.json").read_text())
    shown = {(row[0], row[2]): row[3].split()[0] for row in page.section("accuracy").rows()}
    assert shown == {(one["protocol"], f"{one['labels']:,}"): f"{100 * one['mean']:.2f}" for one in probes}


def test_the_memory_plan_has_every_tensor_by_name(page, full_run, tmp_path):
    library = tinyedge.compile(full_run, tmp_path / "c", instruction_set="dsp")
    section = page.section("memory")
    assert f"{library.arena_bytes:,} bytes" in section.text
    blocks = section.all("rect", cls="block")
    assert len(blocks) > 100
    for block in blocks:
        x, y, width, height = (float(block.attributes[name]) for name in ("x", "y", "width", "height"))
        assert -0.01 <= x <= x + width <= 100.02
        assert -0.01 <= y <= y + height <= 100.02
        assert re.match(r"[\d,]+ bytes from [\d,]+ on, layers? -?\d+ \(", block.attributes["data-text"])
        assert block.attributes["aria-label"].startswith(block.attributes["data-name"])
    assert [block.attributes["tabindex"] for block in blocks] == ["0", *["-1"] * (len(blocks) - 1)]


def test_confusion_counts_and_the_map_are_the_gallery(page, full_run):
    gallery = json.loads((full_run / "plots" / "gallery.json").read_text())
    counts = np.array(gallery["confusion"])
    (table,) = page.section("confusion").all("table", cls="confusion")
    titles = [cell.attributes["title"] for cell in table.all("td") if "title" in cell.attributes]
    assert titles == [
        f"{true} taken for {predicted}: {counts[row, column]}"
        for row, true in enumerate(CLASSES)
        for column, predicted in enumerate(CLASSES)
    ]
    dots = page.section("embedding").all("path", cls="dot")
    assert len(dots) == len(gallery["points"])
    wrong = sum(label != predicted for *_, label, predicted in gallery["points"])
    assert sum("wrong" in dot.attributes["class"].split() for dot in dots) == wrong
    assert sum("taken for" in dot.attributes["aria-label"] for dot in dots) == wrong


def test_curves_of_a_long_log_are_drawn_to_its_end(page):
    section = page.section("training")
    assert [caption.text for caption in section.all("figcaption")] == ["loss", "lr"]
    (loss, _) = (path.attributes["d"] for path in section.all("path", cls="line"))
    assert 300 <= loss.count("L") <= 400
    assert loss.startswith("M0 ")
    assert "L100 " in loss
    assert "899 records of metrics.jsonl, one of 3 drawn" in section.text


def test_a_benchmark_gives_flash_speed_and_exactness(page, full_run):
    bench = bench_of(full_run / "model_int8.tflite")
    flash = page.section("flash").rows()
    assert [row[2] for row in flash[:3]] == ["50,000 B", "20,000 B", "10,000 B"]
    speed = page.section("speed").rows()
    assert speed[0][2] == "4,321"
    assert [row[0] for row in speed if row[0].startswith("layer ")] == [layer.name for layer in bench.results[0].layers]
    assert "our C on the emulated stm32f405, on 7 inputs" in page.section("exactness").text
    assert bench.model.sha256 in page.section("provenance").text


def test_what_is_not_there_is_left_out_or_names_its_command(tmp_path):
    model = tmp_path / "one.tflite"
    model.write_bytes(one_operator("RELU", [TensorSpec((1, 4), 0.5, 0)], TensorSpec((1, 4), 0.5, 0)))
    report = tinyedge.report(model, out=tmp_path / "one.html")
    page = parse(report.path.read_text(encoding="utf-8"))
    assert set(report.shown) == set(EVERY) - {"training", "accuracy", "embedding", "confusion"}
    assert report.shown["quantisation"] == []
    assert f"tinyedge bench {model} --target emulator" in page.section("speed").text
    assert "tinyedge quantise" in page.section("quantisation").text


def test_the_advice_about_a_packed_run_names_its_images(tmp_path):
    run = tmp_path / "packed"
    run.mkdir()
    shutil.copy(ZOO / "encoder.safetensors", run)
    text = (ZOO / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("data: cifar10\n", "data: cats\n"))
    report = tinyedge.report(run, out=tmp_path / "run.html")
    page = parse(report.path.read_text(encoding="utf-8"))
    for section in ("accuracy", "embedding", "confusion"):
        assert f"tinyedge probe {run} --data IMAGES" in page.section(section).text


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '" onload="alert(1)', "</title><img src=x>", "{{ 7 * 7 }}"]
)
def test_a_strangers_names_are_text(tmp_path, name):
    model = tmp_path / "strange.tflite"
    model.write_bytes(
        one_operator("RELU", [TensorSpec((1, 4), 0.5, 0, name=name)], TensorSpec((1, 4), 0.5, 0, name=f"out {name}"))
    )
    page = parse(tinyedge.report(model, out=tmp_path / "strange.html").path.read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.section("layers").rows()[0][1] == " ".join(f"out {name}".split())
    assert name in [block.attributes["data-name"] for block in page.section("memory").all("rect")]
    for element in page.walk():
        assert not [attribute for attribute in element.attributes if attribute.startswith("on")]


def test_a_comparison_begins_with_what_differs(compared):
    page = parse(compared.path.read_text(encoding="utf-8"))
    assert page.all("section")[0].attributes["id"] == "differences"
    different, *others = page.section("differences").all("table")
    rows = {row[0]: row[1:] for row in different.rows()}
    one, other = (tinyedge.check(name) for name in ("tinynext_t_cifar10", "mobilenetv2_035_cifar10"))
    change = 100 * (other.parameters - one.parameters) / one.parameters
    mood = "better" if change < 0 else "worse"
    assert rows["parameters"][0] == f"{one.parameters:,}"
    assert rows["parameters"][1] == f"{other.parameters:,} {change:+.1f} %, {mood}".replace("-", "−")
    assert all(len(set(cells)) > 1 for cells in rows.values())
    same = {row[0]: row[1:] for row in others[-1].rows()}
    assert same["config: data"] == ["cifar10", "cifar10"]
    assert not same.keys() & rows.keys()
    assert len(page.section("layers").all("table")) == 2
    identifiers = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
    assert len(set(identifiers)) == len(identifiers)
