"""Changes of models that keep most of them openable."""

import random
from collections.abc import Sequence

_LONGEST_INPUT = 8_192
_WORDS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)


def mutate(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """One to six changes of a model; its identifier stays in most."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _CHANGES[rng.randrange(len(_CHANGES))](rng, data, others)
    if rng.random() < 0.95:
        data[4:8] = b"TFL3"
    return bytes(data[:_LONGEST_INPUT])


def mutate_values(rng: random.Random, content: bytes) -> bytes:
    """One to eight bytes of a model as others: most lie in its weights, biases and scales."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data)


def _set_byte(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 4, 127, 128, 255, rng.randrange(256)))


def _set_word(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    """A flatbuffer is little-endian words on their own boundaries: offsets, lengths, numbers."""
    size = rng.choice((2, 4, 4, 4, 8))
    if len(data) >= size:
        at = rng.randrange(len(data) // size) * size
        value = rng.choice(_WORDS) if rng.random() < 0.6 else rng.randrange(len(data) + 8)
        data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")


def _add_to_word(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if len(data) >= 4:
        at = rng.randrange(len(data) // 4) * 4
        value = int.from_bytes(data[at : at + 4], "little") + rng.randint(-16, 16)
        data[at : at + 4] = (value % 2**32).to_bytes(4, "little")


def _cut(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        start = rng.randrange(len(data))
        del data[start : start + rng.choice((1, 4, 8, len(data)))]


def _insert(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice((b"\0", b"\xff", b"\0\0\0\0", rng.randbytes(4)))


def _copy_within(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if len(data) >= 8:
        size = rng.choice((4, 4, 8, 16, 64))
        source, target = rng.randrange(len(data) - 4), rng.randrange(len(data) - 4)
        part = data[source : source + size]
        data[target : target + len(part)] = part


def _splice(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    at = rng.randrange(min(len(data), len(other)) + 1)
    data[at:] = other[at:]


_CHANGES = (_set_byte, _set_byte, _set_word, _set_word, _set_word, _add_to_word, _add_to_word, _cut, _insert)
_CHANGES = (*_CHANGES, _copy_within, _copy_within, _splice)
