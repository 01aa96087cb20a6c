"""What models take and give: several tensors, and float32, uint8, int16 around an int8 body."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model

from tinyedge.boards.board import load_board
from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ModelError, ToolMissing
from tinyedge.firmware.build import build_firmware
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, frames_from_bytes, parts_of, random_frames
from tinyedge.tflite.model import Model
from tinyedge.toolchain import find_build_tools, find_tool


def image(*shape: int) -> TensorSpec:
    return TensorSpec(shape, 0.05, -11)


def floats(*shape: int) -> TensorSpec:
    return TensorSpec(shape, dtype=np.float32)


def several() -> bytes:
    """Inputs of three types, outputs of four."""
    real, pixels, plain = floats(1, 3, 5), TensorSpec((1, 3, 5), 0.02, 130, np.uint8), image(1, 3, 5)
    a, b, total, product = (image(1, 3, 5) for _ in range(4))
    wide = TensorSpec((1, 3, 5), 0.001, 0, np.int16)
    outputs = [floats(1, 3, 5), TensorSpec((1, 3, 5), 0.03, 90, np.uint8), wide, product]
    operators = [
        OperatorSpec("QUANTIZE", [real], a),
        OperatorSpec("QUANTIZE", [pixels], b),
        OperatorSpec("ADD", [a, b], total),
        OperatorSpec("MUL", [total, plain], product),
        OperatorSpec("DEQUANTIZE", [total], outputs[0]),
        OperatorSpec("QUANTIZE", [product], outputs[1]),
        OperatorSpec("QUANTIZE", [total], wide),
    ]
    return build_model(operators, [real, pixels, plain], outputs)


def passed_through() -> bytes:
    """An output that is an input, and two that are one tensor."""
    x, y = image(1, 4), image(1, 4)
    return build_model([OperatorSpec("ADD", [x, x], y)], [x], [y, x, y])


def wide_ends() -> bytes:
    """int16 in and out."""
    x, y = (TensorSpec((1, 9), scale, 0, np.int16) for scale in (0.01, 0.02))
    return build_model([OperatorSpec("ADD", [x, x], y)], [x], [y])


def no_batch() -> bytes:
    """A first dimension that is no batch of 1, and a tensor of six dimensions."""
    x, y, z = image(3, 4), image(3, 4), image(1, 1, 3, 2, 2, 1)
    shape = TensorSpec((6,), dtype=np.int32, data=np.array(z.shape, np.int32))
    operators = [OperatorSpec("ADD", [x, x], y), OperatorSpec("RESHAPE", [y, shape], z)]
    return build_model(operators, [x], [z])


MODELS: dict[str, Callable[[], bytes]] = {
    "several": several,
    "passed through": passed_through,
    "wide ends": wide_ends,
    "no batch": no_batch,
}


def write(tmp_path: Path, content: bytes) -> Model:
    path = tmp_path / "ends.tflite"
    path.write_bytes(content)
    return Model(path)


@pytest.mark.parametrize("name", MODELS)
def test_all_ends_have_tflite_micros_bits(tmp_path: Path, name: str) -> None:
    model = write(tmp_path, MODELS[name]())
    inputs = random_frames(model.graph().inputs, 50, seed=1)
    outputs = AotRuntime(model).run(inputs)
    assert count_differing(outputs, TflmRuntime(model).run(inputs)) == 0
    assert len(np.unique(outputs.view(np.uint8))) > 8


def test_the_header_names_each_end(tmp_path: Path) -> None:
    report = compile_model(write(tmp_path, several()), tmp_path / "lib", name="fusion")
    header = (report.directory / "src" / "fusion_model.h").read_text()
    for line in (
        "float *fusion_input_0(void);",
        "uint8_t *fusion_input_1(void);",
        "int8_t *fusion_input_2(void);",
        "const float *fusion_output_0(void);",
        "const uint8_t *fusion_output_1(void);",
        "const int16_t *fusion_output_2(void);",
        "#define FUSION_INPUT_0_BYTES 60",
        "#define FUSION_INPUT_1_ZERO_POINT 130",
        "#define FUSION_STATE_BYTES 0",
    ):
        assert line in header
    assert "FUSION_INPUT_0_SCALE" not in header


def test_a_model_of_several_ends_on_a_board(tmp_path: Path) -> None:
    try:
        find_build_tools()
        find_tool("qemu-system-arm")
    except ToolMissing as error:
        pytest.skip(str(error))
    model, board = write(tmp_path, several()), load_board("stm32f405")
    graph = model.graph()
    inputs = random_frames(graph.inputs, 12, seed=2)
    built = build_firmware(model, board, tmp_path / "out")
    with Emulator(built.elf, board) as emulator:
        info = emulator.client.info()
        assert [(t.type, t.shape) for t in info.inputs] == [(t.dtype.name, t.shape) for t in graph.inputs]
        assert info.outputs[0].scale == 0
        answers = b"".join(emulator.run(value.tobytes()) for value in inputs)
        reals = emulator.client.results()
    outputs = frames_from_bytes(answers, graph.outputs)
    assert count_differing(outputs, TflmRuntime(model).run(inputs)) == 0
    np.testing.assert_allclose(reals[:15], parts_of(outputs)[0][-1].ravel(), atol=1e-3)


def test_more_dimensions_than_the_firmware_tells_of_are_refused(tmp_path: Path) -> None:
    x, y = image(1, 1, 1, 1, 1, 1, 4), image(1, 1, 1, 1, 1, 1, 4)
    model = write(tmp_path, build_model([OperatorSpec("ADD", [x, x], y)], [x], [y]))
    with pytest.raises(ModelError, match="up to 6 dimensions"):
        compile_graph(model.graph(), CompileOptions())


def test_an_output_that_is_a_constant_is_refused(tmp_path: Path) -> None:
    x, y, moved = image(1, 4), image(1, 4), image(4, 1)
    fixed = TensorSpec((1, 4), 0.05, -11, data=np.arange(4, dtype=np.int8).reshape(1, 4))
    shape = TensorSpec((2,), dtype=np.int32, data=np.array([4, 1], np.int32))
    operators = [OperatorSpec("ADD", [x, x], y), OperatorSpec("RESHAPE", [fixed, shape], moved)]
    model = write(tmp_path, build_model(operators, [x], [y, moved]))
    with pytest.raises(ModelError, match="is a constant: leave it out"):
        compile_graph(model.graph())


def test_the_ends_may_be_left_to_the_program_around(tmp_path: Path) -> None:
    model = write(tmp_path, several())
    program = compile_graph(model.graph(), CompileOptions(quantised_ends=True))
    assert [tensor.dtype.name for tensor in program.inputs] == ["int8"] * 3
    assert [tensor.dtype.name for tensor in program.outputs] == ["int8", "int8", "int16", "int8"]
    assert [call.op for call in program.calls] == ["ADD", "MUL", "QUANTIZE"]
    ours, golden = AotRuntime.from_program(program), TflmRuntime(model)
    given = random_frames(model.graph().inputs, 40, seed=3)
    inside = random_frames(program.inputs, 40, seed=0)
    for tensor, codes, values in zip(program.inputs, parts_of(inside), parts_of(given), strict=True):
        if values.dtype == np.float32:
            steps = np.round(values.astype(np.float64) / np.float32(tensor.q.scale)) + tensor.q.zero_point
            codes[...] = np.clip(steps, -128, 127)
        elif values.dtype == np.uint8:  # The same reals, in a scale that the program is told.
            real = 0.02 * (values.astype(np.float64) - 130)
            codes[...] = np.clip(np.round(real / tensor.q.scale) + tensor.q.zero_point, -128, 127)
        else:
            codes[...] = values
    mine, theirs = parts_of(ours.run(inside)), parts_of(golden.run(given))
    total = program.outputs[0].q
    np.testing.assert_allclose(total.scale * (mine[0].astype(np.float64) - total.zero_point), theirs[0], atol=0.051)
    assert (np.abs(mine[2].astype(int) - theirs[2]) <= 52).all()  # A step of int8 is 50 of int16.


def test_ends_that_are_read_elsewhere_stay(tmp_path: Path) -> None:
    real, a, b, total, back = floats(1, 4), image(1, 4), TensorSpec((1, 4), 0.1, 3), image(1, 4), floats(1, 4)
    again = image(1, 4)
    operators = [
        OperatorSpec("QUANTIZE", [real], a),
        OperatorSpec("QUANTIZE", [real], b),
        OperatorSpec("ADD", [a, b], total),
        OperatorSpec("DEQUANTIZE", [total], back),
        OperatorSpec("QUANTIZE", [back], again),
    ]
    graph = write(tmp_path, build_model(operators, [real], [back, again])).graph()
    program = compile_graph(graph, CompileOptions(quantised_ends=True))
    assert [tensor.dtype.name for tensor in (*program.inputs, *program.outputs)] == ["float32", "float32", "int8"]
