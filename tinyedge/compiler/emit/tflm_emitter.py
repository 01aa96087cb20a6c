"""Prints what the firmware needs to run a model through TFLite Micro: the file as an array, a resolver, the arena.

The resolver knows the model's operators and no other, so the linker takes no other kernel from the library.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyedge.compiler.emit.c_text import banner, comment_safe
from tinyedge.compiler.emit.header import tensor_list
from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.tflite_micro import IRREGULAR_NAMES, WITH_INT8_KERNEL
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.version import __version__

_BYTES_PER_LINE = 32


def emit_for_tflm(graph: Graph, operators: Sequence[Operator], content: bytes, directory: Path) -> None:
    """Write all but the arena: te_model.h, model.c with the file, and resolver.cc.

    Args:
        graph: The model.
        operators: Of all subgraphs of the content.
        content: The .tflite file that the interpreter gets.
        directory: Exists.

    Raises:
        UnsupportedOpError: An operator is none of TFLite's own.
    """
    (directory / "te_model.h").write_text(_header(graph), encoding="utf-8")
    (directory / "model.c").write_text(_source(graph, content), encoding="utf-8")
    (directory / "resolver.cc").write_text(resolver_source(graph, operators), encoding="utf-8")


def emit_tflm_arena(arena_bytes: int, directory: Path) -> None:
    """Write arena.c, which is apart from the rest so that another size means compiling two lines again.

    Args:
        arena_bytes: What the interpreter gets.
        directory: Exists.
    """
    (directory / "arena.c").write_text(_arena(arena_bytes), encoding="utf-8")


def resolver_source(graph: Graph, operators: Sequence[Operator]) -> str:
    """Return the C++ that registers the operators of a model, each once.

    Each is registered in a statement of its own: upstream's status for success is 0, so a chain with && would stop at
    the first operator. Where all of an operator's activations are int8 its int8-only kernel is taken if the library
    has it, which TE_TFLM_INT8_<operator> says.

    Raises:
        UnsupportedOpError: An operator is none of TFLite's own.
    """
    by_name: dict[str, list[Operator]] = {}
    for operator in operators:
        by_name.setdefault(operator.op, []).append(operator)
    int8_only = {
        name for name, found in by_name.items() if name in WITH_INT8_KERNEL and all(_is_int8(o) for o in found)
    }
    # Upstream declares some of them in headers of their kernels, which its resolver does not include.
    declarations = "".join(
        f"#ifdef TE_TFLM_INT8_{name}\nTFLMRegistration Register_{name}_INT8();\n#endif\n" for name in sorted(int8_only)
    )
    statements = "".join(_registration(name, name in int8_only) for name in sorted(by_name))
    return f"""\
{banner(graph)}\
#include <new>

#include "te_tflm_model.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace tflite {{
{declarations}\
}} // namespace tflite

using Resolver = tflite::MicroMutableOpResolver<{len(by_name)}>;

const tflite::MicroOpResolver *te_tflm_resolver() {{
    alignas(Resolver) static unsigned char memory[sizeof(Resolver)];
    Resolver *const resolver = new (memory) Resolver();
    int failures = 0;
{statements}\
    return failures == 0 ? resolver : nullptr;
}}
"""


def registration_function(op: str) -> str:
    """Return the name of the resolver's function that registers an operator: "AddConv2D" for "CONV_2D"."""
    words = op.split("_")
    return "Add" + IRREGULAR_NAMES.get(op, "".join(word if word[0].isdigit() else word.capitalize() for word in words))


def _registration(op: str, int8_only: bool) -> str:
    if not op.replace("_", "").isalnum() or op != op.upper():
        raise UnsupportedOpError(
            f"{op} is a custom operator, and firmware registers TFLite's builtin ones: export the model without it"
        )
    call = f"    failures += resolver->{registration_function(op)}(%s) != kTfLiteOk;\n"
    if not int8_only:
        return call % ""
    return f"#ifdef TE_TFLM_INT8_{op}\n{call % f'tflite::Register_{op}_INT8()'}#else\n{call % ''}#endif\n"


def _is_int8(operator: Operator) -> bool:
    ends = [*operator.inputs[:1], *operator.outputs[:1]]  # A stranger's operator may have neither.
    return len(ends) == 2 and all(tensor is not None and tensor.dtype == np.int8 for tensor in ends)


def _header(graph: Graph) -> str:
    return f"""\
{banner(graph)}\
/** @file te_model.h
 *  What the firmware tells of the model. */
#ifndef TE_MODEL_H
#define TE_MODEL_H

#define TE_MODEL_NAME "{comment_safe(graph.name)}"
#define TE_MODEL_SHA256 "{graph.sha256}"

/* real = scale * (value - zero point); the first dimension is the batch of 1. There is no function. */
{tensor_list("TE_MODEL_INPUTS", "", "input", graph.inputs)}\
{tensor_list("TE_MODEL_OUTPUTS", "", "output", graph.outputs)}
#define TE_MODEL_LAYER_COUNT {len(graph.operators)}

#endif /* TE_MODEL_H */
"""


def _source(graph: Graph, content: bytes) -> str:
    lines = [
        "    " + " ".join(f"{byte}," for byte in content[start : start + _BYTES_PER_LINE])
        for start in range(0, len(content), _BYTES_PER_LINE)
    ]
    body = "\n".join(lines)
    return f"""\
{banner(graph)}\
#include "te_tflm_model.h"

const unsigned char te_tflm_model[{len(content)}] __attribute__((aligned(TE_TFLM_ALIGNMENT))) = {{
{body}
}};
"""


def _arena(arena_bytes: int) -> str:
    return f"""\
/* Generated by tinyedge {__version__}. Do not edit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "te_tflm_model.h"

/* Define it to place the arena, for example as __attribute__((section(".dtcm"))). */
#ifndef TE_MODEL_ARENA_ATTRIBUTE
#define TE_MODEL_ARENA_ATTRIBUTE
#endif

unsigned char te_tflm_arena[{arena_bytes}] __attribute__((aligned(TE_TFLM_ALIGNMENT))) TE_MODEL_ARENA_ATTRIBUTE;
const uint32_t te_tflm_arena_bytes = sizeof te_tflm_arena;
"""
