"""`tinyedge check` as a function: a model file in, all that is to be known before anybody flashes it out."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyedge import notebook
from tinyedge.benchmark.budget import PARAMETER_LIMIT
from tinyedge.boards.board import Board
from tinyedge.checks.aot import judge_aot
from tinyedge.checks.budgets import Budget, board_budgets, parameters_fit
from tinyedge.checks.interpreters import judge_interpreters
from tinyedge.checks.layers import Layer, describe_layers, planned_bytes
from tinyedge.checks.lint_warning import LintWarning
from tinyedge.checks.rules import find
from tinyedge.checks.verdict import TITLES, RuntimeVerdict
from tinyedge.compiler.costs import Costs, board_costs
from tinyedge.compiler.program import Program, with_instruction_set
from tinyedge.errors import ModelError
from tinyedge.firmware.image import FIRMWARE_RUNTIMES
from tinyedge.plural import counted
from tinyedge.tflite.graph import Tensor
from tinyedge.tflite.inspection import Inspection, inspect_tflite
from tinyedge.tflite.model import Model

SCHEMA = 1


@dataclass(frozen=True)
class Port:
    """An input or output of the model.

    Attributes:
        name: As in the file.
        shape: Sizes that are known at run time only are -1.
        type: TFLite's name: "INT8".
        scale: Of its quantisation; None for floats.
        zero_point: The same.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class OperatorRow:
    """An operator as often as it occurs, against each runtime.

    Attributes:
        op: TFLite's name.
        version: In the file.
        count: How many there are.
        refused: By runtime, how many of them it refuses; a runtime that could not be asked is absent.
    """

    op: str
    version: int
    count: int
    refused: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """What is to be known of a model before it is deployed.

    Attributes:
        model: The file, or the name of an encoder.
        sha256: Of that file.
        file_bytes: Its size.
        inputs: In order.
        outputs: In order.
        operators: A row an operator and version.
        layers: A row an operator of the file, in order.
        verdicts: Of "aot", "tflm" and "litert".
        warnings: Warnings.
        budgets: Flash and RAM of each board, for each runtime that takes the model.
        arena_bytes: The compiler's arena; None if it did not compile the model.
    """

    model: str
    sha256: str
    file_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: tuple[OperatorRow, ...]
    layers: tuple[Layer, ...]
    verdicts: tuple[RuntimeVerdict, ...]
    warnings: tuple[LintWarning, ...]
    budgets: tuple[Budget, ...]
    arena_bytes: int | None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def peak(self) -> Layer | None:
        """The layer with the most activations alive."""
        return max(self.layers, key=lambda layer: layer.alive_bytes or 0, default=None)

    @property
    def deployments(self) -> tuple[tuple[str, str], ...]:
        """Every (board, runtime) that takes the model and has room for it."""
        if not parameters_fit(self.parameters):
            return ()
        fitting: dict[tuple[str, str], bool] = {}
        for budget in self.budgets:
            pair = budget.board, budget.runtime
            fitting[pair] = fitting.get(pair, True) and budget.fits
        built = {v.runtime for v in self.verdicts if v.runtime in FIRMWARE_RUNTIMES and v.not_built is None}
        return tuple(pair for pair, fits in fitting.items() if fits and pair[1] in built)

    def failure(self) -> str | None:
        """Say in one sentence why the model cannot be deployed; None if it can."""
        if self.deployments:
            return None
        if not parameters_fit(self.parameters):
            return (
                f"{self.model} has {self.parameters:,} parameters and the budget is under {PARAMETER_LIMIT:,}: make "
                "the network narrower"
            )
        verdicts = [verdict for verdict in self.verdicts if verdict.runtime in FIRMWARE_RUNTIMES]
        if not any(verdict.takes for verdict in verdicts):
            # The last is TFLite Micro, which takes the most; the report has the reasons of both.
            diagnostics = verdicts[-1].diagnostics
            more = f"; and {len(diagnostics) - 1} more" if len(diagnostics) > 1 else ""
            return f"no microcontroller's runtime takes {self.model}: {diagnostics[0].sentence}{more}"
        if all(verdict.not_built for verdict in verdicts if verdict.takes):
            return "; ".join(verdict.not_built for verdict in verdicts if verdict.takes and verdict.not_built)
        excesses = "; ".join(self._excesses())
        return f"{self.model} does not fit: {excesses}: make that layer smaller or choose another --board"

    def _excesses(self) -> list[str]:
        layers = {layer.index: layer for layer in self.layers}
        sentences = []
        for budget in self.budgets:
            if budget.fits:
                continue
            sentence = (
                f"{TITLES[budget.runtime]} needs {budget.used:,} bytes of {budget.memory} and {budget.board} has "
                f"{budget.limit:,}"
            )
            layer = layers.get(-1 if budget.peak is None else budget.peak)
            if layer is not None:
                used = layer.weight_bytes if budget.memory == "flash" else layer.alive_bytes or 0
                sentence += f" (the most goes to operator {layer.index}, {layer.op} '{layer.name}': {used:,})"
            sentences.append(sentence)
        return sentences

    def to_json(self) -> dict[str, Any]:
        """As the documented JSON object."""
        peak = self.peak
        return {
            "schema": SCHEMA,
            "model": {
                "path": self.model,
                "sha256": self.sha256,
                "bytes": self.file_bytes,
                "macs": self.macs,
                "params": self.parameters,
                "params_limit": PARAMETER_LIMIT,
                "inputs": [asdict(port) for port in self.inputs],
                "outputs": [asdict(port) for port in self.outputs],
            },
            "operators": [asdict(row) for row in self.operators],
            "runtimes": [asdict(verdict) for verdict in self.verdicts],
            "layers": [asdict(layer) for layer in self.layers],
            "peak_operator": None if peak is None else peak.index,
            "arena_bytes": self.arena_bytes,
            "budgets": [{**asdict(budget), "fits": budget.fits} for budget in self.budgets],
            "warnings": [asdict(warning) for warning in self.warnings],
            "deployments": [{"board": board, "runtime": runtime} for board, runtime in self.deployments],
            "failure": self.failure(),
        }

    def _repr_html_(self) -> str:
        """For a notebook: whether it can be deployed and why not, memories, runtimes, layers."""
        verdict = self.failure() or "can be deployed on " + ", ".join(dict.fromkeys(b for b, _ in self.deployments))
        size = f"{self.model}: {self.file_bytes:,} bytes, {self.parameters:,} parameters, {self.macs:,} MACs"
        runtimes = (
            (TITLES[one.runtime], "refused" if one.takes is False else one.proof, *one.reasons(1))
            for one in self.verdicts
        )
        budgets = (
            (one.board, TITLES.get(one.runtime, one.runtime), one.memory, one.used, one.limit, one.fits, one.basis)
            for one in self.budgets
        )
        layers = (
            (one.index, one.op, "x".join(map(str, one.output_shape)), one.macs, one.parameters, one.alive_bytes)
            for one in self.layers
        )
        return "".join(
            (
                notebook.paragraph(size, bold=True),
                notebook.paragraph(verdict),
                *(notebook.paragraph(f"warning: {warning.sentence}") for warning in self.warnings),
                notebook.table(("runtime", "verdict", "because"), runtimes),
                notebook.table(("board", "runtime", "memory", "used", "limit", "fits", "from"), budgets),
                notebook.folded(
                    counted(len(self.layers), "layer"),
                    notebook.table(("", "operator", "output", "MACs", "parameters", "bytes alive"), layers),
                ),
            )
        )


