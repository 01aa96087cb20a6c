"""Clock trees: figures of the manuals, limits that refuse, and the same arithmetic in Python and in C."""

import dataclasses
import shutil
import subprocess
from fractions import Fraction

import pytest

from tinyedge.boards.board import board_names, load_board
from tinyedge.boards.clock import FAMILIES, usart_divisor, wait_states
from tinyedge.c_sources import firmware_root
from tinyedge.errors import ConfigError

BOARDS = [name for name in board_names() if load_board(name).clock]

# By hand from the manuals: AHB, the port's bus, BRR at 115200 baud on the PLL and on the oscillator alone.
EXPECTED = {
    "stm32f405": (168_000_000, 84_000_000, 729, 139),
    "nucleo_f207zg": (120_000_000, 30_000_000, 260, 139),
    "nucleo_g0b1re": (64_000_000, 64_000_000, 556, 139),
    # 256 * 170,000,000 / 115,200 = 377,777.8 and 256 * 16,000,000 / 115,200 = 35,555.6.
    "nucleo_g474re": (170_000_000, 170_000_000, 377_778, 35_556),
    "nucleo_wb55rg": (64_000_000, 64_000_000, 556, 139),
    "disco_f746ng": (216_000_000, 108_000_000, 938, 139),
    "nucleo_l4r5zi": (120_000_000, 120_000_000, 266_667, 35_556),
    "nucleo_h743zi2": (240_000_000, 120_000_000, 1042, 556),
    "nucleo_u575zi": (160_000_000, 160_000_000, 1389, 139),
}


@pytest.mark.parametrize("name", BOARDS)
def test_the_clocks_are_those_worked_out_by_hand(name):
    board = load_board(name)
    ahb_hz, usart_hz, divisor, oscillator_divisor = EXPECTED[name]
    assert board.clock.cpu_hz == board.clock_hz
    assert (board.clock.ahb_hz, board.clock.usart_hz) == (ahb_hz, usart_hz)
    assert usart_divisor(board.clock.usart_hz, board.baud, board.clock.usart_scale) == divisor
    oscillator_hz = Fraction(board.clock.oscillator_hz)
    assert usart_divisor(oscillator_hz, board.baud, board.clock.usart_scale) == oscillator_divisor


def test_every_stm32_states_its_clocks():
    stm32 = {name for name in board_names() if load_board(name).part.startswith("STM32")}
    assert set(BOARDS) == set(EXPECTED) == stm32


# The edges of the steps in each manual's table of wait states, for the supply and voltage range that the boards use.
@pytest.mark.parametrize(
    ("family", "mhz", "states"),
    [
        *(("stm32f4", mhz, states) for mhz, states in ((30, 0), (31, 1), (150, 4), (151, 5), (168, 5))),
        *(("stm32f7", mhz, states) for mhz, states in ((30, 0), (180, 5), (181, 6), (210, 6), (211, 7), (216, 7))),
        *(("stm32f2", mhz, states) for mhz, states in ((30, 0), (31, 1), (90, 2), (91, 3), (120, 3))),
        *(("stm32g0", mhz, states) for mhz, states in ((24, 0), (25, 1), (48, 1), (49, 2), (64, 2))),
        *(
            ("stm32g4", mhz, states)
            for mhz, states in ((34, 0), (35, 1), (102, 2), (103, 3), (136, 3), (137, 4), (170, 4))
        ),
        # stm32wbxx_ll_utils.c: UTILS_CLK_SRC_RANGE_VOS1.
        *(("stm32wb", mhz, states) for mhz, states in ((18, 0), (19, 1), (36, 1), (37, 2), (54, 2), (55, 3), (64, 3))),
        *(("stm32l4+", mhz, states) for mhz, states in ((20, 0), (80, 3), (81, 4), (100, 4), (101, 5), (120, 5))),
        *(("stm32h7", mhz, states) for mhz, states in ((70, 0), (71, 1), (210, 2), (225, 3), (226, 4), (240, 4))),
        *(("stm32u5", mhz, states) for mhz, states in ((32, 0), (33, 1), (128, 3), (129, 4), (160, 4))),
    ],
)
def test_wait_states_step_where_the_manuals_say(family, mhz, states):
    assert wait_states(FAMILIES[family], Fraction(mhz * 1_000_000)) == states


def test_a_flash_that_is_too_slow_is_told():
    with pytest.raises(ConfigError, match="241 MHz"):
        wait_states(FAMILIES["stm32h7"], Fraction(241_000_000))


