"""Talks the serial protocol to a device: a board on a port, or an emulator behind pipes."""

import contextlib
import errno
import math
import os
import select
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO, Protocol, TypeVar

from tinyedge.devices.answers import (
    MOST_LAYERS,
    MOST_LINE_BYTES,
    MOST_LINES,
    SHOWN,
    DeviceInfo,
    checksums,
    decimal,
    device_info,
    other_firmware,
    printable,
    reals,
    shown,
    whole_number,
    whole_numbers,
    within_brackets,
)
from tinyedge.errors import LineLost, TargetError
from tinyedge.installation import package_missing
from tinyedge.shell import command_line

# What the public MLPerf Tiny runner sends; a command of 80 characters would take 38.
_BYTES_PER_COMMAND = 31
_COMMAND_TIMEOUT_S = 30.0
_INFERENCE_TIMEOUT_S = 300.0
_BOOT_TIMEOUT_S = 30.0
_HANDSHAKE_TIMEOUT_S = 5.0
# A board may have a long answer to give yet: 9,216 reals take 6 s at 115200 baud.
_SILENCE_S, _SILENCE_TIMEOUT_S = 0.5, 60.0
_PIPE_BYTES = 1 << 20
_GREETING = "m-init-done"
_LAP = "m-lap-us-"

_Parsed = TypeVar("_Parsed")


