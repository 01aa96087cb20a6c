"""Learning by the serial protocol on the host, under the address and undefined-behaviour sanitizers.

The fixture model writes its input backwards, so an embedding is what was loaded.
"""

import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from firmware.named_model import model_flags

from tinyedge.c_sources import firmware_root
from tinyedge.learning.nearest_mean import NearestMean

FIXTURES = Path(__file__).parent / "fixtures"
MODEL = FIXTURES / "countdown"
CLASSES = 3
ZERO_POINT = 3
SLOT_BYTES = 512
RECORD_BYTES = 192  # 32 of header, 6 of counts, 144 of accumulators and 4 of CRC, rounded up.


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    root = firmware_root()
    program = tmp_path_factory.mktemp("learning") / "host_learning"
    names = ("protocol", "text", "crc32", "learning", "learning_memory", "classes", "store")
    sources = [FIXTURES / "host_protocol.c", FIXTURES / "host_flash.c", MODEL / "countdown_model.c"]
    sources += [root / "runtime" / "aot" / "te_runtime_aot.c", *(root / "app" / f"te_{name}.c" for name in names)]
    includes = [f"-I{place}" for place in (MODEL, root / "app", root / "runtime", root / "kernels")]
    warnings = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
    options = (
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        f"-DTE_ENROLL_CLASSES={CLASSES}u",
    )
    subprocess.run(
        ["gcc", *warnings, *options, *includes, *model_flags("countdown"), *sources, "-o", program], check=True
    )
    return program


@pytest.fixture
def flash(tmp_path):
    file = tmp_path / "flash"
    file.write_bytes(b"\xff" * 2 * SLOT_BYTES)
    return file


@pytest.fixture
def start(device, flash):
    """Start a device on the flash as it is, send it commands, and return the answers, one a command."""

    def run(commands: str, **environment: str) -> list[str]:
        done = subprocess.run(
            [device, ""],
            input=commands.encode(),
            capture_output=True,
            timeout=60,
            env={"TE_FLASH": str(flash), **environment},
        )
        assert done.returncode == 0, done.stderr.decode()
        answers = done.stdout.decode("ascii").split("m-ready\r\n")[1:-1]
        assert len(answers) == commands.count("%")
        return [answer.strip() for answer in answers if answer and not answer.startswith("m-[Expecting")]

    return run


def embedding(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-128, 128, 24, np.int8)
    values[-4:] = (0, 0, 0, seed)  # The model takes them, backwards, for a small number to count down from.
    return values


def load(values: np.ndarray) -> str:
    return f"db load 24%db {values[::-1].tobytes().hex()}%"


def test_learning_follows_the_formula(start):
    host = NearestMean(CLASSES, ZERO_POINT)
    commands, expected = "", []
    for seed in range(30):
        which = seed % CLASSES
        host.enroll(which, embedding(seed))
        commands += load(embedding(seed)) + f"te enroll {which}%"
        expected += ["m-load-done", f"te-enroll-[{which},{seed // CLASSES + 1}]"]
    for seed in range(30, 60):
        commands += load(embedding(seed)) + "te classify%"
        which, distance = host.classify(embedding(seed))
        expected += ["m-load-done", f"te-class-[{which},{distance}]"]
    assert start(commands) == expected


def test_forgetting_clears_one_class(start):
    answers = start(
        load(embedding(1)) + "te enroll 0%te enroll 2%te forget 0%te classes%te classify%te forget 2%te classify%"
    )
    assert answers[1:] == [
        "te-enroll-[0,1]",
        "te-enroll-[2,1]",
        "te-forget-[0]",
        "te-classes-[0,0,1]",
        "te-class-[2,0]",
        "te-forget-[2]",
        "e-[no class has examples: use te enroll or te restore first]",
    ]


@pytest.mark.parametrize("word", ["", "3", "-1", "x", "4294967296", "0x1", "1e0"])
@pytest.mark.parametrize("command", ["enroll", "forget"])
def test_a_class_that_is_none_changes_nothing(start, command, word):
    answers = start(load(embedding(1)) + f"te enroll 1%te {command} {word}%te classes%")
    assert answers[2:] == [f"e-[te {command} needs a class from 0 to 2]", "te-classes-[0,1,0]"]


@pytest.mark.parametrize("command", ["enroll 0", "classify"])
def test_without_an_input_nothing_is_learned(start, command):
    assert start(f"te {command}%te classes%")[0].startswith("e-[0 input bytes are loaded but the model takes 24")
    assert start(f"db load 24%db 00%te {command}%te classes%")[-1] == "te-classes-[0,0,0]"


def test_a_full_class_takes_no_more(start):
    answers = start(load(embedding(1)) + "te enroll 1%" * 257 + "te classes%")
    assert answers[255:] == ["te-enroll-[1,255]"] + [
        "e-[class 1 has 255 examples, which is the most: te forget clears it]"
    ] * 2 + ["te-classes-[0,255,0]"]


