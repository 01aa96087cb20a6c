"""The worst-case stack of small programs, and what a build makes of it; painted ones: test_firmware_emulated.py."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyedge.boards.board import load_board
from tinyedge.errors import BudgetExceeded, TargetError, ToolMissing
from tinyedge.firmware import stack
from tinyedge.firmware.cmake_build import build_image
from tinyedge.firmware.stack import worst_case_stack
from tinyedge.toolchain import find_build_tools, find_tool

COUNTDOWN = Path(__file__).resolve().parents[1] / "firmware" / "fixtures" / "countdown"
CPU_FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]

try:
    find_build_tools()
    GCC = find_tool("arm-none-eabi-gcc").path
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture
def analyse(tmp_path):
    """A function that links C as `te_start` and what it calls, and returns the report."""

    def run(code: str, flags: tuple[str, ...] = ("-O1",)) -> stack.StackReport:
        objects = tmp_path / "CMakeFiles" / "te_model.dir"
        objects.mkdir(parents=True)
        source = objects / "one.c"
        source.write_text(f"void te_on_systick(void) {{}}\n{code}\n")
        compiler = [GCC, *CPU_FLAGS, "-std=gnu99", "-ffunction-sections", *flags, "-fcallgraph-info=su"]
        subprocess.run([*compiler, "-c", source, "-o", objects / "one.c.obj"], check=True)
        elf = tmp_path / "one.elf"
        link = ["--specs=nano.specs", "-nostartfiles", "-Wl,--entry=te_start", "-Wl,--gc-sections"]
        subprocess.run(
            [GCC, *CPU_FLAGS, *link, "-Wl,--undefined=te_on_systick", objects / "one.c.obj", "-o", elf], check=True
        )
        return worst_case_stack(tmp_path, elf, GCC, has_float=True)

    return run


def path_names(report: stack.StackReport) -> list[str]:
    return [name for name, _ in report.path]


LEAVES = """
#define NOINLINE __attribute__((noinline, noclone))
volatile int sink;
NOINLINE void small(void) { volatile char room[64]; room[0] = 1; sink += room[0]; }
NOINLINE void large(void) { volatile char room[640]; room[0] = 1; sink += room[0]; }
"""


def test_the_deeper_of_two_calls_counts(analyse):
    report = analyse(LEAVES + "void te_start(void) { small(); large(); sink = 0; }")
    assert report.unknown == ""
    assert path_names(report) == ["te_start", "large"]
    assert report.interrupt_bytes == 108  # 26 words and one for alignment; the handler is empty.
    # Each frame is known to GCC; te_start saves at least its return address.
    frames = dict(report.path)
    assert 640 <= frames["large"] <= 656
    assert 8 <= frames["te_start"] <= 16
    assert report.worst_case_bytes == sum(frames.values()) + 108


def test_every_function_that_a_local_pointer_may_hold_counts(analyse):
    report = analyse(
        LEAVES + "void te_start(void) { void (*volatile call)(void) = sink ? small : large; call(); sink = 0; }"
    )
    assert path_names(report) == ["te_start", "large"]


def test_assembly_is_read_from_its_instructions(analyse):
    report = analyse(
        """
        void outer(void);
        __asm__(".syntax unified\\n.thumb\\n.text\\n.type inner, %function\\ninner:\\n"
                "    vpush {d8-d15}\\n    sub sp, #40\\n    strd r0, r1, [sp, #-8]!\\n"
                "    add sp, #48\\n    vpop {d8-d15}\\n"
                "    bx lr\\n"
                ".global outer\\n.type outer, %function\\nouter:\\n"
                "    stmdb sp!, {r4-r11, lr}\\n    bl inner\\n    ldmia sp!, {r4-r11, pc}\\n");
        void te_start(void) { outer(); __asm__ volatile(""); }
        """
    )
    frames = dict(report.path)
    assert path_names(report) == ["te_start", "outer", "inner"]
    assert (frames["outer"], frames["inner"]) == (9 * 4, 8 * 8 + 40 + 8)


def test_the_c_library_counts(analyse):
    report = analyse(
        "#include <stdint.h>\\nvolatile uint64_t a, b;\\nvoid te_start(void) { a = a / b; b = 0; }".replace("\\n", "\n")
    )
    assert path_names(report)[:2] == ["te_start", "__aeabi_uldivmod"]
    assert dict(report.path)["__aeabi_uldivmod"] > 0


UNKNOWN = {
    "calls itself": """
        NOINLINE int deep(int n) { return n ? deep(n - 1) * 3 + deep(n / 2) : sink; }
        void te_start(void) { sink = deep(sink); sink = 0; }
        """,
    "deep is not known: its frame depends on its arguments": """
        NOINLINE int deep(int n) { volatile char room[n]; room[n / 2] = 1; return room[0]; }
        void te_start(void) { sink = deep(sink); sink = 0; }
        """,
    "caller is not known: it calls through a pointer": """
        void (*volatile hook)(void);
        NOINLINE void caller(void) { hook(); sink = 0; }
        void te_start(void) { caller(); sink = 0; }
        """,
    "small is called through a pointer": """
        void (*volatile hook)(void) = small;
        void te_start(void) { void (*volatile call)(void) = large; call(); sink = hook != 0; }
        """,
}


@pytest.mark.parametrize("said", UNKNOWN)
def test_what_cannot_be_known_is_said(analyse, said):
    report = analyse(LEAVES + UNKNOWN[said], ("-O1", "-fno-optimize-sibling-calls"))
    assert report.worst_case_bytes is None
    assert said in report.unknown


def test_a_missing_tool_is_told(tmp_path):
    with pytest.raises(TargetError, match="tinyedge doctor"):
        worst_case_stack(tmp_path, tmp_path / "none.elf", tmp_path / "gcc", has_float=True)


def test_a_model_that_calls_itself_is_built_and_said_so(tmp_path):
    image = build_image(COUNTDOWN, load_board("stm32f405"), tmp_path)  # Its fault tests eat the stack.
    assert "sink calls itself" in image.stack.unknown
    assert "worst case" not in [row.what for row in image.memory_rows()]


@pytest.fixture
def straight_model(tmp_path):
    """The countdown without the function that calls itself."""
    model = tmp_path / "model"
    shutil.copytree(COUNTDOWN, model)
    text, again = (model / "countdown_model.c").read_text(), "frame[0] == 0u ? 0u : sink(frame) + frame[0]"
    assert again in text
    (model / "countdown_model.c").write_text(text.replace(again, "frame[0]"))
    return model


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed: run `make system`")
def test_a_compiler_cache_does_not_lose_the_stack(straight_model, tmp_path, monkeypatch):
    monkeypatch.setenv("CMAKE_C_COMPILER_LAUNCHER", "ccache")
    monkeypatch.setenv("CCACHE_DIR", str(tmp_path / "cache"))
    board = load_board("stm32f405")
    first, second = (build_image(straight_model, board, tmp_path / name).stack for name in ("first", "second"))
    assert first.unknown == second.unknown == ""
    assert first == second


def test_a_stack_that_can_overflow_is_refused(straight_model, tmp_path):
    board = load_board("stm32f405")
    file = tmp_path / "shallow.toml"
    file.write_text(board.file.read_text().replace("stack_bytes = 4096", "stack_bytes = 512"))
    shallow = dataclasses.replace(board, name="shallow", file=file, stack_bytes=512)
    with pytest.raises(
        BudgetExceeded, match=r"can use \d{3} bytes of stack and shallow sets 512 aside \(te_start \d+ > "
    ):
        build_image(straight_model, shallow, tmp_path / "out")
    assert not (tmp_path / "out").exists()