@dataclass(frozen=True, eq=False)
class Examination:
    """A model's report, and what was compiled for it.

    Attributes:
        report: What is to be known.
        programs: By the boards' names; empty where the compiler does not take the model.
    """

    report: CheckReport
    programs: Mapping[str, Program]


def check_model(model: Path, boards: Sequence[Board]) -> CheckReport:
    """Ask everybody concerned about a model; see `examine_model`."""
    return examine_model(model, boards).report


def examine_model(model: Path, boards: Sequence[Board]) -> Examination:
    """Ask everybody concerned about a model.

    Args:
        model: Any .tflite file.
        boards: What it might be deployed on.

    Raises:
        ModelError: The file is missing, not TFLite or damaged.
    """
    inspection = inspect_tflite(model)
    graph = inspection.graphs[0]
    warnings, layers = find(inspection), describe_layers(graph)
    operators = tuple(graph.operators)
    outputs = [operator.outputs[0] if operator.outputs else None for operator in operators]
    ports = tuple(tuple(_port(inspection, tensor) for tensor in tensors) for tensors in (graph.inputs, graph.outputs))
    input_bytes = sum(tensor.bytes for tensor in graph.inputs)
    interpreters = judge_interpreters(inspection)
    aot, program = judge_aot(inspection)
    if program is not None:
        planned = planned_bytes(outputs, program)
        layers = tuple(
            dataclasses.replace(layer, alive_bytes=alive) for layer, alive in zip(layers, planned, strict=True)
        )
    verdicts = (aot, *(_with_build(verdict, model) for verdict in interpreters))
    on_board = [verdict for verdict in verdicts if verdict.runtime in FIRMWARE_RUNTIMES]
    programs = {} if program is None else _programs(program, boards)
    budgets = [
        budget
        for board in boards
        for budget in board_budgets(board, on_board, programs.get(board.name), layers, inspection.bytes, input_bytes)
    ]
    report = CheckReport(
        model=str(model),
        sha256=graph.sha256,
        file_bytes=inspection.bytes,
        inputs=ports[0],
        outputs=ports[1],
        operators=_operator_rows(layers, verdicts),
        layers=layers,
        verdicts=verdicts,
        warnings=warnings,
        budgets=tuple(budgets),
        arena_bytes=aot.arena_bytes,
    )
    return Examination(report, programs)


