"""What a board's start-up writes to its registers, in which order, and what a part would make of it.

The C runs on this machine over memory at the registers' addresses; ready flags follow what the manuals say they follow.
Clocks, baud rate and pins are then read back out of the registers as manuals or the makers' headers define them, not as
our C wrote them.
"""

import re
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest

from tinyedge.boards.board import load_board
from tinyedge.c_sources import firmware_root

FIXTURES = Path(__file__).parent / "fixtures"
AHB = {0: 1, 8: 2, 9: 4, 10: 8, 11: 16}
APB = {0: 1, 4: 2, 5: 4, 6: 8, 7: 16}


@dataclass(frozen=True)
class Part:
    """A part's registers: `answers` are (from, bit, to, bit, width), `presets` values after reset."""

    answers: list[tuple[int, int, int, int, int]]
    presets: dict[int, int]
    watched: dict[str, int]
    serial: int
    gpio: dict[str, int]
    pins: list[tuple[str, int, int]]  # Port, pin, alternate function.
    status: int = 0x1C
    send: int = 0x28
    receive: int = 0x24
    divisor: int = 0x0C
    more_pages: list[int] = field(default_factory=list)


READY = (
    0x4000_0FF0  # A word of ones, for flags that are always up, in a page that no register of these parts is used of.
)

F4_F7 = {"CR": 0x4002_3800, "PLLCFGR": 0x4002_3804, "CFGR": 0x4002_3808, "ACR": 0x4002_3C00, "PWR": 0x4000_7000}
F4_F7 |= {"AHB1ENR": 0x4002_3830, "APB1ENR": 0x4002_3840, "APB2ENR": 0x4002_3844}
CLASSIC = [  # HSION to HSIRDY, PLLON to PLLRDY, SW to SWS.
    (0x4002_3800, 0, 0x4002_3800, 1, 1),
    (0x4002_3800, 24, 0x4002_3800, 25, 1),
    (0x4002_3808, 0, 0x4002_3808, 2, 2),
]

