"""The cycles of short programs, counted by hand from the manuals' rules, against the model in the emulator."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from tinyedge.boards.board import Memory, load_board
from tinyedge.cycles.count import CycleCount, cycle_counter
from tinyedge.cycles.model import CycleModel, cycle_model
from tinyedge.cycles.plugin import cycle_plugin
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_tool

try:
    find_tool("arm-none-eabi-gcc")
    cycle_plugin()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)

# Each part of the measured function is a lap: a call of the hook ends it (one cycle; where the call goes is not
# counted), and the return from the hook begins the next one (two cycles of refill after an indirect branch). Parts are
# whole words, so that the return is to an aligned instruction.
_PROGRAM = """
    .syntax unified
    .thumb
    .section .vectors, "a"
    .word 0x20010000, reset
    .text
    .global reset
    .thumb_func
reset:
    ldr r0, =0xE000ED88
    movs r1, #0xF00000
    str r1, [r0] @ The floating-point unit is on.
    ldr r4, =0x20000100
    ldr r5, =constants
    bl te_runtime_invoke
    bl te_runtime_invoke
    movs r0, #0x18
    ldr r1, =0x20026
    bkpt 0xab
    .ltorg
    .balign 64
    .thumb_func
te_on_layer_done:
    bx lr
    .balign 64
    .thumb_func
te_runtime_invoke:
    push {{r4-r7, lr}}
    nop
    mov.w r6, r4
{parts}
    pop {{r4-r7, pc}}
    .balign 64
    .thumb_func
leaf:
    bx lr
    nop
    .balign 64
constants:
    .rept 64
    .word 1
    .endr
"""
_AN_EMPTY_PART = 3
_RAM, _ROM = "r4", "r5"
# By machine, the core whose instructions are a superset; what is counted is the model's choice.
_ASSEMBLER = {
    "mps2-an386": ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    "mps3-an547": ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
}


def count(model: CycleModel, parts: list[str], folder: Path, machine: str) -> list[CycleCount]:
    """The laps of the measured function's second call, the first of which ends before the parts."""
    text = "".join(f"    bl te_on_layer_done\n    {part}\n" for part in parts) + "    bl te_on_layer_done\n"
    source, elf = folder / "program.s", folder / "program.elf"
    source.write_text(_PROGRAM.format(parts=text))
    link = ["-nostdlib", "-Wl,--section-start=.vectors=0,-Ttext=0x80,--entry=reset"]
    subprocess.run(["arm-none-eabi-gcc", *_ASSEMBLER[machine], *link, source, "-o", elf], check=True)
    counter = cycle_counter(model, elf, Memory(0, 0x40000), folder / "cycles", inference=2, layers=True)
    qemu = ["qemu-system-arm", "-M", machine, "-display", "none", "-semihosting", "-kernel", str(elf)]
    subprocess.run([*qemu, "-plugin", counter.plugin], check=True, timeout=60, stdin=subprocess.DEVNULL)
    laps = list(counter.laps())
    assert counter.inference().cycles > sum(lap.cycles for lap in laps)  # The return comes after the last lap.
    return laps[1:]


def lines(*instructions: str) -> str:
    return "\n    ".join(instructions)