class ByteStream(Protocol):
    """A connection that carries bytes both ways."""

    def write(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            LineLost: The other side is gone.
        """

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, at least one byte; b"" when nothing came for `timeout_s`.

        Raises:
            LineLost: The other side is gone.
        """

    def close(self) -> None:
        """Free the connection."""


class PipeStream:
    """A process behind two pipes.

    A pipe holds as many bytes as it is large. A socket holds a few hundred when they come one by one, as a serial port
    sends them; a device then waits for a reader that the system keeps from running, and its bytes are lost.

    Args:
        to_device: Unbuffered, and then this object's.
        from_device: The same for what comes back.
        explain: Called when the other side has closed its end, for the sentence that says why.
    """

    def __init__(self, to_device: IO[bytes], from_device: IO[bytes], explain: Callable[[], str]) -> None:
        self._to_device, self._from_device = to_device, from_device
        self._explain = explain
        os.set_blocking(to_device.fileno(), False)
        if sys.platform == "linux":  # Elsewhere a pipe keeps its size.
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(from_device.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        waiting = memoryview(data)
        try:
            while waiting:
                if not select.select([], [self._to_device], [], _COMMAND_TIMEOUT_S)[1]:
                    raise TargetError("the device does not take bytes: reset it and try again")
                waiting = waiting[os.write(self._to_device.fileno(), waiting) :]
        except OSError as error:
            raise LineLost(self._explain()) from error

    def read(self, timeout_s: float) -> bytes:
        """Return what has come; b"" when nothing came for `timeout_s`."""
        if not select.select([self._from_device], [], [], timeout_s)[0]:
            return b""
        data = os.read(self._from_device.fileno(), 65536)
        if not data:
            raise LineLost(self._explain())
        return data

    def close(self) -> None:
        """Close both ends."""
        with contextlib.suppress(OSError):
            self._to_device.close()
        self._from_device.close()


class SerialStream:
    """A serial port, 8N1.

    Args:
        port: As the system names it: "/dev/ttyACM0".
        baud: The rate.

    Raises:
        TargetError: The port does not exist, is busy or may not be opened.
        ToolMissing: pyserial is not installed.
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            import serial
        except ImportError as error:
            raise package_missing("pyserial") from error

        self._name = port
        self._errors = (serial.SerialException, OSError)
        try:
            self._port = serial.Serial(port, baud, timeout=0, write_timeout=_COMMAND_TIMEOUT_S, exclusive=True)
        except self._errors as error:
            raise TargetError(f"cannot open {port} at {baud} baud: {_why_not_open(port, error)}") from error

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._port.write(data)
        except self._errors as error:
            raise LineLost(f"{self._name} failed while sending ({error}): check the cable") from error

    def read(self, timeout_s: float) -> bytes:
        """Return what has come; b"" when nothing came for `timeout_s`."""
        try:
            self._port.timeout = timeout_s
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except self._errors as error:
            raise LineLost(f"{self._name} failed while receiving ({error}): check the cable") from error

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def _why_not_open(port: str, error: Exception) -> str:
    """What keeps a port from opening, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.EBUSY, errno.EAGAIN):
        return (
            f"another program has it open; close that terminal or tool (`{command_line('fuser', '-v', port)}` names it)"
        )
    if number == errno.EACCES:
        return "you may not open it; run `sudo usermod -aG dialout $USER` and log in again"
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return "there is no such port; plug the board in, or let --port auto find it"
    return f"{error}; check the cable and --port"


@dataclass(frozen=True)
class LayerCount:
    """What one layer took.

    Attributes:
        name: The layer's.
        op: TFLite's name of its operator.
        kernel: The C function that runs it.
        macs: Its multiply-accumulates.
        count: Cycles on silicon; instructions in an emulator, to within some ten.
        parts: Which of the device's lines told of it, 0 is the first: several where it runs a stripe of rows at a time.
    """

    name: str
    op: str
    kernel: str
    macs: int
    count: int
    parts: tuple[int, ...] = ()


class DeviceClient:
    """The host's side of the protocol, one command at a time.

    Args:
        stream: The connection, which this object then owns.
        instructions_per_tick: Of the emulated board; None for silicon, which counts cycles.
    """

    def __init__(self, stream: ByteStream, instructions_per_tick: Fraction | None = None) -> None:
        self._stream = stream
        self._instructions_per_tick = instructions_per_tick
        self._received = bytearray()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def wait_until_booted(self, timeout_s: float = _BOOT_TIMEOUT_S) -> None:
        """Wait for the greeting of a device that has just been started.

        Raises:
            TargetError: It does not come, or the device reports a fault.
        """
        self._read_answer("the start", timeout_s)

    def handshake(self) -> None:
        """Find a device that may be running already, in whatever state its serial line is.

        Raises:
            LineLost: Nothing answers.
            TargetError: Something answers that does not speak the protocol.
        """
        self._stream.write(b"%")  # Ends what another program may have left half-sent.
        deadline = time.monotonic() + _SILENCE_TIMEOUT_S
        while self._stream.read(_SILENCE_S):
            if time.monotonic() > deadline:
                raise TargetError("something talks without a pause, but not tinyedge: check --port and flash the board")
        self._received.clear()
        self._stream.write(b"name%")
        deadline = time.monotonic() + _HANDSHAKE_TIMEOUT_S
        answers: list[list[str]] = []
        # A slow device may still be answering what came before.
        while not answers or not any(line.startswith("m-name-dut-[") for line in answers[-1]):
            try:
                answers.append(self._read_answer("`name`", deadline - time.monotonic()))
            except LineLost as error:
                if not answers:
                    raise
                raise TargetError(
                    "something answers, but not with tinyedge's protocol: check --port and flash the board"
                ) from error

    def command(self, text: str, timeout_s: float = _COMMAND_TIMEOUT_S) -> list[str]:
        """Send a command and return the lines of its answer without the closing `m-ready`.

        Args:
            text: Without the closing `%`.
            timeout_s: For the whole answer.

        Raises:
            LineLost: The device does not answer in time, or restarts.
            TargetError: It reports an error or a fault.
        """
        self._stream.write(text.encode("ascii") + b"%")
        lines = self._read_answer(f"`{text}`", timeout_s)
        if _GREETING in lines:
            raise LineLost(f"the device restarted before it answered `{text}`: what was loaded into it is gone")
        errors = [line for line in lines if line.startswith("e-[")]
        if errors:
            raise TargetError(f"the device answers `{text}` with {errors[0][:SHOWN]}")
        return lines

    def info(self) -> DeviceInfo:
        """Return what the device says of itself and its model.

        Raises:
            TargetError: It is other firmware.
        """
        return device_info(self.command("te info"))

    def check_model(self, sha256: str) -> None:
        """Make sure that the device runs the model whose file has this hash.

        Raises:
            TargetError: It runs another one.
        """
        info = self.info()
        if not info.sha256 or not sha256.startswith(info.sha256):
            raise TargetError(
                f"the device runs the model {info.name} ({info.sha256}), not {sha256[:16]}: build and flash it again"
            )

    def load(self, data: bytes) -> None:
        """Send an input; the device keeps it for any number of inferences.

        Args:
            data: For a model of one's own the bytes of its inputs, one after the other; for an MLPerf build what that
                benchmark sends.

        Raises:
            LineLost: A byte was lost.
            TargetError: The length is not the model's.
        """
        self.command(f"db load {len(data)}")
        lines: list[str] = []
        for start in range(0, len(data), _BYTES_PER_COMMAND):
            lines = self.command("db " + data[start : start + _BYTES_PER_COMMAND].hex().upper())
        if lines != ["m-load-done"]:
            raise LineLost(f"the device did not confirm the {len(data)} input bytes: a byte was lost on the line")

    def infer(self, inferences: int, warmup: int = 10) -> float:
        """Run inferences on the loaded input.

        Returns:
            Microseconds an inference by the device's clock; an emulator's say nothing about any hardware.
        """
        timeout_s = _INFERENCE_TIMEOUT_S * (inferences + warmup)
        lines = self.command(f"infer {inferences} {warmup}", timeout_s)
        try:
            first, last = (whole_number(line[len(_LAP) :]) for line in lines if line.startswith(_LAP))
        except ValueError as error:
            raise other_firmware("infer", lines) from error
        if last < first or "m-infer-done" not in lines:
            raise other_firmware("infer", lines)
        return (last - first) / inferences

    def reset(self) -> None:
        """Make the model forget all earlier inferences.

        Raises:
            TargetError: The device cannot.
        """
        lines = self.command("te reset")
        if lines != ["te-reset-done"]:
            raise other_firmware("te reset", lines)

    def results(self) -> list[float]:
        """Return the last outputs, dequantised, to three decimals."""
        return self._ask("results", "m-results", reals)

    def run(self, data: bytes) -> bytes:
        """Run one inference and return the bytes of its outputs.

        Args:
            data: Of the input, as for `load`.

        Raises:
            LineLost: As for `load_checked`.
            TargetError: As for `load` and `infer`.
        """
        self.load_checked(data)
        self.infer(1, warmup=0)
        return self.raw()

    def load_checked(self, data: bytes) -> None:
        """Send an input and make sure that it arrived as it is; see `load`.

        Raises:
            LineLost: It arrived with another CRC-32.
        """
        self.load(data)
        loaded, _ = self.crc()
        if loaded != zlib.crc32(data):
            raise LineLost("the input arrived with another CRC-32: a byte was changed on the line")

    def raw(self) -> bytes:
        """Return the bytes of the last outputs."""
        return self._ask("te raw", "te-raw", bytes.fromhex)

    def crc(self) -> tuple[int, int]:
        """Return CRC-32 of the loaded bytes and of the last outputs, which is 0 before the first inference."""
        return self._ask("te crc", "te-crc", checksums)

    def count(self) -> tuple[int, str]:
        """Return what the last inference of `infer` took, and the unit: "cycles" or "ticks"."""
        return self._ask("te count", "te-count", _parse_count)

    def instructions(self) -> int:
        """Return the executed instructions of the last inference of `infer`, to within one tick.

        Raises:
            TargetError: The device counts cycles, not instructions.
        """
        count, unit = self.count()
        if self._instructions_per_tick is None or unit != "ticks":
            raise TargetError(f"the device counts {unit}, and only an emulator counts instructions")
        return self._to_instructions(Fraction(count))

    def enroll(self, which: int) -> int:
        """Add the loaded input to a class; return how many examples the class then has.

        Raises:
            TargetError: There is no such class, it is full, or the image learns no classes.
        """
        return self._ask(f"te enroll {which}", "te-enroll", _two_numbers, _INFERENCE_TIMEOUT_S)[1]

    def classify(self) -> tuple[int, int]:
        """Return the nearest class of the loaded input and its distance, 1 - cosine in units of 2^-24.

        Raises:
            TargetError: No class has examples, or the image learns none.
        """
        return self._ask("te classify", "te-class", _two_numbers, _INFERENCE_TIMEOUT_S)

    def forget(self, which: int) -> None:
        """Clear a class."""
        self._ask(f"te forget {which}", "te-forget", whole_numbers)

    def classes(self) -> list[int]:
        """Return how many examples each class has."""
        return self._ask("te classes", "te-classes", whole_numbers)

    def save(self) -> int:
        """Write the classes into the flash; return the number of this save, which rises by one a save."""
        return self._ask("te save", "te-save", whole_numbers)[0]

    def restore(self) -> int:
        """Read the classes that were saved last; return the number of that save.

        Raises:
            TargetError: There are none, they are damaged or of another model; the classes are as they were.
        """
        return self._ask("te restore", "te-restore", whole_numbers)[0]

    def layers(self) -> list[LayerCount]:
        """Run an inference on the loaded input and return what each layer took.

        Raises:
            TargetError: The image was built without `layers`.
        """
        found: dict[int, LayerCount] = {}
        for part, line in enumerate(self.command("te layers", _INFERENCE_TIMEOUT_S)):
            index, layer = within_brackets(line, "te-layer", "te layers", self._parse_layer)
            earlier = found.get(index, replace(layer, count=0))
            found[index] = replace(layer, count=earlier.count + layer.count, parts=(*earlier.parts, part))
        return [found[index] for index in sorted(found)]

    def _parse_layer(self, text: str) -> tuple[int, LayerCount]:
        index, op, kernel, macs, count, name = text.split(",", 5)
        layer = LayerCount(name, op, kernel, whole_number(macs), self._to_instructions(decimal(count)))
        return whole_number(index, MOST_LAYERS), layer

    def _to_instructions(self, count: Fraction) -> int:
        """A count of ticks as instructions; a count of cycles as it is."""
        return round(count if self._instructions_per_tick is None else count * self._instructions_per_tick)

    def _ask(
        self, command: str, prefix: str, parse: Callable[[str], _Parsed], timeout_s: float = _COMMAND_TIMEOUT_S
    ) -> _Parsed:
        lines = self.command(command, timeout_s)
        return within_brackets(lines[0] if len(lines) == 1 else "", prefix, command, parse)

    def _read_answer(self, what: str, timeout_s: float) -> list[str]:
        lines: list[str] = []
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._read_line(deadline)
            if line is None:
                seen = f" after {shown(lines[-1])}" if lines else ""
                raise LineLost(
                    f"the device did not answer {what} within {max(math.ceil(timeout_s), 1)} s{seen}: "
                    "check the port and the baud rate, then reset the board"
                )
            if line == "m-ready":
                return lines
            if line.startswith("e-[the model could not be prepared"):
                raise TargetError(f"the device stopped with {line[:SHOWN]}: build and flash the firmware again")
            if line.startswith("e-[fault"):
                raise TargetError(
                    f"the device stopped at {what} with {line[:SHOWN]}: reset it; if it stays, report the line"
                )
            if line:
                lines.append(line)
            if len(lines) > MOST_LINES:
                raise TargetError(f"the device answers {what} without an end: check --port and flash the board")

    def _read_line(self, deadline: float) -> str | None:
        """The next line without its end, or None when the deadline has passed."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > MOST_LINE_BYTES:
                raise TargetError(
                    "something sends a line without an end, not tinyedge: check --port and flash the board"
                )
            left_s = deadline - time.monotonic()
            data = self._stream.read(left_s) if left_s > 0 else b""
            if not data:
                return None
            self._received += data
        line = printable(bytes(self._received[:end]))
        del self._received[: end + 1]
        return line


def _two_numbers(text: str) -> tuple[int, int]:
    first, second = whole_numbers(text, 2)
    return first, second


def _parse_count(text: str) -> tuple[int, str]:
    count, unit = text.split(",")
    if unit not in ("cycles", "ticks"):
        raise ValueError(unit)
    return whole_number(count), unit
