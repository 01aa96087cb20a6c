"""The encoders by name, and the parameter budget; free of torch, so that a name is checked without it."""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tinyedge.errors import BudgetExceeded, ConfigError
from tinyedge.plugins import load_installed_plugins, note_registration

if TYPE_CHECKING:
    from torch import nn

    from tinyedge.encoders.base import Encoder

PARAMETER_BUDGET = 1_000_000
SMALLEST_INPUT = 8
LAST_STAGE = (4,)
_RGB_CHANNELS = 3

E = TypeVar("E", bound="Encoder")


@dataclass(frozen=True)
class _Entry:
    """How to build one encoder.

    Attributes:
        build: Makes it from (input_size, strides, act, hidden), and from `channels` if it takes that: a function, or
            `module:function`, which is imported on first use.
        strides_by_size: Default strides for inputs up to the given size in pixels, in ascending order.
        acts: What `act` may be.
        deployable: Whether a microcontroller can run it; one that only trains others has no parameter budget.
        plugin: What registered it, as a run records it; None for tinyedge's own.
        counted: Whether its name takes a number, as in `patches:1024`; `build` is then given the name first.
    """

    build: "str | Callable[..., Encoder]"
    strides_by_size: tuple[tuple[float, tuple[int, ...]], ...]
    acts: tuple[str, ...]
    deployable: bool = True
    plugin: str | None = None
    counted: bool = False


# What a microcontroller has time for, with a grid of 2x2 or more in the last stage: 17 million multiply-accumulates at
# 32 pixels, where a stem of stride 1 takes 71.
_TINYNEXT_STRIDES = ((24, (1, 1, 2, 2, 2)), (112, (2, 1, 2, 2, 2)), (float("inf"), (2, 2, 2, 2, 2)))
_MOBILENETV2_STRIDES = (
    (48, (1, 1, 1, 2, 2, 1, 2, 1)),
    (112, (2, 1, 1, 2, 2, 1, 2, 1)),
    (float("inf"), (2, 1, 2, 2, 2, 1, 2, 1)),
)
_RESNET18_STRIDES = (
    (48, (1, 1, 2, 2, 2)),
    (80, (2, 1, 2, 2, 2)),
    (float("inf"), (2, 2, 2, 2, 2)),
)
_VIT_STRIDES = (  # patches of 2, 4, 8 and 16 pixels: 8 x 8 tokens at 16, 32 and 64 pixels
    (16, (2, 1, 1, 1)),
    (48, (2, 2, 1, 1)),
    (112, (2, 2, 2, 1)),
    (float("inf"), (2, 2, 2, 2)),
)


_MLP_ACTS = ("relu", "gelu", "silu", "hard_swish")

_ENTRIES: dict[str, _Entry] = {
    "tinynext_t": _Entry("tinyedge.encoders.tinynext:tinynext_t", _TINYNEXT_STRIDES, _MLP_ACTS),
    "tinynext_s": _Entry("tinyedge.encoders.tinynext:tinynext_s", _TINYNEXT_STRIDES, _MLP_ACTS),
    # Its own is ReLU6, whatever the default is called: an encoder can be built again by what it says of itself.
    "mobilenetv2_035": _Entry("tinyedge.encoders.mobilenetv2:mobilenetv2_035", _MOBILENETV2_STRIDES, ("relu", "relu6")),
    "resnet18": _Entry("tinyedge.encoders.resnet:resnet18", _RESNET18_STRIDES, ("relu",), deployable=False),
    "vit_ti": _Entry("tinyedge.encoders.vit:vit_ti", _VIT_STRIDES, _MLP_ACTS, deployable=False),
    # Its own is the triangle, a ReLU of centred cosines.
    "patches": _Entry(
        "tinyedge.encoders.patches:patches",
        ((float("inf"), (1,)),),
        ("relu", "soft_threshold"),
        deployable=False,
        counted=True,
    ),
}


