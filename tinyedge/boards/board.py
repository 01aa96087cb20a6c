"""Board descriptions: one TOML file a board, ours in `boards/`, which the firmware's CMake reads as well."""

import difflib
import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from tinyedge.boards.clock import ClockTree
from tinyedge.errors import ConfigError
from tinyedge.plural import counted

DEFAULT_BOARD = "stm32f405"

_BOARDS = Path(__file__).resolve().parent
# What CMake reads of a description, te_read_board(): a comment, a section, a text or a number.
_LINE = re.compile(r"(#.*)?|\[[a-z0-9_]+\]|[a-z0-9_]+ = (\"[^\"]*\"|[0-9a-fA-Fx]+)")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MOST_UNIQUE_ID_WORDS = 4  # 128 bits; the parts that we know have 64 or 96.
_ADDRESS_SPACE_BYTES = 1 << 32
T = TypeVar("T")


@dataclass(frozen=True)
class Memory:
    """A memory region of a board.

    Attributes:
        origin: Its first address.
        bytes: Its size.
    """

    origin: int
    bytes: int

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.origin + self.bytes


@dataclass(frozen=True)
class Store:
    """Where a board saves learned classes: two slots in its flash, one after the other.

    Attributes:
        source: Its C file, beside the description or in firmware/boards/.
        origin: The first slot's address.
        slot_bytes: Of each slot; it is erased as a whole.
        program_bytes: What the flash writes at a time.
    """

    source: str
    origin: int
    slot_bytes: int
    program_bytes: int

    @property
    def end(self) -> int:
        """The first address after both slots."""
        return self.origin + 2 * self.slot_bytes

    def reserved_bytes(self, flash: Memory) -> int:
        """Flash that an image which learns leaves unused: both slots, and what is before them but not at its end."""
        return flash.end - self.origin if self.end == flash.end else self.end - flash.origin


@dataclass(frozen=True)
class EmulatorModel:
    """How QEMU runs a board.

    Attributes:
        machine: The name of QEMU's machine.
        instructions_per_tick: Executed instructions in one SysTick tick under `-icount shift=0`, exactly.
        serial_port: Which of the machine's serial ports is the board's.
    """

    machine: str
    instructions_per_tick: Fraction
    serial_port: int = 0


@dataclass(frozen=True)
class FlashReads:
    """How the processor reads the flash behind its wait states, for the cycle model.

    Attributes:
        read_bytes: What one read brings.
        line_bytes: Of the caches before the flash.
        instruction_cache_bytes: Their size; 0 where there is none.
        data_cache_bytes: As for instructions.
        prefetch: 1 where the next read begins before it is asked for, else 0.
    """

    read_bytes: int
    line_bytes: int
    instruction_cache_bytes: int
    data_cache_bytes: int
    prefetch: int


@dataclass(frozen=True)
class FlashTools:
    """What the programs that write a board's flash have to know of it.

    Attributes:
        pyocd_target: pyOCD's name of the chip, built in or from its pack: "stm32f405rgtx".
        openocd_config: OpenOCD's configuration files, blanks between them.
        chip_id: The lower twelve bits of what tells the chip: DEV_ID in DBGMCU_IDCODE, PART in Nordic's FICR.
        chip_id_address: Where that word is.
    """

    pyocd_target: str
    openocd_config: str
    chip_id: int
    chip_id_address: int


@dataclass(frozen=True)
class UniqueId:
    """Where the part's unique number can be read, for `te info`.

    Attributes:
        origin: Its first word's address.
        words: How many words of 32 bits it has.
    """

    origin: int
    words: int

    def check(self) -> None:
        """Make sure that the firmware can read it.

        Raises:
            ConfigError: The words are not aligned or at no address, or more or fewer than any part's.
        """
        if self.origin % 4:
            raise ConfigError(f"[unique_id] origin is {self.origin:#010x}, not a multiple of 4")
        if not 1 <= self.words <= _MOST_UNIQUE_ID_WORDS:
            raise ConfigError(f"[unique_id] words is {self.words}, not 1 to {_MOST_UNIQUE_ID_WORDS}")
        if self.origin > _ADDRESS_SPACE_BYTES - 4 * self.words:
            raise ConfigError(
                f"[unique_id] origin is {self.origin:#010x}, but {counted(self.words, 'word')} there would lie "
                "outside of the addresses of 32 bits"
            )


