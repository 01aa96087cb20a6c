"""Models that keep something from one inference to the next: frame after frame the bits of TFLite Micro."""

from pathlib import Path

import numpy as np
import pytest
from compiler.streaming_models import streaming_model, swapping_model
from ops.recurrent_models import lstm, svdf

from tinyedge.boards.board import load_board
from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, frames_from_bytes, random_frames
from tinyedge.tflite.model import Model
from tinyedge.toolchain import find_build_tools, find_tool

FRAMES = 100
WAKE_WORD = "wild/micro_wake_word_models__hey_jarvis__21a7976a.tflite"
MODELS = {
    "lstm": lstm(np.random.default_rng(7), (1, 3, 10), 6)[0],
    "svdf": svdf(np.random.default_rng(8), (1, 12, 4, 2, 6))[0],
    "one": streaming_model([4]),
    "several": streaming_model([1, 3, 7], seed=1),
    "whole": streaming_model([5, 2], whole=True, seed=2),
    "swap": swapping_model(),
}


def write(tmp_path: Path, content: bytes) -> Model:
    path = tmp_path / "streaming.tflite"
    path.write_bytes(content)
    return Model(path)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("name", MODELS)
def test_every_frame_has_tflite_micros_bits(tmp_path: Path, name: str, instruction_set: str) -> None:
    model = write(tmp_path, MODELS[name])
    golden, ours = TflmRuntime(model), AotRuntime(model, CompileOptions(instruction_set))
    inputs = random_frames(model.graph().inputs, FRAMES, seed=3)
    expected = golden.run(inputs)
    assert len(np.unique(expected)) > 1
    assert count_differing(ours.run(inputs), expected) == 0
    assert count_differing(ours.run(inputs), golden.run(inputs)) == 0  # From where the last frame left it.
    ours.reset()
    assert count_differing(ours.run(inputs), expected) == 0


def test_litert_forgets_as_well(tmp_path: Path) -> None:
    model = write(tmp_path, MODELS["several"])
    runtime, golden = LitertRuntime(model), TflmRuntime(model)
    inputs = random_frames(model.graph().inputs, 20, seed=4)
    expected = golden.run(inputs)
    assert count_differing(runtime.run(inputs), expected) == 0
    runtime.reset()
    assert count_differing(runtime.run(inputs), expected) == 0


def test_a_new_state_is_written_where_the_old_one_was(tmp_path: Path) -> None:
    """The slice that makes it comes after the last reading of the old one, so nothing is copied at the end."""
    program = compile_graph(write(tmp_path, MODELS["several"]).graph())
    assert [call.op for call in program.calls] == ["CONCATENATION", "STRIDED_SLICE", "CONV_2D"] * 3
    assert all(state.after is state.before for state in program.graph.states)
    assert program.plan.state_bytes >= sum(state.before.bytes for state in program.graph.states)
    kept = {state.before for state in program.graph.states}
    assert kept == set(program.plan.state_offsets) & kept
    assert not kept & set(program.plan.offsets)


@pytest.fixture(scope="module")
def board_name() -> str:
    try:
        find_build_tools()
        find_tool("qemu-system-arm")
    except ToolMissing as error:
        pytest.skip(str(error))
    return "stm32f405"


def test_a_wake_word_on_a_board(tmp_path: Path, board_name: str, shared_model) -> None:
    """A published model of ESPHome's kind, a hundred frames, and after a reset the same again."""
    _check_on_a_board(Model(shared_model(WAKE_WORD)), tmp_path, board_name)


@pytest.mark.parametrize("name", ["swap", pytest.param("lstm", marks=pytest.mark.thorough)])
def test_states_on_a_board(tmp_path: Path, board_name: str, name: str) -> None:
    _check_on_a_board(write(tmp_path, MODELS[name]), tmp_path, board_name)


def _check_on_a_board(model: Model, tmp_path: Path, board_name: str) -> None:
    graph, board = model.graph(), load_board(board_name)
    inputs = random_frames(graph.inputs, FRAMES, seed=5)
    expected = TflmRuntime(model).run(inputs)
    image = build_firmware(model, board, tmp_path / "out")
    with Emulator(image.elf, board) as emulator:
        info = emulator.client.info()
        assert info.state_bytes == compile_graph(model.graph()).plan.state_bytes > 0
        assert [tensor.type for tensor in info.outputs] == [tensor.dtype.name for tensor in graph.outputs]

        def run(count: int) -> np.ndarray:
            answers = b"".join(emulator.run(value.tobytes()) for value in inputs[:count])
            return frames_from_bytes(answers, graph.outputs)

        assert count_differing(run(FRAMES), expected) == 0
        assert count_differing(run(10), expected[:10]) > 0  # It has not forgotten.
        emulator.client.reset()
        assert count_differing(run(10), expected[:10]) == 0
