"""The GitHub Action's table and the pre-commit hook, on models of a commit."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from compiler.tflite_builder import TensorSpec, one_operator

from tinyedge.cli import check_files

ROOT = Path(__file__).parents[1]


def small(columns: int) -> bytes:
    shape = (1, 2, columns, 4)
    return one_operator("TANH", [TensorSpec(shape, 0.05, 0)], TensorSpec(shape, 1 / 128, 0))


@pytest.fixture
def model_table(tool_script: Callable[[str], ModuleType]) -> ModuleType:
    return tool_script("model_table")


def git(*words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()


def test_the_table_says_what_changed(model_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    git("init", "-q")
    (tmp_path / "m" / "a.tflite").write_bytes(small(64))
    git("add", ".")
    git("commit", "-qm", "base")
    base = git("rev-parse", "HEAD")
    (tmp_path / "m" / "a.tflite").write_bytes(small(80))
    (tmp_path / "new.tflite").write_bytes(small(16))
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    out = tmp_path / "table.md"

    models = ["m/a.tflite", "new.tflite"]
    assert model_table.main(["--base", base, "--bench", "false", "--out", str(out), "--", *models]) == 0
    head, _, changed, new = out.read_text().splitlines()[2:6]
    titles = [cell.strip() for cell in head.split("|")[1:-1]]
    cells = dict(zip(titles, (cell.strip() for cell in changed.split("|")[1:-1]), strict=True))
    assert cells["model"] == "`m/a.tflite`"
    assert cells["runs on stm32f405"] == "yes"
    assert cells["RAM, bytes"].endswith(" %)")
    assert "(+" in cells["RAM, bytes"]
    assert new.startswith("| `new.tflite` (new) | yes |")

    assert model_table.main(["bad.tflite", "--bench", "false", "--out", str(out)]) == 3
    assert "| `bad.tflite` | no |" in out.read_text()
    assert "\n- `bad.tflite`: bad.tflite is not a TFLite model" in out.read_text()
    assert model_table._plain("no <b> of @you | here") == "no &#60;b&#62; of &#64;you &#124; here"
    row = model_table.row_of(Path("é`|\nb.tflite"), {"verdict": "yes"}, {}, False)
    assert row.startswith("| `é???b.tflite` | yes |")
    assert model_table.main(["--out", str(out)]) == 0
    assert out.read_text() == "tinyedge: there is no .tflite file to check.\n"


def test_the_table_has_the_figures_of_an_emulated_run(
    model_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("the cross compiler or QEMU is not installed")
    (tmp_path / "a.tflite").write_bytes(small(16))
    figures, _, good = model_table.measured(tmp_path / "a.tflite", "stm32f405", True)
    assert good
    assert figures["verdict"] == "yes, bit-exact"
    assert figures["instructions"] > 0


def test_the_action_hands_on_its_inputs() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    text = (ROOT / "action.yml").read_text()
    assert all(f"inputs.{name}" in text for name in action["inputs"])
    for step in action["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        if "run" in step:
            script = step["run"].replace("${{", "").replace("}}", "")
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_action_comments_where_it_may() -> None:
    """The token of a pull request from a fork reads alone: a comment would fail the job of a good model."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (comment,) = (step for step in steps if "github-script" in step.get("uses", ""))
    assert {condition.strip() for condition in comment["if"].split("&&")} == {
        "inputs.comment == 'true'",
        "github.event_name == 'pull_request'",
        "github.event.pull_request.head.repo.full_name == github.repository",
    }


def test_the_hook_checks_every_file_of_a_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language", "files"} <= hook.keys()
    assert hook["entry"] == f"python -m {check_files.__name__}"
    good, bad = tmp_path / "good.tflite", tmp_path / "bad.tflite"
    good.write_bytes(small(16))
    bad.write_bytes(b"")
    assert check_files.main(["--board", "stm32f405", str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: fits stm32f405\n"
    assert check_files.main([str(bad), str(good)]) == 2
    said = capsys.readouterr()
    assert str(bad) in said.err
    assert said.out.startswith(f"{good}: fits ")