M4_RULES = {
    "nothing": ("", 0),
    "data processing": (lines("adds r0, r1", "adds r0, r2"), 2),
    "multiply-accumulate": (lines("mla r0, r1, r2, r3", "smlad r0, r1, r2, r3", "smlal r0, r1, r2, r3"), 3),
    "division": ("udiv r0, r4, r2", 7),
    "a load": (f"ldr.w r0, [{_RAM}]", 2),
    "loads overlap": (lines(f"ldr.w r0, [{_RAM}]", f"ldr.w r1, [{_RAM}]", f"ldrb.w r2, [{_RAM}]"), 4),
    "an address that was loaded": (lines(f"str.w {_RAM}, [{_RAM}]", f"ldr.w r0, [{_RAM}]", "ldr.w r1, [r0]"), 5),
    "an address that was computed": (lines(f"add.w r0, {_RAM}, #4", "ldr.w r1, [r0]"), 4),
    "a store": (f"str.w r0, [{_RAM}]", 1),
    "a load after a store": (lines(f"str.w r0, [{_RAM}]", f"ldr.w r0, [{_RAM}]"), 3),
    "a store by a sum": (lines("mov.w r7, #8", "nop.w", f"str.w r0, [{_RAM}, r7]"), 4),
    "a store by a sum after a load": (lines("mov.w r7, #8", f"ldr.w r0, [{_RAM}]", f"str.w r0, [{_RAM}, r7]"), 4),
    "two words": (f"ldrd r0, r1, [{_RAM}]", 3),
    "two words overlap with nothing": (
        lines(f"ldr.w r2, [{_RAM}]", f"ldrd r0, r1, [{_RAM}]", f"ldr.w r2, [{_RAM}]"),
        7,
    ),
    "many words": (lines(f"ldm.w {_RAM}, {{r0-r3}}", f"stm.w {_RAM}, {{r0-r3}}"), 10),
    "a halfword-aligned word": (f"ldr.w r0, [{_RAM}, #2]", 3),
    "a byte-aligned word": (f"ldr.w r0, [{_RAM}, #1]", 4),
    "a byte-aligned halfword": (f"ldrh.w r0, [{_RAM}, #1]", 3),
    "a taken branch": (lines("b 1f", "nop", "1: nop.w"), 3),
    "a branch to a wide instruction across words": (
        lines("nop", "b 1f", "nop", "1: nop.w", "nop"),
        1 + (1 + 2) + 1 + 1,
    ),
    "two wide instructions across words": (lines("nop", "nop.w", "nop.w", "nop"), 4),
    "three and more wide instructions across words": (lines("nop", *["nop.w"] * 5, "nop"), 7 + 1),
    "a branch that is not taken": (lines("cmp r4, #0", "beq 1f", "1: nop.w"), 3),
    "a loop of three": (lines("mov.w r0, #3", "1: subs r0, #1", "bne 1b"), 1 + 3 * 2 + 2),
    "a call and its return": (lines("bl leaf", "nop.w"), 2 + 3 + 1),
    "a condition behind a wide instruction": (lines("movs.w r0, #0", "it eq", "moveq r0, #1"), 3),
    "a condition behind a narrow instruction": (lines("movs r0, #0", "it eq", "moveq.w r0, #1"), 2),
    "multiply-accumulate of floats": (lines("vmov s0, r0", "vmul.f32 s1, s0, s0", "vfma.f32 s1, s0, s0"), 5),
    "division of floats": ("vdiv.f32 s1, s0, s0", 14),
}


M3_RULES = {
    "multiplication": ("mul.w r0, r1, r2", 1),
    "multiply-accumulate": ("mla r0, r1, r2, r3", 2),
    "a product of 64 bits": ("umull r0, r1, r2, r3", 4),
    "a sum of 64 bits": ("smlal r0, r1, r2, r3", 5),
    "loads overlap": (lines(f"ldr.w r0, [{_RAM}]", f"ldr.w r1, [{_RAM}]"), 3),
}
# The hook's return costs one cycle less there.
_AN_EMPTY_PART_OF_M0PLUS = 2
M0PLUS_RULES = {
    "data processing": (lines("adds r0, r1", "muls r0, r2"), 2),
    "loads": (lines(f"ldr r0, [{_RAM}]", f"ldrb r1, [{_RAM}]"), 4),
    "stores": (lines(f"str r0, [{_RAM}]", f"strh r1, [{_RAM}]"), 4),
    "many words": (lines("mov r1, r4", "ldm r1!, {r2, r3}", "mov r1, r4", "stm r1!, {r2, r3}"), 1 + 3 + 1 + 3),
    "a taken branch": (lines("b 1f", "nop", "1: nop", "nop"), 2 + 2),
    "a branch that is not taken": (lines("cmp r4, #0", "beq 1f", "nop", "1: nop"), 4),
    "a call and its return": (lines("bl leaf", "nop", "nop"), 3 + 2 + 2),
    "a loop of three": (lines("movs r0, #3", "1: subs r0, #1", "bne 1b", "nop"), 1 + 3 * 2 + 2 + 1),
}


