#!/usr/bin/env bash
# PyTorch 2.15.0 on a CPU: the gradient of depthwise filters takes longer for a map of 2x2 than for one of 4x4.
#
# The layer: a depthwise 3x3 convolution of stride 1 and padding 1, 192 channels, a batch of 512, channels last, float32,
# one thread: a late stage of a MobileNet or of a small hybrid at 16 to 32 pixels.
#
# Expected: a quarter of the positions, a quarter of the time, or the same where the calls themselves cost most.
# Seen: forward so. The gradient of the filters takes 19 times as long at 2x2 as at 4x4 (35.3 and 1.9 ms), and 147 times as
# long as the forward pass beside it (0.24), though the sum of a product for each tap, nine lines of PyTorch, takes 0.8 and
# gives the same numbers. At 3x3 and above nothing is slow. A whole training of TinyNeXt-T at 16 pixels, whose last two
# stages are so small, takes a third less time without it.
#
# Needs Python 3.10 to 3.14. Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.15.0 numpy
cat >"$folder/depthwise.py" <<'PYTHON'
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)


def shortest_ms(compute):
    times = []
    for _ in range(7):
        start = time.process_time()
        compute()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def taps(x, grad):
    """The same gradient, one tap after the other."""
    size, found = x.shape[2], torch.zeros(x.shape[1], 1, 3, 3)
    for row in range(3):
        for column in range(3):
            rows, columns = (slice(max(0, 1 - at), min(size, size + 1 - at)) for at in (row, column))
            shifted = x[
                :, :, rows.start + row - 1 : rows.stop + row - 1, columns.start + column - 1 : columns.stop + column - 1
            ]
            found[:, 0, row, column] = (shifted * grad[:, :, rows, columns]).sum((0, 2, 3))
    return found


print("torch", torch.__version__, torch.backends.mkldnn.is_available())
took = {}
for size in (4, 3, 2):
    x = torch.randn(512, 192, size, size).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(192, 1, 3, 3, requires_grad=True)
    y = F.conv2d(x, weight, None, 1, 1, 1, 192)
    grad = torch.randn_like(y)
    gradient = lambda: torch.autograd.grad(y, (weight,), grad, retain_graph=True)[0]
    torch.testing.assert_close(gradient(), taps(x, grad), atol=1e-3, rtol=1e-4)
    took[size] = shortest_ms(gradient)
    forward = shortest_ms(lambda: F.conv2d(x, weight, None, 1, 1, 1, 192))
    print(f"{size}x{size}: forward {forward:.2f} ms, filters {took[size]:.2f}, tap by tap {shortest_ms(lambda: taps(x, grad)):.2f}")
print("slow at 2x2" if took[2] > 10 * took[4] and took[2] > 10 * took[3] else "as it should be")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/depthwise.py" 2>/dev/null)
echo "$seen"
grep -qF "slow at 2x2" <<<"$seen" || exit 1
