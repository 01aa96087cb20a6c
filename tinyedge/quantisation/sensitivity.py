"""Which operators INT8 hurts, what 16x8 would bring and cost there, and which of them are worth it.

Each operator is quantised alone, its weights and its output, with everything else in float: once to INT8 and once to
16x8. The noises that the operators add to the network's output are nearly independent, so their powers add up to the
noise of the quantised network (for TinyNeXt-T on CIFAR-10 to within 0.4 dB), and what an operator gains the network is
the power that goes. Measuring that gain in the quantised network itself would need thousands of images: any change
upstream draws all roundings downstream anew, which on 64 images moves the ratio by half a decibel either way.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tinyedge.atomic import write_json
from tinyedge.compiler.memory.arena import Buffer, lower_bound
from tinyedge.compiler.passes import simplify
from tinyedge.ops import descriptor_of, operator_macs
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor, Hook, Values
from tinyedge.quantisation.mixed_precision import has_int16x8_kernel, mix_precision
from tinyedge.quantisation.noise import decibels, error_powers, noise_over_signal, output_powers, over_signal
from tinyedge.quantisation.quantise import Range, quantise
from tinyedge.tflite.graph import Graph, Operator, Tensor

SENSITIVITY_FILE = "sensitivity.json"
LARGEST_MACS_SHARE = 0.1
"""How much of the multiply-accumulates `choose_int16x8` moves to 16x8."""

_LEAST_GAIN_DB = 0.05

# What is quantised while all else is float: "network", "input", or the operator at a position, by one of two schemes.
_Trial = str | tuple[int, FakeQuantize]


@dataclass(frozen=True)
class OperatorSensitivity:
    """One operator that computes; what only copies belongs to the operator that it copies from.

    Attributes:
        position: Among the operators of the float graph.
        name: Of the layer, `stage3.2 mixer query`; "" where that is not known.
        op: TFLite's name of the operator.
        shape: Of its output.
        int8_sqnr_db: Of the network's output with this operator alone in INT8.
        int16x8_sqnr_db: The same with it in 16x8; None where its output cannot be int16 for all that read it.
        gain_db: Of the INT8 network's output if this operator's output is int16.
        macs: Multiply-accumulates that run in 16x8 then: of this operator and of those that read its output.
        extra_activation_bytes: That the int16 tensors take more, all together.
        extra_arena_bytes: That the activations alive at once take more.
    """

    position: int
    name: str
    op: str
    shape: tuple[int, ...]
    int8_sqnr_db: float
    int16x8_sqnr_db: float | None
    gain_db: float
    macs: int
    extra_activation_bytes: int
    extra_arena_bytes: int

    @property
    def noise_removed(self) -> float:
        """Noise over signal that goes if the output is int16."""
        return _removed(self.int8_sqnr_db, self.int16x8_sqnr_db)


@dataclass(frozen=True)
class SensitivityReport:
    """The contents of `sensitivity.json`.

    Attributes:
        images: How many train images it was measured on.
        int8_sqnr_db: Of the output of the whole network in INT8.
        added_sqnr_db: What the noises of the input and of all operators add up to: as independent as they are, as close
            to `int8_sqnr_db`.
        input_sqnr_db: With the input alone in int8.
        macs: Multiply-accumulates of the network.
        arena_bytes: The largest sum of activations alive at once in INT8.
        operators: Of the largest gain first.
    """

    images: int
    int8_sqnr_db: float
    added_sqnr_db: float
    input_sqnr_db: float
    macs: int
    arena_bytes: int
    operators: tuple[OperatorSensitivity, ...]


def measure_sensitivity(
    network: FloatExecutor,
    ranges: Mapping[Tensor, Range],
    min_max: Mapping[Tensor, Range],
    samples: Values,
    names: Sequence[str] = (),
) -> SensitivityReport:
    """Measure how much each operator's quantisation costs the output, and what 16x8 would change.

    Args:
        network: Float.
        ranges: Of each activation, for int8.
        min_max: From the lowest to the highest value of each, for int16.
        samples: Of each input of the network, (n, ...) float32.
        names: Of the graph's operators; none are known if it is empty.
    """
    graph = network.graph
    int8, int16 = FakeQuantize(graph, ranges), FakeQuantize(graph, min_max, frozenset(min_max))
    around = {
        position: operators_around(graph, operator)
        for position, operator in enumerate(graph.operators)
        if not descriptor_of(operator).keeps_quantisation and operator.output.dtype == np.float32
    }
    signal = torch.zeros(())
    powers: dict[_Trial, torch.Tensor] = {}
    with torch.no_grad():
        for batch in network.batches(samples):
            values = network.named(batch)
            rounded = {tensor: int8(tensor, value) for tensor, value in values.items()}
            wanted = network.resume(values, 0)
            found: dict[_Trial, Values] = {"network": network.run(batch, int8), "input": network.resume(rounded, 0)}
            for position in around:
                for quantiser in (int8, int16) if around[position] else (int8,):
                    alone = _only(graph.operators[position], quantiser)
                    found[position, quantiser] = network.resume(dict(values), position, alone)
            signal = signal + output_powers(wanted).sum(0)
            for trial, output in found.items():
                powers[trial] = powers.get(trial, torch.zeros(())) + error_powers(wanted, output).sum(0)
    noise = {trial: float(over_signal(power, signal)) for trial, power in powers.items()}
    figures = {trial: -decibels(ratio) for trial, ratio in noise.items()}
    added = noise["input"] + sum(noise[position, int8] for position in around)
    arena_bytes = _live_bytes(graph, ranges, min_max, frozenset())
    rows = []
    for position, raised in around.items():
        alone_db, int16x8_db = figures[position, int8], figures.get((position, int16))
        row = OperatorSensitivity(
            position=position,
            name=names[position] if names else "",
            op=graph.operators[position].op,
            shape=graph.operators[position].output.shape,
            int8_sqnr_db=alone_db,
            int16x8_sqnr_db=int16x8_db,
            gain_db=decibels(added) - decibels(added - _removed(alone_db, int16x8_db)),
            macs=sum(map(operator_macs, raised)),
            extra_activation_bytes=sum(other.output.elements for other in raised),
            extra_arena_bytes=_live_bytes(graph, ranges, min_max, raised) - arena_bytes,
        )
        rows.append(row)
    return SensitivityReport(
        images=len(samples[0]),
        int8_sqnr_db=figures["network"],
        added_sqnr_db=-decibels(added),
        input_sqnr_db=figures["input"],
        macs=sum(map(operator_macs, graph.operators)),
        arena_bytes=arena_bytes,
        operators=tuple(sorted(rows, key=lambda row: (-row.gain_db, row.int8_sqnr_db, row.position))),
    )


def choose_int16x8(
    graph: Graph, report: SensitivityReport, largest_macs_share: float = LARGEST_MACS_SHARE
) -> frozenset[Operator]:
    """Return the operators of a graph that are worth 16x8.

    Greedy: again and again the output that removes most noise for the work that moves to 16x8 with it, where work is
    multiply-accumulates, or values written by an operator that has none. A step that gains less than 0.05 dB, or that
    takes the multiply-accumulates in 16x8 over their share, is not made.

    Args:
        graph: That was measured.
        report: Its sensitivities.
        largest_macs_share: Of all multiply-accumulates.
    """
    around = {row: operators_around(graph, graph.operators[row.position]) for row in report.operators}
    candidates = [row for row in report.operators if around[row]]
    allowed = largest_macs_share * report.macs
    int16x8: frozenset[Operator] = frozenset()
    left = noise_over_signal(report.added_sqnr_db)
    while True:
        best, best_rate, best_removed = None, 0.0, 0.0
        for row in candidates:
            grown = int16x8 | around[row]
            if around[row] <= int16x8 or sum(map(operator_macs, grown)) > allowed:
                continue
            # What lies between operators that are in 16x8 by now is int16 too.
            removed = sum(other.noise_removed for other in candidates if around[other] <= grown) - sum(
                other.noise_removed for other in candidates if around[other] <= int16x8
            )
            rate = removed / sum(operator_macs(other) or other.output.elements for other in grown - int16x8)
            if rate > best_rate and decibels(left) - decibels(left - removed) >= _LEAST_GAIN_DB:
                best, best_rate, best_removed = grown, rate, removed
        if best is None:
            return int16x8
        int16x8, left = best, left - best_removed


def write_sensitivity(folder: Path, report: SensitivityReport) -> None:
    """Write `sensitivity.json` into a folder."""
    write_json(folder / SENSITIVITY_FILE, {"schema": 2, **dataclasses.asdict(report)})


def read_sensitivity(folder: Path) -> SensitivityReport | None:
    """Read the `sensitivity.json` of a folder; None if nothing was measured."""
    path = folder / SENSITIVITY_FILE
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["schema"]
    rows = (OperatorSensitivity(**{**row, "shape": tuple(row["shape"])}) for row in content.pop("operators"))
    return SensitivityReport(**content, operators=tuple(rows))


def operators_around(graph: Graph, operator: Operator) -> frozenset[Operator]:
    """Return the operators that are in 16x8 if the output of one is int16: itself and all readers, copies followed.

    Returns:
        None of them if one has no 16x8 kernel, or if the output is the model's, which stays int8.
    """
    readers = graph.readers()
    around, reached = {operator}, [operator.output]
    while reached:
        tensor = reached.pop()
        if tensor in graph.outputs:
            return frozenset()
        for reader in readers.get(tensor, []):
            around.add(reader)
            if descriptor_of(reader).keeps_quantisation:
                reached.append(reader.output)
    return frozenset(around) if all(map(has_int16x8_kernel, around)) else frozenset()


def _removed(int8_sqnr_db: float, int16x8_sqnr_db: float | None) -> float:
    return (
        0.0
        if int16x8_sqnr_db is None
        else max(noise_over_signal(int8_sqnr_db) - noise_over_signal(int16x8_sqnr_db), 0.0)
    )


def _only(operator: Operator, quantiser: FakeQuantize) -> Hook:
    """Return a hook that quantises an operator's weights and output alone."""
    own = {operator.output, *([operator.inputs[1]] if descriptor_of(operator).weights is not None else [])}
    return lambda tensor, value: quantiser(tensor, value) if tensor in own else value


def _live_bytes(
    graph: Graph, ranges: Mapping[Tensor, Range], min_max: Mapping[Tensor, Range], int16x8: Collection[Operator]
) -> int:
    """Return the largest sum of activations alive at once, after the compiler's passes."""
    mixed = mix_precision(graph, ranges, min_max, int16x8)
    quantised = quantise(mixed.graph, mixed.ranges, mixed.int16)
    simplify(quantised)
    lifetimes = {tensor.storage: (-1, -1) for tensor in quantised.inputs}
    for step, operator in enumerate(quantised.operators):
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant:
                lifetimes[tensor.storage] = (lifetimes[tensor.storage][0], step)
        lifetimes[operator.output.storage] = (step, step)
    for tensor in quantised.outputs:
        lifetimes[tensor.storage] = (lifetimes[tensor.storage][0], len(quantised.operators))
    return lower_bound([Buffer(tensor.bytes, first, last) for tensor, (first, last) in lifetimes.items()])