# Cycles of 16 copies more of a few instructions, as pairs of them overlap.
M7_RULES = {
    "two instructions a cycle": (lines("adds r0, #1", "adds r1, #1"), 1),
    "a result that the next one takes": (lines("adds r0, #1", "adds r0, #1"), 2),
    "one multiplication a cycle": (lines("mul.w r0, r4, r4", "mul.w r1, r4, r4"), 2),
    "a multiplication beside another instruction": (lines("mul.w r0, r4, r4", "adds r1, #1"), 1),
    "two loads a cycle": (lines(f"ldr.w r0, [{_RAM}]", f"ldr.w r1, [{_RAM}]"), 1),
    "a load and its use": (lines("ldr.w r0, [r6]", "add.w r6, r0, #0"), 3),
    "one store a cycle": (lines(f"str.w r0, [{_RAM}]", f"str.w r1, [{_RAM}]"), 2),
    "extensions come first": (lines("sxtb16 r0, r4", "sxtb16 r1, r4"), 2),
    "an extension before another instruction": (lines("sxtb16 r0, r4", "adds r1, #1"), 1),
    "one shift a cycle": (lines("add.w r0, r4, r5, lsl #1", "add.w r1, r4, r5, lsl #1"), 2),
}
M33_RULES = {
    "one instruction a cycle": (lines("add.w r0, r4, r5", "add.w r1, r4, r5"), 2),
    "two narrow instructions": (lines("adds r0, #1", "ands r1, r2"), 2),
    "NOP beside another narrow instruction": (lines("ands r1, r2", "nop"), 1),
    "IT beside another narrow instruction": (lines("cmp r4, r5", "it eq", "moveq.w r0, #1"), 2),
    "a branch that is not taken beside another": (lines("ands r1, r2", "beq 9f", "9:"), 1),
    "a load and its use": (lines(f"ldr.w r0, [{_RAM}]", "add.w r1, r0, #1"), 3),
    "a load and its store": (lines(f"ldr.w r0, [{_RAM}]", f"str.w r0, [{_RAM}]"), 2),
    "two words": (f"ldrd r0, r1, [{_RAM}]", 2),
    "many words": (f"stm.w {_RAM}, {{r0-r3, r7}}", 5),
    "a product and its use": (lines("mul.w r0, r2, r3", "add.w r1, r0, #1"), 3),
    "a narrow product, which makes flags": ("muls r0, r2", 2),
    "a sum of products": ("smlad r0, r2, r3, r0", 1),
    "an extended sum of sums": ("sxtab r0, r0, r1", 1),
    "a sum with a shifted operand and its use": (lines("add.w r0, r2, r3, lsl #1", "add.w r1, r0, #1"), 3),
    "a bit field that is inserted and its use": (lines("bfi r0, r2, #3, #4", "add.w r1, r0, #1"), 2),
}
M55_RULES = {
    "one instruction a cycle": (lines("add.w r0, r4, r5", "add.w r1, r4, r5"), 2),
    "a narrow sum beside another narrow instruction": (lines("adds r0, #1", "ands r1, r2"), 1),
    "narrow instructions of which none is simple": (lines("ands r0, r2", "ands r1, r2"), 2),
    "a narrow instruction that takes the one before it": (lines("adds r0, #1", "adds r0, #1"), 2),
    "IT beside another narrow instruction": (lines("cmp r4, r5", "it eq", "moveq.w r0, #1"), 2),
    "a load and its use": (lines(f"ldr.w r0, [{_RAM}]", "add.w r1, r0, #1"), 3),
    "a load and what does not use it": (lines(f"ldr.w r0, [{_RAM}]", "add.w r1, r2, #1"), 2),
    "a load and its store": (lines(f"ldr.w r0, [{_RAM}]", f"str.w r0, [{_RAM}]"), 2),
    "two words": (f"ldrd r0, r1, [{_RAM}]", 1),
    "many words": (f"ldm.w {_RAM}, {{r0-r3, r7}}", 3),
    "a product and its use": (lines("mul.w r0, r2, r3", "add.w r1, r0, #1"), 3),
    "a sum of products": ("smlad r0, r2, r3, r0", 1),
    "a sum of products that is a factor": ("smlad r0, r0, r3, r2", 2),
    "a load that a product is added to": (lines(f"ldr.w r0, [{_RAM}]", "mla r0, r2, r3, r0"), 2),
    "a sum with a shifted operand and its use": (lines("add.w r0, r2, r3, lsl #1", "add.w r1, r0, #1"), 3),
    "a saturated sum and its use": (lines("qadd r0, r2, r3", "add.w r1, r0, #1"), 3),
    "a bit field and its use": (lines("ubfx r0, r2, #3, #4", "add.w r1, r0, #1"), 2),
    "a conditional selection and its use": (lines("csel r0, r2, r3, eq", "add.w r1, r0, #1"), 2),
    "division": ("udiv r0, r4, r2", 7),
    "a word across two": (f"ldr.w r0, [{_RAM}, #2]", 2),
    "vectors of one pipeline": (lines("vadd.i32 q0, q1, q2", "vshr.s32 q3, q1, #2"), 4),
    "vectors of two pipelines": (lines(f"vldrw.u32 q0, [{_RAM}]", "vadd.i32 q1, q2, q3"), 2),
    "vectors of three pipelines": (lines(f"vldrw.u32 q0, [{_RAM}]", "vadd.i32 q1, q2, q3", "vmul.i8 q4, q5, q6"), 3),
    "a vector and a core register": (lines("vadd.i32 q0, q1, q2", "add.w r0, r2, #1"), 2),
    "a vector and its load": (lines(f"vldrb.u8 q0, [{_RAM}]", "vadd.i8 q1, q0, q2"), 2),
    "a sum of products and its vector's load": (lines(f"vldrb.s8 q0, [{_RAM}]", "vmladava.s8 r0, q0, q1"), 2),
    "a widening load and a scalar load": (lines(f"vldrb.s32 q0, [{_RAM}]", f"ldr.w r0, [{_RAM}]"), 3),
    "a vector that was multiplied": (lines("vmul.i32 q0, q1, q2", "vadd.i32 q3, q0, q1"), 3),
    "a vector that was multiplied and is stored": (lines("vqrdmulh.s32 q0, q1, q2", f"vstrw.32 q0, [{_RAM}]"), 2),
    "a vector that was narrowed": (lines("vmovnb.i32 q0, q1", "vadd.i32 q3, q0, q2"), 5),
    "a vector that was shifted with saturation": (lines("vqshl.s32 q0, q1, q2", "vmul.i32 q3, q0, q2"), 3),
    "a sum of lanes and its use": (lines("vaddv.s32 r0, q1", "add.w r1, r0, #1"), 3),
    "an extreme of lanes and its use": (lines("vmaxv.s8 r0, q1", "add.w r1, r0, #1"), 4),
    "a comparison and a predicate": (lines("vcmp.s32 gt, q0, q1", "vpst", "vmult.i32 q2, q0, q1"), 4),
    "two lanes from core registers": ("vmov q0[2], q0[0], r0, r1", 2),
    "a lane from a core register": (lines("vmov.32 q0[1], r0", "vadd.i32 q1, q0, q2"), 2),
    "a duplicate of a core register": (lines("vdup.32 q0, r0", "vmul.i32 q1, q0, q2"), 2),
    "a gather of words": (f"vldrw.u32 q0, [{_RAM}, q1]", 2),
    "a gather of bytes": (f"vldrb.u8 q0, [{_RAM}, q1]", 8),
    "a gather of offsets that are new": (lines("vadd.i32 q1, q2, q3", f"vldrw.u32 q0, [{_RAM}, q1]"), 6),
    "a vector that is not aligned": (f"vldrb.u8 q0, [{_RAM}, #1]", 3),
}
_COPIES = 16


