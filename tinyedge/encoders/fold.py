"""What an encoder's fold is made of: layers without batch norms, and the arithmetic that puts norms into them.

The arithmetic is in float64; the layers hold float32.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import fx, nn

from tinyedge.encoders.depthwise import DepthwiseConv2d
from tinyedge.encoders.tokens import map_to_tokens, tokens_to_map
from tinyedge.errors import ConfigError

Affine = tuple[torch.Tensor, torch.Tensor]
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

_UNFILLED = "meta"  # Layers are made without values, and draw no random numbers; `_filled` gives them theirs.


class FoldedStages(nn.Sequential):
    """Folded blocks, each of which reads what the one before it wrote: equalisation may rescale the maps between them.

    A block is linear in each channel of what it reads and of what it writes, but for ReLUs, or a `FoldedResidual` or
    `FoldedExcite` of such layers; a block of several such parts is taken apart.

    Args:
        blocks: By the names that reports and ONNX show: `stage3_0`.
        pooled: Names of the blocks whose outputs are pooled on the way, for a feature of several stages.
    """

    def __init__(self, blocks: Mapping[str, nn.Module], pooled: Sequence[str] = ()):
        super().__init__(OrderedDict(blocks))
        self.pooled = tuple(pooled)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:  # type: ignore[override]
        """Map images (B, 3, H, W) to the last map, behind the means (B, C_i) of the pooled blocks if there are any."""
        means = []
        for name, block in self.named_children():
            x = block(x)
            if name in self.pooled:  # At once, so that a map ends with the block that reads it.
                means.append(pooled_on_the_way(x))
        return (*means, x) if means else x


@dataclass(frozen=True)
class FoldedTail:
    """What an encoder ends with, up to its final norm: `norm(x + project(expand(x)))`, which a classifier can take in.

    Attributes:
        expand: 1x1 convolution and activation.
        project: 1x1 convolution.
        norm: (a, b) of the final norm `a*x + b`, (D,) float64 each.
    """

    expand: nn.Module
    project: nn.Conv2d
    norm: Affine


@dataclass(frozen=True)
class FoldedEncoder:
    """An encoder as it is deployed, up to the global mean.

    Attributes:
        body: Normalised images (B, 3, H, W) to the last map (B, C_4, h, w), or to what the tail takes. Where the
            feature is of several stages, to a tuple: the mean (B, C_i) of each earlier stage, then that map.
            `FoldedStages` are equalised before they are quantised, any other module is quantised as it is.
        tail: What comes after the body, where it can be merged with the pooling and the classifier behind it.
    """

    body: nn.Module
    tail: FoldedTail | None = None


def pooled_on_the_way(x: torch.Tensor) -> torch.Tensor:
    """Return the mean (B, C) of a map (B, C, H, W) that something else reads too.

    Its ONNX is GlobalAveragePool: of a ReduceMean in that place onnx2tf 2.6.9 makes a MEAN of a tensor that nothing
    writes.
    """
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


class FoldedResidual(nn.Module):
    """`x + body(x)`."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        out: torch.Tensor = x + self.body(x)
        return out


class FoldedAttention(nn.Module):
    """Lean attention on the raw map: `softmax(query(x) x^T) value(x)`, norm and logit scale inside query and value."""

    def __init__(self, query: nn.Linear, value: nn.Linear):
        super().__init__()
        self.query = query
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        tokens = map_to_tokens(x)  # (B, N, C)
        weights = (self.query(tokens) @ tokens.transpose(1, 2)).softmax(dim=-1)  # (B, N, N)
        return tokens_to_map(weights @ self.value(tokens), x.shape[2], x.shape[3])


class FoldedExcite(nn.Module):
    """Squeeze-and-excitation with its norm and its residual: `x + affine(x) * gate(mean(x))`.

    Args:
        gate: Pooled map (B, C, 1, 1) to six times the gate.
        affine: 1x1 depthwise: a sixth of the norm.
    """

    def __init__(self, gate: nn.Module, affine: nn.Conv2d):
        super().__init__()
        self.gate = gate
        self.affine = affine

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        gate = self.gate(x.mean(dim=(2, 3), keepdim=True))  # (B, C, 1, 1)
        out: torch.Tensor = x + self.affine(x) * gate
        return out


class _NamedTracer(fx.Tracer):
    """Traces another method than `forward`."""

    def __init__(self, method: str):
        super().__init__()
        self.traced_func_name = method

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell what is called rather than traced: PyTorch's layers, and the convolution that is one of them."""
        return isinstance(m, DepthwiseConv2d) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(module: nn.Module, method: str = "forward") -> fx.GraphModule:
    """Trace a module and fold its batch norms, whatever else it calls.

    Args:
        module: It is not changed. Its statistics are taken as they are.
        method: The name of the method to trace, of one tensor.

    Returns:
        A module in evaluation mode that maps as `module.eval()` does, up to float32 rounding. A batch norm behind a
        convolution whose output nothing else reads is in that; any other is a 1x1 depthwise convolution.

    Raises:
        ConfigError: It cannot be traced, or a batch norm holds no statistics.
    """
    copied = copy.deepcopy(module).eval()
    try:
        graph = _NamedTracer(method).trace(copied)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{type(module).__name__} cannot be folded by itself, for torch.fx cannot trace it ({reason}); "
            "give it a fold() of its own"
        ) from error
    folded = fx.GraphModule(copied, graph)
    targets = [node.target for node in graph.nodes if node.op == "call_module"]
    for node in list(graph.nodes):
        layer = folded.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(layer, nn.Identity | nn.Dropout | nn.Dropout2d):
            _bypass(graph, node)
        elif isinstance(layer, nn.BatchNorm2d):
            source = node.args[0]
            conv = folded.get_submodule(source.target) if source.op == "call_module" else None
            scale, shift = affine(layer)
            if isinstance(conv, nn.Conv2d) and len(source.users) == 1 and targets.count(source.target) == 1:
                folded.set_submodule(source.target, scaled_conv(conv, scale, shift))
                _bypass(graph, node)
            elif targets.count(node.target) == 1:
                folded.set_submodule(node.target, depthwise_1x1(scale, shift))
            else:
                raise ConfigError(
                    f"{node.target} of {type(module).__name__} is called more than once; give it a fold() of its own"
                )
    folded.delete_all_unused_submodules()
    folded.recompile()
    return folded.eval()


