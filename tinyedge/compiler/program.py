"""From a graph to a program: passes, lowering to kernel calls, and the memory plan."""

import dataclasses
import itertools
import math
import re
from dataclasses import dataclass, field

import numpy as np

from tinyedge.compiler.cascade import Cascade, Step, layers_of
from tinyedge.compiler.costs import CascadeCosts, Costs, default_costs
from tinyedge.compiler.kernels import PORTABLE, condense, hasten, specialise
from tinyedge.compiler.memory.memory_plan import MemoryPlan, plan_memory
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.passes import simplify
from tinyedge.compiler.passes.cascade_layers import DEFAULT_SHARE, cascade_layers, quickest_layers
from tinyedge.compiler.passes.quantised_ends import quantised_ends
from tinyedge.errors import ModelError
from tinyedge.ops import check_arity, lower, operator_parameters
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.graph import Graph, Tensor

MAX_RANK = 6
"""Dimensions of an input or an output, as `TE_MAX_RANK` of te_runtime.h."""

_LAYER_NAME_LENGTH = 48
# By how much the arena may grow for speed.
_SPEED_SHARE = 1.25
# What of the arena the fullest step may take: where the plan of several steps needs more, it is tried with less.
_STEP_SHARES = (1.0, 0.96, 0.9)
# By how much cascades may lengthen an inference, by `CompileOptions.cascade`; "never" has none.
_CASCADE_SHARES = {"auto": DEFAULT_SHARE, "always": math.inf}


@dataclass(frozen=True)
class KeptKernel:
    """A layer that a kernel of the instruction set might run, and does not.

    Attributes:
        layer: The layer's name.
        kernel: The C function that runs it.
        because: Why no faster one does.
    """

    layer: str
    kernel: str
    because: str


@dataclass(frozen=True, eq=False)
class _Draft:
    """A program before kernels are chosen that spend scratch or flash for time.

    Attributes:
        calls: The fastest ones of an instruction set, or for size fewer of them.
        steps: They and their cascades.
        plan: Of the arena.
    """

    calls: list[KernelCall]
    steps: list[Step]
    plan: MemoryPlan


@dataclass(frozen=True, eq=False)
class Program:
    """A model ready to be printed as C.

    Attributes:
        graph: After the passes.
        options: With which it was compiled.
        steps: Calls, and cascades of several, in execution order.
        plan: Of the arena.
        macs: Multiply-accumulates of one inference: outputs times kernel volume, padded positions counted.
        parameters: Values of the model's weights and biases.
        constant_bytes: Read-only data of all layers, shared arrays counted once.
    """

    graph: Graph
    options: CompileOptions
    steps: tuple[Step, ...]
    plan: MemoryPlan
    macs: int
    parameters: int
    constant_bytes: int
    # What boards of the same instruction set and the same costs of cascades share, by both.
    _drafts: dict[tuple[str, CascadeCosts], _Draft] = field(default_factory=dict, init=False, repr=False)

    @property
    def calls(self) -> tuple[KernelCall, ...]:
        """One a layer, in execution order, with short unique names."""
        return tuple(layers_of(self.steps))

    def kept_kernels(self) -> tuple[KeptKernel, ...]:
        """The layers that no kernel of the instruction set runs where one might, in execution order."""
        return tuple(
            KeptKernel(call.name, call.function, call.kept_because) for call in self.calls if call.kept_because
        )

    def cascades(self) -> tuple[tuple[int, int, int], ...]:
        """The first and the last layer of each cascade, and how many rows of its output a stripe has."""
        found = []
        layer = 0
        for step in self.steps:
            count = len(layers_of([step]))
            if isinstance(step, Cascade):
                found.append((layer, layer + count - 1, step.rows))
            layer += count
        return tuple(found)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The model's."""
        return self.graph.outputs


def compile_graph(graph: Graph, options: CompileOptions = CompileOptions()) -> Program:
    """Simplify the graph, lower each operator to a kernel call, and plan the arena.

    Args:
        graph: As read; its operators and tensors may be changed.
        options: How to compile it.

    Returns:
        The program. Its results are those of the TFLite Micro interpreter, bit for bit.

    Raises:
        UnsupportedOpError: No lowering takes an operator or its form.
        ModelError: An input or output has more dimensions than the firmware tells of, nothing is computed, or an
            operator has too few inputs or too many.
    """
    check_interface(graph)
    for operator in graph.operators:
        check_arity(operator)
    parameters = count_parameters(graph)
    if options.quantised_ends:
        quantised_ends(graph)
    simplify(graph, options.without)
    if not graph.operators or all(tensor.storage.is_constant for tensor in graph.outputs):
        raise ModelError(f"{graph.name} computes nothing from its inputs: there is no program to make")
    for tensor in graph.outputs:
        if tensor.storage.is_constant:
            raise ModelError(f"output '{tensor.name}' of {graph.name} is a constant: leave it out of the model")
    calls = _with_unique_names([lower(operator) for operator in graph.operators])
    costs = options.costs or default_costs(options.instruction_set)
    draft = _draft(graph, _specialised(calls, options), options, costs.cascades)
    return _program(graph, calls, draft, options, costs, parameters)


