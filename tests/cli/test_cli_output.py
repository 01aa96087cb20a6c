"""What every command does alike: JSON on standard output alone, the next command at the end, names completed."""

import io
import json
from pathlib import Path

import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model
from PIL import Image
from rich.console import Console

from tinyedge.cli import main
from tinyedge.cli.app import make_app
from tinyedge.cli.check import _build_command
from tinyedge.cli.completions import completion
from tinyedge.cli.output import print_files, print_next
from tinyedge.cli.steps import StepProgress
from tinyedge.shell import command_line
from tinyedge.ssl.registry import method_names

TINYNEXT_T = ("_efficientnet_lite0", "_finetuned", "_patches")
MODEL = str(Path(__file__).parents[2] / "models" / "mobilenetv2_035_cifar10" / "model_int8.tflite")


@pytest.fixture
def tinyedge(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; returns its exit code and what it said on both outputs."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tinyedge", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_every_command_takes_json():
    import inspect

    for command in make_app().registered_commands:
        assert "json" in inspect.signature(command.callback).parameters, command.name


def test_json_has_standard_output_for_itself_and_the_next_command_is_said(tinyedge):
    arguments = ("compile", MODEL, "--out", "c", "--name", "small", "--cascade", "never")
    code, out, err = tinyedge(*arguments, "--json")
    assert code == 0
    assert json.loads(out)["name"] == "small"
    following = "next: cmake -S c/examples/small/cmake -B build/small && cmake --build build/small"
    assert err.splitlines()[-1] == following
    code, out, err = tinyedge(*arguments)
    assert (code, err.splitlines()[0].startswith("compiling")) == (0, True)
    assert out.splitlines()[-1] == following


@pytest.mark.parametrize("command", [("bench", "m.tflite"), ("enroll", "m.tflite", "--data", ".", "--emulator")])
def test_the_file_that_json_once_took_is_refused_with_what_to_write(tinyedge, command):
    code, _, err = tinyedge(*command, "--json", "report.json")
    assert code == 2
    assert "--json > report.json`" in err


def test_brackets_in_the_names_of_files_are_printed(tmp_path):
    console = Console(width=80, file=io.StringIO())
    file = tmp_path / "cat[red] [1]"
    file.write_bytes(b"12")
    print_files(console, file)
    print_next(console, command_line("tinyedge", "check", file), "tinyedge check [/b]")
    assert console.file.getvalue() == f"{file}  2 bytes\nnext: tinyedge check '{file}'\nnext: tinyedge check [/b]\n"


def test_a_step_is_named_as_it_is():
    console = Console(width=80, file=io.StringIO())
    with StepProgress(console) as progress:
        progress.begin("loading cats[1] [/b]")
    assert console.file.getvalue().startswith("loading cats[1] [/b]  0.")


def test_names_are_completed():
    assert completion(method_names)("vicreg-") == ["vicreg-dual", "vicreg-gating"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("bench", "m.tflite", "--board", "stm32f"), {"stm32f405"}),
        (("build", "m.tflite", "--runtime", ""), {"aot", "tflm"}),
        (("bench", "m.tflite", "--runtime", ""), {"onnx", "litert", "tflm", "aot", "all"}),
        (("predict", "m.tflite", "a.png", "--target", ""), {"host", "emulator", "board"}),
        (("compile", "tinynext"), {f"tinynext_t_cifar10{name}" for name in ("", *TINYNEXT_T)}),
        (("compile", ""), set()),  # The shell offers files.
        (("export", "mobilenet"), {"mobilenetv2_035_cifar10"}),
        (("train", "--encoder", "tinynext_"), {"tinynext_t", "tinynext_s"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_shell_completes_what_has_a_name(monkeypatch, capsys, words, offered):
    monkeypatch.setenv("_TINYEDGE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(("tinyedge", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        make_app()(prog_name="tinyedge")
    assert set(capsys.readouterr().out.split()) == offered


def test_the_help_of_a_method_needs_no_run(tinyedge):
    code, out, _ = tinyedge("train", "--method", "simclr", "--help-method")
    assert (code, "temperature" in out) == (0, True)
    code, _, err = tinyedge("train", "--method", "simclear", "--help-method")
    assert (code, "did you mean simclr" in err) == (2, True)
    assert tinyedge("train")[2].startswith("error: --out is missing")


def test_the_next_command_of_a_check_keeps_what_was_asked(tinyedge):
    code, out, _ = tinyedge("check", MODEL, "--board", "nucleo_u575zi")
    assert (code, out.splitlines()[-1]) == (0, f"next: tinyedge build {MODEL} --board nucleo_u575zi")
    shape = ("--input", "32", "--strides", "2,1,2,2,2")
    code, out, _ = tinyedge("check", "--encoder", "tinynext_t", *shape, "--board", "stm32f405")
    following = "next: tinyedge train --encoder tinynext_t --out runs/tinynext_t"
    assert (code, out.splitlines()[-1]) == (0, f"{following} --image-size 32 --strides 2,1,2,2,2")


@pytest.mark.parametrize(("runtime", "ending"), [("tflm", " --runtime tflm"), ("aot", "")])
def test_what_a_bench_proposes_runs_what_was_measured(tinyedge, tmp_path, runtime, ending):
    x, y = TensorSpec((1, 4), 0.1, 0), TensorSpec((1, 4), 0.1, 0)
    (tmp_path / "sum.tflite").write_bytes(build_model([OperatorSpec("ADD", [x, x], y)], [x], [y]))
    code, out, _ = tinyedge("bench", "sum.tflite", "--runtime", runtime)
    assert (code, out.splitlines()[-1]) == (0, f"next: tinyedge bench sum.tflite --target emulator{ending}")


def test_a_build_is_proposed_where_the_model_fits():
    fits = (("mps2_an386", "tflm"), ("nucleo_u575zi", "aot"))
    assert _build_command(Path("m.tflite"), None, fits) == "tinyedge build m.tflite --board nucleo_u575zi"
    both = (("mps2_an386", "aot"), ("stm32f405", "aot"))
    assert _build_command(Path("m.tflite"), None, both) == "tinyedge build m.tflite"
    only = "tinyedge build m.tflite --board mps2_an386 --runtime tflm"
    assert _build_command(Path("m.tflite"), None, fits[:1]) == only


def test_a_runtime_that_is_refused_is_not_proposed(tinyedge, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    code, _, err = tinyedge("predict", MODEL, "black.png", "--runtime", "all")
    assert (code, err.splitlines()[-1]) == (
        2,
        "error: no such runtime: all; choose --runtime onnx, litert, tflm or aot",
    )