@dataclass(frozen=True)
class CodeRam:
    """RAM from which instructions are fetched without wait states.

    Attributes:
        origin: Its first address, on the bus that instructions are fetched over.
        bytes: How much of it code may fill.
        sram_origin: Where what is left of the board's `sram` begins, if the two are one memory.
        sram_bytes: How much is left; 0 where they are not one memory, and all is.
    """

    origin: int
    bytes: int
    sram_origin: int = 0
    sram_bytes: int = 0

    def variables(self, sram: Memory) -> Memory:
        """What of a board's `sram` is left for variables while code lies here."""
        return Memory(self.sram_origin, self.sram_bytes) if self.sram_bytes else sram


@dataclass(frozen=True)
class CmsdkUart:
    """The serial port of one of Arm's FPGA boards.

    Attributes:
        origin: Where its registers are.
        clock_hz: Of the bus that it is on.
    """

    origin: int
    clock_hz: int


@dataclass(frozen=True)
class Board:
    """What is to be known of a board to build for it, run it and judge a model against it.

    Attributes:
        name: Its file's stem, as in `--board`.
        file: The TOML file it was read from; CMake reads the same.
        description: One line for people.
        cpu: GCC's name of the core: "cortex-m4".
        cpu_flags: Instruction set, floating-point unit and ABI for the compiler.
        instruction_set: Of the kernels, one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        source: Its C file, beside the description or in firmware/boards/.
        clock_hz: The processor's clock that its C file sets.
        baud: Of the serial port.
        stack_bytes: RAM that is set aside for the stack.
        flash: Where code and constants go.
        sram: Where the arena, all other variables and the stack go.
        boot: Where the processor finds its first vectors; None where they are the flash's first words.
        tcm: A faster memory that takes the place of `sram` where everything fits into it; None where there is none.
        code_ram: Where `ImageOptions.kernels_in` puts the kernels on request; None where there is no such memory.
        clock: What the C file makes of the oscillator; None where nothing is to be set.
        flash_reads: How its flash is read; None where it has no wait states, or that is not described.
        cmsdk_uart: Its serial port; None where the C file knows that.
        unique_id: Where the part's unique number is; None where it has none.
        part: The microcontroller's number; "" for an FPGA's.
        emulator: How QEMU runs it; None for a board that it does not have.
        store: Where it saves learned classes; None where that is not described.
        flash_tools: How its flash is written; None for a board that only QEMU has.
    """

    name: str
    file: Path
    description: str
    cpu: str
    cpu_flags: str
    instruction_set: str
    source: str
    clock_hz: int
    baud: int
    stack_bytes: int
    flash: Memory
    sram: Memory
    boot: Memory | None
    tcm: Memory | None
    code_ram: CodeRam | None
    clock: ClockTree | None
    emulator: EmulatorModel | None
    store: Store | None
    flash_tools: FlashTools | None
    flash_reads: FlashReads | None
    cmsdk_uart: CmsdkUart | None
    unique_id: UniqueId | None
    part: str = ""

    @property
    def argument(self) -> str:
        """What names it in `--board`: its name, or the path of a file of the user's own."""
        return self.name if self.file.parent == _BOARDS else str(self.file)

    @property
    def flash_bytes(self) -> int:
        """The flash that an image can fill."""
        return self.flash.bytes

    @property
    def ram_bytes(self) -> int:
        """The most RAM for variables, the arena and the stack."""
        return self.sram.bytes

    @property
    def required_flash_tools(self) -> FlashTools:
        """How its flash is written.

        Raises:
            ConfigError: It exists in the emulator only.
        """
        if self.flash_tools is None:
            raise ConfigError(f"{self.name} exists in the emulator only: add --emulator, or choose another --board")
        return self.flash_tools

    def definitions(self) -> dict[str, str]:
        """The macros of its C files, as firmware/CMakeLists.txt defines them for an image that learns.

        Returns:
            C's spelling of each value by the macro's name: "168000000u".
        """
        numbers = {"TE_UART_BAUD": self.baud, "TE_CLOCK_HZ": self.clock_hz}
        if self.clock is not None:
            numbers |= self.clock.definitions()
        if self.cmsdk_uart is not None:
            numbers |= {f"TE_CMSDK_UART_{key.upper()}": value for key, value in vars(self.cmsdk_uart).items()}
        if self.unique_id is not None:
            numbers |= {f"TE_UNIQUE_ID_{key.upper()}": value for key, value in vars(self.unique_id).items()}
        if self.store is not None:
            places = ("origin", "slot_bytes", "program_bytes")
            numbers |= {f"TE_STORE_{key.upper()}": getattr(self.store, key) for key in places}
        texts = {"TE_BOARD_NAME": self.name, "TE_BOARD_CPU": self.cpu}
        return {
            **{name: f'"{text}"' for name, text in texts.items()},
            **{name: f"{number}u" for name, number in numbers.items()},
        }