PARTS = {
    "stm32f405": Part(
        answers=CLASSIC,
        presets={0x4002_3800: 0x83, 0x4002_3804: 0x2400_3010},
        watched=F4_F7,
        serial=0x4001_1000,
        gpio={"A": 0x4002_0000},
        pins=[("A", 9, 7), ("A", 10, 7)],
        status=0x00,
        send=0x04,
        receive=0x04,
        divisor=0x08,
    ),
    "nucleo_f207zg": Part(
        answers=CLASSIC,
        presets={0x4002_3800: 0x83, 0x4002_3804: 0x2400_3010},
        watched=F4_F7,
        serial=0x4000_4800,
        gpio={"D": 0x4002_0C00},
        pins=[("D", 8, 7), ("D", 9, 7)],
        status=0x00,
        send=0x04,
        receive=0x04,
        divisor=0x08,
    ),
    "nucleo_g0b1re": Part(
        answers=[
            (0x4002_1000, 8, 0x4002_1000, 10, 1),  # HSION to HSIRDY.
            (0x4002_1000, 24, 0x4002_1000, 25, 1),
            (0x4002_1008, 0, 0x4002_1008, 3, 3),
        ],
        presets={0x4002_1000: 0x500, 0x4002_100C: 0x1000, 0x4002_2000: 0x4_0600},
        watched={
            **{"CR": 0x4002_1000, "CFGR": 0x4002_1008, "PLLCFGR": 0x4002_100C, "IOPENR": 0x4002_1034},
            **{"APBENR1": 0x4002_103C, "ACR": 0x4002_2000},
        },
        serial=0x4000_4400,
        gpio={"A": 0x5000_0000},
        pins=[("A", 2, 1), ("A", 3, 1)],
    ),
    "disco_f746ng": Part(
        answers=[*CLASSIC, (0x4000_7000, 16, 0x4000_7004, 16, 2)],  # ODEN, ODSWEN to ODRDY, ODSWRDY.
        presets={0x4002_3800: 0x83, 0x4002_3804: 0x2400_3010, 0x4000_7000: 0xC000},
        watched=F4_F7,
        serial=0x4001_1000,
        gpio={"A": 0x4002_0000, "B": 0x4002_0400},
        pins=[("A", 9, 7), ("B", 7, 7)],
    ),
    "nucleo_l4r5zi": Part(
        answers=[
            (0x4002_1000, 8, 0x4002_1000, 10, 1),  # HSION to HSIRDY.
            (0x4002_1000, 24, 0x4002_1000, 25, 1),
            (0x4002_1008, 0, 0x4002_1008, 2, 2),
        ],
        presets={0x4002_1000: 0x63, 0x4000_7000: 0x200, 0x4000_7080: 0x100, 0x4002_2000: 0x600},
        watched={
            **{"CR": 0x4002_1000, "CFGR": 0x4002_1008, "PLLCFGR": 0x4002_100C, "AHB2ENR": 0x4002_104C},
            **{"APB1ENR1": 0x4002_1058, "APB1ENR2": 0x4002_105C, "ACR": 0x4002_2000},
            **{"CR2": 0x4000_7004, "CR5": 0x4000_7080},
        },
        serial=0x4000_8000,
        gpio={"G": 0x4800_1800},
        pins=[("G", 7, 8), ("G", 8, 8)],
    ),
    "nucleo_g474re": Part(
        answers=[
            (0x4002_1000, 8, 0x4002_1000, 10, 1),  # HSION to HSIRDY.
            (0x4002_1000, 24, 0x4002_1000, 25, 1),
            (0x4002_1008, 0, 0x4002_1008, 2, 2),
        ],
        presets={0x4002_1000: 0x500, 0x4002_1008: 0x5, 0x4000_7000: 0x200, 0x4000_7080: 0x100, 0x4002_2000: 0x4_0600},
        watched={
            **{"CR": 0x4002_1000, "CFGR": 0x4002_1008, "PLLCFGR": 0x4002_100C, "AHB2ENR": 0x4002_104C},
            **{"APB1ENR1": 0x4002_1058, "APB1ENR2": 0x4002_105C, "ACR": 0x4002_2000, "CR5": 0x4000_7080},
        },
        serial=0x4000_8000,
        gpio={"A": 0x4800_0000},
        pins=[("A", 2, 12), ("A", 3, 12)],
    ),
    "nucleo_wb55rg": Part(
        answers=[
            (0x5800_0000, 8, 0x5800_0000, 10, 1),  # HSION to HSIRDY.
            (0x5800_0000, 24, 0x5800_0000, 25, 1),
            (0x5800_0008, 0, 0x5800_0008, 2, 2),
            (READY, 0, 0x5800_0108, 16, 2),  # SHDHPREF, C2HPREF.
        ],
        presets={0x5800_0000: 0x61, 0x5800_0400: 0x200, 0x5800_4000: 0x1_0600},
        watched={
            **{"CR": 0x5800_0000, "CFGR": 0x5800_0008, "PLLCFGR": 0x5800_000C, "AHB2ENR": 0x5800_004C},
            **{"APB2ENR": 0x5800_0060, "EXTCFGR": 0x5800_0108, "PWRCR1": 0x5800_0400, "ACR": 0x5800_4000},
        },
        serial=0x4001_3800,
        gpio={"B": 0x4800_0400},
        pins=[("B", 6, 7), ("B", 7, 7)],
    ),
    "nucleo_h743zi2": Part(
        answers=[
            (0x5802_4400, 0, 0x5802_4400, 2, 1),
            (READY, 0, 0x5802_4400, 5, 1),  # HSIDIVF.
            (0x5802_4400, 24, 0x5802_4400, 25, 1),
            (0x5802_4410, 0, 0x5802_4410, 3, 3),
            (READY, 0, 0x5802_4804, 13, 1),  # ACTVOSRDY.
            (READY, 0, 0x5802_4818, 13, 1),  # VOSRDY.
        ],
        presets={0x5802_4400: 0x25, 0x5802_442C: 0x01FF_0000, 0x5802_4818: 0x4000, 0x5C00_1000: 0x2003_6450},
        watched={
            **{"CR": 0x5802_4400, "CFGR": 0x5802_4410, "D1CFGR": 0x5802_4418, "D2CFGR": 0x5802_441C},
            **{"D3CFGR": 0x5802_4420, "PLLCKSELR": 0x5802_4428, "PLLCFGR": 0x5802_442C, "PLL1DIVR": 0x5802_4430},
            **{"AHB4ENR": 0x5802_44E0, "APB1LENR": 0x5802_44E8, "APB4ENR": 0x5802_44F4, "D3CR": 0x5802_4818},
            **{"PWRCR": 0x5800_042C, "ACR": 0x5200_2000, "FN_MOD": 0x5100_8108},
        },
        serial=0x4000_4800,
        gpio={"D": 0x5802_0C00},
        pins=[("D", 8, 7), ("D", 9, 7)],
        more_pages=[0x5802_4000, 0x5C00_1000],
    ),
    "nucleo_u575zi": Part(
        answers=[
            (0x4602_0C00, 8, 0x4602_0C00, 10, 1),
            (0x4602_0C00, 24, 0x4602_0C00, 25, 1),
            (0x4602_0C1C, 0, 0x4602_0C1C, 2, 2),
            (0x4602_080C, 16, 0x4602_080C, 15, 1),  # VOS to VOSRDY.
            (0x4602_080C, 18, 0x4602_080C, 14, 1),  # BOOSTEN to BOOSTRDY.
        ],
        presets={0x4602_0C00: 0x35, 0x4602_080C: 0x8000, 0x4002_2000: 1},
        watched={
            **{"CR": 0x4602_0C00, "CFGR1": 0x4602_0C1C, "CFGR2": 0x4602_0C20, "CFGR3": 0x4602_0C24},
            **{"PLL1CFGR": 0x4602_0C28, "PLL1DIVR": 0x4602_0C34, "AHB2ENR1": 0x4602_0C8C, "AHB3ENR": 0x4602_0C94},
            **{"APB2ENR": 0x4602_0CA4, "VOSR": 0x4602_080C, "ACR": 0x4002_2000, "ICACHE": 0x4003_0400},
        },
        serial=0x4001_3800,
        gpio={"A": 0x4202_0000},
        pins=[("A", 9, 7), ("A", 10, 7)],
    ),
}
NRF52840 = Part(  # Nordic's nrf52840.h.
    answers=[(0x4000_0000, 0, 0x4000_040C, 0, 1), (0x4000_0000, 0, 0x4000_040C, 16, 1)],  # HFCLKSTART to SRC and STATE.
    presets={0x1000_0130: 8, 0x1000_0134: 5, 0x1000_1208: 0xFFFF_FF5A},
    watched={
        **{"HFCLKSTART": 0x4000_0000, "APPROTECT": 0x4000_0558, "ICACHECNF": 0x4001_E540, "OUTSET": 0x5000_0508},
        **{"STARTTX": 0x4000_2008, "ENABLE": 0x4000_2500, "PSEL_TXD": 0x4000_250C, "PSEL_RXD": 0x4000_2514},
        **{"P0_06": 0x5000_0718, "P0_08": 0x5000_0720},
    },
    serial=0x4000_2000,  # Whose first register is STARTRX.
    gpio={},
    pins=[],
    status=0x108,
    send=0x51C,
    receive=0x518,
    divisor=0x524,
)
UNIQUE_IDS = {  # "Device electronic signature" of each manual; three words.
    "stm32f405": 0x1FFF_7A10,
    "nucleo_f207zg": 0x1FFF_7A10,
    "nucleo_g0b1re": 0x1FFF_7590,
    "nucleo_g474re": 0x1FFF_7590,
    "disco_f746ng": 0x1FF0_F420,
    "nucleo_l4r5zi": 0x1FFF_7590,
    "nucleo_h743zi2": 0x1FF1_E800,
    "nucleo_u575zi": 0x0BFA_0700,
    "nucleo_wb55rg": 0x1FFF_7590,  # UID_BASE of stm32wb55xx.h.
    "nrf52840_dk": 0x1000_0060 - 4,  # FICR.DEVICEID, which has two.
}


