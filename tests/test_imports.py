"""Which part may import which: the rules of ARCHITECTURE.md."""

import ast
import graphlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tinyedge.cli.app import COMMANDS

HEAVY = {"torch", "tensorflow", "onnx", "onnxruntime", "matplotlib", "sklearn"}


# From what knows nothing to what knows everything. A module imports from its own part and from layers before it; parts
# of one layer do not know each other. "tinyedge" is the package's own module: the functions of `api` by their names.
LAYERS = (
    ("errors", "folder_lock", "plural", "shell", "version"),
    (
        "announce",
        "atomic",
        "destination",
        "documentation",
        "fork_server",
        "installation",
        "notebook",
        "plugins",
        "toolchain",
    ),
    ("boards", "c_sources", "data", "plots", "tflite", "zoo"),
    ("encoders", "manifest", "ops"),
    ("compiler", "ssl"),
    ("runtimes", "training"),
    ("conversion", "evaluation"),
    ("quantisation",),
    ("parity",),
    ("exporter",),
    ("devices",),
    ("cycles", "firmware"),
    ("benchmark", "learning", "prediction"),
    ("checks", "doctor"),
    ("browser", "hub", "reports", "timm"),
    ("api", "demo"),
    ("tinyedge",),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}
PACKAGE = Path(__file__).resolve().parents[1] / "tinyedge"


@cache
def _import_statements() -> dict[Path, list[ast.Import | ast.ImportFrom]]:
    """Those of each file of the package, at its head, in a function or for its types alone."""
    return {
        path: [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        for path in PACKAGE.rglob("*.py")
    }


@cache
def _imports() -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    modules = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in _import_statements()
    }
    found = {}
    for module, path in modules.items():
        names: set[str] = set()
        for node in _import_statements()[path]:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            else:
                assert node.level == 0, f"{module} imports by a relative name"
                both = [(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names]
                names.update(whole if whole in modules else outer for whole, outer in both)
        found[module] = {name for name in names if name in modules and name != module}
    return found


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_every_part_has_a_layer():
    assert {_part(module) for module in _imports()} == set(LAYER_OF)
    assert len(LAYER_OF) == sum(map(len, LAYERS))  # Of two, one would say nothing.


def test_no_import_runs_up():
    up = [
        f"{module} imports {other}"
        for module, others in _imports().items()
        for other in others
        if _part(module) != _part(other) and LAYER_OF[_part(other)] >= LAYER_OF[_part(module)]
    ]
    assert not up


def test_no_modules_import_each_other():
    graphlib.TopologicalSorter(_imports()).prepare()  # Raises with the circle.


# Those of a group are imported one after the other by one process: what is forbidden to one is forbidden to those
# before it.
STATEMENTS = (
    (
        ("import tinyedge; from tinyedge.cli.app import make_app; make_app()", HEAVY),
        ("import tinyedge.checks.check, tinyedge.cli.tables.check, tinyedge.checks.interpreter_worker", HEAVY),
    ),
    (
        ("import tinyedge.compiler.program, tinyedge.tflite.reader, tinyedge.compiler.emit.emitter", HEAVY),
        ("import tinyedge.firmware.build, tinyedge.devices.emulator, tinyedge.devices.serial", HEAVY),
        ("import tinyedge.devices.flash, tinyedge.devices.emulated_probe, tinyedge.devices.board_line", HEAVY),
        ("import tinyedge.benchmark.measure, tinyedge.benchmark.board", HEAVY),
        ("import tinyedge.prediction.predict, tinyedge.learning.enroll, tinyedge.browser.site", HEAVY),
        ("import tinyedge.training.check", HEAVY),
        ("import tinyedge; [getattr(tinyedge, name) for name in tinyedge.__all__ if name.islower()]", HEAVY),
        ("from tinyedge.data.digits import load_digits; load_digits(8)", {"sklearn", "scipy", "matplotlib"}),
        (
            "import tinyedge.checks.encoder, tinyedge.ssl.registry, tinyedge.training.train, tinyedge.evaluation.probe",
            {"tensorflow", "onnx"},
        ),
        ("import tinyedge.training.train, tinyedge.exporter.export, tinyedge.benchmark.bench", {"tinyedge.cli"}),
    ),
)


def _imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """What was imported after each of the statements."""
    found = {}
    for group in STATEMENTS:
        code = "import sys\n" + "\n".join(f"{statement}\nprint(*sys.modules)" for statement, _ in group)
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for (statement, _), line in zip(group, answer.stdout.splitlines(), strict=True):
            found[statement] = set(line.split())
    return found


@pytest.mark.parametrize(("statement", "forbidden"), [one for group in STATEMENTS for one in group])
def test_what_a_part_must_not_import(statement, forbidden, imported):
    assert not imported[statement] & forbidden


def test_only_the_command_line_prints_with_rich():
    printing = {
        str(path.relative_to(PACKAGE))
        for path, nodes in _import_statements().items()
        for node in nodes
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)])
        if name.split(".")[0] == "rich"
    }
    assert {Path(path).parts[0] for path in printing} == {"cli"}