def register_encoder(
    name: str,
    *,
    strides: tuple[int, ...] | Mapping[int, tuple[int, ...]],
    acts: Sequence[str] = ("relu",),
    deployable: bool = True,
) -> "Callable[[type[E]], type[E]]":
    """Make a class an encoder that every command takes by name: a class decorator.

    Args:
        name: What `--encoder` calls it: lower-case letters, digits, `_` and `-`.
        strides: The default strides; or those for inputs up to each size in pixels, the last of which then holds for
            all larger ones too.
        acts: The activations that it takes.
        deployable: Whether it is meant for a microcontroller; one that is not only trains others, without a parameter
            budget.

    Returns:
        What takes a subclass of `Encoder`, to be called as `Class(name, input_size, strides, act, hidden)`, with
        `channels=1` too for greyscale images if its signature has that.

    Raises:
        ConfigError: The name is no name or is taken, or the strides are none.
    """
    by_size = dict(sorted(strides.items())) if isinstance(strides, Mapping) else {0: strides}
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigError(f"an encoder cannot be called {name!r}; use lower-case letters, digits, _ and -")
    if not by_size or not all(one and set(one) <= {1, 2} for one in by_size.values()):
        raise ConfigError(f"the strides of {name} are {strides}; give each layer's stride as 1 or 2, such as (2, 1, 2)")
    limits: list[float] = [*list(by_size)[:-1], float("inf")]

    def register(encoder: "type[E]") -> "type[E]":
        plugin = note_registration(encoder.__module__)
        known = _ENTRIES.get(name)
        if known is not None and known.plugin != plugin:
            raise ConfigError(f"{plugin} calls an encoder {name}, but there is one already; give it another name")
        entries = tuple(zip(limits, by_size.values(), strict=True))
        _ENTRIES[name] = _Entry(partial(encoder, name), entries, tuple(acts), deployable, plugin)
        return encoder

    return register


def encoder_names() -> tuple[str, ...]:
    """Name every encoder that `create_encoder` knows."""
    load_installed_plugins()
    return tuple(_ENTRIES)


def deployable_encoders() -> tuple[str, ...]:
    """Name the encoders that a microcontroller can run; the others only train them."""
    return tuple(name for name in encoder_names() if _ENTRIES[name].deployable)


def encoder_plugin(name: str) -> str | None:
    """Return the plug-in that an encoder came from, as a run records it; None for tinyedge's own."""
    return _entry(name).plugin


def only_trains_others(name: str) -> bool:
    """Return whether an encoder is known as one that no microcontroller runs."""
    entry = _ENTRIES.get(name.partition(":")[0])
    return entry is not None and not entry.deployable


def _entry(name: str) -> _Entry:
    kind, colon, count = name.partition(":")
    if kind not in _ENTRIES and kind not in encoder_names():
        close = difflib.get_close_matches(kind, _ENTRIES, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"unknown encoder {name!r}; {hint}known encoders: {', '.join(_ENTRIES)}; one of your own takes --plugin"
        )
    entry = _ENTRIES[kind]
    if colon and not entry.counted:
        raise ConfigError(f"the encoder {kind} takes no number, but {name!r} has one; write {kind}")
    if colon and not re.fullmatch(r"[1-9][0-9]{0,5}", count):
        raise ConfigError(f"{name!r} has no number from 1 to 999999 behind the colon; write {kind}:1024, for example")
    return entry


def count_parameters(module: "nn.Module") -> int:
    """Count the trainable values; batch-norm statistics are not among them."""
    return sum(parameter.numel() for parameter in module.parameters())


def create_encoder(
    name: str,
    *,
    input_size: int,
    strides: tuple[int, ...] | None = None,
    act: str = "relu",
    hidden: tuple[int, ...] | None = None,
    channels: int = 3,
    feature_stages: tuple[int, ...] = LAST_STAGE,
    enforce_budget: bool = True,
) -> "Encoder":
    """Build an encoder with fresh weights, drawn from torch's global generator.

    Args:
        name: One of `encoder_names()`.
        input_size: H = W of the images, in pixels.
        strides: Each 1 or 2, first layer first; None takes the encoder's default for the input size.
        act: Activation of TinyNeXt's MLPs: "relu", "gelu" as in its paper, "silu" or "hard_swish".
        hidden: Hidden channels of the blocks as pruning left them, first block first; None is the encoder's own.
        channels: C of the images: 3 for RGB, 1 for greyscale.
        feature_stages: Stages whose pooled maps are the feature, see `check_feature_stages`.
        enforce_budget: Whether a deployable encoder of 1,000,000 parameters or more is refused.

    Raises:
        ConfigError: An unknown name, activation or stride, hidden channels that the encoder cannot have, too small
            an input, channels that no image has, or greyscale images for one that takes RGB alone.
        BudgetExceeded: The encoder has 1,000,000 parameters or more.
    """
    strides = check_encoder(name, input_size=input_size, strides=strides, act=act)
    if channels not in (1, _RGB_CHANNELS):
        raise ConfigError(f"channels is {channels}, but images have 3 (RGB) or 1 (greyscale)")
    entry = _entry(name)
    build = _build(name, entry, channels)
    if hidden is not None:
        import torch

        hidden = tuple(hidden)
        with torch.random.fork_rng(devices=[]):  # so that the initial weights stay those of the seed
            _check_hidden(build(input_size, strides, act, None), hidden)
    check_feature_stages(feature_stages)
    encoder = build(input_size, strides, act, hidden)
    if feature_stages != LAST_STAGE:
        encoder.read_feature_from(feature_stages)
    parameters = count_parameters(encoder)
    if enforce_budget and entry.deployable and parameters >= PARAMETER_BUDGET:
        raise BudgetExceeded(
            f"{name} has {parameters:,} parameters and the budget is under {PARAMETER_BUDGET:,}; "
            f"choose a smaller encoder or pass --no-budget"
        )
    return encoder


