"""Every kernel of an instruction set beside its reference, on a core that has it: bytes, and what its caller keeps."""

import re
import secrets

import numpy as np
import pytest
from kernels.kernel_checks import CHECK_PROGRAM, CaseOutcome, CheckedCall, CheckedCase, run_checks
from kernels.kernel_rows import ROWS, rows_of
from kernels.kernel_table import check_rows, counting_model
from machines.case_machines import KERNELS, WARNINGS, emulated_machine

from tinyedge.compiler.emit.kernel_sources import sources_of
from tinyedge.cycles.plugin import cycle_plugin
from tinyedge.errors import ToolMissing

# Kernels of an instruction set that no row has, and why.
LEFT_OUT: dict[str, str] = {}

_COUNT, _MOST_WORK = 2, 20_000
_SMALL_COUNT = 4
_THOROUGH_COUNT, _THOROUGH_MOST_WORK = 20, 60_000
_COPIED = 37
BROKEN = {
    "wrong_byte": f"wrong bytes from {_COPIED - 1} on in 2 of 2 runs",
    "short": f"wrong bytes from {_COPIED - 1} on in 2 of 2 runs",
    "beyond": "writes outside its buffers",
    "before": "writes outside its buffers",
    "changes_input": "changes an input",
    "clobbers_r7": "does not keep r7",
    "clobbers_r11": "does not keep r11",
    "keeps_stack": "moves the stack pointer",
    "writes_above": "writes above its stack",
    "fills_stack": "uses the whole stack",
}
BROKEN_FLOAT = {"clobbers_d8": "does not keep d8", "rounds": "changes modes of FPSCR"}
BROKEN_MVE = {"leaves_loop": "changes modes of FPSCR", "leaves_block": "leaves a predicated block open"}


def texts(outcome: CaseOutcome) -> list[str]:
    return [fault.text for fault in outcome.faults]


def test_every_kernel_of_an_instruction_set_is_in_the_table():
    header = (KERNELS / "te_kernels.h").read_text()
    declared = set(re.findall(r"^void (te_\w+_(?:dsp|mve|scalar|s4))\(", header, re.MULTILINE))
    assert len(declared) > 30
    assert declared == {row.kernel for row in ROWS} | set(LEFT_OUT)


@pytest.mark.parametrize(
    ("board_name", "instruction_set"),
    [
        ("mps2_an385_m0plus", "scalar"),
        pytest.param("mps2_an386", "dsp", marks=pytest.mark.slow),
        ("mps3_an547", "mve"),
        pytest.param("mps2_an385", "scalar", marks=pytest.mark.thorough),
        pytest.param("mps2_an500", "dsp", marks=pytest.mark.thorough),
        pytest.param("mps2_an505", "dsp", marks=pytest.mark.thorough),
        pytest.param("mps3_an547", "dsp", marks=pytest.mark.thorough),  # What MVE has no kernel for runs so there.
    ],
)
def test_kernels_are_their_references_and_keep_what_the_caller_has(board_name, instruction_set, thorough, tmp_path):
    machine = emulated_machine(board_name)
    seed = secrets.randbits(32)
    count, most_work = (_THOROUGH_COUNT, _THOROUGH_MOST_WORK) if thorough else (_COUNT, _MOST_WORK)
    rng = np.random.default_rng(seed)
    results = check_rows(rows_of(instruction_set), machine, count, most_work, rng, tmp_path)
    faults = [fault.text for result in results for fault in result.faults]
    assert not faults, f"seed {seed}:\n" + "\n".join(faults)
    assert all(result.stack_bound_bytes is not None for result in results)


# What has another form where flash is worth more than time.
_SMALL = ("te_gemm_s8_dsp.c", "te_depthwise3_s8_dsp.c")


@pytest.mark.parametrize(
    "board_name",
    ["mps2_an386", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("mps2_an500", "mps2_an505"))],
)
def test_kernels_for_little_flash_are_their_references(board_name, thorough, tmp_path):
    machine = emulated_machine(board_name)
    seed = secrets.randbits(32)
    rows = [row for row in ROWS if {path.name for path in sources_of([row.kernel])} & set(_SMALL)]
    assert len(rows) > 8
    count, most_work = (_THOROUGH_COUNT, _THOROUGH_MOST_WORK) if thorough else (_SMALL_COUNT, _MOST_WORK)
    rng = np.random.default_rng(seed)
    results = check_rows(rows, machine, count, most_work, rng, tmp_path, flags=("-Os", "-DTE_SMALL=1"))
    faults = [fault.text for result in results for fault in result.faults]
    assert not faults, f"seed {seed}:\n" + "\n".join(faults)
    assert all(result.stack_bound_bytes is not None for result in results)


