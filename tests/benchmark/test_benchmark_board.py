"""The benchmark of a board, through a serial port with the emulated firmware at its other end."""

import contextlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator
from machines.dozing import Dozing

from tinyedge.benchmark.bench import run_bench
from tinyedge.benchmark.board import bench_board
from tinyedge.benchmark.inputs import LabelledInputs
from tinyedge.benchmark.measure import BenchOptions, Subject, bench_host
from tinyedge.boards.board import load_board
from tinyedge.devices import board_line
from tinyedge.devices.board_line import BoardLine
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.ports import Port
from tinyedge.devices.pty_port import PtyPort
from tinyedge.devices.serial import SerialStream
from tinyedge.errors import ConfigError, LineLost, TargetError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.tflite.model import Model
from tinyedge.toolchain import find_build_tools, find_tool

BOARD = "stm32f405"
BAUD = 115200
INPUTS, OUTPUTS = 67, 5

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


def write_model(path: Path, seed: int) -> Path:
    weights = np.random.default_rng(seed).integers(-127, 128, (OUTPUTS, INPUTS), dtype=np.int8)
    path.write_bytes(
        one_operator(
            "FULLY_CONNECTED",
            [TensorSpec((1, INPUTS), 0.5, 3), constant(weights, 0.01), constant(np.zeros(OUTPUTS, np.int32), 0.005)],
            TensorSpec((1, OUTPUTS), 3.0, -5),
        )
    )
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.tflite", 0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a board more often: while they wait, an emulated one keeps a processor busy."""
    monkeypatch.setattr(board_line, "_POLL_S", 0.1)


@pytest.fixture(scope="module")
def emulator(model, tmp_path_factory):
    board = load_board(BOARD)
    with Emulator(build_firmware(model, board, tmp_path_factory.mktemp("image")).elf, board) as running:
        yield running


class Cable:
    """A port of a fixed name that can be unplugged and plugged in again, also after so many bytes to the device."""

    def __init__(self, stream, link: Path) -> None:
        self.stream, self.link = stream, link
        self.bytes_to_pull: int | None = None
        self.pulls = 0
        self._thread = None

    def plug(self) -> None:
        self._port = PtyPort(self)
        self._thread = threading.Thread(target=self._port.run)
        self._thread.start()
        self.link.symlink_to(self._port.name)

    def unplug(self) -> None:
        self.link.unlink(missing_ok=True)
        self._port.unplug()
        self._thread.join()
        self.stream.wake()

    def write(self, data: bytes) -> None:
        if self.bytes_to_pull is not None:
            passed, self.bytes_to_pull = data[: self.bytes_to_pull], self.bytes_to_pull - len(data)
            if self.bytes_to_pull <= 0:
                self.stream.write(passed)
                self.bytes_to_pull = None
                self.pulls += 1
                self._port.unplug()
                self.link.unlink()
                threading.Thread(target=self._plug_again).start()
                return
        self.stream.write(data)

    def read(self, timeout_s: float) -> bytes:
        return self.stream.read(timeout_s)

    def _plug_again(self) -> None:
        self._thread.join()
        threading.Event().wait(0.25)
        self.plug()


@pytest.fixture
def cable(emulator, tmp_path):
    cable = Cable(Dozing(emulator, at_once=True), tmp_path / "ttyBOARD")
    cable.plug()
    yield cable
    cable.unplug()


@pytest.fixture
def port(cable) -> Port:
    return Port(str(cable.link), None, None, "", "")