def board_names() -> list[str]:
    """Every board that tinyedge brings, sorted."""
    return sorted(path.stem for path in _BOARDS.glob("*.toml"))


def load_board(name: str | Path) -> Board:
    """Read a board's description.

    Args:
        name: One of `board_names()`, or the path of a .toml file with the board's C file beside it.

    Raises:
        ConfigError: There is no such board, or its file is broken.
    """
    path = _find(name)
    try:
        text = path.read_text(encoding="utf-8")
        if not _NAME.fullmatch(path.stem):
            raise ConfigError("its name is the board's and takes letters, digits, _ and - alone")
        table = tomllib.loads(text)
        _check_lines(text)
        return _parse(path, table)
    except (ConfigError, OSError, tomllib.TOMLDecodeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{path} is not a valid board description ({error}): compare it with stm32f405.toml"
        ) from error


def emulated_board(board: Board) -> Board:
    """Return the board whose emulation runs what a board would: itself, or the one with the most RAM of its core.

    Raises:
        ConfigError: QEMU has no board with this core and these kernels.
    """
    if board.emulator is not None:
        return board
    alike = [
        other
        for other in map(load_board, board_names())
        if other.emulator is not None and (other.cpu, other.instruction_set) == (board.cpu, board.instruction_set)
    ]
    if not alike:
        raise ConfigError(
            f"QEMU emulates neither {board.name} nor another {board.cpu} with {board.instruction_set} kernels: choose "
            "another --board, or the board itself with --target board"
        )
    return max(alike, key=lambda other: other.ram_bytes)


def _find(name: str | Path) -> Path:
    path = Path(name).expanduser()
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"{path} does not exist: give --board a board's name or the path of its .toml file")
        return path.resolve()
    if str(name) not in board_names():
        close = difflib.get_close_matches(str(name), board_names(), n=1)
        hint = f"did you mean {close[0]}? There are" if close else "there are"
        raise ConfigError(
            f"no board {str(name)!r}: {hint} {', '.join(board_names())}; choose one with --board, or give the path of "
            "the .toml file of your own"
        )
    return _BOARDS / f"{name}.toml"


def _check_lines(text: str) -> None:
    """Refuse what is TOML and still more than CMake reads."""
    for number, line in enumerate(text.splitlines(), 1):
        if not _LINE.fullmatch(line):
            raise ConfigError(f"line {number} is not a comment, a [section] or `key = value`: {line}")


def _parse(path: Path, table: dict[str, Any]) -> Board:
    sections: dict[str, Any] = {
        key: _section(kind, key, _table(key, table[key]))
        for key, kind in (
            *(("flash", Memory), ("sram", Memory), ("boot", Memory), ("tcm", Memory), ("code_ram", CodeRam)),
            *(("clock", ClockTree), ("store", Store), ("flash_tools", FlashTools), ("flash_reads", FlashReads)),
            *(("cmsdk_uart", CmsdkUart), ("unique_id", UniqueId)),
        )
        if key in table
    }
    if "emulator" in table:
        given = _table("emulator", table["emulator"])
        if "instructions_per_tick" in given:
            given = {**given, "instructions_per_tick": Fraction(given["instructions_per_tick"])}
        sections["emulator"] = _section(EmulatorModel, "emulator", given)
    absent = dict.fromkeys(
        (
            *("boot", "tcm", "code_ram", "clock", "emulator", "store", "flash_tools", "flash_reads", "cmsdk_uart"),
            "unique_id",
        )
    )
    board = _section(Board, "", {**absent, **table, **sections, "name": path.stem, "file": path})
    if board.clock is not None:
        board.clock.check(board.clock_hz, board.baud)
    if board.unique_id is not None:
        board.unique_id.check()
    return board


def _table(name: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigError(f"{name} is {given!r}, not a [section]")
    return given


def _section(kind: type[T], name: str, given: dict[str, Any]) -> T:
    """Make the dataclass of a section; `name` is "" for what comes before all sections."""
    where = f"[{name}] " if name else ""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{where}has no key {key}" if name else f"there is no key {key}")
        wanted = known[key].type
        if wanted in (int, str) and type(value) is not wanted:
            raise ConfigError(f"{where}{key} is {value!r}, not {'a number' if wanted is int else 'a text'}")
    missing = [key for key, field in known.items() if key not in given and field.default is MISSING]
    if missing:
        raise ConfigError(f"{where}lacks {missing[0]}" if name else f"it lacks {missing[0]}")
    return kind(**given)