def _programs(portable: Program, boards: Sequence[Board]) -> dict[str, Program]:
    """Compile for every board; for those that are alike to the compiler once."""
    made: dict[tuple[str, Costs], Program] = {}
    programs = {}
    for board in boards:
        kind = board.instruction_set, board_costs(board)
        if kind not in made:
            made[kind] = with_instruction_set(portable, *kind)
        programs[board.name] = made[kind]
    return programs


def _with_build(verdict: RuntimeVerdict, model: Path) -> RuntimeVerdict:
    """Ask the build about a model that TFLite Micro takes."""
    if verdict.runtime not in FIRMWARE_RUNTIMES or not verdict.takes:
        return verdict
    from tinyedge.firmware.tflm_firmware import check_tflm_model

    try:
        check_tflm_model(Model(model))
    except ModelError as error:
        return dataclasses.replace(verdict, not_built=f"`tinyedge build --runtime tflm` makes no image: {error}")
    return verdict


def _port(inspection: Inspection, tensor: Tensor) -> Port:
    quantisation = tensor.quantisation
    return Port(
        tensor.name,
        inspection.signatures.get(tensor, tensor.shape),
        inspection.type_names[tensor],
        None if quantisation is None else quantisation.scale,
        None if quantisation is None else quantisation.zero_point,
    )


def _operator_rows(layers: Sequence[Layer], verdicts: Sequence[RuntimeVerdict]) -> tuple[OperatorRow, ...]:
    counts = Counter((layer.op, layer.version) for layer in layers)
    rows = []
    for (op, version), count in sorted(counts.items()):
        indices = {layer.index for layer in layers if (layer.op, layer.version) == (op, version)}
        refused = {
            verdict.runtime: len(indices & verdict.refused_operators)
            for verdict in verdicts
            if verdict.takes is not None
        }
        rows.append(OperatorRow(op, version, count, refused))
    return tuple(rows)
