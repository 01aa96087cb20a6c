"""What the firmware gets of a model for TFLite Micro."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from compiler.streaming_models import streaming_model
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.c_text import float_literal
from tinyedge.compiler.emit.tflm_emitter import emit_for_tflm, emit_tflm_arena, registration_function, resolver_source
from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.tflite_micro import TFLM_OPERATORS
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_tflite

ZOO = Path(__file__).resolve().parents[2] / "models"


def pool_then(op: str, dtype: type) -> bytes:
    """QUANTIZE to `dtype`, twice `op`, QUANTIZE back."""
    shape, scale = (1, 2, 2, 4), 0.1
    window = {"filterHeight": 1, "filterWidth": 1, "strideH": 1, "strideW": 1, "padding": "VALID"}
    tensors = [TensorSpec(shape, scale, dtype=kind) for kind in (np.int8, dtype, dtype, dtype, np.int8)]
    steps = [
        OperatorSpec("QUANTIZE", tensors[:1], tensors[1]),
        OperatorSpec(op, [tensors[1]], tensors[2], window),
        OperatorSpec(op, [tensors[2]], tensors[3], window),
        OperatorSpec("QUANTIZE", [tensors[3]], tensors[4]),
    ]
    return build_model(steps, tensors[:1], tensors[4:])


def resolver_of(content: bytes, folder: Path) -> str:
    graph = graph_of(content, folder)
    return resolver_source(graph, Model(folder / "model.tflite").file_operators())


def graph_of(content: bytes, folder: Path):
    (folder / "model.tflite").write_bytes(content)
    return read_tflite(folder / "model.tflite")


def test_each_operator_is_registered_once_in_a_statement_of_its_own(tmp_path):
    source = resolver_of(pool_then("MAX_POOL_2D", np.int8), tmp_path)
    assert "MicroMutableOpResolver<2>" in source
    assert source.count("AddQuantize()") == 1
    assert re.findall(r"AddMaxPool2D\((.*?)\) != kTfLiteOk;", source) == ["tflite::Register_MAX_POOL_2D_INT8()", ""]
    assert "&&" not in source


@pytest.mark.parametrize("missing", ["inputs", "outputs"])
def test_an_operator_of_no_inputs_or_outputs_keeps_its_general_kernel(tmp_path, missing):
    """A stranger's model may have one, which no runtime takes; what is said of its build must not be a traceback."""
    graph = graph_of(pool_then("MAX_POOL_2D", np.int8), tmp_path)
    setattr(graph.operators[1], missing, ())
    assert "_INT8" not in resolver_source(graph, graph.operators)


def test_an_int16_operator_keeps_its_general_kernel(tmp_path):
    source = resolver_of(pool_then("MAX_POOL_2D", np.int16), tmp_path)
    assert source.count("AddMaxPool2D()") == 1
    assert "_INT8" not in source


def test_the_operators_of_variables_and_of_further_subgraphs_are_registered(tmp_path):
    source = resolver_of(streaming_model([3, 5]), tmp_path)
    for function in ("AddVarHandle", "AddReadVariable", "AddAssignVariable", "AddCallOnce", "AddConcatenation"):
        assert source.count(f"{function}()") == 1


def test_a_custom_operator_is_refused(tmp_path):
    content = one_operator("TFLite_Detection_PostProcess", [TensorSpec((1, 4), 0.1)], TensorSpec((1, 4), 0.1))
    with pytest.raises(UnsupportedOpError, match="TFLite_Detection_PostProcess is a custom operator"):
        resolver_of(content, tmp_path)


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("CONV_2D", "AddConv2D"),
        ("RELU6", "AddRelu6"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("PADV2", "AddPadV2"),
    ],
)
def test_functions_are_named_as_upstream_names_them(op, function):
    assert registration_function(op) == function


def test_no_two_operators_share_a_function():
    assert len({registration_function(op) for op in TFLM_OPERATORS}) == len(TFLM_OPERATORS)


def test_the_array_is_the_file(tmp_path):
    """Compiled, it holds the model's bytes at an address that TFLite Micro can read from; so does the arena."""
    content = one_operator(
        "ADD", [TensorSpec((1, 5), 0.1), constant(np.ones(5, np.int8), 0.1)], TensorSpec((1, 5), 0.2)
    )
    assert b"TFL3" in content
    graph = graph_of(content, tmp_path)
    emit_for_tflm(graph, graph.operators, content, tmp_path)
    emit_tflm_arena(4_000, tmp_path)
    (tmp_path / "main.c").write_text(
        '#include <stdint.h>\n#include <stdio.h>\n#include "te_tflm_model.h"\n'
        f"int main(void) {{ fwrite(te_tflm_model, 1, {len(content)}, stdout);\n"
        "const uintptr_t ends = (uintptr_t)te_tflm_model | (uintptr_t)te_tflm_arena;\n"
        "return te_tflm_arena_bytes == 4000 ? (int)(ends % TE_TFLM_ALIGNMENT) : 1; }\n"
    )
    command = [
        "cc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        f"-I{firmware_root() / 'runtime' / 'tflm'}",
    ]
    subprocess.run([*command, "main.c", "model.c", "arena.c", "-o", "main"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout == content


def test_the_header_tells_of_the_model(tmp_path):
    model = ZOO / "tinynext_t_cifar10" / "model_int8.tflite"
    graph = read_tflite(model)
    emit_for_tflm(graph, graph.operators, b"", tmp_path)
    header = (tmp_path / "te_model.h").read_text()
    for line in (
        f'TE_MODEL_SHA256 "{graph.sha256}"',
        f"TE_MODEL_LAYER_COUNT {len(graph.operators)}",
    ):
        assert f"#define {line}\n" in header
    scale, zero_point = float_literal(graph.inputs[0].q.scale), graph.inputs[0].q.zero_point
    assert f"TENSOR(0, input, INT8, 3072, {scale}, ({zero_point}), 4, 1, 32, 32, 3)" in header
    assert re.search(r"TENSOR\(0, output, INT8, 10, .*, 2, 1, 10\)", header)
