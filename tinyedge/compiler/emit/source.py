"""Prints NAME_model.c: the constants, the arena and the kernel calls of a compiled model."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tinyedge.compiler.cascade import Cascade
from tinyedge.compiler.emit.c_text import (
    C_TYPES,
    array,
    banner,
    comment_safe,
    lines,
    literal,
    member_literal,
    string,
)
from tinyedge.compiler.emit.header import port_names
from tinyedge.compiler.emit.model_card import ModelCard
from tinyedge.compiler.memory.arena import aligned
from tinyedge.compiler.memory.memory_plan import MemoryPlan
from tinyedge.compiler.program import Program, constant_key
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.graph import Tensor

# So many calls of memset are shorter than the bytes themselves.
_MAX_RUNS = 32


def model_source(
    program: Program, name: str, card: ModelCard | None, print_array: Callable[[str, np.ndarray], str] = array
) -> str:
    """Return the C of a program that is called `name` in C; it includes NAME_model.h, made with the same card."""
    cascades = any(isinstance(step, Cascade) for step in program.steps)
    return "".join(
        [
            banner(program.graph),
            _plan_table(program),
            f'#include "{name}_model.h"\n\n',
            "#include <string.h>\n\n" if program.graph.states else "",
            '#include "kernels/te_cascade.h"\n' if cascades else "",
            '#include "kernels/te_kernels.h"\n\n',
            _arena(program, name, cascades),
            _state(program),
            *_layers(program.calls, print_array),
            _LAYER_DONE,
            *_cascades(program),
            _run(program),
            _interface(program, name),
            "" if card is None else _card(card, name),
        ]
    )


# The members of the unions that show the memory as values of a type, by the type of a kernel's pointers.
_VIEWS = {"int16": ("int16_t", "halfwords", 2), "int32": ("int32_t", "words", 4), "float32": ("float", "reals", 4)}


def _arena(program: Program, name: str, cascades: bool) -> str:
    """The arena, static or the caller's.

    A union aligns it for any access of a kernel without a compiler extension, and shows it as each type of the
    activations. The address of a static arena is a constant, so calls and tables of cascades cost nothing there.
    """
    upper = name.upper()
    images = ("#define IMAGES const\n", "#define IMAGES static const\n") if cascades else ("", "")
    return f"""\
union memory {{
    int64_t alignment;
{_union_members(program.plan.offsets, f"{upper}_ARENA_BYTES")}\
}};

#ifdef {upper}_ARENA_EXTERNAL
static union memory *external_arena;
#define ARENA external_arena
{images[0]}\
#else
/* Define it to place the arena, for example as __attribute__((section(".dtcm"))). */
#ifndef {upper}_ARENA_ATTRIBUTE
#define {upper}_ARENA_ATTRIBUTE
#endif
static union memory arena {upper}_ARENA_ATTRIBUTE;
#define ARENA (&arena)
{images[1]}\
#endif

"""


def _union_members(tensors: Iterable[Tensor], size: str) -> str:
    """The members of a union that shows some bytes as the values of tensors."""
    members = ["    int8_t bytes[{size}];\n", "    int16_t halfwords[{size} / 2];\n"]
    kinds = {tensor.dtype.name for tensor in tensors}
    members += [
        f"    {_VIEWS[kind][0]} {_VIEWS[kind][1]}[{{size}} / 4];\n" for kind in ("int32", "float32") if kind in kinds
    ]
    return "".join(member.format(size=size) for member in members)


def _state(program: Program) -> str:
    """The memory that outlasts an inference, what it holds at first, and the function that puts that there."""
    plan = program.plan
    if not program.graph.states:
        return ""
    initial = np.concatenate(
        [_padded(state.initial) for state in program.graph.states]  # In the order of the plan.
    )
    rows = "".join(
        f" * {plan.state_offsets[state.before.storage]:>8} {state.before.bytes:>8}  {comment_safe(state.name)}\n"
        for state in program.graph.states
    )
    return f"""\