def check_encoder(
    name: str, *, input_size: int, strides: tuple[int, ...] | None = None, act: str = "relu"
) -> tuple[int, ...]:
    """Return the strides of an encoder that can be built: the default of its input size where none are given.

    See `create_encoder` for the arguments.

    Raises:
        ConfigError: An unknown name, activation or stride, or too small an input.
    """
    entry = _entry(name)
    if input_size < SMALLEST_INPUT:
        raise ConfigError(f"input size {input_size} is below the smallest possible, {SMALLEST_INPUT} pixels")
    default = next(default for limit, default in entry.strides_by_size if input_size <= limit)
    strides = default if strides is None else tuple(strides)
    if len(strides) != len(default) or not set(strides) <= {1, 2}:
        raise ConfigError(
            f"strides {strides} do not fit {name}; give {len(default)} values of 1 or 2, for example {default}"
        )
    if act not in entry.acts:
        raise ConfigError(f"activation {act!r} is not available for {name}; choose one of {', '.join(entry.acts)}")
    return strides


def check_feature_stages(stages: Sequence[int]) -> None:
    """Refuse stages that an encoder's feature cannot be made of: they are of 1 to 4, ascending, and end with 4.

    Raises:
        ConfigError: They are none.
    """
    if tuple(stages[-1:]) != LAST_STAGE or sorted(set(stages)) != list(stages) or min(stages) < 1:
        given = ",".join(map(str, stages))
        raise ConfigError(
            f"--feature-stages {given!r} is no ascending choice of 1, 2, 3 and 4 that ends with 4: 1,2,3,4 is usual"
        )


def _build(
    name: str, entry: _Entry, channels: int
) -> "Callable[[int, tuple[int, ...], str, tuple[int, ...] | None], Encoder]":
    """Return what makes an encoder for images of so many channels."""
    build: Callable[..., Encoder]
    if isinstance(entry.build, str):
        module, _, function = entry.build.partition(":")
        build = getattr(importlib.import_module(module), function)
    else:
        build = entry.build
    if entry.counted:
        build = partial(build, name)
    if "channels" in inspect.signature(build).parameters:
        return partial(build, channels=channels)
    if channels != _RGB_CHANNELS:
        raise ConfigError(
            f"the encoder {name} takes RGB images alone: leave out --channels, or give its class a parameter `channels`"
        )
    return build


def _check_hidden(full: "Encoder", hidden: tuple[int, ...]) -> None:
    """Refuse hidden channels that do not fit an encoder; `full` is the one that nothing was pruned from."""
    layers = full.prunable_channels()
    if not layers:
        raise ConfigError(f"the blocks of {full.name} cannot be narrowed; leave out hidden")
    if len(hidden) != len(layers):
        raise ConfigError(
            f"hidden has {len(hidden)} widths, but {full.name} has {len(layers)} layers to narrow; "
            f"give {len(layers)} widths, at most {[layer.channels for layer in layers]}"
        )
    for width, layer in zip(hidden, layers, strict=True):
        if not 1 <= width <= layer.channels:
            raise ConfigError(
                f"hidden gives {layer.name} of {full.name} {width} channels, but it can have 1 to {layer.channels}; "
                "correct hidden"
            )
