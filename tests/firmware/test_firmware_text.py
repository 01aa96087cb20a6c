"""Numbers as text and checksums, against Python's own."""

import ctypes
import subprocess
import zlib

import numpy as np
import pytest

from tinyedge.c_sources import firmware_root

PUT = ctypes.CFUNCTYPE(None, ctypes.c_char)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    app = firmware_root() / "app"
    path = tmp_path_factory.mktemp("text") / "text.so"
    flags = ["-std=c99", "-O2", "-shared", "-fPIC", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    subprocess.run(["gcc", *flags, app / "te_text.c", app / "te_crc32.c", "-o", path], check=True)
    loaded = ctypes.CDLL(str(path))
    loaded.te_crc32.restype = ctypes.c_uint32
    loaded.te_crc32.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
    return loaded


def text_of(function, *arguments) -> str:
    out = bytearray()
    function(PUT(lambda byte: out.extend(byte)), *arguments)
    return out.decode("ascii")


def floats() -> np.ndarray:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, 3000, dtype=np.uint32).view(np.float32)
    near = (generator.normal(size=3000) * 10.0 ** generator.integers(-5, 6, 3000)).astype(np.float32)
    ties = np.arange(-400, 400, dtype=np.float32) / np.float32(16000.0)
    halves = np.arange(-4000, 4000, 5, dtype=np.float32) / np.float32(2000.0)
    eighths = np.arange(-64, 64, dtype=np.float32) / np.float32(16.0)
    corner = np.array([0.0, -0.0, 0.0005, 0.0015, 1e-45, 1e-38, 9007199254740991.0, -1.5, 1e15], np.float32)
    return np.concatenate([bits, near, ties, halves, eighths, corner])


def test_fixed3_is_printf(library):
    for value in floats():
        number = float(value)
        if abs(number) < 2.0**53:
            expected = f"{number:.3f}"
        elif np.isfinite(number):
            expected = ("-" if number < 0 else "") + "9007199254740992.000"
        else:
            expected = "nan"
        assert text_of(library.te_put_fixed3, ctypes.c_float(number)) == expected, number.hex()


def test_float_comes_back(library):
    values = floats()
    for value in np.abs(values[np.isfinite(values)]):
        text = text_of(library.te_put_float, ctypes.c_float(float(value)))
        assert len(text) <= 14
        assert np.float32(text) == value, (text, value)


@pytest.mark.parametrize("value", [0, 1, 9, 10, 4294967295, 4294967296, 2**64 - 1, 12345678901234567890])
def test_unsigned(library, value):
    assert text_of(library.te_put_unsigned, ctypes.c_uint64(value)) == str(value)


@pytest.mark.parametrize("value", [0, -1, 7, -(2**31), 2**31 - 1])
def test_signed(library, value):
    assert text_of(library.te_put_signed, ctypes.c_int32(value)) == str(value)


def test_hex(library):
    assert text_of(library.te_put_hex, ctypes.c_uint32(0xDEADBEEF), 8) == "DEADBEEF"
    assert text_of(library.te_put_hex, ctypes.c_uint32(0xDEADBEEF), 2) == "EF"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 15, 16, 17, 255, 3072])
def test_crc32_is_zlibs(library, size):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()
    assert library.te_crc32(data, size) == zlib.crc32(data)
    assert library.te_crc32(b"\xff" * size, size) == zlib.crc32(b"\xff" * size)
