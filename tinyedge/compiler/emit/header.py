"""Prints NAME_model.h: the functions of a compiled model, and what a program has to know of it."""

from tinyedge.compiler.emit.c_text import banner, comment_safe, float_literal, literal
from tinyedge.compiler.program import Program
from tinyedge.tflite.graph import Tensor

ARENA_ALIGNMENT = 8
"""Bytes: what the kernels' widest access, of 64 bits, asks of the arena's begin."""

_IMAGE_RANK = 4


def model_header(program: Program, name: str) -> str:
    """Return the header of a program that is called `name` in C."""
    upper = name.upper()
    layers = " \\\n".join(
        f'    LAYER("{call.name}", "{comment_safe(call.op)}", "{call.function}", {call.macs}u)'
        for call in program.calls
    )
    return f"""\
{banner(program.graph)}\
/** @file {name}_model.h
 *  Call {name}_init() once; then, for each inference, fill {name}_input(), call {name}_invoke(), read {name}_output().
 *
 *  Compile {name}_model.c and the .c files of kernels/, which all models of a folder share. Memory is static, so one
 *  inference runs at a time; an inference may overwrite its input. */
#ifndef {upper}_MODEL_H
#define {upper}_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/te_status.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_NAME "{comment_safe(program.graph.name)}"
#define {upper}_SHA256 "{program.graph.sha256}"
#define {upper}_INSTRUCTION_SET "{program.options.instruction_set}"
#define {upper}_ARENA_BYTES {program.plan.arena_bytes}
#define {upper}_ARENA_ALIGNMENT {ARENA_ALIGNMENT}
#define {upper}_CONSTANT_BYTES {program.constant_bytes}

/* int8 tensors, dense, the last dimension first in memory: real = SCALE * (value - ZERO_POINT). The first of DIMS is
 * the batch of 1; four of them are (1, HEIGHT, WIDTH, CHANNELS). */
{tensor_macros(f"{upper}_INPUT", program.input)}\
{tensor_macros(f"{upper}_OUTPUT", program.output)}
/* LAYER(name, operator, kernel, multiply-accumulates) for each layer in execution order. */
#define {upper}_LAYER_COUNT {len(program.calls)}
#define {upper}_LAYERS(LAYER) \\
{layers}

#ifdef {upper}_ARENA_EXTERNAL /* Define it for {name}_model.c and for what includes this header. */

/* Another symbol, so that a program that is compiled without the definition does not link. */
#define {name}_init {name}_init_external

/** Gives the model its memory; may be called again between inferences.
 *
 *  Models can share an arena where each one's input is filled, its inference run and its output read before the next
 *  one's input is filled: nothing is kept in it from one inference to the next.
 *  @param arena  Aligned to {upper}_ARENA_ALIGNMENT.
 *  @param bytes  At least {upper}_ARENA_BYTES.
 *  @return TE_ERR_ARGUMENT where `arena` is NULL or not aligned, TE_ERR_SIZE where it is too small; then the model
 *          keeps the arena that it had. */
te_status {name}_init(void *arena, size_t bytes);

#else

/** Prepares the model, whose arena is static.
 *  @return TE_OK: there is nothing that can fail. */
te_status {name}_init(void);

#endif

/** {upper}_INPUT_BYTES values to fill before each inference; NULL without an arena. */
int8_t *{name}_input(void);

/** Runs one inference.
 *  @return TE_ERR_STATE without an arena. */
te_status {name}_invoke(void);

/** {upper}_OUTPUT_BYTES values, valid until the next inference; NULL without an arena. */
const int8_t *{name}_output(void);

#ifdef TE_PROFILE /* Define it for {name}_model.c too. */
/** Runs one inference and tells of each layer.
 *  @param hook     Called after each layer with its index, after each stripe of a layer that runs a stripe of rows at a
 *                  time; NULL for none.
 *  @param context  Passed to the hook.
 *  @return TE_ERR_STATE without an arena. */
te_status {name}_invoke_profiled(void (*hook)(void *context, int32_t layer), void *context);
#endif

#ifdef __cplusplus
}}
#endif

#endif /* {upper}_MODEL_H */
"""


def tensor_macros(prefix: str, tensor: Tensor) -> str:
    """Return the macros that tell of the model's input or output, `prefix` before each."""
    assert tensor.quantisation is not None  # The reader gives every int8 tensor one.
    dims = ", ".join(str(size) for size in tensor.shape)
    macros = {
        "BYTES": str(tensor.bytes),
        "RANK": str(len(tensor.shape)),
        "DIMS": f"{{{dims}}}",
        "SCALE": float_literal(tensor.quantisation.scale),
        "ZERO_POINT": literal(tensor.quantisation.zero_point, in_macro=True),
    }
    if len(tensor.shape) == _IMAGE_RANK:
        macros |= dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), map(str, tensor.shape[1:]), strict=True))
    return "".join(f"#define {prefix}_{key} {value}\n" for key, value in macros.items())
