"""Prints NAME_golden.h: an input that C makes by itself, and the checksum of what the model has to make of it."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.emit.c_text import banner
from tinyedge.compiler.emit.header import port_names
from tinyedge.compiler.program import Program
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.graph import Tensor

_MULTIPLIERS = (2654435761, 2246822519)
# By the type of an input: its value in C from the next bytes, and the same in NumPy.
_VALUES_IN_C = {
    "int8": "(int8_t)((int32_t){byte} - 128)",
    "uint8": "{byte}",
    "bool": "(uint8_t)({byte} & 1u)",
    "int16": "(int16_t)(256 * ((int32_t){byte} - 128))",
    "int32": "0 * (int32_t){byte}",
    "int64": "0 * (int64_t){byte}",
    "float32": "(float)((int32_t){byte} - 128) / 32.0f",
}


@dataclass(frozen=True)
class Golden:
    """What a model makes of the frame of `golden_frame`.

    Attributes:
        crc32: CRC-32, as zlib's, of the bytes of its outputs in their order.
        source: What computed them, for a reader.
    """

    crc32: int
    source: str


def golden_frame(tensors: Sequence[Tensor]) -> np.ndarray:
    """Return the input that a golden header fills in, (1, ...) as a frame; indices, which have limits, are 0."""
    frame, begin = empty_frames(1, tensors), 0
    for values in parts_of(frame):
        number = np.arange(begin, begin + values.size, dtype=np.uint32) * np.uint32(_MULTIPLIERS[0])
        number = (number ^ (number >> np.uint32(15))) * np.uint32(_MULTIPLIERS[1])
        byte = (number >> np.uint32(24)).reshape(values.shape).astype(np.int32)
        begin += values.size
        made = {"u": byte, "b": byte & 1, "f": (byte - 128) / 32, "i": byte - 128}[values.dtype.kind]
        if values.dtype == np.int16:
            made = 256 * made
        values[...] = 0 * byte if values.dtype.kind == "i" and values.dtype.itemsize > 2 else made
    return frame


def crc32_of(frames: np.ndarray) -> int:
    """Return the checksum of an output of `golden_frame`, (1, ...) as a frame."""
    return zlib.crc32(frames.tobytes())


def golden_header(program: Program, name: str, golden: Golden | None) -> str:
    """Return the header of a program that is called `name` in C; without a golden output its check compares nothing."""
    upper = name.upper()
    known = (
        "/* Nothing ran the model here: `tinyedge compile --layout LAYOUT` writes what its output has to be. */\n"
        f'#define {upper}_GOLDEN_SAME "not compared"\n'
    )
    compared = "return TE_OK;"
    if golden is not None:
        known = (
            f'#define {upper}_GOLDEN_CRC32 0x{golden.crc32:08x}u\n#define {upper}_GOLDEN_SAME "as by {golden.source}"\n'
        )
        compared = f"return *crc32 == {upper}_GOLDEN_CRC32 ? TE_OK : TE_ERR_HARDWARE;"
    reset = f"    {name}_reset();\n" if program.graph.states else ""
    return f"""\
{banner(program.graph)}\
/** @file {name}_golden.h
 *  One inference whose output is known: it tells whether a compiler and a processor compute what they have to. */
#ifndef {upper}_GOLDEN_H
#define {upper}_GOLDEN_H

#include "{name}_model.h"

#ifdef __cplusplus
extern "C" {{
#endif

/* CRC-32, as zlib's, of all outputs; and what they are then, for a reader. */
{known}
static inline uint8_t {name}_golden_byte(uint32_t index) {{
    uint32_t mixed = index * {_MULTIPLIERS[0]}u;
    mixed = (mixed ^ (mixed >> 15)) * {_MULTIPLIERS[1]}u;
    return (uint8_t)(mixed >> 24);
}}

static inline uint32_t {name}_golden_crc32(uint32_t crc32, const void *values, size_t bytes) {{
    const uint8_t *byte = (const uint8_t *)values;
    crc32 = ~crc32;
    for (size_t i = 0; i < bytes; ++i) {{
        crc32 ^= byte[i];
        for (int32_t bit = 0; bit < 8; ++bit) {{
            crc32 = (crc32 >> 1) ^ ((crc32 & 1u) != 0u ? 0xedb88320u : 0u);
        }}
    }}
    return ~crc32;
}}

/** Fills in the input, runs one inference and compares its output; to be called after {name}_init().
 *  @param crc32  Receives the checksum of the output.
 *  @return TE_ERR_HARDWARE where the output is another one, TE_ERR_STATE without an arena. */
static inline te_status {name}_golden_check(uint32_t *crc32) {{
    uint32_t index = 0;
    *crc32 = 0;
{reset}{"".join(_fills(program, name))}\
    const te_status status = {name}_invoke();
    if (status != TE_OK) {{
        return status;
    }}
{"".join(_sums(program, name))}\
    {compared}
}}

#ifdef __cplusplus
}}
#endif

#endif /* {upper}_GOLDEN_H */
"""


def _fills(program: Program, name: str) -> Iterator[str]:
    for port, tensor in zip(port_names("input", program.inputs), program.inputs, strict=True):
        value = _VALUES_IN_C[tensor.dtype.name].format(byte=f"{name}_golden_byte(index++)")
        yield (
            f"    if ({name}_{port}() == NULL) {{\n"
            "        return TE_ERR_STATE;\n"
            "    }\n"
            f"    for (uint32_t i = 0; i < {tensor.elements}u; ++i) {{\n"
            f"        {name}_{port}()[i] = {value};\n"
            "    }\n"
        )


def _sums(program: Program, name: str) -> Iterator[str]:
    for port, tensor in zip(port_names("output", program.outputs), program.outputs, strict=True):
        yield f"    *crc32 = {name}_golden_crc32(*crc32, {name}_{port}(), {tensor.bytes}u);\n"