def test_help_imports_what_it_prints_with_alone():
    statement = (
        "import contextlib, io, sys; from tinyedge.cli import main; sys.argv = ['tinyedge', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit): main()\n"
        "assert 'bench' in said.getvalue()"
    )
    assert not _imported_by(statement) & (HEAVY | {"numpy", "yaml", "serial", "tflite", "PIL"})


@pytest.mark.parametrize("words", [("check", "none.tflite"), ("bench", "--help"), ("compile",)], ids=" ".join)
def test_a_command_imports_no_other(words):
    statement = (
        f"import contextlib, io, sys; from tinyedge.cli import main; sys.argv = ['tinyedge', *{words}]\n"
        "quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())\n"
        "with quiet[0], quiet[1], contextlib.suppress(SystemExit): main()"
    )
    assert _imported_by(statement) & {f"tinyedge.cli.{name}" for name in COMMANDS} == {f"tinyedge.cli.{words[0]}"}


# Each answered before the first import of seconds, which would turn a mistyped word into half a minute.
MISTAKES = [
    ("--help",),
    ("train", "--help"),
    ("train", "--out", "run", "--data", "cifar01"),
    ("train", "--out", "run", "--data", "cifar10"),  # which is not there
    ("train", "--out", "run", "--method", "s0-plsu"),
    ("train", "--out", "run", "--encoder", "tinynext"),
    ("train", "--out", "run", "--strides", "1,2"),
    ("train", "--out", "run", "--option", "vicreg_wait=1"),
    ("train", "--out", "run", "--option", "vicreg_weight=-1"),
    ("train", "--out", "run", "--method", "best", "--teacher", "runs/none"),
    ("train", "--out", "run", "--method", "best"),
    ("train", "--out", "run", "--resume"),
    ("train", "--out", "run", "--from", "runs/none"),
    ("train", "--out", "run", "--from", "untrained"),
    ("train", "--out", "run", "--from", "tinynext_t_cifar10", "--encoder", "mobilenetv2_035"),
    ("train", "--out", "run", "--config", "none.yaml"),
    ("train", "--out", "full"),
    ("train", "--out", "full/notes.txt/run"),
    ("finetune", "runs/none"),
    ("finetune", "untrained"),
    ("finetune", "tinynext_t_cifar10", "--label-fraction", "2"),
    ("finetune", "tinynext_t_cifar10", "--data", "cifar01"),
    ("finetune", "tinynext_t_cifar10", "--out", "full"),
    ("train", "--out", "run", "--method", "finetune"),
    ("probe", "runs/none"),
    ("probe", "untrained"),
    ("probe", "untrained", "--protocol", "knm"),
    ("quantise", "runs/none"),
    ("quantise", "none.tflite"),
    ("quantise", "untrained"),
    ("quantise", "tinynext_t_cifar10", "--data", "full"),
    ("quantise", "m.tflite", "--images", "full/notes.txt", "--out", "full"),
    ("requantise", "none.tflite"),
    ("requantise", "m.tflite", "--out", "full/notes.txt"),
    ("export", "runs/none"),
    ("export", "untrained"),
    ("export", "untrained", "--precision", "int4"),
    ("detect", "runs/none", "--voc", "."),
    ("detect", "tinynext_t_cifar10", "--voc", ".", "--data", "digits"),
    ("probe", "tinynext_t_cifar10", "--data", "full"),
    ("export", "tinynext_t_cifar10", "--data", "full"),
    ("check", "--encoder", "tinynext"),
    ("check", "none.tflite"),
    ("compile", "none.tflite", "--out", "c"),
    ("compile", "none.tflite", "--out", "c", "--layout", "bazel"),
    ("compile", "none.tflite", "--out", "c", "--name", "Ic"),
    ("compile", "m.tflite", "--out", "full/notes.txt"),
    ("compile", "m.tflite", "--out", "c", "--plan", "full"),
    ("build", "runs/none"),
    ("build", "m.tflite", "--out", "full/notes.txt/firmware"),
    ("bench", "runs/none"),
    ("bench", "m.tflite", "--runtime", "aot", "--outputs", "full"),
    ("enroll", "runs/none", "--data", "full", "--emulator"),
    ("flash", "runs/none"),
    ("web", "runs/none", "--out", "site"),
    ("web", "m.tflite", "--out", "full/notes.txt"),
    ("pack", "runs/none", "--out", "folder"),
    ("pack", "untrained", "--out", "folder"),
    ("pack", "tinynext_t_cifar10", "--out", "full"),
    ("report", "runs/none"),
    ("report", "tinynext_t_cifar10", "--out", "full/notes.txt"),
    ("report", "tinynext_t_cifar10", "--bench", "full/notes.txt"),
]


