"""What kernels cost on boards, worked out by hand from their flash, and choices that differ for it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ops.case_builders import conv2d
from ops.kernel_cases import read_operator

from tinyedge.boards.board import board_names, load_board
from tinyedge.compiler.costs import FlashCosts, board_costs, default_costs
from tinyedge.compiler.kernels import hasten, specialise
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.ops import lower
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.tflite.reader import read_tflite


@pytest.mark.parametrize(
    ("name", "word_wait", "code_wait", "cached_bytes"),
    [
        # 5 wait states for 8 bytes; a prefetched read comes 6 cycles after the one before, whose code runs for 1.92.
        ("nucleo_l4r5zi", 2.5, (6 - 1.92) / 8, 256 - 16),
        ("stm32f405", 1.25, (6 - 3.84) / 16, 128 - 8),
        ("nucleo_u575zi", 1.0, 0.0, 8192 - 8),  # Its cache keeps all of a layer's code.
        ("disco_f746ng", 7 / 8, 0.0, 4096 - 16),
        ("nucleo_h743zi2", 1.0, 0.0, 16384 - 16),  # 4 wait states of a bus of half the clock, for 32 bytes.
        ("mps2_an386", 0.0, 0.0, 0),
        ("mps2_an500", 0.0, 0.0, 0),
        ("mps3_an547", 0.0, 0.0, 0),
    ],
)
def test_what_words_and_code_wait_for_is_that_of_the_flash(name, word_wait, code_wait, cached_bytes):
    flash = board_costs(load_board(name)).flash
    assert flash.word_wait == pytest.approx(word_wait)
    assert flash.code_wait == pytest.approx(code_wait)
    assert flash.cached_bytes == cached_bytes


def test_code_waits_for_whole_reads_where_none_begins_early():
    board = load_board("nucleo_l4r5zi")
    assert board.flash_reads is not None
    plain = dataclasses.replace(board, flash_reads=dataclasses.replace(board.flash_reads, prefetch=0))
    assert board_costs(plain).flash.code_wait == 5 / 8


def test_words_wait_again_where_a_cache_does_not_keep_all_of_them():
    flash = FlashCosts(word_wait=2.5, code_wait=0.5, cached_bytes=240)
    assert flash.wait(60, 240) == 0
    assert flash.wait(61, 244) == 2.5 * 61


def test_without_a_board_kernels_are_chosen_for_a_nucleo_l4r5zi():
    assert default_costs("dsp") == board_costs(load_board("nucleo_l4r5zi"))
    unknown = dataclasses.replace(load_board("stm32f405"), flash_reads=None)
    assert board_costs(unknown).flash == default_costs("dsp").flash


def test_every_board_has_costs():
    costs = {name: board_costs(load_board(name)) for name in board_names()}
    dsp = {costs[name].products for name in costs if load_board(name).instruction_set == "dsp"}
    assert len(dsp) == 3  # Cortex-M4, M7 and M33.
    assert costs["mps2_an386"].products == costs["nucleo_l4r5zi"].products


def _pointwise(
    tmp_path: Path, pixels: int, channels: int, filters: int, board: str, *, spend_flash: bool
) -> KernelCall:
    case = conv2d(
        np.random.default_rng(0),
        (1, pixels, 4, channels),
        filters,
        (1, 1),
        gain=0.5,
        zero_points=(3, -128),
        symmetric=True,
    )
    lowered = [lower(read_operator(case.model, tmp_path))]
    calls = specialise(lowered, "dsp")
    (call,) = hasten(lowered, calls, "dsp", board_costs(load_board(board)), spend_flash=spend_flash)
    return call


@pytest.mark.parametrize(
    ("board", "blocks"),
    [
        ("nucleo_l4r5zi", 2),  # A pair of channels fits the cache, the layer does not.
        ("mps2_an386", 1),
        ("mps2_an505", 1),
        ("mps2_an500", 1),
        ("stm32f405", 1),  # A pair of channels does not fit its 128 bytes.
        ("nucleo_u575zi", 1),  # The layer of 4.6 KB fits its 8 KB.
        ("nucleo_h743zi2", 1),
        ("disco_f746ng", 2),  # It does not fit its 4 KB.
    ],
)
def test_two_blocks_are_made_where_filters_would_wait_twice(board, blocks, tmp_path):
    """Of 64 pixels, 64 channels and 64 filters, whose modelled cycles docs/cycles.md has."""
    assert _pointwise(tmp_path, 16, 64, 64, board, spend_flash=False).fields["blocks"] == blocks


@pytest.mark.parametrize(("board", "saved"), [("mps2_an386", 9409), ("nucleo_u575zi", 7223), ("mps2_an500", 4918)])
def test_many_blocks_save_what_is_counted_by_hand(board, saved, tmp_path):
    """16 blocks of a layer that waits for nothing: 32 pairs of channels and the columns of 15 blocks less."""
    call = _pointwise(tmp_path, 16, 64, 64, board, spend_flash=True)
    products = board_costs(load_board(board)).products
    assert call.fields["blocks"] == 16
    assert call.saved_cycles == pytest.approx(
        16 * 32 * products.blocks_less - 32 * products.blocks_pair + 15 * products.batch
    )
    assert call.saved_cycles == pytest.approx(saved, rel=0.02)  # Modelled, with both kernels.


@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "mps2_an386", "nucleo_u575zi", "disco_f746ng"])
def test_a_program_is_made_by_the_costs_that_it_is_given(board, shared_model):
    path = shared_model("vww_mbv1_025_int8.tflite")
    program = compile_graph(read_tflite(path), CompileOptions("dsp", costs=board_costs(load_board(board))))
    twice = sum(call.fields.get("blocks") == 2 for call in program.calls)
    assert (twice > 8) == (board == "nucleo_l4r5zi")


def test_cascades_cost_what_they_do_on_the_processor():
    """As modelled of IC ResNet-8 (111 layers in stripes) and VWW (12 layers and 80 channels) by both."""
    for board, residual, mobile in (("mps2_an500", 131446, 24962), ("nucleo_u575zi", 220653, 39930)):
        cascades = board_costs(load_board(board)).cascades
        assert 111 * cascades.layer == pytest.approx(residual, rel=0.01)
        assert 12 * cascades.layer + 80 * cascades.channel == pytest.approx(mobile, rel=0.01)