class Run:
    """What a board's start-up did: `writes` in their order, `values` at the end, both by a register's name."""

    def __init__(self, part: Part, said: str) -> None:
        names = {address: name for name, address in watched_by(part).items()}
        lines = [line.split(maxsplit=2) for line in said.splitlines()]
        self.words = {line[0]: " ".join(line[1:]) for line in lines if line[0].isalpha() and line[0] not in "WR"}
        self.writes = [(names[int(a, 16)], int(v, 16)) for kind, a, v in (x for x in lines if x[0] == "W")]
        self.values = {names[int(a, 16)]: int(v, 16) for kind, a, v in (x for x in lines if x[0] == "R")}
        self.clock_hz = int(self.words["CLOCK"])

    def first(self, register: str, mask: int, value: int) -> int:
        """The place in the order of the first write that leaves the register's bits at this value."""
        return next(i for i, (name, word) in enumerate(self.writes) if name == register and word & mask == value)


def watched_by(part: Part) -> dict[str, int]:
    port = {"USART_BRR": part.serial + part.divisor, "USART_CR1": part.serial + (0x0C if part.status == 0 else 0)}
    pins = {}
    for name, base in part.gpio.items():
        pins |= {f"{name}_MODER": base, f"{name}_PUPDR": base + 0x0C, f"{name}_AFRL": base + 0x20}
        pins |= {f"{name}_AFRH": base + 0x24}
    return {**part.watched, **port, **pins}