/* What an inference leaves for the next one:
 *
 * {"offset":>8} {"bytes":>8}  state
{rows} */
static union {{
    int64_t alignment;
{_union_members(plan.state_offsets, str(plan.state_bytes))}\
}} state;

{_reset(initial)}"""


def _padded(values: np.ndarray) -> np.ndarray:
    """The bytes of a state, up to where the next begins."""
    content = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.int8)
    return np.pad(content, (0, aligned(content.size) - content.size), mode="edge")


def _reset(initial: np.ndarray) -> str:
    """The function that gives the states what they hold at first, by its runs of equal bytes where these are few."""
    starts = [0, *(int(at) + 1 for at in np.flatnonzero(initial[1:] != initial[:-1]))]
    if len(starts) > _MAX_RUNS:
        return (
            f"{array('initial_state', initial)}"
            "static void reset_state(void) {\n    memcpy(state.bytes, initial_state, sizeof initial_state);\n}\n\n"
        )
    ends = [*starts[1:], initial.size]
    fills = "".join(
        f"    memset(state.bytes + {start}, {int(initial[start])}, {end - start}u);\n"
        for start, end in zip(starts, ends, strict=True)
    )
    return f"static void reset_state(void) {{\n{fills}}}\n\n"


def _plan_table(program: Program) -> str:
    plan = program.plan
    rows = [
        "/* Arena plan: each tensor lives from the layer that writes it to the last that reads it (-1: the input). An",
        " * output may lie over an input that its layer is the last to read.",
        " *",
        f" * {'offset':>8} {'bytes':>8} {'from':>5} {'to':>5}  tensor",
    ]
    rows += [
        f" * {tensor.offset:>8} {tensor.bytes:>8} {tensor.first:>5} {tensor.last:>5}  "
        f"{comment_safe(tensor.name.rsplit(';', 1)[-1])}"
        for tensor in plan.tensors
    ]
    rows += [
        " *",
        f" * {plan.arena_bytes} bytes in all; no plan of these layers needs less than {plan.lower_bound_bytes}. */",
    ]
    return "\n".join(rows) + "\n"


def _layers(calls: Iterable[KernelCall], print_array: Callable[[str, np.ndarray], str]) -> Iterator[str]:
    """Each layer's constant arrays that are not there yet, then its parameters."""
    names: dict[tuple[str, bytes], str] = {}
    for index, call in enumerate(calls):
        members = []
        for field, value in call.fields.items():
            member = call.kernel.member(field)
            if isinstance(value, ConstantArray):
                key = constant_key(value)
                if key not in names:
                    names[key] = f"layer_{index}_{field.rpartition('.')[2]}"
                    yield print_array(names[key], value.values)
                members.append(f"    .{member} = {names[key]},\n")
            elif isinstance(value, tuple):
                members.append(f"    .{member} = {{{', '.join(literal(item) for item in value)}}},\n")
            else:
                members.append(f"    .{member} = {member_literal(value)},\n")
        yield f"static const {call.kernel.struct} layer_{index} = {{\n{''.join(members)}}};\n\n"


# Every layer is followed by it.
_LAYER_DONE = """\
typedef void (*layer_hook)(void *context, int32_t layer);

static inline void layer_done(layer_hook hook, void *context, int32_t layer) {
#ifdef TE_PROFILE
    if (hook != NULL) {
        hook(context, layer);
    }
#else
    (void)hook, (void)context, (void)layer;
#endif
}

"""


def _cascades(program: Program) -> Iterator[str]:
    """A function for each cascade, which runs its layers stripe by stripe."""
    layer = 0
    for number, step in enumerate(program.steps):
        if isinstance(step, Cascade):
            yield _cascade(step, layer, program.plan.scratch_offsets[number], program.plan.offsets)
            layer += len(step.calls)
        else:
            layer += 1


