"""What of the flash goes where: weights, kernels, application."""

from collections import Counter
from dataclasses import dataclass

from tinyedge.boards.board import DEFAULT_BOARD, load_board
from tinyedge.checks.budgets import estimate_flash
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject


@dataclass(frozen=True)
class Part:
    """A part of the flash.

    Attributes:
        name: What it is.
        bytes: Its size.
        share: Per cent of all parts.
        colour: Which of the page's ten colours.
    """

    name: str
    bytes: int
    share: float
    colour: int


@dataclass(frozen=True)
class Flash:
    """Where the flash goes.

    Attributes:
        basis: Where the figures come from, as a sentence.
        parts: Of the image.
        total_bytes: The image.
        weights: Of the file, by operator, the most first.
    """

    basis: str
    parts: tuple[Part, ...]
    total_bytes: int
    weights: tuple[Part, ...]


def flash_by_part(subject: Subject) -> Flash | Missing | None:
    """Return the parts as a benchmark of the model measured them, or else as the check estimates them."""
    check, program = subject.check, subject.program
    if check is None or program is None:
        return subject.not_compiled
    counts: Counter[str] = Counter()
    for layer in check.layers:
        counts[layer.op] += layer.weight_bytes
    weights = _parts([(op, size) for op, size in counts.most_common() if size])
    for bench in subject.source.benches:
        for record in bench.results:
            code, model, kernels = record.flash_code_bytes, record.flash_model_bytes, record.flash_kernel_bytes
            if record.runtime == "aot" and code is not None and model is not None:
                parts = [("weights, per-channel data, layers", model)]
                parts += (
                    [("application", code)]
                    if kernels is None
                    else [("kernels", kernels), ("application", code - kernels)]
                )
                basis = f"Measured on the image that the benchmark of {record.board} built."
                return Flash(basis, _parts(parts), model + code, weights)
    estimate = estimate_flash(program)
    parts = [
        ("weights and per-channel data", estimate.constant_bytes),
        ("layers' parameters and calls", estimate.layer_bytes),
        ("kernels", estimate.kernel_bytes),
        ("application", estimate.application_bytes),
    ]
    board = load_board(DEFAULT_BOARD)
    basis = (
        f"Estimated for {board.name} as `tinyedge check` does, some kilobytes above what `tinyedge build` measures; "
        f"the board has {board.flash_bytes:,} bytes."
    )
    return Flash(basis, _parts(parts), estimate.bytes, weights)


def _parts(sizes: list[tuple[str, int]]) -> tuple[Part, ...]:
    total = sum(size for _, size in sizes) or 1
    return tuple(Part(name, size, round(100 * size / total, 2), index % 10) for index, (name, size) in enumerate(sizes))
