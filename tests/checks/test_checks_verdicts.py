"""What the check says is what the compiler, the build and the interpreters do."""

import dataclasses
import inspect
import itertools
import random
import subprocess
import sys
from pathlib import Path

import foreign_models
import pytest
from compiler.random_networks import random_network
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model

from tinyedge.boards.board import load_board
from tinyedge.checks import interpreter_worker, interpreters
from tinyedge.checks.aot import judge_aot
from tinyedge.checks.budgets import board_budgets
from tinyedge.checks.check import CheckReport, check_model
from tinyedge.checks.interpreters import judge_by_list, judge_interpreters
from tinyedge.checks.layers import describe_layers, planned_bytes
from tinyedge.checks.rules import find
from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.costs import board_costs
from tinyedge.compiler.kernels import PORTABLE, specialise
from tinyedge.compiler.program import compile_graph, with_instruction_set
from tinyedge.errors import BudgetExceeded, ModelError, TinyEdgeError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.tflm_firmware import check_tflm_model
from tinyedge.ops.tflite_micro import TFLM_OPERATORS
from tinyedge.runtimes.tflm_interpreter import missing_operator, open_interpreter
from tinyedge.runtimes.tflm_model import tflm_content
from tinyedge.tflite.inspection import inspect_tflite
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.schema import enumeration_values
from tinyedge.toolchain import find_build_tools

ZOO_MODEL = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
FOREIGN = [
    name
    for name, function in inspect.getmembers(foreign_models, inspect.isfunction)
    if function.__module__ == "foreign_models" and not inspect.signature(function).parameters
]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def test_the_published_model_is_clean_on_its_board(tmp_path):
    report = check_model(ZOO_MODEL, [load_board("stm32f405")])
    assert report.failure() is None
    assert [warning.code for warning in report.warnings] == ["litert-zero-points"]  # Products of attention.
    assert ("stm32f405", "aot") in report.deployments
    compiled = compile_model(ZOO_MODEL, tmp_path / "c")
    assert report.arena_bytes == compiled.arena_bytes
    assert (report.macs, report.parameters) == (compiled.macs, compiled.parameters)
    assert {row.op: row.count for row in report.operators} == compiled.operators_before
    removed = sum(layer.alive_bytes is None for layer in report.layers)
    assert removed == sum(compiled.operators_before.values()) - sum(compiled.operators_after.values())


@pytest.mark.parametrize(
    ("names", "sets"),
    [
        (("mps2_an386",), ["dsp"]),
        # Flash differs between boards of one instruction set; the boards with a Cortex-M0+ and a Cortex-M3 are alike.
        (
            ("mps2_an386", "stm32f405", "mps2_an385", "mps2_an385_m0plus", "mps3_an547"),
            ["dsp", "dsp", "mve", "scalar"],
        ),
    ],
)
def test_a_model_is_compiled_once_for_boards_of_the_same_costs(names, sets, tmp_path, monkeypatch):
    compiled = []
    specialised = []

    def count(program, instruction_set, costs):
        compiled.append(instruction_set)
        return with_instruction_set(program, instruction_set, costs)

    def count_sets(calls, instruction_set):
        specialised.append(instruction_set)
        return specialise(calls, instruction_set)

    monkeypatch.setattr("tinyedge.checks.check.with_instruction_set", count)
    monkeypatch.setattr("tinyedge.compiler.program.specialise", count_sets)
    boards = [load_board(name) for name in names]
    check_model(write(tmp_path, random_network(0)), boards)
    assert sorted(compiled) == sets
    # Their weights are packed once an instruction set.
    assert sorted(specialised) == sorted({PORTABLE, *sets})


def test_a_model_that_is_taken_is_not_taken_apart(tmp_path):
    """The classes of the file format, which take longer to import than the interpreter, are for refused models."""
    code = (
        "import sys; from pathlib import Path; from tinyedge.checks.interpreter_worker import main\n"
        f"main('litert', Path({str(ZOO_MODEL)!r}), Path({str(tmp_path / 'answers')!r}), -1)\n"
        "assert 'ai_edge_litert.schema_py_generated' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", FOREIGN)
def test_the_compiler_takes_what_the_check_says_it_takes(name, tmp_path):
    path = write(tmp_path, getattr(foreign_models, name)())
    compiled, diagnostic = _compile(path)
    verdict, _ = judge_aot(inspect_tflite(path))
    assert (verdict.takes, verdict.arena_bytes) == (compiled is not None, compiled)
    # The compiler stops at the first; for an operator without a kernel the check has a hint in place of a list.
    said = [diagnostic.sentence for diagnostic in verdict.diagnostics]
    assert diagnostic is None or diagnostic in said or "has no kernel" in diagnostic, said


