"""Clock trees: what a board's `[clock]` makes of its oscillator, checked against the limits of the part's family."""

from dataclasses import dataclass
from fractions import Fraction

from tinyedge.errors import ConfigError

# 8N1 samples the tenth bit last: half a bit of drift is 5 %, of which the oscillators' own error takes up to 2 %.
_BAUD_ERROR_LIMIT = Fraction(1, 100)


@dataclass(frozen=True)
class FamilyLimits:
    """What a family's manual and data sheet, or its maker's drivers, allow at the voltage that its board file sets.

    Attributes:
        source: The documents or files.
        pll_input_hz: Lowest and highest clock after the divider M.
        vco_hz: Lowest and highest clock of the PLL's oscillator.
        pll_m: Lowest and highest M.
        pll_n: Lowest and highest N.
        pll_dividers: What divides the PLL's oscillator for the processor.
        cpu_hz: The highest clock of the processor.
        ahb_hz: The highest clock of the bus to the flash.
        apb_hz: The highest clock of APB1, APB2 and so on.
        wait_states_hz: The highest clock of that bus with 0, 1, 2... wait states of the flash.
    """

    source: str
    pll_input_hz: tuple[int, int]
    vco_hz: tuple[int, int]
    pll_m: tuple[int, int]
    pll_n: tuple[int, int]
    pll_dividers: tuple[int, ...]
    cpu_hz: int
    ahb_hz: int
    apb_hz: tuple[int, ...]
    wait_states_hz: tuple[int, ...]


_MHZ = 1_000_000

