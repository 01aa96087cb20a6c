"""What kernels and cascades take on a board, in cycles: what the compiler chooses by where there is a choice.

A core's cycles are those without wait states, fitted to modelled ones (docs/cycles.md); what constants and code wait
for is worked out from the board's flash.
"""

import functools
from dataclasses import dataclass

from tinyedge.boards.board import Board, load_board
from tinyedge.ops.kernel_call import PORTABLE

_WORD_BYTES = 4
# A cache for instructions of so many bytes keeps what of a layer's code runs for each few pixels, a smaller one a loop.
_LAYER_CODE_BYTES = 2048
# How long a byte of code runs, most instructions being of four bytes and one cycle.
_CODE_BYTE_CYCLES = 0.24


@dataclass(frozen=True)
class FlashCosts:
    """What it costs that constants and code lie in flash.

    Attributes:
        word_wait: Cycles that a word of constants waits on average, read one after the other, where no cache has it.
        code_wait: Cycles that a byte of code waits which the loop before it has put out of the cache.
        cached_bytes: As many bytes of constants, read over and over, stay in a cache; of more, none does.
    """

    word_wait: float
    code_wait: float
    cached_bytes: int

    def wait(self, words: float, of_bytes: int) -> float:
        """What words take more to read again where so many bytes are read in turn."""
        return 0.0 if of_bytes <= self.cached_bytes else self.word_wait * words


@dataclass(frozen=True)
class ProductCosts:
    """Cycles of the `_dsp` kernels that a layer may choose between, without waits.

    A step is two values of each of two channels, of four pixels or tiles.

    Attributes:
        step: Of te_gemm4_s8_dsp.
        pair: Of it beside the steps, for two channels of four pixels.
        batch: Of what comes before it: to widen columns and to call it.
        rows_batch: The same where columns come of rows that are widened already.
        two_blocks: What two blocks of four pixels take more for two channels.
        blocks_less: What te_gemm_blocks_s8_dsp takes less for two channels of four pixels.
        blocks_pair: What it takes for two channels, however many pixels.
        widened: A step's values of four windows, for all channels.
        window_row: Of a row of a window, to find and to copy it.
        gathered_row: What it takes more than a row that is widened already.
        winograd_step: Of te_winograd_sums_dsp.
        winograd_pair: Of it and te_winograd_outputs_dsp beside the steps, for two channels of four tiles.
        winograd_patch: Of te_winograd_patch_dsp for two values of a tile.
        winograd_edge: Of a patch that reaches into the padding.
    """

    step: float
    pair: float
    batch: float
    rows_batch: float
    two_blocks: float
    blocks_less: float
    blocks_pair: float
    widened: float
    window_row: float
    gathered_row: float
    winograd_step: float
    winograd_pair: float
    winograd_patch: float
    winograd_edge: float


@dataclass(frozen=True)
class CascadeCosts:
    """Costs of a cascade and of a whole inference.

    Attributes:
        layer: Of a layer in a stripe.
        channel: Of a channel of what a layer with a window makes, for what its kernel prepares anew in a stripe.
        table: Of the table that an ADD makes anew in a stripe.
        moved_byte: Of a byte that moves within a rolling buffer.
        mac: Of a multiply-accumulate of the inference.
        value: Of a value that a layer makes.
    """

    layer: float
    channel: float
    table: float
    moved_byte: float
    mac: float
    value: float


@dataclass(frozen=True)
class Costs:
    """What the kernels of an instruction set take on a processor.

    Attributes:
        flash: Where constants are read from.
        products: Of matrix products and convolutions with the DSP extension.
        cascades: Of cascades of such kernels.
    """

    flash: FlashCosts
    products: ProductCosts
    cascades: CascadeCosts


