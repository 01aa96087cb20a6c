"""A folder of models: what tinyedge wrote is replaced and removed, what is somebody else's stays."""

import json
import shutil
from pathlib import Path

import pytest
from compiler.random_models import random_model
from compiler.random_networks import random_network

from tinyedge.compiler.compile import CompileReport, compile_model
from tinyedge.compiler.emit import library_folder
from tinyedge.errors import ConfigError, TinyEdgeError

RECORD = "tinyedge.json"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models, of which each calls a kernel that the other does not."""
    folder = tmp_path_factory.mktemp("models")
    contents = {"m1.tflite": random_model(1), "m2.tflite": random_network(3, mixed=True)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def kernels(report: CompileReport) -> set[str]:
    return {path for path in report.files if path.startswith("src/kernels/")}


def test_models_share_the_kernels_and_take_only_their_own_away(models: list[Path], tmp_path: Path) -> None:
    alone = [compile_model(model, tmp_path / model.stem, name="a") for model in models]
    assert kernels(alone[0]) - kernels(alone[1])
    assert kernels(alone[1]) - kernels(alone[0])

    compile_model(models[0], tmp_path / "both", name="a")
    both = compile_model(models[1], tmp_path / "both", name="b")
    assert kernels(both) == kernels(alone[0]) | kernels(alone[1])
    assert set(both.files) == set(contents(tmp_path / "both"))
    assert (tmp_path / "both" / "src" / "a_model.c").read_bytes() == (tmp_path / "m1/src/a_model.c").read_bytes()
    assert "includes=a_model.h,b_model.h\n" in (tmp_path / "both" / "library.properties").read_text()

    # The same model twice, and no file of the one that was `b` is left.
    last = compile_model(models[0], tmp_path / "both", name="b")
    assert kernels(last) == kernels(alone[0])
    assert set(last.files) == set(contents(tmp_path / "both"))


def test_the_order_of_the_models_does_not_matter(models: list[Path], tmp_path: Path) -> None:
    for folder, order in (("ab", "ab"), ("ba", "ba")):
        for name in order:
            compile_model(models["ab".index(name)], tmp_path / folder, name=name)
    assert contents(tmp_path / "ab") == contents(tmp_path / "ba")


def test_a_file_that_is_as_it_shall_be_is_not_touched(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    compile_model(models[0], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != RECORD}
    compile_model(models[0], out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_is_somebody_elses_stays_and_is_named(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "thesis").mkdir(parents=True)
    (out / "thesis" / "chapter.tex").write_text("years of work")
    (out / "notes.txt").write_text("mine")
    compile_model(models[0], out, name="a")
    (out / "src" / "driver.c").write_text("int driver;")
    report = compile_model(models[1], out, name="a")
    assert report.foreign == ("notes.txt", "src/driver.c", "thesis/")
    assert (out / "thesis" / "chapter.tex").read_text() == "years of work"
    assert (out / "src" / "driver.c").read_text() == "int driver;"
    assert not set(report.files) & {"notes.txt", "src/driver.c"}


@pytest.mark.parametrize("path", ["src/a_model.c", "CMakeLists.txt", "src/kernels/te_kernels.h"])
def test_an_edited_file_is_refused_until_it_is_deleted(models: list[Path], tmp_path: Path, path: str) -> None:
    out = tmp_path / "out"
    compile_model(models[0], out, name="a")
    (out / path).write_text("edited")
    before = contents(out)
    with pytest.raises(ConfigError, match=rf"{out / path} was edited .* delete it"):
        compile_model(models[1], out, name="a")
    assert contents(out) == before
    (out / path).unlink()
    compile_model(models[1], out, name="a")
    compile_model(models[1], tmp_path / "fresh", name="a")
    assert contents(out) == contents(tmp_path / "fresh")


def test_an_edited_file_that_is_not_needed_any_more_is_refused_too(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = compile_model(models[0], out, name="a")
    second = compile_model(models[1], tmp_path / "second", name="a")
    path = min(kernels(first) - kernels(second))
    (out / path).write_text("edited")
    with pytest.raises(ConfigError, match="was edited"):
        compile_model(models[1], out, name="a")
    assert (out / path).read_text() == "edited"


def test_a_foreign_file_in_the_way_is_refused(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text("project(mine)")
    with pytest.raises(ConfigError, match=r"CMakeLists\.txt is not a file that tinyedge wrote: move it away"):
        compile_model(models[0], tmp_path)
    assert contents(tmp_path) == {"CMakeLists.txt": b"project(mine)"}
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        compile_model(models[0], tmp_path / "file")


def test_the_current_folder_can_be_given(models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.c").write_text("mine")
    monkeypatch.chdir(tmp_path)
    report = compile_model(models[0], Path())
    assert report.foreign == ("main.c",)
    assert (tmp_path / "src" / "m1_model.c").is_file()


def test_models_of_another_version_are_not_given_other_kernels(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    compile_model(models[0], out, name="a")
    # As an earlier version would have left it: the file and its hash are another's.
    record = json.loads((out / RECORD).read_text())
    kernel = out / "src" / "kernels" / "te_kernels.h"
    kernel.write_text(kernel.read_text() + "/* of old */\n")
    record["files"]["src/kernels/te_kernels.h"] = library_folder._sha256(kernel.read_bytes())
    (out / RECORD).write_text(json.dumps(record))
    before = contents(out)
    with pytest.raises(ConfigError, match="holds the model a of another version of tinyedge"):
        compile_model(models[1], out, name="b")
    assert contents(out) == before
    compile_model(models[1], out, name="a")  # It is the only one, so nothing else depends on the old kernel.


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "models": {}, "files": {"../secret": "0"}}']
)
def test_a_damaged_record_is_told(models: list[Path], tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(ConfigError, match=rf"{RECORD} does not say what tinyedge wrote"):
        compile_model(models[0], tmp_path)
    assert contents(tmp_path) == {RECORD: text.encode()}


def test_an_error_leaves_the_earlier_output_and_no_rubbish(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    compile_model(models[0], out, name="a")
    # A folder where a file has to be: the last of the names, so others were written before.
    (out / "src" / "kernels").rename(tmp_path / "kernels")
    (out / "src" / "kernels").write_text("no folder")
    before = contents(out)
    with pytest.raises(TinyEdgeError, match="kernels"):
        compile_model(models[1], out, name="a")
    assert contents(out) == before
    (out / "src" / "kernels").unlink()
    shutil.move(tmp_path / "kernels", out / "src" / "kernels")
    compile_model(models[1], out, name="a")