@pytest.mark.parametrize(
    ("core", "rules", "machine"),
    [
        ("cortex-m7", M7_RULES, "mps2-an386"),
        ("cortex-m33", M33_RULES, "mps2-an386"),
        ("cortex-m55", M55_RULES, "mps3-an547"),
    ],
)
def test_instructions_that_overlap(core, rules, machine, tmp_path):
    # The division lasts until what the part before left in the pipelines is done.
    begin = lines("udiv r7, r4, r4", "str.w r4, [r4]")
    parts = [lines(begin, *[text] * many) for text, _ in rules.values() for many in (_COPIES, 2 * _COPIES)]
    laps = count(_without_waits(core=core), parts, tmp_path, machine)
    cycles = [lap.cycles for lap in laps]
    slopes = [(more - less) / _COPIES for less, more in zip(cycles[::2], cycles[1::2], strict=True)]
    assert dict(zip(rules, slopes, strict=True)) == {name: cycles for name, (_, cycles) in rules.items()}


# A loop, its instructions a round, the cycles of a round more, and those of the second round alone besides.
M33_LOOPS = {
    "a branch that waits for the flags": (lines("1: subs r0, #1", "bne 1b"), 2, 3, 0),
    "a branch beside what makes no flags": (lines("1: subs r0, #1", "add r1, r2", "bne 1b", "nop"), 3, 3, 0),
    "a branch alone": (lines("1: subs.w r0, #1", "bne.w 1b"), 2, 3, 0),
}
M55_LOOPS = {
    "a branch": (lines("1: subs.w r0, r0, #1", "bne.w 1b"), 2, 2 + 2, 0),
    "the end of a loop, which is remembered": (lines("dls lr, r0", "1: nop.w", "nop.w", "le lr, 1b"), 3, 2, 2),
    "that of vectors": (
        lines("lsl.w r0, r0, #4", "dlstp.8 lr, r0", f"1: vldrb.u8 q0, [{_RAM}]", "vadd.i8 q1, q0, q0", "letp lr, 1b"),
        3,
        2,
        2,
    ),
}
_ROUNDS = 9