@pytest.mark.parametrize("name", FOREIGN)
def test_the_build_takes_what_the_check_calls_deployable(name, tmp_path):
    """All that a build refuses before CMake."""
    path = write(tmp_path, getattr(foreign_models, name)())
    try:
        report = check_model(path, [load_board("mps2_an386")])
    except ModelError:
        return
    _refused_by_no_build(path, report)


@pytest.mark.parametrize(
    "name",
    [
        "tflite_micro__hello_world_int8_model_data__505ee4fa",
        "micro_wake_word_models__alexa__2fcbfbb1",
        "tflite_micro__kn_dmx1a_micro_speech_lstm__259bb896",
        "TinyML__q_aware_model_quant_float32__5e93b192",
        "esp_tflite_micro_keyword__audio_preprocessor_int8_model_data__278949d1",
    ],
)
def test_the_build_takes_published_models_that_the_check_calls_deployable(name, shared_model):
    path = shared_model(f"wild/{name}.tflite")
    _refused_by_no_build(path, check_model(path, [load_board("mps2_an386")]))


def _refused_by_no_build(path: Path, report: CheckReport) -> None:
    runtimes = {runtime for _, runtime in report.deployments}
    assert (report.failure() is None) == bool(runtimes)
    if "aot" in runtimes:
        compile_graph(read_tflite(path))
    if "tflm" in runtimes:
        check_tflm_model(Model(path))
        tflm_content(Model(path))


def _compile(path: Path) -> tuple[int | None, str | None]:
    """The arena of the compiler, or why it refuses."""
    try:
        return compile_graph(read_tflite(path)).plan.arena_bytes, None
    except ModelError as error:
        return None, str(error)


@pytest.mark.parametrize("seed", range(6))
def test_layers_of_random_networks_add_up_to_the_compilers_figures(seed, tmp_path):
    path = write(tmp_path, random_network(seed))
    inspection = inspect_tflite(path)
    layers = describe_layers(inspection.graphs[0])
    outputs = [operator.output for operator in inspection.graphs[0].operators]
    verdict, program = judge_aot(inspection)
    assert program is not None
    assert verdict.arena_bytes == compile_graph(read_tflite(path)).plan.arena_bytes
    assert sum(layer.macs for layer in layers) == program.macs
    assert sum(layer.parameters for layer in layers) == program.parameters
    planned = planned_bytes(outputs, program)
    assert sum(alive is not None for alive in planned) == len(program.calls)
    assert max(alive for alive in planned if alive is not None) <= program.plan.lower_bound_bytes


def test_activations_alive_are_counted_by_hand(tmp_path):
    """x -> RELU -> y; y -> RELU -> z; x + z: while y becomes z, x has to wait."""
    x, y, z, out = (TensorSpec((1, 10), 0.05, 0, name=name) for name in ("x", "y", "z", "out"))
    model = build_model(
        [OperatorSpec("RELU", [x], y), OperatorSpec("RELU", [y], z), OperatorSpec("ADD", [x, z], out)], [x], [out]
    )
    graph = inspect_tflite(write(tmp_path, model)).graphs[0]
    assert [layer.alive_bytes for layer in describe_layers(graph)] == [20, 30, 30]


def test_the_list_of_tflite_micros_operators_is_the_interpreters(tmp_path):
    missing = "ONE_HOT"  # A model that ends with it is refused before any kernel sees its odd tensors.
    # VAR_HANDLE alone has to have its options before the interpreter looks at anything.
    no_names = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES", "VAR_HANDLE"}
    for name in sorted({*enumeration_values("BuiltinOperator")} - no_names):
        x, y, z = (TensorSpec((1, 4), 0.05, 0, name=letter) for letter in "xyz")
        model = build_model([OperatorSpec(name, [x], y), OperatorSpec(missing, [y], z)], [x], [z])
        with pytest.raises(RuntimeError) as refused:
            open_interpreter(model)
        assert (missing_operator(str(refused.value)) == missing) == (name in TFLM_OPERATORS or name == missing), name


@pytest.mark.parametrize("name", ["clean", "unsupported_operators", "legacy_uint8", "hybrid", "flex_operator"])
def test_the_list_refuses_the_operators_that_the_interpreter_refuses(name, tmp_path):
    inspection = inspect_tflite(write(tmp_path, getattr(foreign_models, name)()))
    by_list, (asked, _) = judge_by_list(inspection.graphs[0]), judge_interpreters(inspection)
    assert by_list.refused_operators == asked.refused_operators
    assert by_list.takes == asked.takes


def test_tflite_micro_is_not_given_a_detector_whose_outputs_lack_shapes(tmp_path, monkeypatch):
    asked = []
    answer = {interpreter_worker.WHOLE_MODEL: {"complaint": None, "arena_bytes": None}}
    monkeypatch.setattr(interpreters, "_ask", lambda runtime, model: asked.append(runtime) or answer)
    inspection = inspect_tflite(write(tmp_path, foreign_models.detections(shapes=((),) * 4)))
    tflm, litert = judge_interpreters(inspection)
    assert asked == ["litert"]
    assert litert.takes
    (reason,) = tflm.reasons(2)
    assert "would write behind them: run it with `tinyedge compile`" in reason


