import itertools

import pytest
import torch
from torch import nn

from tinyedge.encoders.depthwise import DepthwiseConv2d
from tinyedge.encoders.registry import create_encoder

torch.set_num_threads(1)


def _naive(x, weight, grad, stride, padding):
    """Gradients of input and filters by plain loops."""
    of_x, of_weight = torch.zeros_like(x), torch.zeros_like(weight)
    kernel = weight.shape[2]
    for row, column in itertools.product(range(grad.shape[2]), range(grad.shape[3])):
        for ky, kx in itertools.product(range(kernel), range(kernel)):
            y, z = row * stride + ky - padding, column * stride + kx - padding
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                of_x[:, :, y, z] += grad[:, :, row, column] * weight[:, 0, ky, kx]
                of_weight[:, 0, ky, kx] += (grad[:, :, row, column] * x[:, :, y, z]).sum(dim=0)
    return of_x, of_weight


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 1), (1, 3), (3, 3), (4, 5)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (5, 3)])
def test_gradients_are_those_of_plain_loops(size, kernel, stride):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(7, 7, kernel, stride, kernel // 2, groups=7, bias=False).double()
    x = torch.randn(3, 7, *size, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    out = layer(x)
    plain = nn.functional.conv2d(x, layer.weight, None, stride, kernel // 2, groups=7)
    torch.testing.assert_close(out, plain)
    grad = torch.randn_like(out)
    out.backward(grad)
    of_x, of_weight = _naive(x.detach(), layer.weight.detach(), grad, stride, kernel // 2)
    torch.testing.assert_close(x.grad, of_x)
    torch.testing.assert_close(layer.weight.grad, of_weight)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (4, 5), (7, 6), (9, 9)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (5, 3)])
def test_gradients_of_mixed_precision_are_those_of_the_rounded_operands(size, kernel, stride):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(7, 7, kernel, stride, kernel // 2, groups=7, bias=False)
    x = torch.randn(3, 7, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    grad = torch.randn_like(out)
    out.backward(grad)
    rounded = [tensor.detach().bfloat16().double() for tensor in (x, layer.weight)]
    of_x, of_weight = _naive(*rounded, grad.double(), stride, kernel // 2)
    # Each product and each sum may round to eight bits: of as many as are added, a few of the largest term's.
    torch.testing.assert_close(x.grad.double(), of_x, rtol=2**-7, atol=2**-7 * float(of_x.abs().max()))
    torch.testing.assert_close(
        layer.weight.grad.double(), of_weight, rtol=2**-7, atol=2**-7 * float(of_weight.abs().max())
    )


@pytest.mark.parametrize("frozen", ["input", "filters"])
def test_what_needs_no_gradient_gets_none(frozen):
    layer, x = DepthwiseConv2d(4, 4, 3, 1, 1, groups=4, bias=False), torch.randn(2, 4, 2, 2)
    layer.weight.requires_grad_(frozen == "input")
    layer(x.requires_grad_(frozen == "filters")).sum().backward()
    assert (x.grad is None, layer.weight.grad is None) == (frozen == "input", frozen == "filters")


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_encoders_of_small_images_learn_as_with_plain_convolutions(name):
    torch.manual_seed(0)
    encoder = create_encoder(name, input_size=16).double()
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    names = [path for path, module in encoder.named_modules() if isinstance(module, DepthwiseConv2d)]
    assert len(names) > 10
    found = torch.autograd.grad(encoder(images).square().sum(), list(encoder.parameters()))
    described = repr(encoder)
    for path in names:
        ours = encoder.get_submodule(path)
        plain = nn.Conv2d(ours.in_channels, ours.out_channels, 3, ours.stride, 1, groups=ours.groups, bias=False)
        plain.weight = ours.weight
        encoder.set_submodule(path, plain)
    assert repr(encoder) == described
    expected = torch.autograd.grad(encoder(images).square().sum(), list(encoder.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