@pytest.mark.parametrize(
    ("core", "loops", "machine"),
    [("cortex-m33", M33_LOOPS, "mps2-an386"), ("cortex-m55", M55_LOOPS, "mps3-an547")],
)
def test_loops(core, loops, machine, tmp_path):
    """LE is executed again and again in the emulator, and takes no cycle once the processor remembers it."""
    begins = [lines(f"mov.w r0, #{rounds}", text) for text, *_ in loops.values() for rounds in (1, _ROUNDS)]
    laps = count(_without_waits(core=core), begins, tmp_path, machine)
    for (name, (_, instructions, cycles, once)), less, more in zip(loops.items(), laps[::2], laps[1::2], strict=True):
        assert more.instructions - less.instructions == (_ROUNDS - 1) * instructions, name
        assert more.cycles - less.cycles == (_ROUNDS - 1) * cycles + once, name


def _without_waits(board_name: str = "mps2_an386", core: str = "") -> CycleModel:
    board = load_board(board_name)
    return cycle_model(dataclasses.replace(board, cpu=core or board.cpu))


@pytest.mark.parametrize(
    ("core", "rules", "an_empty_part"),
    [
        ("cortex-m4", M4_RULES, _AN_EMPTY_PART),
        ("cortex-m3", M3_RULES, _AN_EMPTY_PART),
        ("cortex-m0plus", M0PLUS_RULES, _AN_EMPTY_PART_OF_M0PLUS),
    ],
)
def test_each_rule(core, rules, an_empty_part, tmp_path):
    texts = ["", *(text for text, _ in rules.values())]
    counts = count(_without_waits(core=core), texts, tmp_path, "mps2-an386")[1:]
    expected = {name: an_empty_part + cycles for name, (_, cycles) in rules.items()}
    assert dict(zip(rules, (lap.cycles for lap in counts), strict=True)) == expected