def _cascade(cascade: Cascade, first_layer: int, scratch: int, offsets: dict[Tensor, int]) -> str:
    count, outside = len(cascade.images), len(cascade.images) - len(cascade.calls)
    last_layer = first_layer + len(cascade.calls) - 1
    images = []
    for image, buffer in zip(cascade.images, cascade.buffers, strict=True):
        at = offsets[image.tensor] if buffer is None else scratch + buffer
        sources, window = (*image.sources, -1, -1)[:2], image.window
        images.append(
            f"        {{ARENA->bytes + {at}, {image.row_bytes}, {image.height}, {window.stride}, {window.pad_before}, "
            f"{window.reach}, {{{sources[0]}, {sources[1]}}}, {int(buffer is None)}}},\n"
        )
    layers = range(first_layer, last_layer + 1)
    copies = [
        f"    {call.kernel.struct} params_{layer} = layer_{layer};\n"
        for layer, call in zip(layers, cascade.calls, strict=True)
    ]
    runs = []
    for index, (layer, call, form) in enumerate(zip(layers, cascade.calls, cascade.forms, strict=True), outside):
        inputs = [_as_values(f"stripes[{index}].inputs[{at}]", t, "const ") for at, t in enumerate(call.inputs)]
        work = f"ARENA->bytes + {scratch + cascade.kernel_scratch}" if call.scratch_bytes else "NULL"
        arguments = [f"&params_{layer}", *inputs, _as_values(f"stripes[{index}].output", call.output), work]
        changes = [
            f"            params_{layer}.{call.kernel.member(varying.member)} = "
            f"{'' if varying.kind == 'int32_t' else f'({varying.kind})'}"
            f"{'' if varying.factor == 1 else f'{varying.factor} * '}stripes[{index}].{varying.figure};\n"
            for varying in form.varying
        ]
        runs.append(
            f"        if (stripes[{index}].out_h > 0) {{ /* {layer}: {comment_safe(call.op)} {call.name} */\n"
            f"{''.join(changes)}"
            f"            {call.function}({', '.join(arguments)});\n"
            f"            layer_done(hook, context, {layer});\n"
            "        }\n"
        )
    height = cascade.output.shape[1]
    return f"""\
/* Layers {first_layer} to {last_layer}, {cascade.rows} of {height} output rows at a time. */
static void cascade_{first_layer}(layer_hook hook, void *context) {{
    IMAGES te_cascade_image images[{count}] = {{
{"".join(images)}    }};
    te_cascade_stripe stripes[{count}];
{"".join(copies)}    te_cascade_begin(images, stripes, {count});
    for (int32_t row = 0; row < {height}; row += {cascade.rows}) {{
        te_cascade_advance(images, stripes, {count}, row + {cascade.rows} < {height} ? row + {cascade.rows} : {height});
{"".join(runs)}    }}
}}

"""


def _as_values(pointer: str, tensor: Tensor, constant: str = "") -> str:
    """A pointer to bytes, to what a kernel takes a tensor's values for."""
    if tensor.dtype.name not in _VIEWS:
        return pointer
    return f"({constant}{_VIEWS[tensor.dtype.name][0]} *)({constant}void *){pointer}"


def _run(program: Program) -> str:
    """The function that calls the kernels one after the other."""
    calls = []
    layer = 0
    for number, step in enumerate(program.steps):
        if isinstance(step, Cascade):
            calls.append(f"    cascade_{layer}(hook, context);")
            layer += len(step.calls)
            continue
        inputs = ", ".join(_address(tensor, program.plan) for tensor in step.inputs)
        if step.inputs_as_array:
            inputs = f"(const {step.output.dtype.name}_t *const[]){{{inputs}}}"
        scratch = program.plan.scratch_offsets.get(number)
        work = "NULL" if scratch is None else f"ARENA->bytes + {scratch}"
        states = [_address(tensor, program.plan) for tensor in step.states]
        arguments = [f"&layer_{layer}", inputs, _address(step.output, program.plan), work, *states]
        calls.append(f"    /* {layer}: {comment_safe(step.op)} {step.name} */")
        calls.append(f"    {step.function}({', '.join(arguments)});")
        calls.append(f"    layer_done(hook, context, {layer});")
        layer += 1
    body = "\n".join(calls)
    return f"static void run(layer_hook hook, void *context) {{\n{body}\n}}\n\n"


