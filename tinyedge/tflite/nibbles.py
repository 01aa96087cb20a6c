"""INT4 as TFLite stores it: two values a byte, the first in the lower half."""

import numpy as np

INT4_MIN, INT4_MAX = -8, 7


def pack_int4(values: np.ndarray) -> np.ndarray:
    """Pack values of [-8, 7].

    Args:
        values: Of any shape, int8.

    Returns:
        (ceil(elements / 2)) uint8; what an odd number lacks to a byte is 0.
    """
    nibbles = values.reshape(-1).astype(np.uint8) & 15
    nibbles = np.pad(nibbles, (0, nibbles.size % 2))
    packed: np.ndarray = nibbles[::2] | nibbles[1::2] << 4
    return packed


def unpack_int4(packed: np.ndarray, count: int) -> np.ndarray:
    """Unpack what `pack_int4` makes.

    Args:
        packed: Bytes, of any type of 8 bits.
        count: Of values.

    Returns:
        (count) int8.
    """
    halves = np.stack([packed.view(np.int8) << 4, packed.view(np.int8)], axis=1)
    values: np.ndarray = (halves.reshape(-1) >> 4)[:count]
    return values