_WAITS = 5
# What follows begins with a read of the flash, whatever lies before; the padding is jumped over.
_AT_A_READ = "b 9f\n    .balign 64\n9:  "


def _flash(**changes: int) -> CycleModel:
    bare = {"wait_states": _WAITS, "read_bytes": 8, "line_bytes": 32, "prefetch": 0}
    model = _without_waits()
    caches = {"instruction_cache_bytes": 0, "data_cache_bytes": 0}
    return dataclasses.replace(model, arguments={**model.arguments, **bare, **caches, **changes})


def _flash_waits(model: CycleModel, parts: list[str], folder: Path) -> list[int]:
    laps = count(model, [_AT_A_READ + part for part in parts], folder, "mps2-an386")
    return [lap.flash_wait_cycles for lap in laps]


def test_each_read_of_instructions_waits(tmp_path):
    """Two wide instructions are a read of 8 bytes."""
    short, long = _flash_waits(_flash(), [lines(*["nop.w"] * 4), lines(*["nop.w"] * 12)], tmp_path)
    assert long - short == 4 * _WAITS


def test_a_loop_waits_in_its_first_round_where_a_cache_holds_it(tmp_path):
    loop = lines("movs r0, #{rounds}", "movs r1, #1", "nop.w", "1: nop.w", "nop.w", "nop.w", "subs r0, #1", "bne 1b")
    parts = [loop.format(rounds=1), loop.format(rounds=9)]
    once, often = _flash_waits(_flash(), parts, tmp_path)
    assert often - once == 8 * 2 * _WAITS  # The loop lies on two reads.
    once, often = _flash_waits(_flash(instruction_cache_bytes=1024), parts, tmp_path)
    assert often == once


def test_a_loop_larger_than_the_cache_waits_in_every_round(tmp_path):
    """Of a loop of nine lines, a cache of eight has always lost the one that comes next."""
    loop = lines("mov.w r0, #{rounds}", "nop.w", "1: .rept 70", "nop.w", ".endr", "subs.w r0, #1", "bne.w 1b")
    parts = [loop.format(rounds=1), loop.format(rounds=4)]
    once, often = _flash_waits(_flash(instruction_cache_bytes=256), parts, tmp_path)
    assert often - once == 3 * 9 * 4 * _WAITS
    once, often = _flash_waits(_flash(instruction_cache_bytes=512), parts, tmp_path)
    assert often == once


def test_the_prefetch_hides_what_the_instructions_before_take(tmp_path):
    """The flash answers a read in six cycles: two instructions of one cycle hide two of them, two divisions all."""
    fast, slow = "nop.w", "udiv r0, r1, r2"
    parts = [lines(*[text] * many) for text in (fast, slow) for many in (8, 72)]
    without = _flash_waits(_flash(), parts, tmp_path)
    with_it = _flash_waits(_flash(prefetch=1), parts, tmp_path)
    assert without[1] - without[0] == without[3] - without[2] == 32 * _WAITS
    # What was begun when the part ends depends on where that is.
    assert with_it[1] - with_it[0] == pytest.approx(32 * (_WAITS + 1 - 2), abs=_WAITS)
    assert with_it[3] - with_it[2] == pytest.approx(0, abs=_WAITS)


def test_constants_wait_until_the_cache_holds_them(tmp_path):
    part = lines(*[lines(f"ldr.w r0, [{_ROM}]", "nop.w")] * 8)
    (bare,) = _flash_waits(_flash(), [part], tmp_path)
    (cached,) = _flash_waits(_flash(data_cache_bytes=256), [part], tmp_path)
    assert bare - cached == 7 * _WAITS


def test_variables_do_not_wait_for_the_flash(tmp_path):
    parts = [lines(*[lines(f"ldr.w r0, [{register}]", "nop.w")] * 8) for register in (_RAM, _ROM)]
    ram, rom = _flash_waits(_flash(), parts, tmp_path)
    assert rom - ram == 8 * _WAITS
