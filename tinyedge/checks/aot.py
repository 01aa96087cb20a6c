"""What tinyedge's own compiler says of a model: the reader, the lowerings and the planner themselves are asked."""

from contextlib import suppress

from tinyedge.checks.hints import hint_for
from tinyedge.checks.verdict import RuntimeVerdict, in_order
from tinyedge.compiler.passes import simplify
from tinyedge.compiler.program import Program, check_interface, compile_graph
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import check_arity, lower, supported_operators
from tinyedge.tflite.accelerator_files import vendor_compiler
from tinyedge.tflite.full_int8 import has_reals
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.inspection import Diagnostic, Inspection


def judge_aot(inspection: Inspection) -> tuple[RuntimeVerdict, Program | None]:
    """Compile a model, or say everything that hinders it.

    Args:
        inspection: Its resolved graph is changed by the compiler's passes.

    Returns:
        The verdict, and the program if there is one.
    """
    graph = inspection.resolved
    diagnostics = list(inspection.diagnostics)
    malformed = [diagnostic for operator in graph.operators if (diagnostic := _malformed(operator)) is not None]
    if malformed:  # No pass expects such operators.
        return RuntimeVerdict("aot", False, "compiled", in_order([*diagnostics, *malformed])), None
    try:
        check_interface(graph)
        if not diagnostics:
            program = compile_graph(graph)
            return RuntimeVerdict("aot", True, "compiled", (), program.plan.arena_bytes), program
    except UnsupportedOpError:
        pass  # All operators are asked below, not the first alone.
    except ModelError as error:
        diagnostics.append(Diagnostic(str(error)))
    diagnostics += _diagnostics_of_operators(
        graph, frozenset(r.operator for r in diagnostics if r.operator is not None)
    )
    return RuntimeVerdict("aot", False, "compiled", in_order(diagnostics)), None


def _malformed(operator: Operator) -> Diagnostic | None:
    try:
        check_arity(operator)
    except ModelError as error:
        return Diagnostic(str(error), operator.index)
    return None


def run_passes(graph: Graph) -> None:
    """Run the compiler's passes, as far as they go.

    A graph with an operator of too few inputs or outputs, or too many, which they do not expect, stays as it is; one
    that the reader refuses, for example for a scale that it lacks, can stop them, and is lowered as they leave it.
    """
    if all(operator.outputs and _malformed(operator) is None for operator in graph.operators):
        with suppress(ModelError):
            simplify(graph)


def _diagnostics_of_operators(graph: Graph, known: frozenset[int]) -> list[Diagnostic]:
    """Lower each operator by itself, but for those that are refused already."""
    run_passes(graph)
    found = []
    for operator in graph.operators:
        if operator.index in known or (operator.op in supported_operators() and _is_refused(operator)):
            continue
        try:
            lower(operator)
        except ModelError as error:
            found.append(Diagnostic(_sentence(operator, error), operator.index))
    return found


def _is_refused(operator: Operator) -> bool:
    """Whether the reader has refused one of its tensors already: of a type that NumPy lacks, or of an endless scale."""
    tensors = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None]
    return any(tensor.dtype.kind == "V" for tensor in operator.inputs if tensor is not None) or any(
        not tensor.is_constant and not has_reals(tensor) for tensor in tensors
    )


def _sentence(operator: Operator, error: ModelError) -> str:
    if operator.op in supported_operators() or vendor_compiler(operator.op) is not None:
        return str(error)
    tensor = operator.outputs[0].name if operator.outputs else ""
    where = f"operator {operator.index} ({operator.op}), tensor '{tensor}',"
    return f"{where} has no kernel in tinyedge: {hint_for(operator)}"
