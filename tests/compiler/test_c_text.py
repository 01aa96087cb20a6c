"""Constants as C spells them, read back by a C compiler and by Python."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinyedge.compiler.emit.c_text import array, string_array

RANDOM = np.random.default_rng(0)
VALUES: list[np.ndarray] = [
    np.arange(-128, 128).astype(np.int8),
    RANDOM.integers(-9, 10, (3, 5, 7)).astype(np.int8),  # A row that is not full ends it.
    RANDOM.integers(0, 256, 1000).astype(np.uint8),
    np.arange(-(2**15), 2**15).astype(np.int16),
    np.array([-(2**31), -1, 0, 2**31 - 1], np.int32),
    np.array([0, 1, 2**32 - 1], np.uint32),
    np.array([-(2**40), 2**40], np.int64),
    np.array([0.0, -0.0, 1 / 3, -1e-45, 3.4e38], np.float32),
    np.array([0.0, -0.0, 1 / 3, -5e-324, 1.7e308], np.float64),
    np.array([63], np.int8),  # A question mark in a string.
]


@pytest.mark.parametrize("print_array", [array, string_array])
def test_a_compiler_reads_the_values(print_array: Callable[[str, np.ndarray], str], tmp_path: Path) -> None:
    arrays = "".join(print_array(f"values_{index}", values) for index, values in enumerate(VALUES))
    writes = "".join(f"    fwrite(values_{index}, 1, sizeof values_{index}, stdout);\n" for index in range(len(VALUES)))
    source = tmp_path / "values.c"
    source.write_text(
        f"#include <stdint.h>\n#include <stdio.h>\n{arrays}int main(void) {{\n{writes}    return 0;\n}}\n"
    )
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run(
        [*compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", source, "-o", tmp_path / "values"], check=True
    )
    said = subprocess.run([tmp_path / "values"], capture_output=True, check=True).stdout
    assert said == b"".join(values.tobytes() for values in VALUES)


@pytest.mark.parametrize("values", VALUES[:4], ids=["int8", "rows", "uint8", "int16"])
def test_small_integers_stand_in_lines_of_equally_many(values: np.ndarray) -> None:
    head, *rows, tail = array("values", values).splitlines()[:-1]
    assert head == f"static const {values.dtype.name}_t values[{values.size}] = {{"
    assert tail == "};"
    assert all(re.fullmatch(r" {4}(-?\d+, )*-?\d+,", row) for row in rows)
    found = [[int(entry) for entry in row.rstrip(",").split(",")] for row in rows]
    assert [entry for row in found for entry in row] == values.reshape(-1).tolist()
    assert len({len(row) for row in found[:-1]}) <= 1
    # No line is too long, and one more of the widest would make it so.
    widest = len(", ") + max(len(str(value)) for value in values.reshape(-1))
    assert 120 - widest < 3 + widest * len(found[0]) <= 120