FAMILIES = {
    "stm32f2": FamilyLimits(
        source="RM0033 (2.7 to 3.6 V), DS6329 (STM32F207)",
        pll_input_hz=(950_000, 2_100_000),
        vco_hz=(192 * _MHZ, 432 * _MHZ),
        pll_m=(2, 63),
        pll_n=(192, 432),
        pll_dividers=(2, 4, 6, 8),
        cpu_hz=120 * _MHZ,
        ahb_hz=120 * _MHZ,
        apb_hz=(30 * _MHZ, 60 * _MHZ),
        wait_states_hz=tuple(30 * _MHZ * steps for steps in range(1, 5)),
    ),
    "stm32f4": FamilyLimits(
        source="RM0090 3.5.1 (2.7 to 3.6 V), DS8626 (STM32F405)",
        pll_input_hz=(950_000, 2_100_000),
        vco_hz=(100 * _MHZ, 432 * _MHZ),
        pll_m=(2, 63),
        pll_n=(50, 432),
        pll_dividers=(2, 4, 6, 8),
        cpu_hz=168 * _MHZ,
        ahb_hz=168 * _MHZ,
        apb_hz=(42 * _MHZ, 84 * _MHZ),
        wait_states_hz=tuple(30 * _MHZ * steps for steps in range(1, 7)),
    ),
    "stm32f7": FamilyLimits(
        source="RM0385 (2.7 to 3.6 V, over-drive), DS10916 (STM32F746)",
        pll_input_hz=(950_000, 2_100_000),
        vco_hz=(100 * _MHZ, 432 * _MHZ),
        pll_m=(2, 63),
        pll_n=(50, 432),
        pll_dividers=(2, 4, 6, 8),
        cpu_hz=216 * _MHZ,
        ahb_hz=216 * _MHZ,
        apb_hz=(54 * _MHZ, 108 * _MHZ),
        wait_states_hz=tuple(30 * _MHZ * steps for steps in range(1, 9)),
    ),
    "stm32g0": FamilyLimits(
        source="RM0444 (range 1), DS13560 (STM32G0B1)",
        pll_input_hz=(2_660_000, 16 * _MHZ),
        vco_hz=(96 * _MHZ, 344 * _MHZ),
        pll_m=(1, 8),
        pll_n=(8, 86),
        pll_dividers=tuple(range(2, 9)),
        cpu_hz=64 * _MHZ,
        ahb_hz=64 * _MHZ,
        apb_hz=(64 * _MHZ, 64 * _MHZ),
        wait_states_hz=(24 * _MHZ, 48 * _MHZ, 64 * _MHZ),
    ),
    # The VCO's lowest clock is embassy's, which cites the STM32G474's data sheet; ST's file has 64 MHz there.
    "stm32g4": FamilyLimits(
        source="ST's stm32g4xx_ll_utils.c (range 1, boost mode), embassy's rcc/g4.rs",
        pll_input_hz=(2_660_000, 16 * _MHZ),
        vco_hz=(96 * _MHZ, 344 * _MHZ),
        pll_m=(1, 16),
        pll_n=(8, 127),
        pll_dividers=(2, 4, 6, 8),
        cpu_hz=170 * _MHZ,
        ahb_hz=170 * _MHZ,
        apb_hz=(170 * _MHZ, 170 * _MHZ),
        wait_states_hz=tuple(34 * _MHZ * steps for steps in range(1, 6)),
    ),
    # PLL N from 8, as all PLLs of this kind; ST's file takes 6.
    "stm32wb": FamilyLimits(
        source="ST's stm32wbxx_ll_utils.c (range 1)",
        pll_input_hz=(2_660_000, 16 * _MHZ),
        vco_hz=(96 * _MHZ, 344 * _MHZ),
        pll_m=(1, 8),
        pll_n=(8, 127),
        pll_dividers=tuple(range(2, 9)),
        cpu_hz=64 * _MHZ,
        ahb_hz=64 * _MHZ,
        apb_hz=(64 * _MHZ, 64 * _MHZ),
        wait_states_hz=(18 * _MHZ, 36 * _MHZ, 54 * _MHZ, 64 * _MHZ),
    ),
    "stm32l4+": FamilyLimits(
        source="RM0432 (range 1, boost mode), DS12023 (STM32L4R5)",
        pll_input_hz=(2_660_000, 16 * _MHZ),
        vco_hz=(64 * _MHZ, 344 * _MHZ),
        pll_m=(1, 16),
        pll_n=(8, 127),
        pll_dividers=(2, 4, 6, 8),
        cpu_hz=120 * _MHZ,
        ahb_hz=120 * _MHZ,
        apb_hz=(120 * _MHZ, 120 * _MHZ),
        wait_states_hz=tuple(20 * _MHZ * steps for steps in range(1, 7)),
    ),
    "stm32h7": FamilyLimits(
        source="RM0433 (VOS0), DS12110 (STM32H743, revision V)",
        pll_input_hz=(2 * _MHZ, 16 * _MHZ),
        vco_hz=(192 * _MHZ, 960 * _MHZ),
        pll_m=(1, 63),
        pll_n=(4, 512),
        pll_dividers=tuple(range(2, 129, 2)),
        cpu_hz=480 * _MHZ,
        ahb_hz=240 * _MHZ,
        apb_hz=(120 * _MHZ,) * 4,
        wait_states_hz=(70 * _MHZ, 140 * _MHZ, 210 * _MHZ, 225 * _MHZ, 240 * _MHZ),
    ),
    "stm32u5": FamilyLimits(
        source="RM0456 (range 1, booster), DS13737 (STM32U575)",
        pll_input_hz=(4 * _MHZ, 16 * _MHZ),
        vco_hz=(128 * _MHZ, 544 * _MHZ),
        pll_m=(1, 16),
        pll_n=(4, 512),
        pll_dividers=(1, *range(2, 129, 2)),
        cpu_hz=160 * _MHZ,
        ahb_hz=160 * _MHZ,
        apb_hz=(160 * _MHZ,) * 3,
        wait_states_hz=tuple(32 * _MHZ * steps for steps in range(1, 6)),
    ),
}
_AHB_DIVIDERS = (1, 2, 4, 8, 16)
_APB_DIVIDERS = (1, 2, 4, 8, 16)
# The voltage booster of STM32U5: its input, and what PLL1MBOOST can divide by (RM0456, RCC_PLL1CFGR).
_BOOSTER_HZ = (4 * _MHZ, 16 * _MHZ)
_BOOSTER_DIVIDERS = (1, 2, 4)
# BRR by usart_scale: a USART needs 16 clocks a bit, the LPUART three, and their registers have 16 and 20 bits.
_USART_DIVISORS = {1: (16, 0xFFFF), 256: (0x300, 0xFFFFF)}


