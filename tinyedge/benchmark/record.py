"""What a benchmark reports, and the JSON that carries it (schema 1)."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from tinyedge import notebook
from tinyedge.errors import ConfigError
from tinyedge.plural import counted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA = 1

_Record = TypeVar("_Record", bound="DataclassInstance")
_MOST = 1 << 63


@dataclass(frozen=True)
class ModelledCycles:
    """What one inference takes on silicon by a model of the core and its memories: computed, not measured.

    Attributes:
        cycles: Of the processor.
        flash_wait_cycles: Those of them in which it waits for the flash.
        milliseconds: The cycles at the board's clock.
        core: The processor of the model.
        memory: What code and constants are read from.
        error: How far the model was from published counts of this core, or "not checked" (`docs/cycles.md`).
    """

    cycles: int
    flash_wait_cycles: int
    milliseconds: float
    core: str
    memory: str
    error: str


@dataclass(frozen=True)
class LayerRecord:
    """One layer's share of an inference.

    Attributes:
        name: The layer's.
        op: TFLite's name of its operator.
        kernel: The C function that runs it.
        macs: Its multiply-accumulates.
        instructions: Executed, to within some ten.
        kept_because: Why no kernel of the board's instruction set runs it, where one might; else empty.
        modelled_cycles: What they take on silicon by the model of `ModelledCycles`; None where there is none.
    """

    name: str
    op: str
    kernel: str
    macs: int
    instructions: int
    kept_because: str = ""
    modelled_cycles: int | None = None


@dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """One runtime on one target.

    Attributes:
        runtime: "onnx", "litert", "tflm" or "aot".
        target: "host", "emulator" or "board".
        board: The board's name; None on the host.
        cpu: "cortex-m4", or the host's architecture.
        instructions: Executed by one inference; emulator only.
        latency_ms: Median of one inference; on a board its cycles over its clock; never from an emulator.
        arena_bytes: RAM that the runtime needs besides the stack.
        ram_bytes: Static RAM of the firmware image, the arena included.
        flash_bytes: The whole firmware image.
        flash_code_bytes: Its code and tables, without the model.
        flash_model_bytes: Its weights and per-channel data.
        outputs_sha256: Of all int8 outputs, in the order of the inputs.
        bit_exact: Whether the outputs equal TFLite Micro's on the host, byte for byte; None where that was not run.
        differing: How many output values differ from TFLite Micro's.
        inputs: How many inputs were run.
        accuracy: Top-1 in [0, 1] on `accuracy_images` test images; None without labels.
        accuracy_images: How many test images that was.
        layers: Each layer's share, where it was asked for.
        stack_used_bytes: The most of the firmware's stack that was in use; None on the host.
        code_ram_bytes: RAM that holds the instructions of the model and its kernels; None on the host and on a board.
        flash_kernel_bytes: Of `flash_code_bytes`, instructions and tables of the model's calls and of the kernels.
        cycles: Median of one inference by the processor's own counter; board only.
        macs_per_cycle: The model's multiply-accumulates over `cycles`.
        timestamps_ms: The same by the timestamps around an inference, the copy of its input included; board only.
        clock_hz: The processor's clock, as the board says that it runs.
        timed_runs: Of how many inferences the medians are.
        emulated_on: The board whose emulation ran the instructions, where QEMU lacks `board`.
        modelled: Cycles and milliseconds by a model; emulator only.
        not_modelled_because: Why an emulator's record has no `modelled`; else empty.
    """

    runtime: str
    target: str
    board: str | None = None
    cpu: str
    instructions: int | None = None
    latency_ms: float | None = None
    arena_bytes: int | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    flash_code_bytes: int | None = None
    flash_model_bytes: int | None = None
    outputs_sha256: str
    bit_exact: bool | None
    differing: int | None
    inputs: int
    accuracy: float | None = None
    accuracy_images: int = 0
    layers: tuple[LayerRecord, ...] = ()
    stack_used_bytes: int | None = None
    code_ram_bytes: int | None = None
    flash_kernel_bytes: int | None = None
    cycles: int | None = None
    macs_per_cycle: float | None = None
    timestamps_ms: float | None = None
    clock_hz: int | None = None
    timed_runs: int = 0
    emulated_on: str | None = None
    modelled: ModelledCycles | None = None
    not_modelled_because: str = ""

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "BenchRecord":
        """Return what `dataclasses.asdict` made a JSON object of; fields that are newer than the file are empty."""
        modelled = content.get("modelled")
        return _checked(
            cls(
                **{
                    **content,
                    "layers": tuple(_checked(LayerRecord(**layer)) for layer in content.get("layers", ())),
                    "modelled": None if modelled is None else _checked(ModelledCycles(**modelled)),
                }
            )
        )


@dataclass(frozen=True)
class ModelRecord:
    """The model that was measured."""

    path: str
    sha256: str
    macs: int
    params: int
    bytes: int


@dataclass(frozen=True)
class BenchReport:
    """A model, its results, and the environment that gave them.

    Attributes:
        model: What was measured.
        results: A record a runtime.
        env: `versions` by package, `machine`, `seed`, and `compiler` and `flags` of the model's C; the two are None
            where nothing was compiled. `functions_by_litert`: those of the model that TFLite Micro lacks, of which
            `bit_exact` compares with LiteRT's results.
    """

    model: ModelRecord
    results: tuple[BenchRecord, ...]
    env: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the report as the documented JSON object."""
        return {
            "schema": SCHEMA,
            "model": asdict(self.model),
            "results": [asdict(record) for record in self.results],
            "env": self.env,
        }

    def _repr_html_(self) -> str:
        """For a notebook: a column a runtime, and where they were measured each layer's share."""
        model, records = self.model, self.results
        size = f"{model.path}: {model.bytes:,} bytes, {model.params:,} parameters, {model.macs:,} MACs"
        figures: dict[str, list[object]] = {
            "on": [record.board or record.target for record in records],
            "instructions": [record.instructions for record in records],
            "modelled cycles": [record.modelled and record.modelled.cycles for record in records],
            "cycles": [record.cycles for record in records],
            "ms": [record.latency_ms and round(record.latency_ms, 3) for record in records],
            "arena, bytes": [record.arena_bytes for record in records],
            "RAM, bytes": [record.ram_bytes for record in records],
            "flash, bytes": [record.flash_bytes for record in records],
            "stack, bytes": [record.stack_used_bytes for record in records],
            "top-1": [record.accuracy and f"{100 * record.accuracy:.1f} %" for record in records],
            "bit-exact": [record.bit_exact for record in records],
        }
        rows = [(what, *cells) for what, cells in figures.items() if any(cell is not None for cell in cells)]
        layers = (
            notebook.folded(
                f"{counted(len(record.layers), 'layer')} of {record.runtime}",
                notebook.table(
                    ("layer", "kernel", "MACs", "instructions", "modelled cycles"),
                    ((one.name, one.kernel, one.macs, one.instructions, one.modelled_cycles) for one in record.layers),
                ),
            )
            for record in records
            if record.layers
        )
        head = ("", *(record.runtime for record in records))
        return "".join((notebook.paragraph(size, bold=True), notebook.table(head, rows), *layers))


def _checked(record: _Record) -> _Record:
    """Return a record whose fields are of their types.

    Raises:
        TypeError: One is not.
        ValueError: A number is larger than any count.
    """
    for each in fields(record):
        value, kind = getattr(record, each.name), each.type
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and not -_MOST < value < _MOST:
            raise ValueError(f"{each.name} has {len(str(value))} digits")
        if whole and (kind is float or float in get_args(kind)):
            continue
        if isinstance(kind, type | UnionType) and not isinstance(value, kind):
            raise TypeError(f"{each.name} is {value!r:.40}")
    return record


def read_bench(path: Path) -> BenchReport:
    """Read what `tinyedge bench --json` printed.

    Args:
        path: The file it went to.

    Raises:
        ConfigError: It is not there, damaged, something else, or of another schema.
    """
    advice = "give what `tinyedge bench --json` printed"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): {advice}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is no benchmark of schema {SCHEMA}: {advice}")
    try:
        return BenchReport(
            _checked(ModelRecord(**content["model"])),
            tuple(BenchRecord.from_json(record) for record in content["results"]),
            dict(content["env"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is damaged ({error}): {advice}") from error
