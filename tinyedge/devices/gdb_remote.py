"""The part of GDB's remote serial protocol that writes the memory of a halted processor.

"Debugging with GDB", appendix E: packets in E.1, E.2 and E.4. QEMU's gdbstub speaks it, and so do the servers of debug
probes. Whoever writes through it writes as a probe does: into flash too.
"""

import contextlib
import re
import socket
import time

from tinyedge.errors import TargetError

_TIMEOUT_S = 30.0
_RESET_TIMEOUT_S = 10.0
# "M", address, length and the two separators come before the digits of the data.
_WRITE_OVERHEAD_BYTES = 32
_STACK_POINTER, _PROGRAM_COUNTER = 13, 15
_REGISTER_DIGITS = 8
_STOPPED = re.compile(rb"[ST][0-9a-f]{2}")


class GdbRemote:
    """A client of a GDB server, whose processor is halted or halts when the connection comes.

    Args:
        connection: To the server; then this object's.

    Raises:
        TargetError: The other side does not speak the protocol.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(_TIMEOUT_S)
        self._received = bytearray()
        features = self._ask(b"qSupported").decode("ascii", errors="replace")
        size = re.search(r"PacketSize=([0-9a-fA-F]+)", features)
        if size is None:
            raise TargetError(f"the GDB server states no packet size ({features!r}): use QEMU 7 or later")
        # Two digits a byte.
        self._bytes_a_packet = (int(size[1], 16) - _WRITE_OVERHEAD_BYTES) // 2

    def write(self, address: int, data: bytes) -> None:
        """Write into memory, flash included.

        Raises:
            TargetError: There is no memory.
        """
        for start in range(0, len(data), self._bytes_a_packet):
            part = data[start : start + self._bytes_a_packet]
            answer = self._ask(f"M{address + start:x},{len(part):x}:{part.hex()}".encode())
            if answer != b"OK":
                raise TargetError(
                    f"the board does not take {len(part)} bytes at {address + start:#010x} "
                    f"({_quoted(answer)}): build the image for this --board"
                )

    def read(self, address: int, size: int) -> bytes:
        """Read memory.

        Raises:
            TargetError: There is none.
        """
        data = bytearray()
        while len(data) < size:
            start, count = address + len(data), min(size - len(data), self._bytes_a_packet)
            answer = self._ask(f"m{start:x},{count:x}".encode())
            part = _unhex(answer)
            if len(part) != count:
                raise TargetError(f"the board does not give {count} bytes at {start:#010x} ({_quoted(answer)})")
            data += part
        return bytes(data)

    def verify(self, address: int, data: bytes) -> None:
        """Read back what was written.

        Raises:
            TargetError: A byte differs.
        """
        found = self.read(address, len(data))
        if found != data:
            offset = next(index for index, (a, b) in enumerate(zip(found, data, strict=True)) if a != b)
            raise TargetError(
                f"verification failed at {address + offset:#010x}: wrote {data[offset]:#04x}, read {found[offset]:#04x}"
            )

    def reset(self, stack_pointer: int, program_counter: int) -> None:
        """Reset the board, which stays halted, and wait until the processor has fetched its first vectors.

        Args:
            stack_pointer: The first word of the vector table.
            program_counter: The second, whose lowest bit says Thumb and is not part of the address.

        Raises:
            TargetError: It has fetched others.
        """
        # Commands of the server itself go as hex; this one is QEMU's.
        answer = self._ask(b"qRcmd," + b"system_reset".hex().encode())
        if answer != b"OK":
            raise TargetError(f"the emulator does not reset ({_quoted(answer)}): use QEMU 7 or later")
        expected = (stack_pointer, program_counter & ~1)
        deadline = time.monotonic() + _RESET_TIMEOUT_S
        while (found := self._registers()) != expected:
            if time.monotonic() > deadline:
                raise TargetError(
                    f"after the reset the processor starts at {found[1]:#010x} with its stack at {found[0]:#010x}, "
                    f"not at {expected[1]:#010x} and {expected[0]:#010x}: build the image for this --board"
                )
            time.sleep(0.01)

    def resume(self) -> None:
        """Let the processor run and leave it alone."""
        # The answer to "detach" comes once it runs.
        if self._ask(b"D") != b"OK":
            raise TargetError("the GDB server does not let go of the processor: stop it and try again")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _registers(self) -> tuple[int, int]:
        """Stack pointer and program counter."""
        digits = self._ask(b"g")

        def value(index: int) -> int:
            word = _unhex(digits[index * _REGISTER_DIGITS : (index + 1) * _REGISTER_DIGITS])
            return int.from_bytes(word, "little")

        return value(_STACK_POINTER), value(_PROGRAM_COUNTER)

    def _ask(self, packet: bytes) -> bytes:
        try:
            self._connection.sendall(b"$" + packet + b"#%02x" % (sum(packet) % 256))
            answer = self._answer()
            # A processor that ran until the connection came says that it has stopped, now or a little later.
            while _STOPPED.match(answer):
                answer = self._answer()
            return answer
        except OSError as error:
            raise TargetError(f"the GDB server is gone ({error}): start again") from error

    def _answer(self) -> bytes:
        """The next packet, acknowledged; what lies between packets are acknowledgements."""
        while True:
            match = re.search(rb"\$([^#]*)#([0-9a-fA-F]{2})", bytes(self._received))
            if match is not None:
                del self._received[: match.end()]
                if sum(match[1]) % 256 != int(match[2], 16):
                    raise TargetError("the GDB server sent a packet with a wrong checksum: start again")
                self._connection.sendall(b"+")
                return match[1]
            part = self._connection.recv(65536)
            if not part:
                raise ConnectionError("it closed the connection")
            self._received += part


def _unhex(digits: bytes) -> bytes:
    """The bytes of an answer; none where it is no data but an error."""
    with contextlib.suppress(ValueError):
        return bytes.fromhex(digits.decode("ascii", errors="replace"))
    return b""


def _quoted(answer: bytes) -> str:
    return repr(answer.decode("ascii", errors="replace")) if answer else "not supported"
