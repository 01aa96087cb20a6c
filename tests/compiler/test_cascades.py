"""Layers that run a stripe of rows at a time: TFLite Micro's bits, and no byte in two places at once."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiler.cascades import in_cascades
from compiler.model_cases import ModelCase, assert_models_bit_exact
from compiler.random_cases import random_case
from compiler.random_networks import random_network
from compiler.replay import assert_nothing_is_lost
from machines.case_machines import HostMachine, build_kernels
from once import OncePerSession

from tinyedge.compiler.cascade import Cascade, layers_of, make_cascade
from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.memory.arena import aligned
from tinyedge.compiler.memory.memory_plan import least_bytes, lifetimes_of
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.passes.cascade_layers import cascade_layers
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_tflite

MODELS = Path(__file__).parents[2] / "models"
MOBILENET = MODELS / "mobilenetv2_035_cifar10" / "model_int8.tflite"
# Images, keyword spotters and residual blocks of random_models.py; autoencoders and transformers have few cascades.
SEEDS = [seed for seed in range(25) if seed % 5 in (0, 1, 3)]


def cascades_of(program: Program) -> list[Cascade]:
    return [step for step in program.steps if isinstance(step, Cascade)]


def compiled(path: Path, model: bytes, instruction_set: str = "portable") -> Program:
    path.write_bytes(model)
    return compile_graph(read_tflite(path), CompileOptions(instruction_set, cascade="never"))


def assert_bit_exact_in_cascades(cases: list[ModelCase], kernels, folder: Path) -> None:
    found = []

    def rewrite(program: Program) -> Program:
        rewritten = in_cascades(program, seed=len(found))
        found.append(len(cascades_of(rewritten)))
        return rewritten

    assert_models_bit_exact(cases, kernels, folder, rewrite)
    assert np.mean(np.array(found) > 0) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_random_models_in_cascades(instruction_set: str, once: OncePerSession, tmp_path: Path) -> None:
    kernels = build_kernels(HostMachine(instruction_set=instruction_set), once)
    assert_bit_exact_in_cascades([random_case(seed) for seed in SEEDS], kernels, tmp_path)


@pytest.mark.slow
def test_random_models_in_streams_on_a_board(board_kernels: Callable, tmp_path: Path) -> None:
    cases = [random_case(seed) for seed in SEEDS[:8]]
    assert_bit_exact_in_cascades(cases, board_kernels("mps2_an386"), tmp_path)


@pytest.mark.slow
def test_int8_and_int16_in_cascades(once: OncePerSession, tmp_path: Path) -> None:
    kernels = build_kernels(HostMachine(), once)
    inputs = np.random.default_rng(0).integers(-128, 128, (3, 11, 9, 3)).astype(np.int8)
    cases = []
    for seed in range(5):
        path = tmp_path / f"mixed_{seed}.tflite"
        path.write_bytes(random_network(seed, mixed=True))
        model = Model(path)
        _, height, width, _ = model.graph().inputs[0].shape
        cases.append(ModelCase(f"random_network({seed})", model, inputs[:, :height, :width]))
    assert_bit_exact_in_cascades(cases, kernels, tmp_path)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_a_stream_overwrites_nothing_that_is_still_read(instruction_set: str, tmp_path: Path) -> None:
    for seed in range(4):
        program = compiled(tmp_path / "network.tflite", random_network(seed), instruction_set)
        assert_nothing_is_lost(in_cascades(program, seed))


def test_buffers_lie_apart_and_hold_what_is_needed(tmp_path: Path) -> None:
    count = 0
    for seed in range(8):
        program = in_cascades(compiled(tmp_path / "network.tflite", random_network(seed), "dsp"), seed)
        for cascade in cascades_of(program):
            ends = [at for at in (*cascade.buffers, cascade.kernel_scratch) if at is not None]
            for (image, at), following in zip(
                [pair for pair in zip(cascade.images, cascade.buffers, strict=True) if pair[1] is not None],
                ends[1:],
                strict=True,
            ):
                stripes = [stripe[cascade.images.index(image)] for stripe in cascade.stripes]
                assert following - at == aligned(max(s.end - s.held for s in stripes) * image.row_bytes)
                # No row is made twice, and none that is needed is missing.
                assert all(a.end == b.begin for a, b in itertools.pairwise(stripes))
                assert all(s.held <= s.needed for s in stripes)
                count += 1
    assert count > 20


def test_a_tile_holds_what_stripes_of_odd_heights_read() -> None:
    """On a Cortex-M55 a row that is alone reads further to the right than a pair of rows."""
    alone = 0
    whole = compile_graph(read_tflite(MOBILENET), CompileOptions("mve", cascade="never"))
    for cascade in (cascade for seed in range(3) for cascade in cascades_of(in_cascades(whole, seed))):
        for at, call in enumerate(cascade.calls, len(cascade.images) - len(cascade.calls)):
            if not call.fields.get("two_rows"):
                continue
            out_w, columns = call.fields["out_w"], call.fields["columns"]
            heights = {stripe[at].rows for stripe in cascade.stripes}
            # Windows are four columns wide; a pair of rows takes two outputs at a time, a row alone four.
            read = {x + 4 for x in range(0, out_w, 2) if max(heights) > 1}
            read |= {x + 3 + 4 for x in range(0, out_w, 4) if any(height % 2 for height in heights)}
            assert columns >= max(read)
            assert cascade.kernel_scratch + 64 * columns + 16 <= cascade.scratch_bytes
            alone += any(height % 2 for height in heights) and call.fields["out_h"] % 2 == 0
    assert alone > 0


def test_mobilenet_needs_less_than_half_the_arena() -> None:
    """By default for an estimated 4 % of cycles, with --cascade always for less memory."""
    plain = compile_graph(read_tflite(MOBILENET), CompileOptions("dsp", cascade="never"))
    program = compile_graph(read_tflite(MOBILENET), CompileOptions("dsp"))
    patched = compile_graph(read_tflite(MOBILENET), CompileOptions("dsp", cascade="always"))
    assert not cascades_of(plain)
    assert patched.plan.arena_bytes < program.plan.arena_bytes < 0.45 * plain.plan.arena_bytes
    assert [call.name for call in program.calls] == [call.name for call in plain.calls]
    assert program.macs == plain.macs
    # Expansion, depthwise, projection and the sum, whose output takes the place of the block's input.
    residual = next(cascade for cascade in cascades_of(program) if cascade.calls[-1].op == "ADD")
    assert [call.op for call in residual.calls] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]
    assert program.plan.offsets[residual.output] == program.plan.offsets[residual.inputs[0]]
    assert_nothing_is_lost(program)


def test_no_partition_has_a_step_that_needs_less(tmp_path: Path) -> None:
    """Against all ways to cut a program into steps, with stripes of one row."""
    better = 0
    for seed in (1, 3, 6, 8):
        program = compile_graph(random_case(seed).model.graph(), CompileOptions(cascade="never"))
        calls = list(program.calls)
        lifetimes = lifetimes_of(program.graph, calls)
        needs = {}
        for begin, end in itertools.combinations(range(len(calls) + 1), 2):
            lasts = [lifetimes[call.output.storage][1] for call in calls[begin : end - 1]]
            step = calls[begin] if end - begin == 1 else make_cascade(calls[begin:end], 1)
            if step is not None and max(lasts, default=0) < end:
                needs[begin, end] = least_bytes(step, begin, end, lifetimes)
        partitions = [
            [needs.get(edges) for edges in itertools.pairwise([0, *cuts, len(calls)])]
            for count in range(len(calls))
            for cuts in itertools.combinations(range(1, len(calls)), count)
        ]
        lowest = min(max(step for step in steps if step) for steps in partitions if None not in steps)
        begin, most = 0, 0
        for step in cascade_layers(program.graph, calls, default_costs("portable").cascades, max_share=math.inf):
            end = begin + len(layers_of([step]))
            most = max(most, least_bytes(step, begin, end, lifetimes))
            begin = end
        assert most == lowest
        better += lowest < max(needs[at, at + 1] for at in range(len(calls)))
    assert better > 1


def test_the_report_names_the_cascades(tmp_path: Path) -> None:
    report = compile_model(MOBILENET, tmp_path / "c", CompileOptions("dsp"))
    assert "src/kernels/te_cascade.c" in report.files
    assert (7, 10, 3) in report.cascades
    source = (tmp_path / "c" / "src" / "model_int8_model.c").read_text()
    assert "/* Layers 7 to 10, 3 of 32 output rows at a time. */" in source
    scratch = next(tensor for tensor in report.plan.tensors if tensor.first == 7 and tensor.last == 10)
    assert scratch.name.startswith("scratch of ")
    plain = compile_model(MOBILENET, tmp_path / "plain", CompileOptions("dsp", cascade="never"))
    assert plain.cascades == ()
    assert "src/kernels/te_cascade.c" not in plain.files