def test_without_the_interpreters_a_list_answers_for_tflite_micro(tmp_path, monkeypatch):
    for package in ("tflite_micro", "ai_edge_litert"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    inspection = inspect_tflite(write(tmp_path, foreign_models.unsupported_operators()))
    tflm, litert = judge_interpreters(inspection)
    assert (tflm.takes, tflm.proof, tflm.refused_operators) == (False, "by its list", {1, 2, 3})
    assert (litert.takes, litert.proof) == (None, "not installed")


def test_operators_are_not_blamed_for_another_subgraph(tmp_path):
    inspection = inspect_tflite(write(tmp_path, foreign_models.second_subgraph_of_others()))
    tflm, _ = judge_interpreters(inspection)
    assert tflm.refused_operators == {1, 2, 3}


def test_a_model_that_crashes_an_interpreter_is_refused_and_no_more(tmp_path):
    inspection = inspect_tflite(write(tmp_path, foreign_models.crash()))
    tflm, litert = judge_interpreters(inspection)
    assert not tflm.takes
    assert [diagnostic.operator for diagnostic in tflm.diagnostics] == [1]
    assert "crashes" in tflm.diagnostics[0].sentence
    assert litert.takes is not None


def test_many_operators_of_a_kind_are_asked_about_twice(tmp_path, monkeypatch):
    """Six GELUs that TFLite Micro lacks and six FLOOR_MODs that it refuses: all are named, and few were asked."""
    tensors = [TensorSpec((1, 4 + index % 2), 0.05, name=f"t{index}") for index in range(13)]
    operators = [OperatorSpec("GELU", [a], b) for a, b in itertools.pairwise(tensors[:7])]
    operators += [OperatorSpec("FLOOR_MOD", [a, a], b) for a, b in itertools.pairwise(tensors[6:])]
    path = write(tmp_path, build_model(operators, tensors[:1], tensors[-1:]))
    tflm, litert = judge_interpreters(inspect_tflite(path))
    assert tflm.refused_operators == {*range(12)}
    assert litert.refused_operators >= {*range(6, 12)}
    asked = []

    tflm_runtime = interpreter_worker._RUNTIMES["tflm"]

    def count(*arguments: object) -> int | None:
        asked.append(arguments)
        return tflm_runtime.run(*arguments)

    monkeypatch.setitem(interpreter_worker._RUNTIMES, "tflm", dataclasses.replace(tflm_runtime, run=count))
    interpreter_worker.main("tflm", path, tmp_path / "answers", interpreter_worker.WHOLE_MODEL)
    assert len(asked) == 1 + 2 + 2


def test_damaged_models_give_a_report_or_a_sentence(tmp_path):
    rng = random.Random(0)
    contents = [random_network(0), foreign_models.float_island(), foreign_models.stateful()]
    reported = 0
    for _ in range(200):
        damaged = bytearray(rng.choice(contents))
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        path = write(tmp_path, bytes(damaged))
        try:
            inspection = inspect_tflite(path)
        except TinyEdgeError:
            continue
        find(inspection)
        describe_layers(inspection.graphs[0])
        judge_by_list(inspection.graphs[0])
        verdict, _ = judge_aot(inspection)
        assert verdict.takes or verdict.diagnostics
        reported += 1
    assert 20 < reported < 200


@pytest.mark.slow
@pytest.mark.parametrize("model", ["zoo", "random", "clean", "too_much_flash", "too_much_ram"])
def test_the_build_fits_where_the_check_says_so(model, tmp_path):
    try:
        find_build_tools()
    except ToolMissing as error:
        pytest.skip(str(error))
    board = load_board("stm32f405")
    if model == "zoo":
        path = ZOO_MODEL
    else:
        path = write(tmp_path, random_network(1) if model == "random" else getattr(foreign_models, model)())
    inspection = inspect_tflite(path)
    layers, input_bytes = describe_layers(inspection.graphs[0]), inspection.graphs[0].inputs[0].bytes
    verdict, program = judge_aot(inspection)
    on_board = None if program is None else with_instruction_set(program, board.instruction_set, board_costs(board))
    flash, ram = board_budgets(board, [verdict], on_board, layers, inspection.bytes, input_bytes)
    if not (flash.fits and ram.fits):
        with pytest.raises(BudgetExceeded) as refused:
            build_firmware(path, board, tmp_path / "image")
        said = str(refused.value)
        assert ("bytes of flash" in said, "bytes of RAM" in said) == (not flash.fits, not ram.fits)
        return
    sizes = build_firmware(path, board, tmp_path / "image").sizes
    assert sizes.flash_bytes <= flash.used < 1.01 * sizes.flash_bytes + 5000
    assert abs(ram.used - sizes.ram_bytes - sizes.stack_bytes) < 64
