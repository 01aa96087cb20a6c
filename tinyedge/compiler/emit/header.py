"""Prints NAME_model.h: the functions of a compiled model, and what a program has to know of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyedge.compiler.emit.c_text import C_TYPES, banner, comment_safe, float_literal, literal
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

    def calls(role: str) -> str:
        return ", ".join(f"{name}_{port}()" for port in port_names(role, _ports_of(program, role)))

    return f"""\
{banner(program.graph)}\
/** @file {name}_model.h
 *  Call {name}_init() once; then, for each inference, fill {calls("input")}, call {name}_invoke(),
 *  read {calls("output")}.
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
/* Tensors are dense, the last dimension first in memory: real = SCALE * (value - ZERO_POINT), where they have a scale.
 * The first of DIMS is the batch of 1; four of them are (1, HEIGHT, WIDTH, CHANNELS). */
{"".join(_port_macros(program, name))}
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

{"".join(_port_declarations(program, name, "input"))}\
/** Runs one inference.
 *  @return TE_ERR_STATE without an arena. */
te_status {name}_invoke(void);

{"".join(_port_declarations(program, name, "output"))}\
{_reset_declaration(program, name)}\
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


def port_names(role: str, tensors: Sequence[Tensor]) -> list[str]:
    """What a model's inputs or outputs are called in C: "input", or "input_0" and so on where there are several."""
    return [role] if len(tensors) == 1 else [f"{role}_{index}" for index in range(len(tensors))]


def _ports_of(program: Program, role: str) -> tuple[Tensor, ...]:
    return program.inputs if role == "input" else program.outputs


def _port_macros(program: Program, name: str) -> Iterator[str]:
    """The macros that tell of each input and output, then the lists of them."""
    upper = name.upper()
    for role in ("input", "output"):
        tensors = _ports_of(program, role)
        for port, tensor in zip(port_names(role, tensors), tensors, strict=True):
            if len(tensors) > 1:
                yield f"/* {comment_safe(tensor.name)} */\n"
            yield tensor_macros(f"{upper}_{port.upper()}", tensor)
    for role in ("input", "output"):
        yield tensor_list(f"{upper}_{role.upper()}S", f"{name}_", role, _ports_of(program, role))
    yield f"#define {upper}_STATE_BYTES {program.plan.state_bytes}\n"


def tensor_list(macro: str, prefix: str, role: str, tensors: Sequence[Tensor]) -> str:
    """Return the macro that hands each input or output to another one, with all that is to be known of it."""
    entries: list[str] = []
    for port, tensor in zip(port_names(role, tensors), tensors, strict=True):
        scale, zero_point = ("0.0f", "0")
        if tensor.quantisation is not None:
            scale, zero_point = float_literal(tensor.q.scale), literal(tensor.q.zero_point, in_macro=True)
        dims = ", ".join(str(size) for size in tensor.shape) or "1"
        kind = tensor.dtype.name.upper()
        entries.append(
            f"    TENSOR({len(entries)}, {prefix}{port}, {kind}, {tensor.bytes}, {scale}, {zero_point}, "
            f"{max(len(tensor.shape), 1)}, {dims})"
        )
    lines = " \\\n".join(entries)
    what = "/* TENSOR(index, function, type, bytes, scale, zero point, rank, dimensions...) for each. */\n"
    all_bytes = sum(tensor.bytes for tensor in tensors)
    return f"{what}#define {macro}(TENSOR) \\\n{lines}\n#define {macro}_BYTES {all_bytes}\n"


def tensor_macros(prefix: str, tensor: Tensor) -> str:
    """Return the macros that tell of one of the model's inputs or outputs, `prefix` before each."""
    dims = ", ".join(str(size) for size in tensor.shape) or "1"
    macros = {
        "BYTES": str(tensor.bytes),
        "RANK": str(max(len(tensor.shape), 1)),
        "DIMS": f"{{{dims}}}",
    }
    if tensor.quantisation is not None:
        macros["SCALE"] = float_literal(tensor.q.scale)
        macros["ZERO_POINT"] = literal(tensor.q.zero_point, in_macro=True)
    if len(tensor.shape) == _IMAGE_RANK:
        macros |= dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), map(str, tensor.shape[1:]), strict=True))
    return "".join(f"#define {prefix}_{key} {value}\n" for key, value in macros.items())


def _port_declarations(program: Program, name: str, role: str) -> Iterator[str]:
    """The functions that say where the inputs or the outputs are."""
    upper, tensors = name.upper(), _ports_of(program, role)
    what, constant = ("valid until the next inference", "const ")
    if role == "input":
        what, constant = ("to fill before each inference", "")
    for port, tensor in zip(port_names(role, tensors), tensors, strict=True):
        count = f"{upper}_{port.upper()}_BYTES" if tensor.dtype.itemsize == 1 else f"{tensor.elements}"
        yield (
            f"/** {count} values {what}; NULL without an arena. */\n"
            f"{constant}{C_TYPES[tensor.dtype.name]} *{name}_{port}(void);\n\n"
        )


def _reset_declaration(program: Program, name: str) -> str:
    if not program.graph.states:
        return ""
    return f"""\
/** Makes the model forget all earlier inferences, as {name}_init() does. What it keeps from one to the next are
 *  {name.upper()}_STATE_BYTES bytes of static memory, apart from the arena. */
void {name}_reset(void);

"""


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
    upper, channels = name.upper(), len(card.pixel_values)
    pixels = "rows from the top, red, green, blue of each pixel" if channels == 3 else "rows from the top"
    classes = f"""\
/** The class of each output value; the largest value is the likeliest. */
extern const char *const {name}_class_names[{upper}_CLASS_COUNT];

"""
    return f"""\
{classes if card.classes else ""}\
/** Turns an image into the model's input, by a table that holds for each pixel value p of a channel
 *  floor((p / 255 - MEAN) / STD / SCALE + 0.5) + ZERO_POINT, limited to [-128, 127]; no floating point here.
 *  @param pixels  ({upper}_INPUT_HEIGHT, {upper}_INPUT_WIDTH, {channels}): {pixels}.
 *  @param input   {upper}_INPUT_BYTES values: {name}_input(), or what is copied there. May be where the pixels are. */
void {name}_quantise_pixels(const uint8_t *pixels, int8_t *input);

"""
