"""The page of `tinyedge web --check`: what is written, and what it answers where there is a release of Pyodide."""

import base64
import json
import os
import time
from pathlib import Path

import pytest
from browser.page_models import image_model
from chromium import Chromium, find_chromium
from loopback import served

from tinyedge.api.web_check import web_check
from tinyedge.browser.check_answer import answer
from tinyedge.cli import main

RELEASE = os.environ.get("TINYEDGE_PYODIDE", "")
needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="apt-get install chromium")


@pytest.fixture
def release(tmp_path) -> Path:
    """What a release of Pyodide has, of a Python that does not start."""
    folder = tmp_path / "release"
    folder.mkdir()
    lock = {
        "info": {"python": "3.12.7"},
        "packages": {
            "numpy": {"file_name": "numpy.whl", "depends": ["blas"]},
            "blas": {"file_name": "blas.zip", "depends": []},
        },
    }
    (folder / "pyodide-lock.json").write_text(json.dumps(lock))
    (folder / "pyodide.mjs").write_text("export async function loadPyodide() { throw new Error('no memory'); }")
    for name in ("pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "numpy.whl", "blas.zip", "other.whl"):
        (folder / name).write_bytes(name.encode())
    return folder


def refusal(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["tinyedge", "web", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    return said.err.strip().splitlines()[-1].removeprefix("error: ")


def test_the_page_has_its_files_beside_it_and_replaces_none_of_others(release, tmp_path, monkeypatch, capsys):
    site = tmp_path / "site"
    report = web_check(site, release)
    written = {path.name: path.read_bytes() for path in (site / "check").iterdir()}
    assert {*written} == {
        *("pyodide-lock.json", "pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip"),
        *("numpy.whl", "blas.zip", "worker.js", "tinyedge.zip", "tinyedge.json"),
    }
    assert (report.files, report.python) == (len(written), "3.12.7")
    assert report.bytes == sum(map(len, written.values())) + (site / "index.html").stat().st_size
    assert web_check(site, release).bytes == report.bytes
    assert {path.name: path.read_bytes() for path in (site / "check").iterdir()} == written
    mine = site / "check" / "notes.txt"
    mine.write_text("mine")
    wanted = ("--check", "--pyodide", str(release), "--out", str(site))
    assert "check is not as `tinyedge web --check` writes it" in refusal(monkeypatch, capsys, *wanted)
    mine.unlink()
    (site / "check" / "worker.js").write_text("mine")
    assert "check is not as `tinyedge web --check` writes it" in refusal(monkeypatch, capsys, *wanted)
    assert (site / "check" / "worker.js").read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "pyodide.asm.js").unlink(), "as it has no pyodide.asm.js"),
        (lambda folder: (folder / "python_stdlib.zip").unlink(), "as it has no python_stdlib.zip"),
        (lambda folder: (folder / "blas.zip").unlink(), "has no blas.zip, which its pyodide-lock.json names"),
        (lambda folder: (folder / "pyodide-lock.json").write_text("{"), "has no NumPy"),
        (lambda folder: (folder / "pyodide-lock.json").write_text('{"packages": {}}'), "has no NumPy"),
    ],
)
def test_a_release_that_lacks_something_is_refused(spoil, said, release, tmp_path, monkeypatch, capsys):
    spoil(release)
    wanted = ("--check", "--pyodide", str(release), "--out", str(tmp_path / "site"))
    assert said in refusal(monkeypatch, capsys, *wanted)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("arguments", [(), ("m.tflite", "--check"), ("--check",), ("m.tflite", "--pyodide", "p")])
def test_options_that_do_not_fit_are_refused(arguments, tmp_path, monkeypatch, capsys):
    said = refusal(monkeypatch, capsys, *arguments, "--out", str(tmp_path / "site"))
    assert "--check" in said
    assert not (tmp_path / "site").exists()