def test_an_image_that_learns_says_so(start):
    assert '"classes":3,"store":"a file",' in start("te info%")[0]


def test_saved_classes_outlive_the_device(start):
    first = start(load(embedding(1)) + "te enroll 0%te save%" + load(embedding(2)) + "te enroll 1%te save%te classify%")
    assert (first[2], first[5]) == ("te-save-[1]", "te-save-[2]")
    assert start("te classes%") == ["te-classes-[0,0,0]"]
    again = start("te restore%te classes%" + load(embedding(2)) + "te classify%te save%")
    assert again == ["te-restore-[2]", "te-classes-[1,1,0]", "m-load-done", first[6], "te-save-[3]"]


def test_nothing_saved_is_said(start):
    answers = start(load(embedding(1)) + "te enroll 1%te restore%te classes%")
    assert answers[2:] == ["e-[no classes were saved: use te save first]", "te-classes-[0,1,0]"]


@pytest.mark.parametrize("place", [0, 5, 11, 16, 31, 32, 40, 181, 186, RECORD_BYTES - 1])
def test_a_wrong_bit_is_found(start, flash, place):
    start(load(embedding(1)) + "te enroll 0%te save%")
    content = bytearray(flash.read_bytes())
    content[place] ^= 0x10
    flash.write_bytes(content)
    answers = start(load(embedding(2)) + "te enroll 1%te restore%te classes%te save%te restore%")
    assert answers[2:] == [
        "e-[the saved classes are damaged: their CRC is wrong]",
        "te-classes-[0,1,0]",
        "te-save-[1]",
        "te-restore-[1]",
    ]


def test_of_a_damaged_and_a_whole_save_the_whole_one_counts(start, flash):
    start(load(embedding(1)) + "te enroll 0%te save%te enroll 0%te save%")
    content = bytearray(flash.read_bytes())
    content[SLOT_BYTES + 50] ^= 1  # The newer one.
    flash.write_bytes(content)
    assert start("te restore%te classes%") == ["te-restore-[1]", "te-classes-[1,0,0]"]


def saved_record(**changes: int | bytes) -> bytes:
    """A record as firmware/app/te_store.h has it, without examples."""
    header = {"magic": b"TECL", "layout": 1, "classes": CLASSES, "values": 24, "sequence": 7, "model": b"c0dec0dec0de"}
    head = struct.pack("<4sHHII12s", *(header | changes).values())
    head += struct.pack("<I", zlib.crc32(head))
    body = (head + bytes(2 * CLASSES + 2 * 24 * CLASSES)).ljust(RECORD_BYTES - 4, b"\0")
    return body + struct.pack("<I", zlib.crc32(body))


def test_a_record_is_what_the_header_file_says(start, flash):
    flash.write_bytes(saved_record().ljust(2 * SLOT_BYTES, b"\xff"))
    assert start("te restore%te save%te forget 0%te restore%") == [
        "te-restore-[7]",
        "te-save-[8]",
        "te-forget-[0]",
        "te-restore-[8]",
    ]
    assert flash.read_bytes()[SLOT_BYTES : SLOT_BYTES + RECORD_BYTES] == saved_record(sequence=8)


@pytest.mark.parametrize("changes", [{"model": b"c0dec0dec0df"}, {"classes": 4}, {"values": 25}, {"layout": 2}])
def test_classes_of_another_model_or_capacity_are_refused(start, flash, changes):
    flash.write_bytes(saved_record(**changes).ljust(2 * SLOT_BYTES, b"\xff"))
    foreign = "e-[the saved classes are of another model or of another number of classes]"
    answers = start(load(embedding(1)) + "te enroll 1%te restore%te classes%te save%te restore%")
    assert answers[2:] == [foreign, "te-classes-[0,1,0]", "te-save-[1]", "te-restore-[1]"]


def test_a_flash_that_fails_is_said_and_keeps_what_was_saved(start):
    start(load(embedding(1)) + "te enroll 0%te save%")
    answers = start(load(embedding(1)) + "te enroll 1%te save%te restore%te classes%", TE_FLASH_FAILS="1")
    assert answers[2:] == ["e-[the flash did not keep the classes]", "te-restore-[1]", "te-classes-[1,0,0]"]


def test_classes_that_do_not_fit_a_slot_are_not_saved(start):
    answers = start("te save%te restore%", TE_FLASH_SLOT_BYTES=str(RECORD_BYTES - 1))
    assert answers == ["e-[there is no room for the classes where this board saves them]"] * 2
    assert start("te save%te restore%", TE_FLASH_SLOT_BYTES=str(RECORD_BYTES))[1] == "te-restore-[1]"
