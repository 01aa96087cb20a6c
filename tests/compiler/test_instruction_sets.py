"""Which kernels a model gets for which instruction set."""

from collections import Counter

import pytest
from compiler.random_networks import random_network

from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ConfigError
from tinyedge.tflite.reader import read_tflite

HEAVY = ("te_conv2d_s8", "te_depthwise_conv2d_s8", "te_fully_connected_s8", "te_batch_matmul_s8")


@pytest.mark.parametrize("instruction_set", [name for name in INSTRUCTION_SETS if name != "portable"])
@pytest.mark.parametrize("name", ["ic_resnet8_int8.tflite", "vww_mbv1_025_int8.tflite"])
def test_published_models_get_no_portable_kernel_for_their_sums(name, instruction_set, shared_model):
    program = compile_graph(read_tflite(shared_model(name)), CompileOptions(instruction_set))
    kernels = Counter(call.function for call in program.calls)
    assert not kernels.keys() & set(HEAVY)
    assert sum(count for kernel, count in kernels.items() if kernel.startswith(HEAVY)) >= 10


def test_the_order_and_the_tensors_of_layers_stay(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(random_network(3))
    layers = [
        [
            (call.op, call.name, call.macs, call.output.shape)
            for call in compile_graph(read_tflite(path), CompileOptions(name)).calls
        ]
        for name in INSTRUCTION_SETS
    ]
    assert all(found == layers[0] for found in layers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instruction_set": "sse"}, "no instruction set sse: give one of portable, dsp"),
        ({"without": ("fold_padding", "unroll")}, "no pass unroll to leave out: give one of fold_constants, "),
        ({"cascade": "sometimes"}, "no choice sometimes of cascades: give --cascade auto, always, never"),
    ],
)
def test_an_unknown_option_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        CompileOptions(**options)
