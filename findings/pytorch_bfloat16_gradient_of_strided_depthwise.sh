#!/usr/bin/env bash
# PyTorch 2.15.0 on a CPU with AVX512_BF16: in bfloat16 the input's gradient of a depthwise convolution of stride 2 takes
# a hundred times as long as the forward pass, so a MobileNet trains more slowly in mixed precision than in float32.
#
# The layer: depthwise 3x3, padding 1, 128 channels of 16x16, a batch of 256, channels last, one thread.
#
# Expected: bfloat16 is faster than float32, as it is forward (at stride 1 a seventh of the time, at stride 2 half) and in
# the input's gradient at stride 1 (a sixth).
# Seen: the input's gradient at stride 2 takes 237 ms, where the forward pass takes 2, float32 20, and bfloat16 at stride 1,
# on four times the gradient, 4. The same numbers come from a convolution of stride 1 of the gradient, spread over a map of
# zeros, with the flipped filters, in 7 ms. Of TinyNeXt-T, with three such layers, a step of mixed precision took 0.67 to
# 0.79 s and takes 0.34 without it; float32 0.60.
#
# Needs Python 3.10 to 3.14. Exit code 0: as described, or the CPU has no AVX512_BF16; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.15.0 numpy
cat >"$folder/strided.py" <<'PYTHON'
import time

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
CHANNELS, SIZE = 128, 16


def shortest_ms(compute):
    times = []
    for _ in range(5):
        start = time.process_time()
        compute()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def channels_last(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def gradients(grad, x, weight, stride, of_input):
    sides = [stride, stride], [1, 1], [1, 1], False, [0, 0]
    asked = [of_input, not of_input, False]
    found = torch.ops.aten.convolution_backward(grad, x, weight, None, *sides, CHANNELS, asked)
    return found[0] if of_input else found[1]


def spread(grad, x, weight):
    """The input's gradient at stride 2 by a convolution of stride 1."""
    zeros = torch.zeros_like(x)
    zeros[:, :, ::2, ::2] = grad
    return torch.conv2d(zeros, weight.flip(2, 3), None, 1, 1, 1, CHANNELS)


print("torch", torch.__version__, torch.cpu.get_capabilities()["cpu_name"])
if not torch.cpu.get_capabilities().get("avx512_bf16"):
    print("no AVX512_BF16 here")
    raise SystemExit
took = {}
for dtype in (torch.float32, torch.bfloat16):
    for stride in (1, 2):
        x, weight = channels_last(256, CHANNELS, SIZE, SIZE).to(dtype), torch.randn(CHANNELS, 1, 3, 3).to(dtype)
        y = torch.conv2d(x, weight, None, stride, 1, 1, CHANNELS)
        grad = channels_last(*y.shape).to(dtype)
        of_input = gradients(grad, x, weight, stride, of_input=True)
        if stride == 2:
            torch.testing.assert_close(spread(grad, x, weight), of_input, atol=0.1, rtol=2**-6)
        forward = shortest_ms(lambda: torch.conv2d(x, weight, None, stride, 1, 1, CHANNELS))
        took[dtype, stride] = shortest_ms(lambda: gradients(grad, x, weight, stride, of_input=True))
        filters = shortest_ms(lambda: gradients(grad, x, weight, stride, of_input=False))
        own = f", spread {shortest_ms(lambda: spread(grad, x, weight)):.1f}" if stride == 2 else ""
        name = str(dtype).removeprefix("torch.")
        print(f"{name}, stride {stride}: forward {forward:.1f} ms, input {took[dtype, stride]:.1f}{own}, filters {filters:.1f}")
slow = took[torch.bfloat16, 2]
print("slow at stride 2" if slow > 5 * max(took[torch.float32, 2], took[torch.bfloat16, 1]) else "as it should be")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/strided.py" 2>/dev/null)
echo "$seen"
grep -qE "slow at stride 2|no AVX512_BF16 here" <<<"$seen" || exit 1