@pytest.fixture
def start(tmp_path):
    """A function that runs a board's start-up, with some answers of the hardware left out."""

    def run(
        name: str,
        without: tuple[int, int] | None = None,
        presets: dict[int, int] | None = None,
        file: Path | None = None,
    ) -> Run:
        part, board = {**PARTS, "nrf52840_dk": NRF52840}[name], load_board(file or name)
        answers = [answer for answer in part.answers if answer[2:4] != without]
        values = {**part.presets, **(presets or {}), READY: 0xFFFF_FFFF}
        if board.unique_id is not None:  # Else there is nothing at its address: a read ends the program.
            values[UNIQUE_IDS[name] + 8] = 0xC0DE_0000 + len(name)
        watched = watched_by(part)
        pages = {address & ~0xFFF for address in (*watched.values(), *values, *(answer[2] for answer in answers))}
        pages |= {part.serial & ~0xFFF, *part.more_pages, *(base & ~0xFFF for base in part.gpio.values())}
        pages |= {0x4003_0000, 0x4000_7000} if name == "nucleo_u575zi" else {0x4000_7000}
        source = (firmware_root() / "boards" / board.source).read_text()
        # What is assembly for the processor does not run here.
        (tmp_path / "board.c").write_text(re.sub(r"__attribute__\(\(naked\)\).*?\n}\n", "", source, flags=re.S))
        macros = {
            "ANSWERS": "".join("{" + ",".join(f"{number}u" for number in answer) + "}," for answer in answers),
            "PAGES": "".join(f"{page}u," for page in sorted(pages)),
            "WATCHED": "".join(f"{address}u," for address in watched.values()),
            "PRESETS": "".join(f"{{{address}u,{value}u}}," for address, value in values.items()),
            "SERIAL_STATUS": f"{part.serial + part.status}u",
            "SERIAL_SEND": f"{part.serial + part.send}u",
            "SERIAL_RECEIVE": f"{part.serial + part.receive}u",
            **board.definitions(),
        }
        program = tmp_path / "board"
        command = ["gcc", "-std=gnu99", "-O1", "-Wno-int-to-pointer-cast", "-Wno-builtin-macro-redefined"]
        command += [f"-D{key}={value}" for key, value in macros.items()]
        command += ["-include", FIXTURES / "board_registers.h", f"-I{firmware_root() / 'boards'}"]
        command += [f"-I{firmware_root() / 'app'}", tmp_path / "board.c", FIXTURES / "board_registers.c", "-o", program]
        subprocess.run(command, check=True)
        done = subprocess.run([program], capture_output=True, text=True)
        if done.returncode == 77:
            pytest.skip("this machine uses the registers' addresses itself")
        assert done.returncode == 0, done.stderr
        return Run(part, done.stdout)

    return run


