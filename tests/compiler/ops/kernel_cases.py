"""Runs one-operator models through TFLite Micro and through the lowered kernels, many cases in one C program."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.compiler.graph import Operator
from tinyedge.compiler.kernel_call import ConstantArray, KernelCall
from tinyedge.compiler.lowering import lower
from tinyedge.compiler.reader import read_any_tflite

KERNELS = Path(__file__).resolve().parents[3] / "firmware" / "kernels"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic"]
SANITISERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@dataclass(frozen=True, eq=False)
class Case:
    """A model of one operator and what to feed it.

    Attributes:
        label: Says which case it is.
        model: The .tflite file.
        inputs: One array an input of the model, each (runs, *shape) of its type.
    """

    label: str
    model: bytes
    inputs: Sequence[np.ndarray]


def int8_values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int8, with -128 and 127 over-represented."""
    values = rng.integers(-128, 128, size=shape)
    extremes = rng.choice([-128, 127], size=shape)
    return np.where(rng.random(shape) < 0.1, extremes, values).astype(np.int8)


def int16_values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int16, with small values, -32768 and 32767 over-represented."""
    values = rng.integers(-(2**15), 2**15, size=shape) >> rng.integers(0, 12, size=shape)
    extremes = rng.choice([-(2**15), 2**15 - 1], size=shape)
    return np.where(rng.random(shape) < 0.1, extremes, values).astype(np.int16)


def read_operator(model: bytes, folder: Path) -> Operator:
    """The only operator of a model."""
    path = folder / "case.tflite"
    path.write_bytes(model)
    (operator,) = read_any_tflite(path).operators  # Alone, an operator may take int16.
    return operator


def tflite_micro_outputs(case: Case) -> np.ndarray:
    """(runs, *output shape) from TFLite Micro's interpreter."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(case.model, arena_size=4 * len(case.model) + 500_000)
    outputs = []
    for run in range(len(case.inputs[0])):
        for position, values in enumerate(case.inputs):
            interpreter.set_input(values[run], position)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)))
    return np.stack(outputs)


def build_kernel_objects(folder: Path, flags: Sequence[str]) -> list[Path]:
    """Compile every kernel once."""
    objects = []
    for source in sorted(KERNELS.glob("*.c")):
        target = folder / f"{source.stem}.o"
        subprocess.run(["gcc", *WARNINGS, *flags, "-c", str(source), "-o", str(target)], check=True)
        objects.append(target)
    return objects


def kernel_outputs(
    cases: Sequence[Case], folder: Path, objects: Iterable[Path], flags: Sequence[str]
) -> list[np.ndarray]:
    """(runs, *output shape) of each case from the C kernels."""
    calls = [lower(read_operator(case.model, folder)) for case in cases]
    source, program, fed, got = (folder / name for name in ("cases.c", "cases", "cases.in", "cases.out"))
    source.write_text(_source(cases, calls))
    compiled = ["gcc", "-std=c99", *flags, f"-I{KERNELS}", str(source), *map(str, objects), "-o", str(program)]
    subprocess.run(compiled, check=True)
    fed.write_bytes(
        b"".join(
            values[run].tobytes() for case in cases for run in range(len(case.inputs[0])) for values in case.inputs
        )
    )
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    subprocess.run([str(program), str(fed), str(got)], check=True, env=environment)
    results = []
    content = got.read_bytes()
    start = 0
    for case, call in zip(cases, calls, strict=True):
        count = len(case.inputs[0]) * call.output.elements
        values = np.frombuffer(content, call.output.dtype, count, start)
        results.append(values.reshape(-1, *call.output.shape))
        start += values.nbytes
    assert start == len(content)
    return results


