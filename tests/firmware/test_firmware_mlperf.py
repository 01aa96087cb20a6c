"""MLPerf Tiny's public runner against emulated boards, and hosts that are not so well behaved."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from firmware.hostile_dialogues import hostile_dialogues
from firmware.mlperf_models import benchmark_model
from firmware.mlperf_runner import EmulatedBoard, Runner, open_port

from tinyedge.boards.board import load_board
from tinyedge.errors import ModelError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.image import ImageOptions
from tinyedge.firmware.mlperf import BENCHMARKS, MLPERF_IDS, prepare_benchmark
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.reader import read_tflite
from tinyedge.toolchain import find_build_tools, find_tool

BOARD = load_board("mps2_an386")
ZOO_MODEL = Path(__file__).parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
IC_BYTES = 32 * 32 * 3
RAM_BYTES = 0x20000  # All that the image uses, and more.

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@dataclass(frozen=True)
class Built:
    """A model and its image."""

    model: Path
    elf: Path

    @property
    def graph(self) -> Graph:
        return read_tflite(self.model)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Callable[[str], Built]:
    """A function that builds the image of a benchmark's small model, once."""
    done: dict[str, Built] = {}

    def build(mlperf_id: str) -> Built:
        if mlperf_id not in done:
            folder = tmp_path_factory.mktemp(mlperf_id)
            model = folder / f"{mlperf_id}.tflite"
            model.write_bytes(benchmark_model(mlperf_id))
            done[mlperf_id] = Built(model, build_firmware(model, BOARD, folder, ImageOptions(mlperf_id=mlperf_id)).elf)
        return done[mlperf_id]

    return build


# --- The runner -------------------------------------------------------------------------------------------------------