def _address(tensor: Tensor, plan: MemoryPlan) -> str:
    """Where a tensor is, as a kernel takes it: uint8 as the bytes that they are."""
    kept = tensor in plan.state_offsets
    memory, offset = ("state.", plan.state_offsets[tensor]) if kept else ("ARENA->", plan.offsets[tensor])
    _, view, size = _VIEWS.get(tensor.dtype.name, ("int8_t", "bytes", 1))
    return f"{memory}{view} + {offset // size}"


def _interface(program: Program, name: str) -> str:
    """The functions that the header declares."""
    upper = name.upper()

    def without_arena(result: str) -> str:
        return f"#ifdef {upper}_ARENA_EXTERNAL\n    if (ARENA == NULL) {{\n        return {result};\n    }}\n#endif\n"

    start = "    reset_state();\n" if program.graph.states else ""
    return f"""\
#ifdef {upper}_ARENA_EXTERNAL
te_status {name}_init(void *arena, size_t bytes) {{
    if (arena == NULL || (uintptr_t)arena % {upper}_ARENA_ALIGNMENT != 0u) {{
        return TE_ERR_ARGUMENT;
    }}
    if (bytes < {upper}_ARENA_BYTES) {{
        return TE_ERR_SIZE;
    }}
    external_arena = (union memory *)arena;
{start}    return TE_OK;
}}
#else
te_status {name}_init(void) {{
{start}    return TE_OK;
}}
#endif

{_ports(program, name, without_arena("NULL"))}\
te_status {name}_invoke(void) {{
{without_arena("TE_ERR_STATE")}\
    run(NULL, NULL);
    return TE_OK;
}}

#ifdef TE_PROFILE
te_status {name}_invoke_profiled(layer_hook hook, void *context) {{
{without_arena("TE_ERR_STATE")}\
    run(hook, context);
    return TE_OK;
}}
#endif
{_public_reset(program, name)}"""


def _ports(program: Program, name: str, guard: str) -> str:
    """The functions that say where the inputs and outputs are."""
    functions = []
    for role, tensors, constant in (("input", program.inputs, ""), ("output", program.outputs, "const ")):
        for port, tensor in zip(port_names(role, tensors), tensors, strict=True):
            kind = C_TYPES[tensor.dtype.name]
            address = _address(tensor, program.plan)
            if tensor.dtype.name not in (*_VIEWS, "int8"):
                address = f"({constant}{kind} *)({constant}void *)({address})"
            functions.append(f"{constant}{kind} *{name}_{port}(void) {{\n{guard}    return {address};\n}}\n\n")
    return "".join(functions)


def _public_reset(program: Program, name: str) -> str:
    return f"\nvoid {name}_reset(void) {{\n    reset_state();\n}}\n" if program.graph.states else ""


def _card(card: ModelCard, name: str) -> str:
    """The names of the classes, and the preprocessing."""
    upper, channels = name.upper(), len(card.pixel_values)
    names = f"""
const char *const {name}_class_names[{upper}_CLASS_COUNT] = {{
{lines(list(map(string, card.classes)))}}};
"""
    return f"""\
{names if card.classes else ""}
{array("pixel_values", card.pixel_values)}\
void {name}_quantise_pixels(const uint8_t *pixels, int8_t *input) {{
    for (int32_t i = 0; i < {upper}_INPUT_BYTES; i += {channels}) {{
        for (int32_t channel = 0; channel < {channels}; ++channel) {{
            input[i + channel] = pixel_values[256 * channel + pixels[i + channel]];
        }}
    }}
}}
"""
