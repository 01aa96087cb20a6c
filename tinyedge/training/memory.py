"""Settings of the C library's allocator that suit training on the CPU."""

import ctypes
import sys

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the process keep the memory that tensors free, instead of giving it back and fetching it on each step.

    The GNU C library gets every large block from the kernel anew, which then clears each page at its first touch; a
    step's activations are hundreds of megabytes. Elsewhere nothing happens.

    Returns:
        Whether the allocator took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