def sent_and_taken(mlperf_id: str, graph: Graph, count: int) -> tuple[list[bytes], np.ndarray]:
    """What the runner sends for some inputs, and the int8 tensors that the model has to take of it."""
    rng = np.random.default_rng(7)
    shape = (count, *graph.inputs[0].shape[1:])
    if BENCHMARKS[mlperf_id].pixels:
        # Patches of one brightness, for the models see little of noise.
        patches = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
        pixels = patches.repeat(shape[1] // 4, axis=1).repeat(shape[2] // 4, axis=2)
        pixels[0].flat[:4] = [0, 127, 128, 255]
        return [image.tobytes() for image in pixels], (pixels.astype(int) - 128).astype(np.int8)
    if mlperf_id == "kws01":
        values = rng.integers(-128, 128, shape).astype(np.int8)
        return [one.tobytes() for one in values], values
    quantisation = graph.inputs[0].quantisation
    assert quantisation is not None
    reals = rng.normal(0, 20, shape).astype("<f4")
    half = np.float32(quantisation.scale) / 2
    reals[0, :3] = [1e9, -1e9, 0.0]
    # Whole steps and a half go away from zero, and what is just below a half stays below.
    reals[0, 3:7] = [half, -half, np.nextafter(half, np.float32(0)), np.nextafter(3 * half, np.float32(0))]
    steps = np.clip(reals.astype(np.float32) / np.float32(quantisation.scale), -512, 512)
    taken = np.trunc(steps + np.copysign(0.5, steps.astype(np.float64))) + quantisation.zero_point
    return [one.tobytes() for one in reals], np.clip(taken, -128, 127).astype(np.int8)


def expected_results(mlperf_id: str, graph: Graph, outputs: np.ndarray, sent: list[bytes]) -> np.ndarray:
    """What `m-results` has to say: the dequantised output, or the squared distance from the input."""
    quantisation = graph.outputs[0].quantisation
    assert quantisation is not None
    reals = (outputs.astype(np.float64) - quantisation.zero_point) * float(np.float32(quantisation.scale))
    if mlperf_id != "ad01":
        return reals.reshape(len(sent), -1)
    inputs = np.stack([np.frombuffer(one, "<f4") for one in sent]).astype(np.float64)
    return np.mean((reals - inputs) ** 2, axis=1, keepdims=True)


# Inputs: one takes 892 commands, or 100, 83 and 16.
COUNTS = {"vww01": 1, "ic01": 2, "ad01": 2, "kws01": 3}
# vww01 takes pixels as ic01 does, nine times as many.
RUN = [pytest.param(name, marks=[pytest.mark.thorough] if name == "vww01" else []) for name in MLPERF_IDS]


@pytest.mark.parametrize("mlperf_id", RUN)
def test_the_runner_finds_the_accuracy_and_the_throughput(built, mlperf_id):
    one = built(mlperf_id)
    count = COUNTS[mlperf_id]
    sent, taken = sent_and_taken(mlperf_id, one.graph, count)
    expected = expected_results(mlperf_id, one.graph, TflmRuntime(one.model).run(taken), sent)
    with EmulatedBoard(one.elf, BOARD) as board, open_port(board.port) as port:
        runner = Runner(port)
        name, profile, model = runner.identify()
        assert (name, profile, model) == (BOARD.name, "ULPMark for tinyML Firmware V0.0.1", mlperf_id)
        results = np.array(runner.accuracy(sent))
        assert results.shape == (count, 1 if mlperf_id == "ad01" else BENCHMARKS[mlperf_id].outputs)
        # Three decimals, and sums of float32.
        assert results == pytest.approx(expected, abs=6e-4, rel=1e-5)
        assert len(np.unique(results, axis=0)) == count
        # One that is alone is loaded already.
        median = runner.median_throughput(sent, 20, 5) if count > 1 else 20e6 / runner.infer(20, 5).elapsed_us
        # What is timed is the inferences and nothing else: a short window gives the same, to the clock's microsecond.
        short = runner.infer(4, 0)
        assert short.elapsed_us == pytest.approx(4e6 / median, rel=0.02, abs=1)
        assert short.results == list(results[-1])


@pytest.mark.slow
def test_a_model_with_a_normalisation_of_its_own_gets_plain_pixels(tmp_path):
    manifest = read_manifest(ZOO_MODEL.parent)
    image = build_firmware(ZOO_MODEL, BOARD, tmp_path, ImageOptions(mlperf_id="ic01"))
    pixels = np.random.default_rng(3).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    outputs = TflmRuntime(ZOO_MODEL).run(quantise_images(pixels, manifest))
    graph = read_tflite(ZOO_MODEL)
    with EmulatedBoard(image.elf, BOARD) as board, open_port(board.port) as port:
        (results,) = Runner(port).accuracy([pixels.tobytes()])
    assert results == pytest.approx(expected_results("ic01", graph, outputs, [b""])[0], abs=6e-4)


# --- Models that are not for a benchmark ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made_for", "asked", "said"),
    [
        ("ic01", "vww01", r"takes 1x32x32x3, and vww01 \(visual wake words\) sends 27648 uint8 RGB bytes"),
        ("vww01", "ic01", r"takes 1x96x96x3, and ic01 \(image classification\) sends 3072 uint8 RGB bytes"),
        ("kws01", "ad01", r"takes 1x49x10x1, and ad01 \(anomaly detection\) sends 640 float32 values"),
        ("ad01", "kws01", r"takes 1x640, and kws01 \(keyword spotting\) sends 490 int8 values"),
    ],
)
def test_a_model_of_another_benchmark_is_refused(tmp_path, made_for, asked, said):
    path = tmp_path / "m.tflite"
    path.write_bytes(benchmark_model(made_for))
    assert prepare_benchmark(path, read_tflite(path), made_for) == {}
    with pytest.raises(ModelError, match=said):
        build_firmware(path, BOARD, tmp_path / "out", ImageOptions(mlperf_id=asked))
    assert not (tmp_path / "out").exists()


def test_a_normalisation_that_is_not_known_is_refused(tmp_path):
    alone = tmp_path / "m.tflite"
    shutil.copy(ZOO_MODEL, alone)
    with pytest.raises(ModelError, match=r"zero point -5.*give the run directory, or keep the export\.json"):
        prepare_benchmark(alone, read_tflite(alone), "ic01")
    # A manifest of another model says nothing about this one.
    shutil.copy(ZOO_MODEL.parent / "export.json", tmp_path / "export.json")
    alone.rename(tmp_path / "model_int8.tflite")
    alone = tmp_path / "model_int8.tflite"
    assert set(prepare_benchmark(alone, read_tflite(alone), "ic01")) == {"te_pixel_table.h"}
    alone.write_bytes(alone.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="zero point -5"):
        prepare_benchmark(alone, read_tflite(alone), "ic01")


# --- Hosts that are not the runner ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Symbol:
    """Where a variable lies."""

    address: int
    size: int

    def holds(self, address: int) -> bool:
        return self.address <= address < self.address + self.size


def symbols_of(elf: Path) -> dict[str, Symbol]:
    said = subprocess.run(["arm-none-eabi-nm", "-S", elf], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in said.splitlines()]
    symbols = {
        name: Symbol(int(address, 16), int(size, 16)) for address, size, _, name in (x for x in lines if len(x) == 4)
    }
    bottom = next(int(x[0], 16) for x in lines if x[-1] == "te_stack_bottom")
    return {**symbols, "stack": Symbol(bottom, BOARD.stack_bytes)}


