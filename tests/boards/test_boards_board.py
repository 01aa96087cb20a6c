import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from tinyedge.boards.board import board_names, load_board
from tinyedge.c_sources import firmware_root
from tinyedge.errors import ConfigError


def test_the_boards_of_the_design_are_there():
    silicon = {"stm32f405", "nucleo_h743zi2", "disco_f746ng", "nucleo_l4r5zi", "nucleo_u575zi"}
    silicon |= {"nucleo_f207zg", "nucleo_g0b1re", "nucleo_g474re", "nucleo_wb55rg", "nrf52840_dk"}
    emulated = {"mps2_an385", "mps2_an385_m0plus", "mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547"}
    assert silicon | emulated == set(board_names())
    assert {name for name in board_names() if load_board(name).part} == silicon


def test_stm32f405_is_the_chip_of_its_data_sheet():
    board = load_board("stm32f405")
    assert (board.flash.origin, board.flash_bytes) == (0x0800_0000, 1024 * 1024)
    assert (board.sram.origin, board.ram_bytes) == (0x2000_0000, 128 * 1024)
    assert board.clock_hz == 168_000_000
    assert board.emulator.instructions_per_tick == Fraction(125, 21)


def test_only_mps3_an547_starts_outside_of_its_flash():
    board = load_board("mps3_an547")
    assert board.boot is not None
    assert board.boot.end <= board.flash.origin
    assert [name for name in board_names() if load_board(name).boot] == ["mps3_an547"]


@pytest.mark.parametrize("name", board_names())
def test_every_description_is_whole(name):
    board = load_board(name)
    assert board.name == name
    assert f"-mcpu={board.cpu} " in f"{board.cpu_flags} "
    assert (firmware_root() / "boards" / board.source).is_file()
    assert board.description
    assert board.baud == 115200
    assert board.stack_bytes % 8 == 0
    assert board.flash.end <= board.sram.origin or board.sram.end <= board.flash.origin


def test_a_board_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_board("stm32f405").name = "other"


@pytest.mark.parametrize(
    ("name", "hint"), [("stm32f406", "did you mean stm32f405"), ("zzz", "mps2_an385, mps2_an385_m0plus, mps2_an386")]
)
def test_an_unknown_board_names_the_known_ones(name, hint):
    with pytest.raises(ConfigError, match=hint):
        load_board(name)


@pytest.mark.parametrize("name", ["", "../boards/stm32f405", "stm32f405.toml"])
def test_a_name_is_not_a_path(name):
    with pytest.raises(ConfigError, match="--board"):
        load_board(name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[flash]", "[flash"),
        ("cpu = ", "cpa = "),
        ('"125/21"', '"125/0"'),
        ("bytes = 1048576", ""),
        ("[sram]", "[ram]"),
    ],
)
def test_a_broken_description_is_named(tmp_path, monkeypatch, old, new):
    from tinyedge.boards import board

    text = (board._BOARDS / "stm32f405.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new))
    monkeypatch.setattr(board, "_BOARDS", tmp_path)
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_board("mine")


OWN = Path(__file__).parents[2] / "examples" / "plugins" / "lab_m4.toml"


def test_a_board_of_ones_own_is_a_path(tmp_path):
    board = load_board(OWN)
    assert load_board(str(OWN)) == board
    assert (board.name, board.file, board.flash_bytes) == ("lab_m4", OWN, 1048576)
    assert board.emulator.machine == "mps2-an386"
    with pytest.raises(ConfigError, match=r"none\.toml does not exist: give --board"):
        load_board(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[flash]\n", "[flash\n", "at line 11"),
        ("bytes = 1048576", 'bytes = "many"', "[flash] bytes is 'many', not a number"),
        ("bytes = 1048576", "", "[flash] lacks bytes"),
        (
            "bytes = 1048576",
            "bytes = 1048_576",
            "line 13 is not a comment, a [section] or `key = value`: bytes = 1048_576",
        ),
        ("bytes = 1048576", "bytes = 1048576 # half", "line 13 is not"),
        ("cpu = ", "kpu = ", "there is no key kpu"),
        ("baud = 115200\n", "", "it lacks baud"),
        ("baud = 115200\n", 'baud = "115200"\n', "baud is '115200', not a number"),
        ("[sram]\n", "[ram]\n", "there is no key ram"),
        ('"40/1"', '"40/0"', "Fraction(40, 0)"),
        ('instructions_per_tick = "40/1"', "", "[emulator] lacks instructions_per_tick"),
        ("[emulator]", "emulator = 1\n[x]", "emulator"),
        ("[sram]\n", "[unique_id]\norigin = 16\n[sram]\n", "[unique_id] lacks words"),
        ("[sram]\n", "[unique_id]\norigin = 18\nwords = 3\n[sram]\n", "[unique_id] origin is 0x00000012, not a"),
        ("[sram]\n", "[unique_id]\norigin = 16\nwords = 0\n[sram]\n", "[unique_id] words is 0, not 1 to 4"),
        ("[sram]\n", "[unique_id]\norigin = 16\nwords = 5\n[sram]\n", "[unique_id] words is 5, not 1 to 4"),
        ("[sram]\n", "[unique_id]\norigin = 0xFFFFFFF8\nwords = 3\n[sram]\n", "0xfffffff8, but 3 words there"),
        ("clock_hz = 25000000\nbaud", "clock_hz = 25000000\nstore = 1\nbaud", "store is 1, not a [section]"),
    ],
)
def test_a_broken_description_is_refused_in_one_sentence(tmp_path, old, new, message):
    text = OWN.read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_board(path)
    said = str(caught.value)
    assert said.startswith(f"{path} is not a valid board description (")
    assert said.endswith("): compare it with stm32f405.toml")
    assert message in said
    assert "\n" not in said


def test_what_is_no_text_and_what_is_no_name_is_refused(tmp_path):
    for name, content in (("mine.toml", b"\xff\xfe"), ("my board.toml", OWN.read_bytes())):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="not a valid board description"):
            load_board(tmp_path / name)