# Cycles without wait states; docs/cycles.md says of what.
_CORTEX_M4 = ProductCosts(
    step=16.5,
    pair=86,
    batch=108,
    rows_batch=75,
    two_blocks=39,
    blocks_less=17,
    blocks_pair=29.5,
    widened=12.7,
    window_row=158,
    gathered_row=55,
    winograd_step=16.6,
    winograd_pair=1460,
    winograd_patch=110,
    winograd_edge=1120,
)
_PRODUCTS = {
    "cortex-m4": _CORTEX_M4,
    "cortex-m7": ProductCosts(
        step=8.5,
        pair=62,
        batch=62,
        rows_batch=36,
        two_blocks=16,
        blocks_less=9,
        blocks_pair=19,
        widened=8.6,
        window_row=92,
        gathered_row=38,
        winograd_step=11.3,
        winograd_pair=868,
        winograd_patch=80,
        winograd_edge=600,
    ),
    "cortex-m33": ProductCosts(
        step=14.6,
        pair=79,
        batch=98,
        rows_batch=72,
        two_blocks=35,
        blocks_less=12.9,
        blocks_pair=26.5,
        widened=11.6,
        window_row=123,
        gathered_row=52,
        winograd_step=14.5,
        winograd_pair=1349,
        winograd_patch=105,
        winograd_edge=950,
    ),
}
# Fitted to modelled cycles of models without cascades, with those of "auto" and with those of "always"; docs/cycles.md
# says how well. For `scalar` of a Cortex-M3; for `mve` instructions of a Cortex-M55. Those of WebAssembly
# are not known.
_SCALAR = CascadeCosts(layer=560, channel=0, table=0, moved_byte=1.2, mac=3.2, value=88)
_CASCADES = {
    PORTABLE: _SCALAR,
    "scalar": _SCALAR,
    "mve": CascadeCosts(layer=470, channel=35, table=0, moved_byte=0.4, mac=0.13, value=5.2),
    "wasm": _SCALAR,
}
# For `dsp`, of the Cortex-M4 with flash of five wait states.
_CASCADES_M4 = CascadeCosts(layer=300, channel=470, table=6600, moved_byte=0, mac=1.34, value=19)
_DSP_CASCADES = {
    "cortex-m4": _CASCADES_M4,
    "cortex-m7": CascadeCosts(layer=1180, channel=135, table=0, moved_byte=0, mac=0.57, value=10.9),
    "cortex-m33": CascadeCosts(layer=1990, channel=200, table=0, moved_byte=0, mac=0.96, value=15.2),
}
_NO_WAITS = FlashCosts(word_wait=0.0, code_wait=0.0, cached_bytes=0)
# Of whose flash the kernels are chosen where no board is known.
_DEFAULT_BOARDS = {"dsp": "nucleo_l4r5zi"}


@functools.cache
def default_costs(instruction_set: str) -> Costs:
    """Return what the kernels of an instruction set cost where it is not known what they run on.

    With the DSP extension that is a NUCLEO-L4R5ZI, else memory without wait states.
    """
    name = _DEFAULT_BOARDS.get(instruction_set)
    if name is not None:
        return board_costs(load_board(name))
    return Costs(_NO_WAITS, _CORTEX_M4, _CASCADES[instruction_set])


def board_costs(board: Board) -> Costs:
    """Return what the kernels for a board cost on it; of a core or a flash that is not known, as by default."""
    cascades = _CASCADES.get(board.instruction_set) or _DSP_CASCADES.get(board.cpu, _CASCADES_M4)
    return Costs(_flash_costs(board), _PRODUCTS.get(board.cpu, _CORTEX_M4), cascades)


def _flash_costs(board: Board) -> FlashCosts:
    if not board.part:
        return _NO_WAITS
    reads = board.flash_reads
    if reads is None or board.clock is None:
        return default_costs(board.instruction_set).flash
    # Wait states are of the bus, of which a cycle may be several of the processor.
    waits = board.clock.flash_wait_states * board.clock.ahb_divider
    code_wait = 0.0
    if reads.instruction_cache_bytes < _LAYER_CODE_BYTES:
        # A read that begins early is there sooner by as long as the code of the one before runs.
        early = (waits + 1) / reads.read_bytes - _CODE_BYTE_CYCLES
        code_wait = max(early, 0.0) if reads.prefetch else waits / reads.read_bytes
    return FlashCosts(
        word_wait=_WORD_BYTES * waits / reads.read_bytes,
        code_wait=code_wait,
        cached_bytes=max(reads.data_cache_bytes - reads.line_bytes // 2, 0),  # An array begins within a line.
    )