def _bypass(graph: fx.Graph, node: fx.Node) -> None:
    """Let what reads a node read its input, and remove it."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    graph.erase_node(node)


def fold_conv_bn(part: nn.Module) -> nn.Sequential:
    """Fold a sequence of convolution, batch norm and, where there is one, activation."""
    assert isinstance(part, nn.Sequential)
    conv, norm, *activation = part
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return nn.Sequential(scaled_conv(conv, *affine(norm)), *activation)


def fold_stages(module: nn.Module, stages: Sequence[str]) -> dict[str, nn.Module]:
    """Fold the blocks of some stages, in order.

    Args:
        module: What they are children of.
        stages: Names of a block each, or of a sequence of blocks. A block has a `fold()`, or is a convolution with its
            batch norm.

    Returns:
        Folded blocks by name: `stage3_0`, or the stage's name where that is one block.
    """
    blocks: dict[str, nn.Module] = {}
    for name in stages:
        stage = module.get_submodule(name)
        if isinstance(stage, nn.Sequential) and not isinstance(stage[0], nn.Conv2d):
            blocks.update({f"{name}_{index}": _fold_block(block) for index, block in enumerate(stage)})
        else:
            blocks[name] = _fold_block(stage)
    return blocks


def last_blocks(blocks: Mapping[str, nn.Module], stages: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the last blocks of stages called `stage1` and so on, of what `fold_stages` returns."""
    return tuple([name for name in blocks if name.startswith(f"stage{stage}")][-1] for stage in stages)


def _fold_block(block: nn.Module) -> nn.Module:
    if hasattr(block, "fold"):
        folded: nn.Module = block.fold()  # type: ignore[operator]
        return folded
    return fold_conv_bn(block)


def fold_inverted_residual(expand: nn.Module, depthwise: nn.Module, project: nn.Module, residual: bool) -> nn.Module:
    """Fold the three convolutions of an inverted residual; an identity as `expand` is left out."""
    parts = {"expand": expand, "depthwise": depthwise, "project": project}
    body = nn.Sequential(
        OrderedDict({name: fold_conv_bn(part) for name, part in parts.items() if not isinstance(part, nn.Identity)})
    )
    return FoldedResidual(body) if residual else body


def affine(norm: nn.BatchNorm2d) -> Affine:
    """Return (a, b), float64, of an evaluation-mode batch norm `a*x + b`."""
    if norm.running_mean is None or norm.running_var is None:
        raise ConfigError("a batch norm without running statistics cannot be folded; make it with them")
    weight, bias = (
        default if value is None else value.detach().double()
        for value, default in ((norm.weight, torch.ones(())), (norm.bias, torch.zeros(())))
    )
    scale = weight / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, bias - norm.running_mean.double() * scale


def scaled_conv(conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Return the convolution `scale * conv(x) + shift`."""
    bias = shift if conv.bias is None else shift + scale * conv.bias.detach().double()
    return biased_conv(conv, conv.weight.detach().double() * scale[:, None, None, None], bias)


def conv_of_affine(conv: nn.Conv2d, scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Return the convolution `conv(scale * x + shift)`; it has to be 1x1, for padding is not shifted."""
    weight = conv.weight.detach().double()  # (C_out, C_in, 1, 1)
    assert weight.shape[2:] == (1, 1)
    bias = weight[:, :, 0, 0] @ shift
    if conv.bias is not None:
        bias = bias + conv.bias.detach().double()
    return biased_conv(conv, weight * scale[None, :, None, None], bias)


def biased_conv(like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """Make a convolution of another one's geometry with a bias."""
    conv = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        like.kernel_size,  # type: ignore[arg-type]
        stride=like.stride,  # type: ignore[arg-type]
        padding=like.padding,  # type: ignore[arg-type]
        dilation=like.dilation,  # type: ignore[arg-type]
        groups=like.groups,
        padding_mode=like.padding_mode,
        device=_UNFILLED,
    )
    return _filled(conv, weight, bias)


def depthwise_1x1(scale: torch.Tensor, shift: torch.Tensor) -> nn.Conv2d:
    """Make the 1x1 depthwise convolution `scale * x + shift`."""
    channels = len(scale)
    conv = nn.Conv2d(channels, channels, 1, groups=channels, device=_UNFILLED)
    return _filled(conv, scale[:, None, None, None], shift)


def conv_1x1(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Conv2d:
    """Make the 1x1 convolution of a matrix (C_out, C_in)."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, device=_UNFILLED)
    return _filled(conv, weight[:, :, None, None], weight.new_zeros(len(weight)) if bias is None else bias)


def weight_and_bias(conv: nn.Conv2d) -> Affine:
    """Return matrix (C_out, C_in) and bias (C_out,), float64, of a 1x1 convolution."""
    weight = conv.weight.detach().double()[:, :, 0, 0]
    return weight, weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()


def biased_linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    """Make the linear layer of a matrix (D_out, D_in) and a bias (D_out,)."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], device=_UNFILLED)
    return _filled(linear, weight, bias)


def _filled(layer: Layer, weight: torch.Tensor, bias: torch.Tensor) -> Layer:
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    return layer