HIGHEST_APB1_HZ = {"stm32f405": 42_000_000, "disco_f746ng": 54_000_000, "nucleo_f207zg": 30_000_000}
WAIT_STATES = {"stm32f405": 5, "disco_f746ng": 7, "nucleo_l4r5zi": 5, "nucleo_f207zg": 3, "nucleo_g0b1re": 2}
WAIT_STATES |= {"nucleo_wb55rg": 3}


def clocks_of(name: str, values: dict[str, int]) -> tuple[Fraction, Fraction]:
    """The processor's clock and the serial port's, from registers with the PLL selected."""
    if name in ("stm32f405", "disco_f746ng", "nucleo_f207zg"):
        pll, cfgr = values["PLLCFGR"], values["CFGR"]
        assert (pll >> 22 & 1, cfgr & 3) == (0, 2)  # From HSI; the PLL is the system clock.
        vco_hz = Fraction(16_000_000, pll & 63) * (pll >> 6 & 511)
        assert vco_hz / (pll >> 24 & 15) == 48_000_000
        cpu_hz = vco_hz / (2 * (pll >> 16 & 3) + 2)
        ahb_hz = cpu_hz / AHB[cfgr >> 4 & 15]
        assert ahb_hz / APB[cfgr >> 10 & 7] <= HIGHEST_APB1_HZ[name]
        return cpu_hz, ahb_hz / APB[cfgr >> (10 if PARTS[name].serial < 0x4001_0000 else 13) & 7]
    if name == "nucleo_g0b1re":
        pll, cfgr = values["PLLCFGR"], values["CFGR"]
        assert (pll & 3, cfgr & 7, pll >> 28 & 1, values["CR"] >> 11 & 7) == (2, 2, 1, 0)  # HSI16, undivided; R is on.
        cpu_hz = Fraction(16_000_000, (pll >> 4 & 7) + 1) * (pll >> 8 & 127) / ((pll >> 29 & 7) + 1)
        ahb_hz = cpu_hz / AHB[cfgr >> 8 & 15]
        return ahb_hz, ahb_hz / APB[cfgr >> 12 & 7]
    if name == "nucleo_wb55rg":
        pll, cfgr, more = values["PLLCFGR"], values["CFGR"], values["EXTCFGR"]
        assert (pll & 3, cfgr & 3, pll >> 28 & 1) == (2, 3, 1)  # From HSI16; the PLL is the system clock; R is on.
        system_hz = Fraction(16_000_000, (pll >> 4 & 7) + 1) * (pll >> 8 & 127) / ((pll >> 29 & 7) + 1)
        assert system_hz / AHB[more & 15] <= 64_000_000
        assert system_hz / AHB[more >> 4 & 15] <= 32_000_000  # The radio's processor.
        return system_hz / AHB[cfgr >> 4 & 15], system_hz / AHB[cfgr >> 4 & 15] / APB[cfgr >> 11 & 7]
    if name in ("nucleo_l4r5zi", "nucleo_g474re"):
        pll, cfgr = values["PLLCFGR"], values["CFGR"]
        assert (pll & 3, cfgr & 3, pll >> 24 & 1) == (2, 3, 1)
        cpu_hz = Fraction(16_000_000, (pll >> 4 & 15) + 1) * (pll >> 8 & 127) / (2 * (pll >> 25 & 3) + 2)
        return cpu_hz / AHB[cfgr >> 4 & 15], cpu_hz / AHB[cfgr >> 4 & 15] / APB[cfgr >> 8 & 7]
    if name == "nucleo_h743zi2":
        select, divider = values["PLLCKSELR"], values["PLL1DIVR"]
        assert (select & 3, values["CFGR"] & 7, values["PLLCFGR"]) == (0, 3, 1 << 16 | 3 << 2)
        input_hz = Fraction(64_000_000, select >> 4 & 63)
        assert 8_000_000 <= input_hz <= 16_000_000  # PLL1RGE 3
        cpu_hz = input_hz * ((divider & 511) + 1) / ((divider >> 9 & 127) + 1)
        assert values["D1CFGR"] >> 8 & 15 == 0  # D1CPRE
        axi_hz = cpu_hz / AHB[values["D1CFGR"] & 15]
        assert axi_hz / APB[values["D1CFGR"] >> 4 & 7] <= 120_000_000
        assert axi_hz / APB[values["D2CFGR"] >> 8 & 7] <= 120_000_000
        assert axi_hz / APB[values["D3CFGR"] >> 4 & 7] <= 120_000_000
        return cpu_hz, axi_hz / APB[values["D2CFGR"] >> 4 & 7]
    pll, divider = values["PLL1CFGR"], values["PLL1DIVR"]
    assert (pll & 3, values["CFGR1"] & 3, pll >> 18 & 1, pll >> 4 & 1) == (2, 3, 1, 0)
    input_hz = Fraction(16_000_000, (pll >> 8 & 15) + 1)
    assert 4_000_000 <= input_hz <= 8_000_000
    assert pll >> 2 & 3 == 0  # PLL1RGE
    assert 4_000_000 <= Fraction(16_000_000, {0: 1, 1: 2, 2: 4}[pll >> 12 & 15]) <= 16_000_000  # PLL1MBOOST
    cpu_hz = input_hz * ((divider & 511) + 1) / ((divider >> 24 & 127) + 1)
    return cpu_hz / AHB[values["CFGR2"] & 15], cpu_hz / APB[values["CFGR2"] >> 8 & 7]