@pytest.mark.parametrize("board_name", ["mps2_an500"])
def test_kernels_with_loads_apart_are_their_references(board_name, tmp_path):
    """What has another order of instructions for cores on which loads come late."""
    machine = emulated_machine(board_name)
    seed = secrets.randbits(32)
    apart = {path.name for path in KERNELS.iterdir() if "TE_LOADS_APART" in path.read_text()} - {"te_assembly.h"}
    rows = [row for row in rows_of("dsp") if {path.name for path in sources_of([row.kernel])} & apart]
    assert len(rows) > 8
    results = check_rows(rows, machine, _COUNT, _MOST_WORK, np.random.default_rng(seed), tmp_path)
    faults = [fault.text for result in results for fault in result.faults]
    assert not faults, f"seed {seed}:\n" + "\n".join(faults)


def test_a_kernel_and_its_reference_are_counted_in_the_same_run(tmp_path):
    try:
        cycle_plugin()
    except ToolMissing as error:
        pytest.skip(str(error))
    machine = emulated_machine("mps2_an385_m0plus")
    rows = [row for row in ROWS if row.kernel == "te_fully_connected_s8_scalar"]
    (result,) = check_rows(rows, machine, 1, 5_000, np.random.default_rng(3), tmp_path, counting_model(machine))
    for cost in (result.cost, result.reference_cost):
        assert cost is not None
        assert cost.cycles is not None
        assert cost.instructions < cost.cycles < 2 * cost.instructions  # A load takes two cycles of a Cortex-M0+.
    assert result.cost.instructions < result.reference_cost.instructions


@pytest.mark.parametrize(
    ("board_name", "broken"),
    [
        ("mps2_an385_m0plus", BROKEN),
        ("mps2_an386", BROKEN | BROKEN_FLOAT),
        ("mps3_an547", BROKEN | BROKEN_FLOAT | BROKEN_MVE),
    ],
)
def test_each_fault_is_reported(board_name, broken, tmp_path):
    machine = emulated_machine(board_name)
    values = np.arange(2 * _COPIED, dtype=np.int8).reshape(2, _COPIED)
    cases = []
    for name in ("", *broken):
        function = f"check_copy_{name}" if name else "check_copy"
        declarations = "" if cases else f"static const check_copy_params copied = {{{_COPIED}}};\n"
        copy, checked = (CheckedCall(called, "&copied", (0,)) for called in ("check_copy", function))
        cases.append(CheckedCase(function, declarations, [values], [], _COPIED, 1, copy, checked))
    source = CHECK_PROGRAM / "check_broken.c"
    objects = [machine.compile(source, tmp_path / "check_broken.o", WARNINGS)]
    right, *wrong = run_checks(cases, ["check_broken.h"], machine, objects, tmp_path)
    assert texts(right) == []
    found = {name: texts(outcome) for name, outcome in zip(broken, wrong, strict=True)}
    assert found == {name: [f"kernel: {fault}"] for name, fault in broken.items()}


def test_an_output_too_near_to_its_input_is_reported(tmp_path):
    """A copy from the front loses what it has written over: an output above its input, which is no promise of it."""
    machine = emulated_machine("mps2_an386")
    values = np.arange(2 * _COPIED, dtype=np.int8).reshape(2, _COPIED)
    copy = CheckedCall("check_copy", "&copied", (0,))
    reverse = CheckedCall("check_reverse", "&copied", (0,))
    declarations = f"static const check_copy_params copied = {{{_COPIED}}};\n"
    cases = [
        CheckedCase("copy", declarations, [values], [], _COPIED, 0, copy, copy, [(0, 0)]),
        CheckedCase("reverse", "", [values], [], _COPIED, 0, reverse, reverse, [(0, 0)]),
    ]
    objects = [machine.compile(CHECK_PROGRAM / "check_broken.c", tmp_path / "check_broken.o", WARNINGS)]
    whole, lost = run_checks(cases, ["check_broken.h"], machine, objects, tmp_path)
    assert texts(whole) == []
    assert texts(lost) == [f"over input: wrong bytes from {_COPIED // 2 + 1} on in 2 of 2 runs"]


def test_a_case_that_faults_is_named(tmp_path):
    machine = emulated_machine("mps2_an386")
    copy = CheckedCall("check_copy", "&copied", (0,))
    undefined = CheckedCall("check_undefined", "&copied", (0,))
    declarations = f"static const check_copy_params copied = {{{_COPIED}}};\n"
    values = np.arange(2 * _COPIED, dtype=np.int8).reshape(2, _COPIED)
    cases = [
        CheckedCase("the one before", declarations, [values], [], _COPIED, 0, copy, copy),
        CheckedCase("the one that faults", "", [values], [], _COPIED, 0, copy, undefined),
    ]
    objects = [machine.compile(CHECK_PROGRAM / "check_broken.c", tmp_path / "check_broken.o", WARNINGS)]
    with pytest.raises(AssertionError, match=r"^the one that faults: "):
        run_checks(cases, ["check_broken.h"], machine, objects, tmp_path)
