"""The DSP extension of Armv7E-M and Armv8-M: two 16-bit multiply-accumulates an instruction."""

from collections.abc import Callable
from functools import partial

from tinyedge.compiler.costs import Costs
from tinyedge.compiler.kernels.choice import chosen
from tinyedge.compiler.kernels.dsp_convolution import (
    CONV2D,
    CONV2D_ROWS,
    conv2d,
    conv2d_low_s16,
    conv2d_s16,
    rows_in_blocks,
    transpose_conv,
    wide_rows,
    winograd,
)
from tinyedge.compiler.kernels.dsp_depthwise import depthwise_conv2d, depthwise_conv2d_int4, depthwise_conv2d_s16
from tinyedge.compiler.kernels.dsp_elementwise import (
    add,
    add_s16,
    average_pool,
    average_pool_s16,
    max_pool,
    max_pool_s16,
    mean,
    mul,
    mul_s16,
)
from tinyedge.compiler.kernels.dsp_functions import softmax, softmax_s16, table
from tinyedge.compiler.kernels.dsp_int4 import choose_int4
from tinyedge.compiler.kernels.dsp_products import (
    FULLY_CONNECTED,
    batch_matmul,
    batch_matmul_s16,
    fully_connected,
    lstm,
    many_blocks,
    of_rows,
    two_blocks,
)
from tinyedge.ops.add import KERNELS as ADD_KERNELS
from tinyedge.ops.add import SUB_KERNELS
from tinyedge.ops.batch_matmul import KERNELS as BATCH_MATMUL_KERNELS
from tinyedge.ops.conv2d import KERNELS as CONV_2D_KERNELS
from tinyedge.ops.depthwise_conv2d import KERNELS as DEPTHWISE_CONV_2D_KERNELS
from tinyedge.ops.fields import integers
from tinyedge.ops.fully_connected import KERNEL as FULLY_CONNECTED_KERNEL
from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.mean import KERNELS as MEAN_KERNELS
from tinyedge.ops.mul import KERNELS as MUL_KERNELS
from tinyedge.ops.pool import KERNELS as POOL_KERNELS
from tinyedge.ops.softmax import KERNELS as SOFTMAX_KERNELS
from tinyedge.ops.table import KERNEL as TABLE_KERNEL
from tinyedge.ops.transpose_conv import KERNELS as TRANSPOSE_CONV_KERNELS
from tinyedge.ops.unidirectional_sequence_lstm import INT8_KERNEL as LSTM_KERNEL


def use_dsp(call: KernelCall) -> KernelCall:
    """Return the call of the `_dsp` kernel with the same result, or the call itself where there is none."""
    choose = _VARIANTS.get(call.kernel)
    return call if choose is None else of_rows(chosen(call, choose(call)))


def hasten_dsp(portable: KernelCall, call: KernelCall, costs: Costs, *, spend_flash: bool) -> KernelCall:
    """Return a call that takes less time than a `_dsp` kernel, and more scratch; or that call.

    Args:
        portable: The same as lowered.
        call: What `use_dsp` made of it.
        costs: Of the board.
        spend_flash: Whether it may also take more flash.
    """
    if call.kernel is FULLY_CONNECTED:
        return (many_blocks if spend_flash else two_blocks)(call, costs)
    if not spend_flash:
        return call
    if call.kernel is CONV2D:
        in_c, group_c = integers(portable.fields, "in_c", "group_c")
        call = (winograd if in_c % 4 == 0 or group_c != in_c else wide_rows)(portable, call, costs)
    return rows_in_blocks(call, costs) if call.kernel is CONV2D_ROWS else call


_VARIANTS: dict[Kernel, Callable[[KernelCall], KernelCall | str]] = {
    ADD_KERNELS["s8"]: add,
    ADD_KERNELS["s16"]: add_s16,
    BATCH_MATMUL_KERNELS["s8"]: batch_matmul,
    BATCH_MATMUL_KERNELS["s16"]: batch_matmul_s16,
    CONV_2D_KERNELS["s8"]: conv2d,
    CONV_2D_KERNELS["s4"]: choose_int4(CONV_2D_KERNELS["s8"], conv2d),
    CONV_2D_KERNELS["s16"]: conv2d_s16,
    CONV_2D_KERNELS["low_s16"]: conv2d_low_s16,
    DEPTHWISE_CONV_2D_KERNELS["s8"]: depthwise_conv2d,
    DEPTHWISE_CONV_2D_KERNELS["s16"]: depthwise_conv2d_s16,
    DEPTHWISE_CONV_2D_KERNELS["s4"]: choose_int4(DEPTHWISE_CONV_2D_KERNELS["s8"], depthwise_conv2d_int4),
    FULLY_CONNECTED_KERNEL: fully_connected,
    LSTM_KERNEL: lstm,
    MEAN_KERNELS["s8"]: mean,
    MUL_KERNELS["s8"]: mul,
    MUL_KERNELS["s16"]: mul_s16,
    SUB_KERNELS["s8"]: partial(add, sign=-1),
    SUB_KERNELS["s16"]: partial(add_s16, sign=-1),
    TABLE_KERNEL: table,
    TRANSPOSE_CONV_KERNELS["s8"]: transpose_conv,
    POOL_KERNELS["AVERAGE_POOL_2D"]["s8"]: average_pool,
    POOL_KERNELS["MAX_POOL_2D"]["s8"]: max_pool,
    POOL_KERNELS["AVERAGE_POOL_2D"]["s16"]: average_pool_s16,
    POOL_KERNELS["MAX_POOL_2D"]["s16"]: max_pool_s16,
    SOFTMAX_KERNELS["s8"]: softmax,
    SOFTMAX_KERNELS["s16"]: softmax_s16,
}