@dataclass(frozen=True)
class ClockTree:
    """The `[clock]` of an STM32 board; its C file programs these numbers, which CMake hands to it.

    The processor runs at oscillator_hz / pll_m * pll_n / pll_divider.

    Attributes:
        family: One of `FAMILIES`.
        oscillator_hz: The internal oscillator, on which the processor stays where the PLL does not start.
        pll_m: Divides the oscillator.
        pll_n: Multiplies it.
        pll_divider: Divides the PLL's oscillator for the processor: P or R, as the family calls it.
        ahb_divider: Divides the processor's clock for the bus to memories and flash.
        apb1_divider: Divides that bus's clock for the first peripheral bus.
        apb2_divider: For the second.
        flash_wait_states: Of a read.
        usart_bus: The peripheral bus of the serial port: "apb1".
        usart_scale: What the port's baud rate register counts in a clock: 1 in a USART, 256 in a LPUART.
        apb3_divider: For the third peripheral bus, where there is one.
        apb4_divider: For the fourth.
        pll_q: Divides the PLL's oscillator for the 48 MHz of USB, where the register has to hold something.
        booster_divider: Divides the oscillator for the voltage booster of STM32U5.
    """

    family: str
    oscillator_hz: int
    pll_m: int
    pll_n: int
    pll_divider: int
    ahb_divider: int
    apb1_divider: int
    apb2_divider: int
    flash_wait_states: int
    usart_bus: str
    usart_scale: int
    apb3_divider: int | None = None
    apb4_divider: int | None = None
    pll_q: int | None = None
    booster_divider: int | None = None

    @property
    def pll_input_hz(self) -> Fraction:
        """What goes into the PLL."""
        return Fraction(self.oscillator_hz, self.pll_m)

    @property
    def vco_hz(self) -> Fraction:
        """The PLL's own oscillator."""
        return self.pll_input_hz * self.pll_n

    @property
    def cpu_hz(self) -> Fraction:
        """The processor's clock."""
        return self.vco_hz / self.pll_divider

    @property
    def ahb_hz(self) -> Fraction:
        """The clock of the bus to memories and flash."""
        return self.cpu_hz / self.ahb_divider

    @property
    def apb_hz(self) -> dict[str, Fraction]:
        """The clock of each peripheral bus by name."""
        dividers = (self.apb1_divider, self.apb2_divider, self.apb3_divider, self.apb4_divider)
        return {f"apb{bus}": self.ahb_hz / divider for bus, divider in enumerate(dividers, start=1) if divider}

    @property
    def usart_hz(self) -> Fraction:
        """The clock of the serial port."""
        return self.apb_hz[self.usart_bus]

    def definitions(self) -> dict[str, int]:
        """Return the macros of the C file: those that te_board.cmake reads, and the divider of the port's bus."""
        numbers = {key: value for key, value in vars(self).items() if isinstance(value, int)}
        numbers["usart_bus_divider"] = numbers[f"{self.usart_bus}_divider"]
        return {f"TE_CLOCK_{key.upper()}": value for key, value in numbers.items()}

    def check(self, clock_hz: int, baud: int) -> None:
        """Make sure that the tree gives the processor's clock and that the part allows all of it.

        Args:
            clock_hz: What the processor is to run at.
            baud: What the serial port is to run at, both on the PLL and on the oscillator.

        Raises:
            ConfigError: A number is outside of its limits.
        """
        if self.family not in FAMILIES:
            raise ConfigError(f"no clock limits are known for the family {self.family!r}: {', '.join(FAMILIES)}")
        limits = FAMILIES[self.family]
        if self.cpu_hz != clock_hz:
            raise ConfigError(
                f"the clock tree gives {_mhz(self.cpu_hz)}, not the {_mhz(Fraction(clock_hz))} of clock_hz"
            )
        _within("pll_m", self.pll_m, limits.pll_m, limits)
        _within("pll_n", self.pll_n, limits.pll_n, limits)
        _one_of("pll_divider", self.pll_divider, limits.pll_dividers)
        _one_of("ahb_divider", self.ahb_divider, _AHB_DIVIDERS)
        _clock_within("the PLL's input", self.pll_input_hz, limits.pll_input_hz, limits)
        _clock_within("the PLL's oscillator", self.vco_hz, limits.vco_hz, limits)
        _clock_within("the processor", self.cpu_hz, (0, limits.cpu_hz), limits)
        _clock_within("AHB", self.ahb_hz, (0, limits.ahb_hz), limits)
        if list(self.apb_hz) != [f"apb{bus}" for bus, _ in enumerate(limits.apb_hz, start=1)]:
            raise ConfigError(f"{self.family} has {len(limits.apb_hz)} peripheral buses, not {', '.join(self.apb_hz)}")
        for (bus, hz), limit in zip(self.apb_hz.items(), limits.apb_hz, strict=True):
            _one_of(f"{bus}_divider", int(self.ahb_hz / hz), _APB_DIVIDERS)
            _clock_within(bus.upper(), hz, (0, limit), limits)
        needed = wait_states(limits, self.ahb_hz)
        if self.flash_wait_states != needed:
            raise ConfigError(
                f"flash_wait_states is {self.flash_wait_states}, not the {needed} that {_mhz(self.ahb_hz)} need "
                f"({limits.source})"
            )
        if self.booster_divider is not None:
            _one_of("booster_divider", self.booster_divider, _BOOSTER_DIVIDERS)
            booster_hz = Fraction(self.oscillator_hz, self.booster_divider)
            _clock_within("the voltage booster", booster_hz, _BOOSTER_HZ, limits)
        _one_of("usart_bus", self.usart_bus, tuple(self.apb_hz))
        _one_of("usart_scale", self.usart_scale, tuple(_USART_DIVISORS))
        for hz in (self.usart_hz, Fraction(self.oscillator_hz)):
            usart_divisor(hz, baud, self.usart_scale)