def assert_bit_exact(cases: Sequence[Case], folder: Path, objects: Iterable[Path], flags: Sequence[str]) -> None:
    """Fail, naming the case, unless every element of every run equals TFLite Micro's."""
    outputs = kernel_outputs(cases, folder, objects, flags)
    for case, output in zip(cases, outputs, strict=True):
        expected = tflite_micro_outputs(case)
        assert (output.shape, output.dtype) == (expected.shape, expected.dtype), case.label
        wrong = np.flatnonzero((output != expected).reshape(-1))
        if wrong.size:
            first = wrong[0]
            raise AssertionError(
                f"{case.label}: {wrong.size} of {output.size} elements differ, the first at {first}: "
                f"{output.reshape(-1)[first]} instead of {expected.reshape(-1)[first]}"
            )


_MAIN = r"""
static int read_bytes(FILE *file, void *buffer, size_t count) {
    return fread(buffer, 1, count, file) == count;
}

int main(int argc, char **argv) {
    FILE *fed = fopen(argv[argc - 2], "rb");
    FILE *got = fopen(argv[argc - 1], "wb");
    const size_t count = sizeof(cases) / sizeof(cases[0]);
    for (size_t i = 0; i < count; ++i) {
        for (int run = 0; run < cases[i].runs; ++run) {
            void *inputs[16];
            /* Buffers of the exact size, so that the address sanitiser sees one byte too far. */
            for (int k = 0; k < cases[i].inputs; ++k) {
                inputs[k] = malloc(cases[i].input_bytes[k]);
                if (!read_bytes(fed, inputs[k], cases[i].input_bytes[k])) return 2;
            }
            void *output = malloc(cases[i].output_bytes);
            void *scratch = cases[i].scratch_bytes ? malloc(cases[i].scratch_bytes) : NULL;
            cases[i].run(inputs, output, scratch);
            fwrite(output, 1, cases[i].output_bytes, got);
            for (int k = 0; k < cases[i].inputs; ++k) free(inputs[k]);
            free(output);
            free(scratch);
        }
    }
    return fclose(got) || fclose(fed);
}
"""


def _source(cases: Sequence[Case], calls: Sequence[KernelCall]) -> str:
    parts = ['#include <stdio.h>\n#include <stdlib.h>\n#include "te_kernels.h"\n']
    rows = []
    for index, (case, call) in enumerate(zip(cases, calls, strict=True)):
        members = []
        for name, value in call.fields.items():
            if isinstance(value, ConstantArray):
                parts.append(_array(f"c{index}_{name}", value.values))
                members.append(f".{name} = c{index}_{name}")
            elif isinstance(value, tuple):
                members.append(f".{name} = {{{', '.join(map(str, value))}}}")
            else:
                members.append(f".{name} = {'NULL' if value is None else value}")
        parts.append(f"static const {call.struct} p{index} = {{{', '.join(members)}}};\n")
        unique = list(dict.fromkeys(call.inputs))
        pointers = [f"inputs[{unique.index(tensor)}]" for tensor in call.inputs]
        if call.inputs_as_array:
            pointers = [f"(const {call.output.dtype.name}_t *const[]){{{', '.join(pointers)}}}"]
        arguments = ", ".join([f"&p{index}", *pointers, "output", "scratch"])
        parts.append(
            f"static void run{index}(void *const *inputs, void *output, void *scratch) "
            f"{{ {call.function}({arguments}); }}\n"
        )
        sizes = ", ".join(str(tensor.bytes) for tensor in unique)
        runs, bytes_out = len(case.inputs[0]), call.output.bytes
        rows.append(f"{{{runs}, {len(unique)}, {{{sizes}}}, {bytes_out}, {call.scratch_bytes}, run{index}}},\n")
    parts.append(
        "static const struct {\n"
        "    int runs; int inputs; size_t input_bytes[16]; size_t output_bytes; size_t scratch_bytes;\n"
        "    void (*run)(void *const *, void *, void *); } cases[] = {\n"
    )
    return "".join([*parts, *rows, "};\n", _MAIN])


def _array(name: str, values: np.ndarray) -> str:
    body = ",".join(map(str, values.reshape(-1).tolist())).replace("-2147483648", "(-2147483647-1)")
    return f"static const {values.dtype.name}_t {name}[] = {{{body}}};\n"