def test_the_answer_is_the_report_and_the_plan_or_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("<b>.tflite").write_bytes(image_model(3))
    Path("none.tflite").write_bytes(b"no model")
    html = json.loads(answer("<b>.tflite"))["html"]
    assert "<p><b>&lt;b&gt;.tflite: " in html
    assert html.count("<tr>") > 20
    assert "<svg" in html
    assert "none.tflite" in json.loads(answer("none.tflite"))["error"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(find_chromium(), tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def wait_for(chromium: Chromium, condition: str) -> str:
    end = time.monotonic() + 200
    while not chromium.run(condition):
        assert time.monotonic() < end, chromium.run("$('message').textContent")
        time.sleep(0.05)
    return chromium.run("$('message').textContent")


def drop(chromium: Chromium, name: str, content: bytes) -> None:
    text = base64.b64encode(content).decode()
    chromium.run(
        f"""{{
          const dataTransfer = new DataTransfer();
          const bytes = Uint8Array.from(atob("{text}"), (one) => one.charCodeAt(0));
          dataTransfer.items.add(new File([bytes], {json.dumps(name)}));
          document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }}));
        }}"""
    )


@needs_chromium
def test_a_python_that_does_not_start_and_a_page_from_the_disk_are_sentences(chromium, release, tmp_path):
    web_check(tmp_path / "site", release)
    with served(tmp_path / "site") as address:
        chromium.open(f"{address}/index.html")
        said = wait_for(chromium, "$('message').classList.contains('wrong')")
    assert said.startswith("The check did not start (no memory): load the page again")
    chromium.open(tmp_path / "site" / "index.html")
    assert "only from a server" in wait_for(chromium, "$('message').classList.contains('wrong')")


@needs_chromium
def test_a_file_that_waits_for_a_python_that_does_not_start_is_told_so(chromium, release, tmp_path):
    # It gives up when the file comes.
    start = 'new Promise((_, give) => addEventListener("message", () => give(new Error("no memory"))))'
    (release / "pyodide.mjs").write_text(f"export const loadPyodide = () => {start};")
    web_check(tmp_path / "site", release)
    with served(tmp_path / "site") as address:
        chromium.open(f"{address}/index.html")
        drop(chromium, "mine.tflite", b"any")
        said = wait_for(chromium, "$('message').classList.contains('wrong')")
        assert said.startswith("“mine.tflite” was not checked. The check did not start (no memory): load the page")
        (tmp_path / "site" / "check" / "worker.js").unlink()
        chromium.open(f"{address}/index.html")
        drop(chromium, "second.tflite", b"any")
        wait_for(chromium, "asked === null && $('message').classList.contains('wrong')")
        drop(chromium, "third.tflite", b"any")
        said = chromium.run("$('message').textContent")
        assert said.startswith("The check did not start (its worker cannot be loaded): load the page again")


@needs_chromium
@pytest.mark.skipif(not RELEASE, reason="TINYEDGE_PYODIDE names no release of Pyodide with NumPy")
def test_a_dropped_model_gets_the_report_that_python_gives_here(chromium, tmp_path, monkeypatch):
    web_check(tmp_path / "site", RELEASE)
    model = image_model(3)
    monkeypatch.chdir(tmp_path)
    Path("mine.tflite").write_bytes(model)
    with served(tmp_path / "site") as address:
        chromium.open(f"{address}/index.html")
        drop(chromium, "none.tflite", b"no model")
        said = wait_for(chromium, "asked === null && $('message').classList.contains('wrong')")
        assert "none.tflite" in said
        assert chromium.run("$('report').hidden")
        drop(chromium, "mine.tflite", model)
        drop(chromium, "second.tflite", model)
        assert "still being checked" in chromium.run("$('message').textContent")
        wait_for(chromium, "asked === null && !$('report').hidden")
        # The interpreters are asked here alone; all else is the same.
        rows = """(root) => [...root.querySelectorAll("tr, svg")].map((one) => one.textContent)
          .filter((text) => !/TFLite Micro|LiteRT/.test(text))"""
        shown = chromium.run(f"({rows})($('report'))")
        here = json.dumps(json.loads(answer("mine.tflite"))["html"])
        parsed = f"new DOMParser().parseFromString({here}, 'text/html').body"
        assert shown == chromium.run(f"({rows})({parsed})")
        assert len(shown) > 30
        drop(chromium, "cut.tflite", model[: len(model) // 2])
        wait_for(chromium, "asked === null && $('message').classList.contains('wrong')")
        assert not chromium.run("$('report').hidden")  # What was found before stays.
        assert chromium.complaints() == []
        assert all(url.startswith(f"{address}/") for url in chromium.requests())
