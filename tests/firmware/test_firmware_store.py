"""The classes in flash, under the sanitizers: the power is cut at every operation of a save."""

import subprocess
from pathlib import Path

import pytest

from tinyedge.c_sources import firmware_root

FIXTURES = Path(__file__).parent / "fixtures"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")


@pytest.fixture(scope="module")
def host_store(tmp_path_factory):
    app = firmware_root() / "app"
    program = tmp_path_factory.mktemp("store") / "host_store"
    sources = [FIXTURES / "host_store.c", app / "te_store.c", app / "te_crc32.c"]
    sanitize = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run(["gcc", *WARNINGS, "-g", "-O1", *sanitize, f"-I{app}", *sources, "-o", program], check=True)
    return program


# Flash that is written by bytes, as on the F4 by words, and as on the L4, the U5 and the H7; and how many saves are cut
# after one another, each at every operation and in every way.
RUNS = [
    *((1, 1), (4, 1), (8, 1), (16, 2), (32, 2)),
    *(pytest.param(*run, marks=pytest.mark.thorough) for run in ((4, 2), (8, 2), (32, 3))),
]


@pytest.mark.parametrize(("unit_bytes", "depth"), RUNS)
def test_power_cuts_leave_the_old_or_the_new_classes(host_store, unit_bytes, depth, record_property):
    done = subprocess.run([host_store, str(unit_bytes), str(depth)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    cuts, old, new, sequences, told = (int(word.split()[0]) for word in done.stdout.split(", "))
    record_bytes = 128  # 32 of header, 6 of counts, 78 of accumulators and 4 of CRC, rounded up.
    generations, ways, operations = 6, 7, 1 + record_bytes // unit_bytes
    assert cuts == generations * ways * operations
    assert old + new == cuts
    # Only a cut after, or at the very end of, the last unit gives the new ones.
    assert 6 <= new <= 6 * 5
    assert sequences == generations * (ways * operations) ** depth
    record_property("tries", sequences)
    # Both slots are erased at first, and a unit of ones needs no writing.
    assert 0.95 * generations * operations - 2 <= told <= generations * operations - 2