def with_instruction_set(portable: Program, instruction_set: str, costs: Costs | None = None) -> Program:
    """Return a program of portable kernels with those of another instruction set.

    Args:
        portable: The program.
        instruction_set: One of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        costs: As for `CompileOptions`.

    Raises:
        ConfigError: There is no such instruction set.
    """
    assert portable.options.instruction_set == PORTABLE
    if instruction_set == PORTABLE:
        return portable
    options = dataclasses.replace(portable.options, instruction_set=instruction_set, costs=costs)
    costs = costs or default_costs(instruction_set)
    calls, drafts = list(portable.calls), portable._drafts
    key = instruction_set, costs.cascades
    if key not in drafts:
        known = next((draft.calls for (other, _), draft in drafts.items() if other == instruction_set), None)
        drafts[key] = _draft(portable.graph, known or _specialised(calls, options), options, costs.cascades)
    return _program(portable.graph, calls, drafts[key], options, costs, portable.parameters)


def _specialised(portable_calls: list[KernelCall], options: CompileOptions) -> list[KernelCall]:
    calls = specialise(portable_calls, options.instruction_set)
    return condense(portable_calls, calls, options.instruction_set) if options.optimize == "size" else calls


def _draft(graph: Graph, calls: list[KernelCall], options: CompileOptions, costs: CascadeCosts) -> _Draft:
    share = _CASCADE_SHARES.get(options.cascade)
    steps: list[Step] = [*calls] if share is None else cascade_layers(graph, calls, costs, share)
    return _Draft(calls, steps, plan_memory(graph, steps))


def _program(
    graph: Graph,
    portable_calls: list[KernelCall],
    draft: _Draft,
    options: CompileOptions,
    costs: Costs,
    parameters: int,
) -> Program:
    calls, steps, plan = draft.calls, draft.steps, draft.plan
    size, spend = options.optimize == "size", options.optimize == "speed"
    quicker = calls if size else hasten(portable_calls, calls, options.instruction_set, costs, spend_flash=spend)
    if spend or any(call.smaller is not None for call in quicker):
        most = int(_SPEED_SHARE * plan.arena_bytes) if spend else plan.arena_bytes
        cascades = options.cascade in _CASCADE_SHARES
        steps, plan = _quickest(graph, quicker, costs.cascades, most, cascades=cascades) or (steps, plan)
        calls = layers_of(steps)
    return Program(
        graph=graph,
        options=options,
        steps=tuple(steps),
        plan=plan,
        macs=sum(call.macs for call in calls),
        parameters=parameters,
        constant_bytes=sum(array.values.nbytes for array in unique_constants(calls)),
    )


def _quickest(
    graph: Graph, calls: list[KernelCall], costs: CascadeCosts, most_bytes: int, *, cascades: bool
) -> tuple[list[Step], MemoryPlan] | None:
    """Return the steps that take least time in an arena of so many bytes, and their plan; None if none was found."""
    for share in _STEP_SHARES:
        steps = quickest_layers(graph, calls, costs, int(share * most_bytes), cascades=cascades)
        if steps is None:
            return None
        plan = plan_memory(graph, steps)
        if plan.arena_bytes <= most_bytes:
            return steps, plan
    return None


def unique_constants(calls: "list[KernelCall] | tuple[KernelCall, ...]") -> list[ConstantArray]:
    """The constant arrays of the calls in order of first use, equal ones once."""
    seen: dict[tuple[str, bytes], ConstantArray] = {}
    for call in calls:
        for value in call.fields.values():
            if isinstance(value, ConstantArray):
                seen.setdefault(constant_key(value), value)
    return list(seen.values())


def constant_key(array: ConstantArray) -> tuple[str, bytes]:
    """What tells two constant arrays apart in C: their element type and their bytes."""
    return array.values.dtype.name, np.ascontiguousarray(array.values).tobytes()


def check_interface(graph: Graph) -> None:
    """Make sure that the firmware can tell of a model's inputs and outputs.

    Raises:
        ModelError: One has too many dimensions.
    """
    for role, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for tensor in tensors:
            if len(tensor.shape) > MAX_RANK:
                raise ModelError(
                    f"'{tensor.name}', one of the {role} of {graph.name}, has the shape {list(tensor.shape)}: tinyedge "
                    f"takes up to {MAX_RANK} dimensions; reshape it in the model"
                )


def count_parameters(graph: Graph) -> int:
    """Count the values of the constants that operators compute with; see `operator_parameters`."""
    constants = {tensor for operator in graph.operators for tensor in operator_parameters(operator)}
    return sum(tensor.elements for tensor in constants)


def _with_unique_names(calls: list[KernelCall]) -> list[KernelCall]:
    """Give each call a name that fits a line of a profile: printable, short, without blanks, and unique."""
    taken: set[str] = set()
    named = []
    for call in calls:
        # Converters join the names of all that they fused with semicolons; the last is the operator itself.
        stem = (
            re.sub(r"[^A-Za-z0-9_./-]+", "_", call.name.rsplit(";", 1)[-1]).strip("_/")[-_LAYER_NAME_LENGTH:] or "layer"
        )
        names = itertools.chain([stem], (f"{stem}.{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        named.append(dataclasses.replace(call, name=name))
    return named