@pytest.mark.parametrize(
    ("name", "changes", "clock_hz", "said"),
    [
        ("stm32f405", {"pll_n": 169}, 168_000_000, "gives 169 MHz, not the 168 MHz"),
        ("stm32f405", {"pll_n": 180}, 180_000_000, "the processor runs at 180 MHz, not 0 MHz to 168 MHz"),
        ("stm32f405", {"pll_m": 4, "pll_n": 84}, 168_000_000, "input runs at 4 MHz, not 0.95 MHz to 2.1 MHz"),
        ("stm32f405", {"pll_m": 16, "pll_n": 504, "pll_divider": 3}, 168_000_000, "pll_n is 504, not 50 to 432"),
        ("stm32f405", {"pll_divider": 3, "pll_n": 252}, 168_000_000, "pll_divider is 3, not one of 2, 4, 6, 8"),
        ("stm32f405", {"apb1_divider": 2}, 168_000_000, "APB1 runs at 84 MHz, not 0 MHz to 42 MHz"),
        ("stm32f405", {"flash_wait_states": 4}, 168_000_000, "flash_wait_states is 4, not the 5 that 168 MHz need"),
        ("stm32f405", {"family": "stm32f9"}, 168_000_000, "the family 'stm32f9'"),
        ("stm32f405", {"apb3_divider": 2}, 168_000_000, "2 peripheral buses"),
        ("nucleo_h743zi2", {"ahb_divider": 1}, 480_000_000, "AHB runs at 480 MHz, not 0 MHz to 240 MHz"),
        ("nucleo_h743zi2", {"pll_n": 80}, 512_000_000, "oscillator runs at 1024 MHz, not 192 MHz to 960 MHz"),
        ("nucleo_u575zi", {"booster_divider": 8}, 160_000_000, "booster_divider is 8, not one of 1, 2, 4"),
        ("nucleo_u575zi", {"usart_bus": "apb9"}, 160_000_000, "usart_bus is apb9"),
        ("nucleo_l4r5zi", {"usart_scale": 2}, 120_000_000, "usart_scale is 2"),
    ],
)
def test_what_the_part_does_not_allow_is_refused(name, changes, clock_hz, said):
    board = load_board(name)
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(board.clock, **changes).check(clock_hz, board.baud)


@pytest.mark.parametrize(
    ("clock_hz", "baud", "scale", "said"),
    [
        (16_000_000, 921_600, 1, "2.1% off"),  # 17 instead of 17.36.
        (1_000_000, 115_200, 1, "divisor of 9, not 16 to 65535"),
        (16_000_000, 115, 1, "divisor of 139130"),
        (120_000_000, 20_000, 256, "divisor of 1536000, not 768 to 1048575"),
    ],
)
def test_a_baud_rate_that_a_port_cannot_make_is_refused(clock_hz, baud, scale, said):
    with pytest.raises(ConfigError, match=said):
        usart_divisor(Fraction(clock_hz), baud, scale)


PROGRAM = r"""
#include <stdio.h>
#include "te_stm32_usart.h"

int main(void) {
    const uint32_t clocks[] = {TE_STM32_USART_HZ, TE_CLOCK_OSCILLATOR_HZ};
    for (int i = 0; i < 2; i++) {
        te_stm32_usart port = {.cr1 = 1u, .cr2 = 7u};
        te_stm32_usart_start(&port, clocks[i]);
        printf("%u %u %u ", port.brr, port.cr1, port.cr2);
    }
    const uint32_t dividers[] = {1u, 2u, 4u, 8u, 16u};
    for (int i = 0; i < 5; i++) {
        printf("%u %u ", TE_STM32_AHB_BITS(dividers[i]), TE_STM32_APB_BITS(dividers[i]));
    }
    te_stm32_gpio gpio = {.moder = 0xFFFFFFFFu, .otyper = 0xFFFFu, .pupdr = 0xAAAAAAAAu};
    gpio.afr[0] = 0x11111111u;
    gpio.afr[1] = 0x22222222u;
    te_stm32_serial_pin(&gpio, 7, 8);
    te_stm32_serial_pin(&gpio, 9, 7);
    printf("%x %x %x %x %x", gpio.moder, gpio.otyper, gpio.pupdr, gpio.afr[0], gpio.afr[1]);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed: run `make system`")
@pytest.mark.parametrize("name", BOARDS)
def test_c_makes_the_same_of_the_numbers(tmp_path, name):
    board = load_board(name)
    (tmp_path / "clocks.c").write_text(PROGRAM)
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{firmware_root() / 'boards'}"]
        + [f"-D{name}={value}" for name, value in board.definitions().items()]
        + [str(tmp_path / "clocks.c"), "-o", str(tmp_path / "clocks")],
        check=True,
    )
    words = subprocess.run([tmp_path / "clocks"], check=True, capture_output=True, text=True).stdout.split()
    _, _, divisor, oscillator_divisor = EXPECTED[name]
    enabled = 1 | 4 | 8  # UE, RE, TE
    assert [int(word) for word in words[:6]] == [divisor, enabled, 0, oscillator_divisor, enabled, 0]
    assert [int(word) for word in words[6:16]] == [0, 0, 8, 4, 9, 5, 10, 6, 11, 7]
    # Pins 7 and 9: alternate function mode 2, push-pull, pull-up 1, functions 8 and 7, all other pins as they were.
    assert words[16:] == ["fffbbfff", "fd7f", "aaa66aaa", "81111111", "22222272"]
