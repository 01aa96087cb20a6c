"""What a careless or hostile host may send: nothing of it may store a byte, and the device must stay ready."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialogue:
    """Bytes on the line.

    Attributes:
        label: Says what is wrong with them.
        sent: The bytes; the last one ends a command.
        refused: How many of the commands must be answered with an error.
    """

    label: str
    sent: bytes
    refused: int

    @property
    def commands(self) -> int:
        """How many answers come, each with its `m-ready`."""
        return self.sent.count(b"%")


def hostile_dialogues(input_bytes: int) -> list[Dialogue]:
    """Dialogues for a freshly reset device whose input has this many bytes, each to be sent alone.

    None holds a `db` command that is right, so none may change the device's input.
    """
    oversize = [
        str(input_bytes + 1),
        "65536",
        "4294967295",
        "4294967296",
        "99999999999999999999999",
        "-1",
        "0",
        "",
        "x",
    ]
    garbage = ["0", "zz", "0g", "0x", "00 11", "--", "\x7f\x7f", "é", "'; DROP", "%s%n", "1" * 75]
    numbers = ["", "0", "-1", "x", "1 x", "4294967296 0", "1 -1", "1e3"]
    return [
        Dialogue(
            "oversize db load",
            b"".join(f"db load {count}%db 00%db {'AB' * 31}%".encode() for count in oversize),
            3 * len(oversize),
        ),
        Dialogue(
            "hex garbage",
            f"db load {input_bytes}%".encode() + b"".join(_db(text) for text in garbage),
            sum(_db(text).count(b"%") for text in garbage),
        ),
        Dialogue("more bytes than announced", b"db load 2%db 000000%" + b"db " + b"AB" * 31 + b"%", 2),
        Dialogue("ten kilobytes without an end", b"\xa5" * 10_000 + b"%", 1),
        Dialogue("ten kilobytes of db without an end", b"db load 8%db " + b"AB" * 5_000 + b"%", 1),
        Dialogue("inference and results before an input", b"infer 1 0%results%te raw%infer 1 0%", 4),
        Dialogue("bytes before db load", b"db 00%db FFFF%db print%te crc%", 2),
        Dialogue("inference of half an input", f"db load {input_bytes - 1}%infer 1 0%db load 1%infer 1 0%".encode(), 2),
        Dialogue("NULs", b"\0\0na\0me\0%\0%\0d\0b\0 \0%\0\0profile\0%", 2),
        Dialogue("line ends", b"\r\n\r\nname\r\n%\n\ntimestamp\n%\r\r%", 1),
        Dialogue("empty commands", b"%" * 50, 50),
        Dialogue(
            "bytes that are no text", bytes(byte for byte in range(1, 256) if byte != ord("%")) + b"%\x80\xff%", 2
        ),
        Dialogue("bad numbers", b"".join(f"infer {number}%".encode() for number in numbers), len(numbers)),
        Dialogue("words too many", b"db load 1 2 3%name name name%profile x%infer 1 0 0 0%", 1),
    ]


def _db(text: str) -> bytes:
    return b"db " + text.encode() + b"%"