@pytest.mark.parametrize("name", PARTS)
def test_the_registers_give_the_clock_and_the_baud_rate(start, name):
    run, board = start(name), load_board(name)
    cpu_hz, usart_hz = clocks_of(name, run.values)
    assert run.clock_hz == cpu_hz == board.clock_hz
    assert run.words["SOURCE"].startswith("PLL from HSI")
    scale = 256 if name in ("nucleo_l4r5zi", "nucleo_g474re") else 1
    assert abs(scale * usart_hz / run.values["USART_BRR"] / 115200 - 1) < Fraction(1, 500)
    assert run.values["USART_CR1"] == (0x200C if PARTS[name].status == 0 else 0xD)  # UE, TE, RE
    assert run.values["ACR"] & 15 == WAIT_STATES.get(name, 4)
    assert run.words["UID"] == f"{0xC0DE_0000 + len(name):08x}"
    assert "COUNTER" in run.words


@pytest.mark.parametrize("name", UNIQUE_IDS)
def test_a_board_without_the_unique_number_reads_none(start, name, tmp_path):
    text = load_board(name).file.read_text()
    file = tmp_path / f"{name}.toml"
    file.write_text(re.sub(r"\[unique_id\]\norigin = \w+\nwords = \d\n", "", text))
    assert file.read_text() != text
    assert start(name, file=file).words["UID"] == "none"


def test_the_unique_number_is_where_the_description_says(start, tmp_path):
    file = tmp_path / "nucleo_u575zi.toml"  # The board whose number is read before the rest.
    text = load_board("nucleo_u575zi").file.read_text()
    file.write_text(text.replace("origin = 0x0BFA0700\nwords = 3", "origin = 0x0BFA0704\nwords = 2"))
    assert file.read_text() != text
    assert start("nucleo_u575zi", file=file).words["UID"] == f"{0xC0DE_0000 + len('nucleo_u575zi'):08x}"


@pytest.mark.parametrize("name", PARTS)
def test_the_pins_are_the_ports(start, name):
    run = start(name)
    for port, pin, function in PARTS[name].pins:
        assert run.values[f"{port}_MODER"] >> 2 * pin & 3 == 2
        assert run.values[f"{port}_PUPDR"] >> 2 * pin & 3 == 1
        assert run.values[f"{port}_AFR{'HL'[pin < 8]}"] >> 4 * (pin % 8) & 15 == function


@pytest.mark.parametrize("name", PARTS)
def test_bytes_go_both_ways(start, name):
    words = start(name).words
    assert (int(words["SENT"], 16), int(words["EMPTY"])) == (ord("A"), -1)
    assert int(words["GOT"]) == 0xFF


