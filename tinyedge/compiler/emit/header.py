"""Prints NAME_model.h: the functions of a compiled model, and what a program has to know of it."""

from dataclasses import dataclass

from tinyedge.compiler.emit.c_text import banner, comment_safe, float_literal, literal
from tinyedge.compiler.emit.model_card import ModelCard
from tinyedge.compiler.program import Program
from tinyedge.tflite.graph import Tensor

ARENA_ALIGNMENT = 8
"""Bytes: what the kernels' widest access, of 64 bits, asks of the arena's begin."""

_IMAGE_RANK = 4
_NO_CARD = """\
/* Names of classes and the preprocessing of images come from the export.json of `tinyedge export` beside the .tflite
 * file, and there was none of this file. */
"""


@dataclass(frozen=True)
class ModelStack:
    """What one inference takes of the stack at most.

    Attributes:
        bytes: From NAME_invoke() on; interrupts come on top.
        compiler: What was found to need it, with its options.
    """

    bytes: int
    compiler: str


def model_header(program: Program, name: str, card: ModelCard | None, stack: ModelStack | None) -> str:
    """Return the header of a program that is called `name` in C; without a card it knows neither classes nor pixels."""
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
{_stack_macro(stack, upper)}
/* int8 tensors, dense, the last dimension first in memory: real = SCALE * (value - ZERO_POINT). The first of DIMS is
 * the batch of 1; four of them are (1, HEIGHT, WIDTH, CHANNELS). */
{tensor_macros(f"{upper}_INPUT", program.input)}\
{tensor_macros(f"{upper}_OUTPUT", program.output)}
#define {upper}_LAYER_COUNT {len(program.calls)}

{_NO_CARD if card is None else _card_macros(card, upper)}\

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

{"" if card is None else _card_declarations(card, name)}\
#ifdef TE_PROFILE /* Define it for {name}_model.c too. */
/* LAYER(name, operator, kernel, multiply-accumulates) for each layer in execution order. */
#define {upper}_LAYERS(LAYER) \\
{layers}

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


def _stack_macro(stack: ModelStack | None, upper: str) -> str:
    if stack is None:
        return "/* What an inference takes of the stack: `tinyedge compile --board BOARD` finds out. */\n"
    return (
        f"/* What {upper.lower()}_invoke() takes of the stack at most, compiled by\n"
        f" * {stack.compiler}; interrupts come on top. */\n"
        f"#define {upper}_STACK_BYTES {stack.bytes}\n"
    )


def tensor_macros(prefix: str, tensor: Tensor) -> str:
    """Return the macros that tell of the model's input or output, `prefix` before each."""
    dims = ", ".join(str(size) for size in tensor.shape)
    macros = {
        "BYTES": str(tensor.bytes),
        "RANK": str(len(tensor.shape)),
        "DIMS": f"{{{dims}}}",
        "SCALE": float_literal(tensor.q.scale),
        "ZERO_POINT": literal(tensor.q.zero_point, in_macro=True),
    }
    if len(tensor.shape) == _IMAGE_RANK:
        macros |= dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), map(str, tensor.shape[1:]), strict=True))
    return "".join(f"#define {prefix}_{key} {value}\n" for key, value in macros.items())


def _card_macros(card: ModelCard, upper: str) -> str:
    classes = f"#define {upper}_CLASS_COUNT {len(card.classes)}\n" if card.classes else ""
    mean, std = (", ".join(map(float_literal, values)) for values in (card.mean, card.std))
    return f"""\
{classes}\
/* Mean and standard deviation of each channel, red first, of the training images scaled to [0, 1]. */
#define {upper}_INPUT_MEAN {{{mean}}}
#define {upper}_INPUT_STD {{{std}}}
"""


def _card_declarations(card: ModelCard, name: str) -> str:
    upper = name.upper()
    classes = f"""\
/** The class of each output value; the largest value is the likeliest. */
extern const char *const {name}_class_names[{upper}_CLASS_COUNT];

"""
    return f"""\
{classes if card.classes else ""}\
/** Turns an image into the model's input, by a table that holds for each pixel value p of a channel
 *  floor((p / 255 - MEAN) / STD / SCALE + 0.5) + ZERO_POINT, limited to [-128, 127]; no floating point here.
 *  @param pixels  ({upper}_INPUT_HEIGHT, {upper}_INPUT_WIDTH, 3): rows from the top, red, green, blue of each pixel.
 *  @param input   {upper}_INPUT_BYTES values: {name}_input(), or what is copied there. May be where the pixels are. */
void {name}_quantise_pixels(const uint8_t *pixels, int8_t *input);

"""