def wait_states(limits: FamilyLimits, ahb_hz: Fraction) -> int:
    """Return the fewest wait states with which the flash can be read at this clock.

    Raises:
        ConfigError: There is no number of them.
    """
    for states, highest_hz in enumerate(limits.wait_states_hz):
        if ahb_hz <= highest_hz:
            return states
    raise ConfigError(f"the flash cannot be read at {_mhz(ahb_hz)} ({limits.source})")


def usart_divisor(clock_hz: Fraction, baud: int, scale: int) -> int:
    """Return what the baud rate register gets: the nearest to scale * clock / baud, as the C file computes it.

    Args:
        clock_hz: Of the port.
        baud: The wanted rate.
        scale: 1 for a USART that samples a bit 16 times, 256 for a LPUART.

    Raises:
        ConfigError: The register cannot hold it, or the nearest rate is more than 1 % off.
    """
    divisor = (scale * int(clock_hz) + baud // 2) // baud
    lowest, highest = _USART_DIVISORS[scale]
    if not lowest <= divisor <= highest:
        raise ConfigError(f"{baud} baud of {_mhz(clock_hz)} need a divisor of {divisor}, not {lowest} to {highest}")
    error = abs(scale * clock_hz / divisor / baud - 1)
    if error > _BAUD_ERROR_LIMIT:
        raise ConfigError(f"{baud} baud of {_mhz(clock_hz)} would be {float(error):.1%} off, over 1 %")
    return divisor


def _within(name: str, value: int, limit: tuple[int, int], limits: FamilyLimits) -> None:
    if not limit[0] <= value <= limit[1]:
        raise ConfigError(f"{name} is {value}, not {limit[0]} to {limit[1]} ({limits.source})")


def _one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} is {value}, not one of {', '.join(map(str, choices))}")


def _clock_within(name: str, hz: Fraction, limit: tuple[int, int], limits: FamilyLimits) -> None:
    if not limit[0] <= hz <= limit[1]:
        lowest, highest = (_mhz(Fraction(value)) for value in limit)
        raise ConfigError(f"{name} runs at {_mhz(hz)}, not {lowest} to {highest} ({limits.source})")


def _mhz(hz: Fraction) -> str:
    return f"{float(hz) / 1e6:g} MHz"