# One process imports the command line, and a copy of it answers each command, which its own folder is made for. What
# one had to import, the copies after it have, unless it was forbidden: what is there already hides nothing that is not.
ANSWER_ALL = """
import contextlib, importlib, json, os, sys
from tinyedge.cli import main

codes = []
forbidden, commands = json.load(sys.stdin)
for folder, *command in commands:
    process = os.fork()
    if process == 0:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}.{name}", os.O_WRONLY | os.O_CREAT), number)
        sys.argv = ["tinyedge", *command]
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        print("imported", *sorted(sys.modules), file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)  # An interpreter that ends cleans up pages that it has in common with its parent.
    codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    with open(f"{folder}.stderr") as said:
        imported = said.read().splitlines()[-1].split()
    for name in () if {*imported} & {*forbidden} else imported:
        with contextlib.suppress(ImportError):  # Some are made by others, which have been imported then.
            importlib.import_module(name)
print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[int, list[str]]]:
    """The exit code and the lines of standard error of each command; the last line is what it imported."""
    root = tmp_path_factory.mktemp("answers")
    folders = [root / str(number) for number in range(len(MISTAKES))]
    for folder in folders:
        (folder / "full").mkdir(parents=True)
        (folder / "full" / "notes.txt").write_text("mine")
        (folder / "m.tflite").write_bytes(b"never read")
        (folder / "untrained").mkdir()
        (folder / "untrained" / "config.yaml").write_text("method: random\ndata: digits\nimage_size: 32\n")
    asked = subprocess.run(
        [sys.executable, "-c", ANSWER_ALL],
        input=json.dumps((sorted(HEAVY), [(str(one), *words) for one, words in zip(folders, MISTAKES, strict=True)])),
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(root / "cache"), "TINYEDGE_CACHE": ""},
        check=True,
    )
    said = [folder.with_suffix(".stderr").read_text(encoding="utf-8").splitlines() for folder in folders]
    return dict(zip(MISTAKES, zip(json.loads(asked.stdout), said, strict=True), strict=True))


@pytest.mark.parametrize("command", MISTAKES, ids=" ".join)
def test_a_mistake_is_answered_without_an_import_of_seconds(command, answers):
    code, (*said, imported) = answers[command]
    assert code == (0 if "--help" in command else 2), said
    assert "--help" in command or said[-1].startswith("error: "), said
    assert imported.startswith("imported ")
    assert "tinyedge.cli" in imported.split()
    assert not set(imported.split()) & HEAVY
