"""What `tinyedge web` writes, what it leaves as it is, and what it says of a mistake."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser.page_models import write_export
from compiler.tflite_builder import TensorSpec, constant, one_operator
from ops.case_builders import conv2d

from tinyedge.browser.wasm import COMPILE_FLAGS
from tinyedge.browser.web_model import read_web_model
from tinyedge.cli import main

needs_clang = pytest.mark.skipif(
    shutil.which("clang") is None or shutil.which("wasm-ld") is None, reason="apt-get install clang lld"
)


@pytest.fixture
def web(tmp_path, monkeypatch, capsys):
    """Run `tinyedge web` in a folder with a model in run/export/; returns exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    write_export(tmp_path / "run" / "export", ("no", "yes"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tinyedge", "web", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err.strip()

    return run


def refused(answer: tuple[int, str, str]) -> str:
    code, out, err = answer
    assert (code, out) == (2, "")
    *_, line = err.splitlines()
    assert line.startswith("error: ")
    return line


@needs_clang
def test_the_page_is_one_file_that_is_written_again_and_never_over_another(web, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "CNAME").write_text("example.org")
    code, out, err = web("run", "--out", "site", "--json")
    assert code == 0, err
    report = json.loads(out)
    page = site / "index.html"
    assert (report["page"], report["page_bytes"]) == ("site/index.html", page.stat().st_size)
    assert (report["classes"], report["learns"], report["instruction_set"]) == (["no", "yes"], True, "wasm")
    assert report["page_bytes"] > report["wasm_bytes"] > report["constant_bytes"] > 0
    written = page.read_bytes()
    assert web("run", "--out", "site")[0] == 0
    assert page.read_bytes() == written  # The same model, the same bytes.
    for other in (written + b" ", b"<!DOCTYPE html>\nmine", b""):
        page.write_bytes(other)
        assert "site/index.html is not as `tinyedge web` writes it" in refused(web("run", "--out", "site"))
        assert page.read_bytes() == other
    page.unlink()
    page.symlink_to(tmp_path / "elsewhere.html")
    refused(web("run", "--out", "site"))
    assert sorted(path.name for path in site.iterdir()) == ["CNAME", "index.html"]
    assert (site / "CNAME").read_text() == "example.org"


def test_what_no_classes_are_learned_from_comes_with_what_to_do(tmp_path):
    rng = np.random.default_rng(0)
    for case, said in (
        (
            conv2d(rng, (1, 9, 9, 3), dtype=np.int16),
            "is int16 and classes are learned from int8: export with",
        ),
        (
            conv2d(rng, (1, 130, 127, 3), 1),
            "its embedding has 16,510 values, and a class is learned from 16,384",
        ),
    ):
        (tmp_path / "model.tflite").write_bytes(case.model)
        model = read_web_model(tmp_path / "model.tflite")
        assert model.learning is None
        assert said in model.learning_advice


@pytest.mark.parametrize(("programs", "package"), [((), "clang"), (("clang",), "lld")])
def test_a_program_that_is_missing_is_named_with_its_package(web, tmp_path, monkeypatch, programs, package):
    found = tmp_path / "bin"
    found.mkdir()
    for name in programs:
        (found / name).write_text("#!/bin/sh\necho version 14.0.6\n")
        (found / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{found}{os.pathsep}/nowhere" if programs else os.devnull)
    assert f"install it with `apt-get install {package}`" in refused(web("run", "--out", "site"))
    assert not (tmp_path / "site").exists()


@needs_clang
def test_a_compiler_without_webassembly_is_a_sentence(web, tmp_path, monkeypatch):
    found = tmp_path / "bin"
    found.mkdir()
    (found / "clang").write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'clang version 14.0.6' && exit\necho 'no wasm32' >&2\nexit 1\n"
    )
    (found / "clang").chmod(0o755)
    monkeypatch.setenv("PATH", f"{found}{os.pathsep}{os.environ['PATH']}")
    assert "clang does not compile to WebAssembly (no wasm32)" in refused(web("run", "--out", "site"))


@needs_clang
def test_a_model_that_takes_no_image_is_refused(web, tmp_path):
    weights = constant(np.ones((2, 4), np.int8), 0.01)
    bias = constant(np.zeros(2, np.int32), 0.005)
    vector = one_operator("FULLY_CONNECTED", [TensorSpec((1, 4), 0.5, 3), weights, bias], TensorSpec((1, 2), 0.7, -5))
    (tmp_path / "vector.tflite").write_bytes(vector)
    assert "takes [1, 4], not an image" in refused(web("vector.tflite", "--out", "site"))
    (tmp_path / "none.tflite").write_bytes(b"no model")
    refused(web("none.tflite", "--out", "site"))
    assert not (tmp_path / "site").exists()


@needs_clang
@pytest.mark.parametrize("operator", ["QUANTIZE", "RELU"])
def test_a_model_whose_output_is_an_image_has_no_classes(web, tmp_path, operator):
    image, output = (TensorSpec((1, 8, 8, 3), scale, -5) for scale in (0.02, 0.03))
    (tmp_path / "map.tflite").write_bytes(one_operator(operator, [image], output))
    code, out, err = web("map.tflite", "--out", "site", "--json")
    assert code == 0, err
    assert json.loads(out)["classes"] == []


@needs_clang
def test_half_a_character_in_a_name_is_written_as_a_question_mark(web, tmp_path):
    manifest = tmp_path / "run" / "export" / "export.json"
    manifest.write_text(manifest.read_text().replace('"yes"', '"\\ud800yes"'))
    code, _, err = web("run", "--out", "site", "--json")
    assert code == 0, err
    assert '"?yes"' in (tmp_path / "site" / "index.html").read_text()


@needs_clang
@pytest.mark.parametrize("values", [0, 4])
def test_the_driver_has_no_warnings(tmp_path, values):
    """Against a header of what it asks of the generated one."""
    header = """#include <stdint.h>
int32_t page_init(void);
int8_t *page_input(void);
int32_t page_invoke(void);
const int8_t *page_output(void);
#define PAGE_OUTPUTS(TENSOR) TENSOR(0, page_output, INT8, 4, 0.1f, 0, 2, 1, 4)
"""
    (tmp_path / "page_model.h").write_text(header)
    root = Path(__file__).parents[2]
    assets = root / "tinyedge" / "browser" / "assets"
    defined = (f"-DTE_WEB_VALUES={values}", "-DTE_WEB_EMBEDDING=0", "-DTE_WEB_ZERO_POINT=(-3)", "-DTE_WEB_CLASSES=2")
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wmissing-prototypes", "-Werror", "-fsyntax-only")
    include = (f"-I{tmp_path}", f"-I{root / 'firmware' / 'app'}", "-isystem", str(assets / "include"))
    command = ["clang", *COMPILE_FLAGS, *warnings, *defined, *include, str(assets / "driver.c")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
