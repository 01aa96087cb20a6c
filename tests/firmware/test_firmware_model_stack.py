"""The stack of a compiled model alone: known frames add up, what cannot be known is said, the header tells it."""

import re
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from compiler.random_networks import random_network
from ops.case_builders import pool
from ops.recurrent_models import lstm

from tinyedge.api.compile import compile as compile_to_c
from tinyedge.boards.board import load_board
from tinyedge.errors import TargetError, ToolMissing
from tinyedge.firmware.model_stack import model_stack
from tinyedge.toolchain import find_tool

try:
    find_tool("arm-none-eabi-gcc")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)

# 1,000 bytes here and 500 in a kernel; memset is of the C library.
MODEL = """
#include <string.h>
void te_kernel(char *values);
void never_called(void);
void ic_invoke(void);
void ic_invoke(void) {
    char values[1000];
    memset(values, 1, sizeof values);
    te_kernel(values);
    te_kernel(values + 1);
}
void never_called(void) {
    char values[9000];
    te_kernel(values);
}
"""
KERNEL = """
void te_kernel(char *values);
void te_kernel(char *values) {
    volatile char copy[500];
    for (int i = 0; i < 500; ++i) {
        copy[i] = values[i];
    }
    values[0] = copy[1];
}
"""


def sources(model: str, kernel: str) -> dict[PurePosixPath, bytes]:
    return {PurePosixPath("ic_model.c"): model.encode(), PurePosixPath("kernels", "te_kernel.c"): kernel.encode()}


def test_the_frames_of_a_chain_of_calls_add_up() -> None:
    found = model_stack(sources(MODEL, KERNEL), "ic", load_board("mps2_an386"))
    assert 1500 <= found.bytes <= 1500 + 80  # Saved registers and alignment.
    assert re.fullmatch(r"arm-none-eabi-gcc [\d.]+ -mcpu=cortex-m4 .* -O2", found.compiler)


def test_a_stack_that_cannot_be_known_is_told() -> None:
    recursive = (
        "int te_kernel(volatile char *v);\nint te_kernel(volatile char *v) { return *v ? te_kernel(v + 1) + *v : 0; }\n"
    )
    with pytest.raises(TargetError, match=r"te_kernel calls itself.*leave --board out"):
        model_stack(
            sources(MODEL.replace("void te_kernel", "int te_kernel"), recursive), "ic", load_board("mps2_an386")
        )


def test_c_that_the_processor_cannot_run_is_told() -> None:
    refused = KERNEL + "#error no such unit\n"
    with pytest.raises(TargetError, match=r"does not compile for the processor of the board \(.*no such unit"):
        model_stack(sources(MODEL, refused), "ic", load_board("mps2_an386"))


def test_the_header_tells_it(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(random_network(3, mixed=True))
    plain = compile_to_c(model, tmp_path / "plain", name="ic", instruction_set="dsp")
    told = compile_to_c(model, tmp_path / "told", name="ic", board="mps2_an386")
    assert plain.stack_bytes is None
    assert told.stack_bytes is not None
    assert told.stack_bytes > 0
    assert told.instruction_set == "dsp"  # The board's.
    headers = [(tmp_path / name / "src" / "ic_model.h").read_text() for name in ("plain", "told")]
    assert "#define IC_STACK_BYTES" not in headers[0]
    assert f"#define IC_STACK_BYTES {told.stack_bytes}\n" in headers[1]
    for path in plain.files:  # Nothing else depends on the cross compiler.
        if path not in ("src/ic_model.h", "tinyedge.json"):
            assert (tmp_path / "plain" / path).read_bytes() == (tmp_path / "told" / path).read_bytes(), path


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "LSTM"])
def test_what_kernels_call_through_pointers_of_their_callers_counts(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = tmp_path / "model.tflite"
    model.write_bytes(lstm(rng, (1, 2, 3), 4)[0] if op == "LSTM" else pool(rng, op).model)
    told = compile_to_c(model, tmp_path / "told", name="ic", board="mps2_an386")
    assert told.stack_bytes is not None
    assert told.stack_bytes > 100  # Of te_pool_dsp() and te_lstm_steps_s8() alone.