@pytest.mark.parametrize("name", PARTS)
def test_the_flash_is_slow_before_the_clock_is_fast(start, name):
    run = start(name)
    states = WAIT_STATES.get(name, 4)
    clock = {"nucleo_u575zi": "CFGR1"}.get(name, "CFGR")
    fields = {"stm32f405": (3, 2), "disco_f746ng": (3, 2), "nucleo_f207zg": (3, 2)}
    fields |= {"nucleo_h743zi2": (7, 3), "nucleo_g0b1re": (7, 2)}
    mask, pll = fields.get(name, (3, 3))
    assert run.first("ACR", 15, states) < run.first(clock, mask, pll)
    assert run.first("CR", 1 << 24, 1 << 24) < run.first(clock, mask, pll)
    voltage = {
        "stm32f405": ("PWR", 1 << 14, 1 << 14),
        "disco_f746ng": ("PWR", 3 << 16, 3 << 16),  # Over-drive, switched.
        "nucleo_l4r5zi": ("CR5", 1 << 8, 0),  # Boost mode.
        "nucleo_g474re": ("CR5", 1 << 8, 0),
        "nucleo_h743zi2": ("PWRCR", 1, 1),  # VOS0.
        "nucleo_wb55rg": ("EXTCFGR", 15 << 4, 8 << 4),  # The voltage is right; the radio's processor is halved first.
        "nucleo_u575zi": ("VOSR", 1 << 18, 1 << 18),  # The booster.
    }.get(name)  # None where the voltage after reset is right.
    assert voltage is None or run.first(*voltage) < run.first(clock, mask, pll)


def test_the_h743_reaches_vos1_before_vos0(start):
    run = start("nucleo_h743zi2")
    assert run.first("D3CR", 3 << 14, 3 << 14) < run.first("APB4ENR", 2, 2) < run.first("PWRCR", 1, 1)
    assert run.values["ACR"] == 4 | 2 << 4
    assert run.values["FN_MOD"] == 0
    assert "CACHES" in run.words


def test_the_u575_divides_for_the_booster_before_it_starts_it(start):
    run = start("nucleo_u575zi")
    assert run.first("VOSR", 3 << 16, 3 << 16) < run.first("PLL1CFGR", 3, 2) < run.first("VOSR", 1 << 18, 1 << 18)
    assert run.first("VOSR", 1 << 18, 1 << 18) < run.first("CR", 1 << 24, 1 << 24)
    assert run.values["ICACHE"] & 1


def test_the_wb55_leaves_range_2_and_keeps_the_flashs_flags(start):
    run = start("nucleo_wb55rg", presets={0x5800_0400: 0x400})
    assert run.first("PWRCR1", 3 << 9, 1 << 9) < run.first("CR", 1 << 24, 1 << 24)
    assert run.values["ACR"] == 0x1_0000 | 7 << 8 | 3  # EMPTY as it was; prefetch, caches.


def test_the_l4r5_rises_in_two_steps_and_declares_its_pins_supply(start):
    run = start("nucleo_l4r5zi")
    assert run.first("CFGR", 15 << 4, 8 << 4) < run.first("CFGR", 3, 3)
    assert run.values["CFGR"] >> 4 & 15 == 0
    assert run.values["CR2"] & 1 << 9
    assert run.values["ACR"] >> 8 == 7


def test_the_g474_rises_in_two_steps(start):
    run = start("nucleo_g474re")
    assert run.first("CFGR", 15 << 4, 8 << 4) < run.first("CFGR", 3, 3)
    assert run.values["CFGR"] >> 4 & 15 == 0
    assert run.values["ACR"] >> 8 == 0x407  # Caches, prefetch, and the debugger's bit as it was.


def test_the_nrf52840_has_its_crystal_and_its_port(start):
    run = start("nrf52840_dk")
    assert (run.clock_hz, run.words["SOURCE"]) == (64_000_000, "HFXO")
    assert run.words["UID"] == "c0de000b"
    port = {name: run.values[name] for name in ("USART_BRR", "ENABLE", "PSEL_TXD", "PSEL_RXD", "USART_CR1", "STARTTX")}
    assert list(port.values()) == [0x01D7_E000, 4, 6, 8, 1, 1]
    # The pins idle before the port has them: DIR output with INPUT disconnected; DIR input with PULL up.
    assert (run.values["OUTSET"], run.values["P0_06"], run.values["P0_08"]) == (1 << 6, 1 | 1 << 1, 3 << 2)
    order = [run.first("HFCLKSTART", 1, 1), run.first("OUTSET", 1 << 6, 1 << 6), run.first("P0_06", 1, 1)]
    order += [run.first("PSEL_TXD", 31, 6), run.first("ENABLE", 15, 4), run.first("STARTTX", 1, 1)]
    assert order == sorted(order)
    assert run.values["ICACHECNF"] == 1
    assert (int(run.words["SENT"], 16), int(run.words["GOT"])) == (ord("A"), 0xFF)


