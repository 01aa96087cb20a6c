"""The table: each public kernel of an instruction set, and a generator of operators that the compiler gives it.

Sizes go up in steps of primes, so that every remainder of a block of 2, 4, 8 or 16 comes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kernels.kernel_checks import CheckedCall, CheckedCase
from ops import case_builders as build
from ops.kernel_cases import Case, declared_params, int8_values, int16_values, read_operator
from ops.recurrent_models import lstm

from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.kernels import PORTABLE, hasten, specialise
from tinyedge.compiler.kernels.int4 import with_int8_weights
from tinyedge.ops import lower
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.tflite.graph import Tensor

PRIMES = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67)
_TRIES = 400
# A case runs until it has made so many outputs, if that is not too often or too much work.
_OUTPUTS, _MOST_RUNS, _MOST_WORK_OF_RUNS = 3000, 32, 200_000

Draw = Callable[[np.random.Generator, int], Case]
"""Makes an operator whose main size, mostly channels, is the prime."""


@dataclass(frozen=True)
class Row:
    """A kernel of the table.

    Attributes:
        kernel: Its name in C.
        instruction_set: That it is of, one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        draw: Makes operators of which the compiler gives it some.
        speed: Whether only `--optimize speed` calls it.
        wide: Of a portable kernel of INT4 weights, that of int8 ones, which is its reference.
    """

    kernel: str
    instruction_set: str
    draw: Draw
    speed: bool = False
    wide: Kernel | None = None


@dataclass(frozen=True, eq=False)
class RowCase:
    """A case of a row.

    Attributes:
        row: Which one.
        portable: The reference's call.
        fast: The kernel's.
        checked: Both as C, with values.
    """

    row: Row
    portable: KernelCall
    fast: KernelCall
    checked: CheckedCase

    @property
    def functions(self) -> set[str]:
        """Kernels that it calls."""
        return {name for call in (self.portable, self.fast) for name in (call.function, *call.kernel.calls)}


def row_cases(rows: Sequence[Row], count: int, most_work: int, rng: np.random.Generator, folder: Path) -> list[RowCase]:
    """Draw cases of each row.

    Args:
        rows: The kernels.
        count: Cases of each.
        most_work: Multiply-accumulates of a case, or outputs where it has none.
        rng: Decides.
        folder: For a file.
    """
    cases: list[RowCase] = []
    for row in rows:
        first = int(rng.integers(len(PRIMES)))
        # Small and large sizes in turn, all of them where there are as many cases.
        for step in range(count):
            prime = PRIMES[(first + step * max(len(PRIMES) // count, 1)) % len(PRIMES)]
            cases.append(_row_case(row, prime, len(cases), most_work, rng, folder))
    return cases


def _row_case(row: Row, prime: int, index: int, most_work: int, rng: np.random.Generator, folder: Path) -> RowCase:
    for attempt in range(_TRIES):
        # A size that the kernel does not take, or of which an operator is too large, gives way to a smaller one.
        size = PRIMES[max(PRIMES.index(prime) - attempt // 20, 0)] if attempt < _TRIES // 2 else int(rng.choice(PRIMES))
        case = row.draw(rng, size)
        portable = lower(read_operator(case.model, folder))
        fast = _fast(row, portable)
        if fast.function == row.kernel and max(portable.macs, portable.output.elements) <= most_work:
            reference = with_int8_weights(portable, row.wide) if row.wide else portable
            return RowCase(row, reference, fast, _checked(case, index, reference, fast, rng))
    raise AssertionError(f"the generator of {row.kernel} makes no call of it in {_TRIES} tries")


def _fast(row: Row, portable: KernelCall) -> KernelCall:
    (call,) = specialise([portable], row.instruction_set)
    if row.speed:
        (call,) = hasten([portable], [call], row.instruction_set, default_costs(row.instruction_set), spend_flash=True)
    return call


def _checked(case: Case, index: int, portable: KernelCall, fast: KernelCall, rng: np.random.Generator) -> CheckedCase:
    activations = list(dict.fromkeys(portable.inputs))
    # The last bit of a rounding is seen in one of hundreds of outputs.
    work = max(portable.macs, portable.output.elements)
    runs = max(1, min(_MOST_RUNS, _OUTPUTS // portable.output.elements, _MOST_WORK_OF_RUNS // work))
    inputs = [_values(tensor, runs, rng) for tensor in activations]
    states = [_values(state, runs, rng) for state in portable.states]
    item_bytes = max(tensor.dtype.itemsize for tensor in (*activations, portable.output, *portable.states))
    overlaps = {
        activations.index(fast.inputs[overlap.input]): overlap.write_ahead_bytes or 0 for overlap in fast.overlaps
    }
    return CheckedCase(
        label=f"{fast.function}: {case.label}",
        declarations=declared_params(f"r{index}", portable) + declared_params(f"f{index}", fast),
        inputs=inputs,
        states=states,
        output_bytes=portable.output.bytes,
        skew_bytes=item_bytes * int(rng.integers(4)),
        reference=_call(portable, f"&r{index}", activations),
        fast=_call(fast, f"&f{index}", activations),
        overlaps=sorted(overlaps.items()),
    )


def _call(call: KernelCall, params: str, activations: Sequence[Any]) -> CheckedCall:
    return CheckedCall(
        call.function, params, tuple(activations.index(tensor) for tensor in call.inputs), call.scratch_bytes
    )


def _values(tensor: Tensor, runs: int, rng: np.random.Generator) -> np.ndarray:
    """(runs, *shape); in each fourth run only the least and the greatest value, of which sums reach their bounds."""
    draw = int8_values if tensor.dtype == np.int8 else int16_values
    values = draw(rng, runs, *tensor.shape)
    limits = np.iinfo(tensor.dtype)
    values[3::4] = rng.choice([limits.min, limits.max], values[3::4].shape)
    return values


# --- Operators --------------------------------------------------------------------------------------------------------


def _prime(rng: np.random.Generator, largest: int) -> int:
    return int(rng.choice([prime for prime in PRIMES if prime <= largest]))


def _zero_points(rng: np.random.Generator, count: int) -> Any:
    return tuple(int(value) for value in rng.choice([-128, 127, 0, *range(-20, 20)], size=count))


def _gain(rng: np.random.Generator) -> float:
    return float(np.exp(rng.normal(0, 1)))


def _weighted(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "activation": str(rng.choice(build.ACTIVATIONS, p=[0.7, 0.1, 0.1, 0.1])),
        "per_channel": bool(rng.integers(2)),
        "bias": rng.random() < 0.8,
        "gain": _gain(rng),
        "zero_points": _zero_points(rng, 2),
        "symmetric": rng.random() < 0.7,
    }


def _window(
    rng: np.random.Generator,
    kernel: tuple[int, int],
    strides: Sequence[int] = (1, 2, 3),
    dilation: tuple[int, int] = (1, 1),
) -> dict[str, Any]:
    padding = str(rng.choice(["SAME", "VALID"]))
    reach = [(taps - 1) * step for taps, step in zip(kernel, dilation, strict=True)]
    height, width = (_prime(rng, 13) + (more if padding == "VALID" else 0) for more in reach)
    stride = int(rng.choice(strides))
    return {
        "shape": (_prime(rng, 2) if rng.random() < 0.3 else 1, height, width),
        "kernel": kernel,
        "dilation": dilation,
        "stride": (stride, stride if rng.random() < 0.7 else int(rng.choice(strides))),
        "padding": padding,
    }


def _kernel(rng: np.random.Generator, largest: int = 5) -> tuple[int, int]:
    return int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1))


def _dilation(rng: np.random.Generator) -> tuple[int, int]:
    return (1, 1) if rng.random() < 0.7 else (int(rng.integers(1, 4)), int(rng.integers(1, 4)))


def _conv2d(multiple: int = 1, **forms: Any) -> Draw:
    """With input channels of a multiple."""

    def draw(rng: np.random.Generator, prime: int) -> Case:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        window = _window(rng, _kernel(rng), dilation=_dilation(rng))
        shape = (*window.pop("shape"), groups * multiple * prime)
        more = {**_weighted(rng), **forms}
        return build.conv2d(rng, shape, groups * _prime(rng, 19), groups=groups, **window, **more)

    return draw


def _few_channels(of_filters: int = 1, **forms: Any) -> Draw:
    """Without groups and dilation; of so many filters or a multiple of them."""

    def draw(rng: np.random.Generator, prime: int) -> Case:
        window = _window(rng, _kernel(rng))
        filters = of_filters * _prime(rng, 19)
        return build.conv2d(rng, (*window.pop("shape"), prime), filters, **window, **_weighted(rng), **forms)

    return draw


def _winograd(rng: np.random.Generator, prime: int) -> Case:
    window = _window(rng, (3, 3), strides=(1,))
    return build.conv2d(
        rng,
        (*window.pop("shape"), 4 * min(prime, 13)),
        2 * _prime(rng, 19),
        **window,
        **{**_weighted(rng), "activation": "NONE"},
    )


def _transpose_conv(rng: np.random.Generator, prime: int) -> Case:
    shape = (_prime(rng, 2), _prime(rng, 7), _prime(rng, 7), prime)
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    padding = str(rng.choice(["SAME", "VALID"]))
    return build.transpose_conv(rng, shape, _prime(rng, 13), _kernel(rng), stride, padding, **_weighted(rng))


def _depthwise(
    kernel: Callable[[np.random.Generator], tuple[int, int]],
    strides: Sequence[int] = (1, 2, 3),
    dilated: bool = True,
    multiplier: int = 1,
    **forms: Any,
) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        taps = kernel(rng)
        dilation = (_dilation(rng)[0], 1) if taps == (3, 3) else _dilation(rng)
        window = _window(rng, taps, strides, dilation if dilated else (1, 1))
        shape = (*window.pop("shape"), prime)
        return build.depthwise_conv2d(
            rng, shape, int(rng.integers(1, multiplier + 1)), **window, **_weighted(rng), **forms
        )

    return draw


def _depthwise_taps(**forms: Any) -> Draw:
    """Half of them with taps of a row that lie apart, of 3x3 too."""
    neighbours = _depthwise(_kernel, **forms)

    def draw(rng: np.random.Generator, prime: int) -> Case:
        if rng.random() < 0.5:
            return neighbours(rng, prime)
        taps = int(rng.integers(1, 6)), int(rng.integers(2, 6))
        window = _window(rng, taps, (1,), (int(rng.integers(1, 4)), int(rng.integers(2, 5))))
        return build.depthwise_conv2d(rng, (*window.pop("shape"), prime), 1, **window, **_weighted(rng), **forms)

    return draw


def _depthwise_whole(rng: np.random.Generator, prime: int) -> Case:
    kernel_h, width = _prime(rng, 7), _prime(rng, 7)
    return build.depthwise_conv2d(
        rng,
        (_prime(rng, 2), kernel_h + _prime(rng, 7) - 1, width, 4 * prime),
        1,
        (kernel_h, width),
        (int(rng.integers(1, 4)), 1),
        (1, 1),
        "VALID",
        **{**_weighted(rng), "activation": "NONE"},
    )


def _depthwise_rows(**forms: Any) -> Draw:
    """Over whole rows of the image, or of one column, with any number of channels."""

    def draw(rng: np.random.Generator, prime: int) -> Case:
        kernel_h, width = _prime(rng, 7), _prime(rng, 7)
        shape = (_prime(rng, 2), kernel_h + _prime(rng, 7) - 1, width, prime)
        strides = (int(rng.integers(1, 4)), 1)
        return build.depthwise_conv2d(
            rng, shape, 1, (kernel_h, width), strides, (1, 1), "VALID", **_weighted(rng), **forms
        )

    return draw


def _fully_connected(**forms: Any) -> Draw:
    """Or filters of one pixel, which are the same."""

    def draw(rng: np.random.Generator, prime: int) -> Case:
        if rng.random() < 0.5 or "outputs" in forms:
            more = {"outputs": _prime(rng, 31), **forms}
            return build.fully_connected(rng, (_prime(rng, 19), prime), **more, **_weighted(rng))
        shape = (_prime(rng, 2), _prime(rng, 7), _prime(rng, 7), prime)
        return build.conv2d(rng, shape, _prime(rng, 31), (1, 1), **_weighted(rng), **forms)

    return draw


def _single_rows_int4(rng: np.random.Generator, prime: int) -> Case:
    """Of up to three rows."""
    rows = int(rng.integers(1, 4))
    return build.fully_connected(rng, (rows, prime), outputs=_prime(rng, 31), int4=True, **_weighted(rng))


def _many_rows(rng: np.random.Generator, prime: int) -> Case:
    """Of eight rows and more, and an even number of outputs."""
    shape = (1, 1 + _prime(rng, 11), 3 + _prime(rng, 13), prime)
    return build.conv2d(rng, shape, 2 * _prime(rng, 23), (1, 1), **_weighted(rng))


def _few_rows(rng: np.random.Generator, prime: int) -> Case:
    """Of eight outputs and more."""
    outputs = 7 + _prime(rng, 31)
    return build.fully_connected(rng, (int(rng.integers(1, 4)), prime), outputs, **_weighted(rng))


def _batch_matmul(dtype: type = np.int8) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        batches = [_prime(rng, 3) for _ in range(int(rng.integers(0, 3)))]
        sides = tuple(tuple(size if rng.random() < 0.7 else 1 for size in batches) for _ in range(2))
        sizes = (_prime(rng, 13), prime, _prime(rng, 13))
        adjoint = bool(rng.integers(2)), bool(rng.integers(2))
        constant = [None, 0, 1][int(rng.integers(3))]
        quantised = _gain(rng), _zero_points(rng, 3), dtype
        return build.batch_matmul(rng, (sides[0], sides[1]), sizes, *adjoint, constant, *quantised)

    return draw


def _add(dtype: type = np.int8, ops: Sequence[str] = ("ADD",)) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        shape = (1, _prime(rng, 13), _prime(rng, 13), prime)
        quantised = float(np.exp(rng.normal(0, 1))), _gain(rng), _zero_points(rng, 3), dtype
        return build.elementwise(rng, str(rng.choice(ops)), (shape, shape), None, "NONE", *quantised)

    return draw


def _rows_of_two(op: str | Sequence[str], dtype: type = np.int8) -> Draw:
    """One operand may be repeated along some axes, and one constant."""

    def draw(rng: np.random.Generator, prime: int) -> Case:
        shape = (1, _prime(rng, 7), _prime(rng, 7), prime)
        repeated = tuple(size if rng.random() < 0.7 else 1 for size in shape)
        shapes = (shape, repeated) if rng.random() < 0.5 else (repeated, shape)
        activation = str(rng.choice(build.ACTIVATIONS))
        quantised = float(np.exp(rng.normal(0, 1))), _gain(rng), _zero_points(rng, 3), dtype
        drawn = op if isinstance(op, str) else str(rng.choice(op))
        return build.elementwise(rng, drawn, shapes, [None, 0, 1][int(rng.integers(3))], activation, *quantised)

    return draw


def _pool(op: str, dtype: type = np.int8) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        window = _window(rng, _kernel(rng))
        del window["dilation"]
        activation, zero_point = str(rng.choice(build.ACTIVATIONS)), _zero_points(rng, 1)[0]
        quantised = {"zero_point": zero_point if dtype == np.int8 else 0, "dtype": dtype}
        shape = (*window.pop("shape"), prime)
        return build.pool(rng, op, shape, activation=activation, **quantised, **window)

    return draw


def _softmax(dtype: type = np.int8) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        shape = (_prime(rng, 13), _prime(rng, 7), prime)
        # From steps that are hardly told apart to steps of which one is all.
        scale, beta = float(np.exp(rng.uniform(-9, 1))), float(rng.choice([1.0, 0.3, 2.5]))
        if dtype == np.int16:  # Which takes less than 5 of both together.
            scale = min(scale, 4.9 / beta)
        return build.softmax(rng, shape, scale, beta, _zero_points(rng, 1)[0] if dtype == np.int8 else 0, dtype)

    return draw


def _table(rng: np.random.Generator, prime: int) -> Case:
    shape = (1, _prime(rng, 13), _prime(rng, 13), prime)
    return build.table(rng, "LOGISTIC", zero_points=(_zero_points(rng, 1)[0], -128), shape=shape)


def _mean(dtype: type = np.int8) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        shape = (_prime(rng, 2), _prime(rng, 13), _prime(rng, 13), prime)
        zero_points = _zero_points(rng, 2) if dtype == np.int8 else (0, 0)
        return build.reduction(rng, "MEAN", shape, (1, 2), bool(rng.integers(2)), _gain(rng), zero_points, dtype=dtype)

    return draw


def _rescale(source: type, output: type) -> Draw:
    def draw(rng: np.random.Generator, prime: int) -> Case:
        shape = (1, _prime(rng, 13), _prime(rng, 13), prime)
        steps: dict[type, float] = {np.int8: 2.0**8, np.int16: 1.0}
        gain = _gain(rng) * steps[source] / steps[output]
        return build.rescale(rng, shape, gain, _zero_points(rng, 2), (source, output))

    return draw


def _lstm(rng: np.random.Generator, prime: int) -> Case:
    time_major = bool(rng.integers(2))
    shape = (_prime(rng, 3), _prime(rng, 5), prime)
    model, source = lstm(rng, shape, _prime(rng, 23), time_major=time_major, zero_points=_zero_points(rng, 2))
    return Case(f"LSTM({shape}, time_major={time_major})", model, [int8_values(rng, 1, *source.shape)])


def _three(rng: np.random.Generator) -> tuple[int, int]:
    return 3, 3


def _small(rng: np.random.Generator) -> tuple[int, int]:
    return _kernel(rng, 4)


ROWS = (
    Row("te_add_rows_s8_dsp", "dsp", _rows_of_two("ADD")),
    Row("te_add_s16_dsp", "dsp", _add(np.int16)),
    Row("te_add_s8_dsp", "dsp", _add(ops=("ADD", "SUB"))),
    Row("te_average_pool_s16_dsp", "dsp", _pool("AVERAGE_POOL_2D", np.int16)),
    Row("te_average_pool_s8_dsp", "dsp", _pool("AVERAGE_POOL_2D")),
    Row("te_batch_matmul_s16_dsp", "dsp", _batch_matmul(np.int16)),
    Row("te_batch_matmul_s8_dsp", "dsp", _batch_matmul()),
    Row("te_conv2d_low_s16_dsp", "dsp", _conv2d(dtype=np.int16, bias_type=np.int32)),
    Row("te_conv2d_narrow_s16_dsp", "dsp", _conv2d(dtype=np.int16)),
    Row("te_conv2d_rows_blocks_s8_dsp", "dsp", _few_channels(2), speed=True),
    Row("te_conv2d_rows_s4_dsp", "dsp", _few_channels(int4=True)),
    Row("te_conv2d_rows_s8_dsp", "dsp", _few_channels()),
    Row("te_conv2d_s16_dsp", "dsp", _conv2d(dtype=np.int16, gain=1000.0)),
    Row("te_conv2d_s4_dsp", "dsp", _conv2d(4, int4=True)),
    Row("te_conv2d_s8_dsp", "dsp", _conv2d(4)),
    Row("te_conv2d_winograd_s8_dsp", "dsp", _winograd, speed=True),
    Row("te_depthwise_conv2d_narrow_s16_dsp", "dsp", _depthwise(_kernel, dtype=np.int16)),
    Row("te_depthwise_conv2d_s4_dsp", "dsp", _depthwise(_three, (1, 2), int4=True)),
    Row("te_depthwise_conv2d_s8_dsp", "dsp", _depthwise(_three, (1, 2))),
    Row("te_depthwise_taps_s4_dsp", "dsp", _depthwise_taps(int4=True)),
    Row("te_depthwise_taps_s8_dsp", "dsp", _depthwise_taps()),
    Row("te_depthwise_whole_s8_dsp", "dsp", _depthwise_whole),
    Row("te_fully_connected_blocks_s8_dsp", "dsp", _many_rows, speed=True),
    Row("te_fully_connected_one_s8_dsp", "dsp", _fully_connected(outputs=1)),
    Row("te_fully_connected_row_s8_dsp", "dsp", _few_rows),
    Row("te_fully_connected_s4_dsp", "dsp", _fully_connected(int4=True)),
    Row("te_fully_connected_s8_dsp", "dsp", _fully_connected()),
    Row("te_lstm_s8_dsp", "dsp", _lstm),
    Row("te_max_pool_s16_dsp", "dsp", _pool("MAX_POOL_2D", np.int16)),
    Row("te_max_pool_s8_dsp", "dsp", _pool("MAX_POOL_2D")),
    Row("te_mean_s8_dsp", "dsp", _mean()),
    Row("te_mul_s16_dsp", "dsp", _rows_of_two("MUL", np.int16)),
    Row("te_mul_s8_dsp", "dsp", _rows_of_two("MUL")),
    Row("te_softmax_s16_dsp", "dsp", _softmax(np.int16)),
    Row("te_softmax_s8_dsp", "dsp", _softmax()),
    Row("te_sub_s16_dsp", "dsp", _add(np.int16, ("SUB",))),
    Row("te_sub_rows_s8_dsp", "dsp", _rows_of_two("SUB")),
    Row("te_table_s8_dsp", "dsp", _table),
    Row("te_transpose_conv_s8_dsp", "dsp", _transpose_conv),
    Row("te_add_rows_s16_mve", "mve", _rows_of_two(("ADD", "SUB"), np.int16)),
    Row("te_add_rows_s8_mve", "mve", _rows_of_two(("ADD", "SUB"))),
    Row("te_add_s16_mve", "mve", _add(np.int16)),
    Row("te_add_s8_mve", "mve", _add()),
    Row("te_average_pool_s16_mve", "mve", _pool("AVERAGE_POOL_2D", np.int16)),
    Row("te_average_pool_s8_mve", "mve", _pool("AVERAGE_POOL_2D")),
    Row("te_batch_matmul_s16_mve", "mve", _batch_matmul(np.int16)),
    Row("te_batch_matmul_s8_mve", "mve", _batch_matmul()),
    Row("te_conv2d_narrow_s16_mve", "mve", _conv2d(dtype=np.int16)),
    Row("te_conv2d_s4_mve", "mve", _conv2d(int4=True)),
    Row("te_conv2d_s8_mve", "mve", _conv2d()),
    Row("te_depthwise_conv2d_narrow_s16_mve", "mve", _depthwise(_kernel, dtype=np.int16)),
    Row("te_depthwise_conv2d_s4_mve", "mve", _depthwise(_small, dilated=False, int4=True)),
    Row("te_depthwise_conv2d_s8_mve", "mve", _depthwise(_small, dilated=False)),
    Row("te_depthwise_whole_s4_mve", "mve", _depthwise_rows(int4=True)),
    Row("te_depthwise_whole_s8_mve", "mve", _depthwise_rows()),
    Row("te_fully_connected_narrow_s16_mve", "mve", _fully_connected(dtype=np.int16)),
    Row("te_fully_connected_s4_mve", "mve", _fully_connected(int4=True)),
    Row("te_fully_connected_s8_mve", "mve", _fully_connected()),
    Row("te_max_pool_s16_mve", "mve", _pool("MAX_POOL_2D", np.int16)),
    Row("te_max_pool_s8_mve", "mve", _pool("MAX_POOL_2D")),
    Row("te_mean_s16_mve", "mve", _mean(np.int16)),
    Row("te_mean_s8_mve", "mve", _mean()),
    Row("te_mul_s16_mve", "mve", _rows_of_two("MUL", np.int16)),
    Row("te_mul_s8_mve", "mve", _rows_of_two("MUL")),
    Row("te_rescale_s16_mve", "mve", _rescale(np.int16, np.int16)),
    Row("te_rescale_s16_s8_mve", "mve", _rescale(np.int16, np.int8)),
    Row("te_rescale_s8_s16_mve", "mve", _rescale(np.int8, np.int16)),
    Row("te_softmax_s16_mve", "mve", _softmax(np.int16)),
    Row("te_softmax_s8_mve", "mve", _softmax()),
    Row("te_table_s8_mve", "mve", _table),
    Row("te_conv2d_s4_scalar", "scalar", _conv2d(int4=True)),
    Row("te_conv2d_s8_scalar", "scalar", _conv2d()),
    Row("te_depthwise_conv2d_s4_scalar", "scalar", _depthwise(_kernel, int4=True)),
    Row("te_depthwise_conv2d_s8_scalar", "scalar", _depthwise(_kernel)),
    Row("te_fully_connected_s4_scalar", "scalar", _single_rows_int4),
    Row("te_fully_connected_s8_scalar", "scalar", _fully_connected()),
    Row("te_conv2d_s4", PORTABLE, _conv2d(int4=True), wide=CONV_2D_KERNELS["s8"]),
    Row(
        "te_depthwise_conv2d_s4",
        PORTABLE,
        _depthwise(_kernel, multiplier=3, int4=True),
        wide=DEPTHWISE_CONV_2D_KERNELS["s8"],
    ),
)
"""Every kernel of te_kernels.h that is not the portable form of an operator."""


def rows_of(instruction_set: str) -> list[Row]:
    """The rows of an instruction set; with those of the smallest, kernels of C that nothing faster replaces there."""
    own = ("scalar", PORTABLE) if instruction_set == "scalar" else (instruction_set,)
    return [row for row in ROWS if row.instruction_set in own]
