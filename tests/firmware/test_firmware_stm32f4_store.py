"""The STM32F405's flash driver against a model of its flash interface: QEMU has none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinyedge.boards.board import load_board
from tinyedge.c_sources import firmware_root

FIXTURES = Path(__file__).parent / "fixtures" / "stm32f4_flash"

if sys.platform != "linux":
    pytest.skip("the model lies at the chip's own addresses, for which it needs Linux", allow_module_level=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root, folder = firmware_root(), tmp_path_factory.mktemp("stm32f4")
    # A copy, so that its te_cortexm.h is the model's and not the one beside it.
    driver = shutil.copy(root / "boards" / "stm32f4_store.c", folder)
    sources = [FIXTURES / "flash.c", driver, root / "boards" / "te_memory_store.c"]
    sources += [root / "app" / name for name in ("te_store.c", "te_crc32.c")]
    store = load_board("stm32f405").store
    places = {"ORIGIN": store.origin, "SLOT_BYTES": store.slot_bytes, "PROGRAM_BYTES": store.program_bytes}
    definitions = [f"-DTE_STORE_{name}={value}u" for name, value in places.items()]
    includes = [f"-I{place}" for place in (FIXTURES, root / "app", root / "boards")]
    options = ("-std=gnu99", "-Wall", "-Wextra", "-Wno-int-to-pointer-cast", "-g", "-O1", "-fsanitize=undefined")
    program = folder / "stm32f4_flash"
    subprocess.run(
        ["gcc", *options, "-fno-sanitize-recover=all", *definitions, *includes, *sources, "-o", program], check=True
    )

    def answer(what: str) -> list[str]:
        done = subprocess.run([program, what], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return answer


def test_the_driver_does_what_the_manual_asks(run):
    # 64 bytes are 16 words; status 0, and what was saved is what is restored.
    assert run("save") == [
        "flash, sectors 1 and 2, 16384 bytes",
        *(f"0 0 {n}" for n in range(1, 6)),
        "5 erases, 80 words",
    ]


def test_a_word_that_the_flash_refuses_fails_the_save_alone(run):
    saves = run("error")[1:-1]
    failed = 2  # TE_STORE_FAILED
    assert saves == ["0 0 1", "0 0 2", f"{failed} 0 2", "0 0 4", "0 0 5"]


def test_without_a_flash_interface_free_memory_stands_in(run):
    first, *saves, last = run("none")
    assert first == "memory that a reset keeps, for this machine emulates no flash, 64 bytes"
    assert saves == [f"0 0 {n}" for n in range(1, 6)]
    assert last == "0 erases, 0 words"
