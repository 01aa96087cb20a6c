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


# Flash that is written by bytes, as on the F4 by words, and as on the L4, the U5 and the H7.
@pytest.mark.parametrize("unit_bytes", [1, 4, 8, 16, 32])
def test_a_power_cut_leaves_the_old_or_the_new_classes(host_store, unit_bytes):
    done = subprocess.run([host_store, str(unit_bytes)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    cuts, old, new = (int(word.split()[0]) for word in done.stdout.split(", "))
    record_bytes = 128  # 32 of header, 6 of counts, 78 of accumulators and 4 of CRC, rounded up.
    assert cuts == 6 * 6 * (1 + record_bytes // unit_bytes)
    assert old + new == cuts
    # Only a cut after, or at the very end of, the last unit gives the new ones.
    assert 6 <= new <= 6 * 5