def test_a_pulled_cable_costs_one_command(built):
    one = built("ic01")
    data = bytes(range(256)) * 12
    with EmulatedBoard(one.elf, BOARD) as board:
        with open_port(board.port) as port:
            port.write(b"db load 3072%db 0011%db 22")
            time.sleep(0.3)
        with open_port(board.port) as port:  # Its first % ends what was left half-sent.
            runner = Runner(port)
            assert runner.load(data) == ["m-load-done", "m-ready"]
            assert len(runner.infer(1, 0).results) == 10


# Last: while it waits it keeps a processor busy.
@pytest.fixture(scope="module")
def hostile_board(built):
    one = built("ic01")
    with EmulatedBoard(one.elf, BOARD) as board, open_port(board.port) as port:
        yield board, port, symbols_of(one.elf)


def changes(before: bytes, after: bytes) -> list[int]:
    """Addresses of the RAM at which two copies of it differ."""
    different = np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8)
    return [BOARD.sram.origin + int(index) for index in np.flatnonzero(different)]


def reset(board: EmulatedBoard, port) -> None:
    port.silence(0.05)
    board.reset()
    lines = [port.line()]
    while lines[-1] != "m-ready":
        lines.append(port.line())
    assert lines[-2] == "m-init-done"


@pytest.mark.parametrize("dialogue", hostile_dialogues(IC_BYTES), ids=lambda dialogue: dialogue.label)
def test_a_hostile_dialogue_changes_nothing_but_the_protocols_own_state(hostile_board, dialogue):
    board, port, symbols = hostile_board
    reset(board, port)
    before = board.memory(BOARD.sram.origin, RAM_BYTES)
    port.write(dialogue.sent)
    answers = [port.answer() for _ in range(dialogue.commands)]
    assert sum(any(line.startswith("e-[") for line in answer) for answer in answers) == dialogue.refused
    assert port.command("name") == [f"m-name-dut-[{BOARD.name}]", "m-ready"]
    after = board.memory(BOARD.sram.origin, RAM_BYTES)
    changed = changes(before, after)
    assert changed  # The command buffer, at least.
    allowed = [symbols[name] for name in ("te_the_protocol", "te_systick_wraps", "stack")]
    assert [hex(address) for address in changed if not any(symbol.holds(address) for symbol in allowed)] == []


def test_a_full_input_keeps_its_bytes_and_its_neighbours(hostile_board):
    board, port, symbols = hostile_board
    reset(board, port)
    before = board.memory(BOARD.sram.origin, RAM_BYTES)
    data = bytes([0xA5, 0x5A, 0xFF]) * (IC_BYTES // 3)
    assert Runner(port).load(data) == ["m-load-done", "m-ready"]
    for more in ("db 00", "db " + "11" * 31, "db load 3073", "db 2233"):
        assert port.command(more)[0].startswith("e-[")
    db = symbols["te_db"]
    after = board.memory(BOARD.sram.origin, RAM_BYTES)
    assert db.size == IC_BYTES
    first = db.address - BOARD.sram.origin
    assert after[first : first + IC_BYTES] == data
    allowed = [symbols[name] for name in ("te_db", "te_the_protocol", "te_systick_wraps", "stack")]
    assert not [address for address in changes(before, after) if not any(symbol.holds(address) for symbol in allowed)]


@pytest.mark.parametrize("sent", [b"db load 3072%db 0011", b"db load 3072%db " + b"00" * 31 + b"%infer 1", b"x" * 60])
def test_a_reset_within_a_command_forgets_it(hostile_board, sent):
    board, port, symbols = hostile_board
    reset(board, port)
    port.write(sent)
    state, half = symbols["te_the_protocol"], sent.rpartition(b"%")[2]
    while half not in board.memory(state.address, state.size):  # Until the device has all of it.
        time.sleep(0.01)
    reset(board, port)
    assert port.command("name") == [f"m-name-dut-[{BOARD.name}]", "m-ready"]
    assert port.command("db 00")[0].startswith("e-[no bytes are expected")
    assert port.command("infer 1 0")[0].startswith("e-[0 input bytes are loaded")
    assert Runner(port).load(bytes(IC_BYTES)) == ["m-load-done", "m-ready"]


def test_a_reset_within_an_inference_starts_anew(hostile_board):
    board, port, _ = hostile_board
    reset(board, port)
    runner = Runner(port)
    runner.load(bytes(IC_BYTES))
    alone = runner.infer(1, 0).results
    port.write(b"infer 4000000000 0%")
    while port.line() != "m-infer-start-4000000000":
        pass
    reset(board, port)
    assert port.command("results")[0].startswith("e-[no inference has run")
    runner.load(bytes(IC_BYTES))
    assert runner.infer(1, 0).results == alone