class Heard:
    """A progress that keeps what it hears."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int, int]] = []
        self.said: list[str] = []

    def show(self, what: str, done: int, of: int) -> None:
        self.shown.append((what, done, of))

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(scope="module")
def subject(model) -> Subject:
    values = np.random.default_rng(1).integers(-128, 128, (12, INPUTS), dtype=np.int8)
    return Subject(Model(model), test=LabelledInputs(values, np.arange(12) % OUTPUTS))


def test_the_port_of_an_emulator_gives_its_bits_and_instructions(model, cable, emulator, tmp_path):
    path = tmp_path / "y.npy"
    report, _ = run_bench(model, target="board", port=str(cable.link), inputs=3, timed_runs=3, outputs_path=path)
    (record,) = json.loads(json.dumps(report.to_json()))["results"]
    host, _ = run_bench(model, target="host", runtime="aot", inputs=3)
    assert record["outputs_sha256"] == host.results[0].outputs_sha256
    assert np.load(path).shape == (3, OUTPUTS)
    assert (record["bit_exact"], record["inputs"], record["timed_runs"]) == (True, 3, 3)
    # An emulator has no time, whoever asks for it.
    assert (record["target"], record["board"], record["runtime"]) == ("emulator", BOARD, "aot")
    for key in ("latency_ms", "timestamps_ms", "cycles", "macs_per_cycle", "clock_hz"):
        assert record[key] is None
    cable.unplug()
    assert record["instructions"] == pytest.approx(emulator.client.instructions(), abs=20)  # Within a tick or two.


def test_a_port_that_is_not_there_is_told(model):
    with pytest.raises(TargetError, match="/dev/ttyNONE9 at 115200 baud: there is no such port"):
        run_bench(model, target="board", port="/dev/ttyNONE9")


class CountsCycles:
    """The same device as if it were silicon: what it counts it calls cycles."""

    def __init__(self, stream: Dozing) -> None:
        self._stream = stream
        self._line = b""
        self.wake = stream.wake

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def read(self, timeout_s: float) -> bytes:
        self._line += self._stream.read(timeout_s)
        whole, end, self._line = self._line.rpartition(b"\n")
        return (whole + end).replace(b",ticks]", b",cycles]")


def test_a_board_that_counts_cycles_gives_milliseconds(subject, emulator, tmp_path):
    silicon = Cable(CountsCycles(Dozing(emulator)), tmp_path / "ttyBOARD")
    silicon.plug()
    try:
        heard = Heard()
        options = BenchOptions((), timed_runs=5)
        record = bench_board(subject, Port(str(silicon.link), None, None, "", ""), BAUD, None, options, heard).results[
            0
        ]
    finally:
        silicon.unplug()
    assert heard.said == ["stm32f405 runs at 16,000,000 Hz: HSI (the PLL did not start)"]
    assert (record.target, record.instructions, record.clock_hz) == ("board", None, 16_000_000)
    assert record.cycles == pytest.approx(emulator.client.count()[0], abs=2)
    assert record.cycles > 0
    assert record.latency_ms == pytest.approx(1e3 * record.cycles / 16e6)
    assert record.macs_per_cycle == pytest.approx(INPUTS * OUTPUTS / record.cycles)
    assert record.timestamps_ms >= 0
    assert [done for what, done, _ in heard.shown if what == "timed runs"] == [1, 2, 3, 4, 5]


def test_accuracy_is_the_hosts(subject, port):
    heard = Heard()
    board = bench_board(subject, port, BAUD, load_board(BOARD), BenchOptions((), inputs=2), heard).results[0]
    host = bench_host(subject, BenchOptions(("aot",), inputs=2)).results[0]
    assert (board.accuracy, board.accuracy_images) == (host.accuracy, 12)
    assert heard.shown[-1] == ("accuracy", 12, 12)
    assert heard.said == ["stm32f405 counts ticks: it is an emulator, which gives instructions and no milliseconds"]


# In the middle of a command that loads, of the answer to one, in the timed runs, in the accuracy: bytes to the device.
@pytest.mark.parametrize("sent", [430, 700, 1490, 2603])
def test_a_pulled_cable_costs_what_was_interrupted_and_nothing_else(subject, cable, port, sent):
    heard = Heard()
    cable.bytes_to_pull = sent
    record = bench_board(subject, port, BAUD, None, BenchOptions((), inputs=3, timed_runs=4), heard).results[0]
    assert cable.pulls == 1
    assert record.bit_exact
    assert record.accuracy == bench_host(subject, BenchOptions(("aot",), inputs=3)).results[0].accuracy
    assert [sentence.split("; ")[-1] for sentence in heard.said[:-1]] == [
        "waiting for the board to come back",
        "going on",
    ]
    done = [step for step in heard.shown if step[0] != "timed runs"]
    assert done == [("inputs", n, 3) for n in (1, 2, 3)] + [("accuracy", n, 12) for n in range(1, 13)]


def test_a_board_that_does_not_come_back_is_told(cable, port):
    said = []
    with (
        BoardLine(port, BAUD, said.append, patience_s=1.0) as line,
        pytest.raises(TargetError, match=r"did not come back within 1 s .*no such port.*: start again"),
    ):
        try:
            cable.unplug()
            line.run(lambda client: client.info())
        finally:
            cable.plug()


def test_work_that_always_loses_the_line_ends(port):
    calls = []

    def work(client):
        calls.append(client)
        raise LineLost("lost")

    with BoardLine(port, BAUD, lambda _: None) as line, pytest.raises(LineLost, match="lost"):
        line.run(work)
    assert 2 <= len(calls) <= 10


def test_another_model_is_refused_with_the_commands_to_flash_it(cable, tmp_path):
    other = write_model(tmp_path / "other.tflite", 1)
    with pytest.raises(TargetError, match=r"run `tinyedge build .*other.tflite --board stm32f405` and `tinyedge flash"):
        run_bench(other, target="board", port=str(cable.link))


def test_another_board_is_refused(model, cable):
    with pytest.raises(ConfigError, match="is for stm32f405, not mps2_an386: leave --board out"):
        run_bench(model, target="board", port=str(cable.link), board_name="mps2_an386")


def test_a_busy_port_is_told(model, cable):
    with (
        contextlib.closing(SerialStream(str(cable.link), BAUD)),
        pytest.raises(TargetError, match="another program has it open"),
    ):
        run_bench(model, target="board", port=str(cable.link))