@pytest.mark.parametrize("bit", [0, 16])
def test_an_nrf52840_without_its_crystal_says_so(start, bit):
    run = start("nrf52840_dk", without=(0x4000_040C, bit))
    assert (run.clock_hz, run.words["SOURCE"]) == (64_000_000, "HFINT (the crystal did not start)")


@pytest.mark.parametrize(
    ("family", "revision", "uicr", "opened"),
    [
        (8, 5, 0xFFFF_FF5A, 0xFFFF_FF5A),
        (8, 6, 0xFFFF_FF00, 0xFFFF_FF00),
        (8, 4, 0xFFFF_FF5A, 0),
        (6, 5, 0xFFFF_FF5A, 0),
    ],
)
def test_an_nrf52840_that_locks_its_debug_port_opens_it_as_uicr_says(start, family, revision, uicr, opened):
    run = start("nrf52840_dk", presets={0x1000_0130: family, 0x1000_0134: revision, 0x1000_1208: uicr})
    assert run.values["APPROTECT"] == opened


def test_an_old_h743_stays_on_its_oscillator_and_says_why(start):
    run = start("nucleo_h743zi2", presets={0x5C00_1000: 0x1003_6450})
    assert (run.clock_hz, run.values["CFGR"] & 7) == (64_000_000, 0)
    assert "older than revision V" in run.words["SOURCE"]
    assert run.values["FN_MOD"] == 1
    assert run.values["USART_BRR"] == 556


# The flag that does not come: PLL ready, voltage ready, over-drive, booster, the switch itself.
STUCK = [
    *((name, (0x4002_3800, 25)) for name in ("stm32f405", "disco_f746ng", "nucleo_f207zg")),
    *((name, (0x4002_3808, 2)) for name in ("stm32f405", "disco_f746ng", "nucleo_f207zg")),
    *(("nucleo_g0b1re", flag) for flag in ((0x4002_1000, 25), (0x4002_1008, 3))),
    ("disco_f746ng", (0x4000_7004, 16)),
    ("nucleo_l4r5zi", (0x4002_1000, 25)),
    *(("nucleo_g474re", flag) for flag in ((0x4002_1000, 25), (0x4002_1008, 2))),
    *(("nucleo_wb55rg", flag) for flag in ((0x5800_0000, 25), (0x5800_0008, 2), (0x5800_0108, 16))),
    ("nucleo_h743zi2", (0x5802_4400, 25)),
    ("nucleo_h743zi2", (0x5802_4818, 13)),
    ("nucleo_h743zi2", (0x5802_4804, 13)),
    ("nucleo_u575zi", (0x4602_0C00, 25)),
    ("nucleo_u575zi", (0x4602_080C, 14)),
]


OSCILLATOR_IS_1 = ("nucleo_l4r5zi", "nucleo_g474re", "nucleo_u575zi", "nucleo_wb55rg")  # In SW.


@pytest.mark.parametrize(("name", "flag"), STUCK)
def test_a_flag_that_never_comes_leaves_the_oscillator(start, name, flag):
    run = start(name, without=flag)
    oscillator_hz = load_board(name).clock.oscillator_hz
    assert run.clock_hz == oscillator_hz
    assert run.words["SOURCE"].endswith("(the PLL did not start)")
    scale = 256 if name in ("nucleo_l4r5zi", "nucleo_g474re") else 1
    assert abs(Fraction(scale * oscillator_hz, run.values["USART_BRR"]) / 115200 - 1) < Fraction(1, 100)
    clock = {"nucleo_u575zi": "CFGR1"}.get(name, "CFGR")
    assert run.values[clock] & 3 == int(name in OSCILLATOR_IS_1)
