"""A firmware image: what it is asked to do, and what it takes of a board's memories."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyedge.boards.board import Board, Memory
from tinyedge.errors import ConfigError
from tinyedge.firmware.mlperf import MLPERF_IDS
from tinyedge.firmware.stack import StackReport

FIRMWARE_RUNTIMES = ("aot", "tflm")
"""What runs a model on a microcontroller."""

MODEL_PLACES = ("flash", "ram")
"""Where kernels and weights may lie while they run."""

_MOST_CLASSES = 65_535


@dataclass(frozen=True)
class ImageOptions:
    """What an image does beside running a model.

    Attributes:
        runtime: One of `FIRMWARE_RUNTIMES`.
        mlperf_id: One of `MLPERF_IDS` to answer, and take input, as that MLPerf Tiny benchmark; "" for one's own model.
        layers: Whether the image answers `te layers`, for which it holds every layer's name and a call after each.
        classes: How many classes the image can learn; its output is then the model's embedding, see
            `tinyedge.compiler.embedding`. 0: it learns none.
        cascade: As `tinyedge.compiler.options.CompileOptions` has it; tflm has no cascades.
        optimize: As `tinyedge.compiler.options.CompileOptions` has it; tflm is a library that is compiled already.
        kernels_in: What the instructions of the model and its kernels are fetched from: "flash", or "ram" on a board
            with `code_ram`, which the start copies them to. Not for tflm.
        weights_in: The same of the model's constants, for which any RAM will do.

    Raises:
        ConfigError: There is no such runtime, benchmark or place, or the options exclude each other.
    """

    runtime: str = "aot"
    mlperf_id: str = ""
    layers: bool = False
    classes: int = 0
    cascade: str = "auto"
    optimize: str = "balanced"
    kernels_in: str = "flash"
    weights_in: str = "flash"

    def __post_init__(self) -> None:
        if not 0 <= self.classes <= _MOST_CLASSES:
            raise ConfigError(f"an image cannot learn {self.classes} classes: give 1 to {_MOST_CLASSES:,}")
        if self.classes and self.mlperf_id:
            raise ConfigError(
                f"an image that learns classes gives an embedding and {self.mlperf_id} asks for a result: give one"
            )
        if self.runtime not in FIRMWARE_RUNTIMES:
            raise ConfigError(
                f"no runtime {self.runtime!r} on a board: choose --runtime {' or '.join(FIRMWARE_RUNTIMES)}"
            )
        if self.mlperf_id and self.mlperf_id not in MLPERF_IDS:
            raise ConfigError(f"no MLPerf Tiny benchmark {self.mlperf_id!r}: choose one of {', '.join(MLPERF_IDS)}")
        for option, place in (("--kernels-in", self.kernels_in), ("--weights-in", self.weights_in)):
            if place not in MODEL_PLACES:
                raise ConfigError(f"no place {place!r}: choose {option} {' or '.join(MODEL_PLACES)}")
            if place != "flash" and self.runtime == "tflm":
                raise ConfigError(f"TFLite Micro and its model stay in flash: leave {option} or --runtime tflm out")
        if self.layers and self.runtime == "tflm":
            raise ConfigError(
                "a release library of TFLite Micro tells of no layers: leave --layers out, or --runtime tflm"
            )
        if self.classes and self.runtime == "tflm":
            raise ConfigError(
                "TFLite Micro runs whole models, not the encoder alone: leave --enroll or --runtime tflm out"
            )


@dataclass(frozen=True)
class FirmwareSizes:
    """What an image takes.

    Attributes:
        flash_bytes: Everything that is written into the flash, or set aside there.
        flash_model_bytes: Weights, per-channel data and layer parameters.
        flash_code_bytes: Everything else that is written.
        flash_kernel_bytes: Of the code, instructions and tables of the model's calls and of the kernels; for tflm the
            interpreter's too.
        flash_store_bytes: Flash that is set aside to save learned classes, in no other figure but the first.
        ram_bytes: Variables: the arena, the loaded input and the rest, and weights; the stack not counted.
        arena_bytes: The part of the RAM that the runtime and the model need.
        stack_bytes: RAM that is set aside for the stack.
        code_ram_bytes: RAM that holds the instructions of the model and its kernels, in no other figure.
        weights_ram_bytes: Of `ram_bytes`, a copy of the model's constants.
    """

    flash_bytes: int
    flash_model_bytes: int
    flash_code_bytes: int
    flash_kernel_bytes: int
    flash_store_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int
    code_ram_bytes: int
    weights_ram_bytes: int


@dataclass(frozen=True)
class MemoryRow:
    """A line of the size table: `bytes` of the `limit` of a memory."""

    memory: str
    what: str
    bytes: int
    limit: int

    @property
    def percent(self) -> float:
        """The share of the memory."""
        return 100.0 * self.bytes / self.limit


@dataclass(frozen=True)
class FirmwareImage:
    """A built image.

    Attributes:
        elf: With symbols, for debuggers and QEMU.
        bin: The bytes of the flash from its first address on.
        hex: The same as Intel HEX.
        map: The linker's account of every symbol.
        board: What it is for.
        runtime: What runs the model.
        compiler: Name and version of what built it: "arm-none-eabi-gcc 12.2.1".
        flags: With which it built the model and the kernels.
        ram: The board's memory that holds the variables and the stack.
        sizes: What it takes.
        stack: How much of the stack it can use.
    """

    elf: Path
    bin: Path
    hex: Path
    map: Path
    board: Board
    runtime: str
    compiler: str
    flags: str
    ram: Memory
    sizes: FirmwareSizes
    stack: StackReport

    def memory_rows(self) -> list[MemoryRow]:
        """Return the size table: the parts of each memory, then their sum; then the stack's worst case, if known."""
        sizes, board = self.sizes, self.board
        other_bytes = sizes.ram_bytes - sizes.arena_bytes - sizes.weights_ram_bytes
        flash = {"code": sizes.flash_code_bytes, "model": sizes.flash_model_bytes}
        if sizes.flash_store_bytes:
            flash["saved classes"] = sizes.flash_store_bytes
        flash["all"] = sizes.flash_bytes
        ram = {
            "arena": sizes.arena_bytes,
            "input and variables": other_bytes,
            **({"weights": sizes.weights_ram_bytes} if sizes.weights_ram_bytes else {}),
            "stack": sizes.stack_bytes,
            "all": sizes.ram_bytes + sizes.stack_bytes,
        }
        stack = {} if self.stack.worst_case_bytes is None else {"worst case": self.stack.worst_case_bytes}
        code_ram = [] if board.code_ram is None else [("kernels", sizes.code_ram_bytes, board.code_ram.bytes)]
        return [
            *(MemoryRow("flash", what, used, board.flash_bytes) for what, used in flash.items()),
            *(MemoryRow("RAM", what, used, self.ram.bytes) for what, used in ram.items()),
            *(MemoryRow("code RAM", what, used, limit) for what, used, limit in code_ram if used),
            *(MemoryRow("stack", what, used, sizes.stack_bytes) for what, used in stack.items()),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return files, sizes and limits as a JSON object."""
        files = {key: str(getattr(self, key)) for key in ("elf", "bin", "hex", "map")}
        limits = {"flash_bytes": self.board.flash_bytes, "ram_bytes": self.ram.bytes}
        return {
            "schema": 1,
            "board": self.board.name,
            "cpu": self.board.cpu,
            "runtime": self.runtime,
            "compiler": self.compiler,
            "flags": self.flags,
            "files": files,
            "sizes": asdict(self.sizes),
            "stack": asdict(self.stack),
            "limits": limits,
        }
