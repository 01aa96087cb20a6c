"""MLPerf Tiny's public runner as a device sees it, and an emulated board on a port of this machine.

The facts are those of mlcommons/tiny, benchmark/runner: what is sent, in what pieces, which lines are looked for, and
how long each may take. What is not looked for there is not looked at here.
"""

import queue
import re
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import serial

from tinyedge.boards.board import Board

BYTES_PER_COMMAND = 31
COMMAND_TIMEOUT_S = 5.0
INFERENCE_TIMEOUT_S = 30.0
_SLOW = 6  # An emulated board on a busy machine; the runner itself allows no more than the times above.


class EmulatedBoard:
    """A board in QEMU for the length of a `with` block: its serial port is a terminal of this system.

    Args:
        elf: The image.
        board: What it was built for.

    Attributes:
        port: The terminal's path, to be opened as a serial port.
    """

    port: str

    def __init__(self, elf: Path, board: Board) -> None:
        assert board.emulator is not None
        self._command = [
            *("qemu-system-arm", "-machine", board.emulator.machine, "-icount", "shift=0", "-nodefaults"),
            *("-display", "none", "-chardev", "pty,id=serial0", "-serial", "chardev:serial0", "-monitor", "stdio"),
            *("-kernel", str(elf)),
        ]

    def __enter__(self) -> "EmulatedBoard":
        self._folder = tempfile.TemporaryDirectory(prefix="te-qemu-")
        self._process = subprocess.Popen(
            self._command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        match = re.search(r"redirected to (/dev/\S+)", self._read_prompt())
        assert match
        self.port = match.group(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def reset(self) -> None:
        """Press the reset button."""
        self._ask("system_reset")

    def memory(self, address: int, size: int) -> bytes:
        """Read memory as a probe does."""
        path = Path(self._folder.name) / "memory"
        self._ask(f'pmemsave {address:#x} {size:#x} "{path}"')
        return path.read_bytes()

    def _ask(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._read_prompt()

    def _read_prompt(self) -> str:
        assert self._process.stdout is not None
        said = b""
        while not said.endswith(b"(qemu) "):
            part = self._process.stdout.read(4096)
            assert part, f"QEMU ended after {said!r}"
            said += part
        return said.decode("ascii", errors="replace")


class RunnerPort:
    """A serial port that is read all the time, line by line, as the runner does it; a context manager."""

    def __init__(self, port: str) -> None:
        self._serial = serial.Serial(port, 115200, timeout=0.1)
        self._lines: queue.Queue[str] = queue.Queue()
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "RunnerPort":
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._reader.join()
        self._serial.close()

    def _read(self) -> None:
        line = b""
        while self._open:
            line += self._serial.read(self._serial.in_waiting or 1)
            *whole, line = line.split(b"\n")
            for one in whole:
                self._lines.put(one.decode("ascii").strip("\r\0"))

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._serial.write(data)

    def line(self, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """The next line.

        Raises:
            AssertionError: None came.
        """
        try:
            return self._lines.get(timeout=_SLOW * timeout_s)
        except queue.Empty:
            raise AssertionError(f"no line within {_SLOW * timeout_s} s") from None

    def answer(self, timeout_s: float = COMMAND_TIMEOUT_S) -> list[str]:
        """The lines up to and with the one that holds `m-ready`, each within the time."""
        lines = []
        while not lines or "m-ready" not in lines[-1]:
            line = self.line(timeout_s)
            if line:
                lines.append(line)
        return lines

    def command(self, text: str, timeout_s: float = COMMAND_TIMEOUT_S) -> list[str]:
        """Send a command and return its answer."""
        self.write(text.encode() + b"%")
        return self.answer(timeout_s)

    def silence(self, seconds: float) -> list[str]:
        """Wait until nothing came for so long, and return what came before."""
        lines = []
        while True:
            try:
                lines.append(self._lines.get(timeout=seconds))
            except queue.Empty:
                return lines


@dataclass(frozen=True)
class Inference:
    """What the runner takes from an answer to `infer`."""

    results: list[float]
    elapsed_us: int


class Runner:
    """The runner's side of a session.

    Args:
        port: To the device, which is running.
    """

    def __init__(self, port: RunnerPort) -> None:
        self._port = port

    def identify(self) -> tuple[str, str, str]:
        """The device's name, its profile and its model, by the patterns of the runner."""
        (name,) = _matches(r"m-name-dut-\[([^]]+)]", self._port.command("name"))
        answer = self._port.command("profile")
        (profile,) = _matches(r"m-profile-\[([^]]+)]", answer)
        (model,) = _matches(r"m-model-\[([^]]+)]", answer)
        return name, profile, model

    def load(self, data: bytes) -> list[str]:
        """Send an input; the answer to the last part of it."""
        answer = self._port.command(f"db load {len(data)}")
        for start in range(0, len(data), BYTES_PER_COMMAND):
            answer = self._port.command("db " + data[start : start + BYTES_PER_COMMAND].hex())
        return answer

    def infer(self, inferences: int, warmups: int) -> Inference:
        """Run inferences; the first lap is the start, the second one the end."""
        answer = self._port.command(f"infer {inferences} {warmups}", INFERENCE_TIMEOUT_S)
        (results,) = _matches(r"m-results-\[([^]]+)]", answer)
        laps = [int(lap) for lap in _matches(r"m-lap-us-([0-9]+)", answer)]
        return Inference([float(value) for value in results.split(",")], laps[1] - laps[0])

    def accuracy(self, inputs: Iterable[bytes]) -> list[list[float]]:
        """Accuracy mode: one inference of each input, without warm-ups."""
        results = []
        for data in inputs:
            assert self.load(data) == ["m-load-done", "m-ready"]
            results.append(self.infer(1, 0).results)
        return results

    def median_throughput(self, inputs: Sequence[bytes], inferences: int, warmups: int) -> float:
        """Performance mode: the median of a window an input, in inferences a second."""
        windows = []
        for data in inputs:
            self.load(data)
            elapsed_us = self.infer(inferences, warmups).elapsed_us
            windows.append(inferences * 1e6 / elapsed_us if elapsed_us > 0 else 0.0)
        return statistics.median(windows)


def open_port(path: str) -> RunnerPort:
    """Open the port of a device that has just been started, and let its greeting pass."""
    port = RunnerPort(path)
    port.write(b"%name%")
    while not port.line().startswith("m-name-dut-"):
        pass
    port.answer()
    return port


def _matches(pattern: str, lines: Iterable[str]) -> list[str]:
    return [match.group(1) for line in lines if (match := re.fullmatch(pattern, line))]
