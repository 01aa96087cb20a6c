"""The pretraining methods by name, with their defaults; free of torch, so that a name is checked without it."""

import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tinyedge.errors import ConfigError
from tinyedge.plugins import load_installed_plugins, note_registration
from tinyedge.shell import command_line
from tinyedge.ssl.method_options.best import BestOptions
from tinyedge.ssl.method_options.byol import ByolOptions
from tinyedge.ssl.method_options.ca_dssl import CaDsslOptions
from tinyedge.ssl.method_options.cass import CassOptions
from tinyedge.ssl.method_options.emp_ssl import EmpSslOptions
from tinyedge.ssl.method_options.finetune import FinetuneOptions
from tinyedge.ssl.method_options.gated_vicreg import GatedVicRegOptions
from tinyedge.ssl.method_options.multi_pretext import MultiPretextOptions
from tinyedge.ssl.method_options.random_init import RandomInitOptions
from tinyedge.ssl.method_options.seed import SeedOptions
from tinyedge.ssl.method_options.simclr import SimClrOptions
from tinyedge.ssl.method_options.simdistill import SimDistillOptions
from tinyedge.ssl.method_options.supervised import SupervisedOptions
from tinyedge.ssl.method_options.vicreg import VicRegOptions
from tinyedge.ssl.options import from_mapping, unknown_name

if TYPE_CHECKING:
    from tinyedge.encoders.base import Encoder
    from tinyedge.ssl.base import PretrainingMethod
    from tinyedge.ssl.teacher import Teacher


M = TypeVar("M", bound="PretrainingMethod")


@dataclass(frozen=True)
class NoOptions:
    """A method without options."""


@dataclass(frozen=True)
class MethodEntry:
    """How to build a method, and what suits it.

    Attributes:
        build: Makes it from an encoder, its options, and a teacher if it is given one: a class, or `module:Class`,
            which is imported on first use.
        options_type: Dataclass of its options.
        preset: Options that differ from that dataclass's defaults.
        augment: Augmentation preset of its views.
        lr_per_256: Peak learning rate for 256 images a step.
        needs_teacher: Whether it distils a frozen teacher.
        takes_teacher: Whether it may be given one that it does not need.
        needs_start: Whether it goes on from another run's encoder.
        plugin: What registered it, as a run records it; None for tinyedge's own.
    """

    build: "str | Callable[..., PretrainingMethod]"
    options_type: type
    preset: Mapping[str, Any] = field(default_factory=dict)
    augment: str = "weak"
    lr_per_256: float = 5e-4
    needs_teacher: bool = False
    takes_teacher: bool = False
    needs_start: bool = False
    plugin: str | None = None


_ENTRIES: dict[str, MethodEntry] = {
    "s0-literal": MethodEntry(
        "tinyedge.ssl.multi_pretext:MultiPretext",
        MultiPretextOptions,
        {"corrupt_at": "stage4", "normalise_losses": False},
    ),
    "s0": MethodEntry(
        "tinyedge.ssl.multi_pretext:MultiPretext",
        MultiPretextOptions,
        {"reconstruct": "codes", "reconstruct_clean": True},
        lr_per_256=3e-3,
    ),
    "s0-plus": MethodEntry(
        "tinyedge.ssl.multi_pretext:MultiPretext",
        MultiPretextOptions,
        # 5,000 held-out CIFAR-10 images had 48.6 % at a vicreg_weight of 0.2 and 49.7 % at 1, after 2 epochs each.
        {"corrupt_at": "input+stage3", "mask_block": 2, "roll_unit": None, "vicreg_weight": 1.0},
        augment="strong",
        lr_per_256=3e-3,
    ),
    "simclr": MethodEntry("tinyedge.ssl.simclr:SimClr", SimClrOptions, augment="strong", lr_per_256=3e-3),
    "vicreg": MethodEntry("tinyedge.ssl.vicreg:VicReg", VicRegOptions, augment="strong", lr_per_256=3e-3),
    "vicreg-dual": MethodEntry(
        "tinyedge.ssl.vicreg_dual:VicRegDual", GatedVicRegOptions, augment="strong", lr_per_256=3e-3
    ),
    "vicreg-gating": MethodEntry(
        "tinyedge.ssl.vicreg_gating:VicRegGating", GatedVicRegOptions, augment="strong", lr_per_256=3e-3
    ),
    "byol": MethodEntry("tinyedge.ssl.byol:Byol", ByolOptions, augment="strong", lr_per_256=2e-3),
    "emp-ssl": MethodEntry("tinyedge.ssl.emp_ssl:EmpSsl", EmpSslOptions, augment="patch", lr_per_256=3e-3),
    "cass": MethodEntry("tinyedge.ssl.cass:Cass", CassOptions, augment="strong", lr_per_256=1e-3),
    "supervised": MethodEntry(
        "tinyedge.ssl.supervised:Supervised", SupervisedOptions, augment="supervised", lr_per_256=3e-3
    ),
    "finetune": MethodEntry(
        "tinyedge.ssl.finetune:Finetune",
        FinetuneOptions,
        augment="supervised",
        lr_per_256=2e-3,
        takes_teacher=True,
        needs_start=True,
    ),
    "best": MethodEntry("tinyedge.ssl.best:Best", BestOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "ca-dssl": MethodEntry(
        "tinyedge.ssl.ca_dssl:CaDssl", CaDsslOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True
    ),
    "seed": MethodEntry("tinyedge.ssl.seed:Seed", SeedOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "simdistill": MethodEntry(
        "tinyedge.ssl.simdistill:SimDistill", SimDistillOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True
    ),
    "random": MethodEntry("tinyedge.ssl.random_init:RandomInit", RandomInitOptions),
}


def register_method(
    name: str,
    *,
    options: type = NoOptions,
    augment: str = "strong",
    lr_per_256: float = 3e-3,
    needs_teacher: bool = False,
) -> "Callable[[type[M]], type[M]]":
    """Make a class a pretraining method that every command takes by name: a class decorator.

    Args:
        name: What `--method` calls it: lower-case letters, digits, `_` and `-`.
        options: Frozen dataclass of what `--option KEY=VALUE` sets.
        augment: Augmentation preset of its views, see `tinyedge.training.views`.
        lr_per_256: Peak learning rate for 256 images a step.
        needs_teacher: Whether it distils a frozen teacher.

    Returns:
        What takes a subclass of `PretrainingMethod`, to be called as `Class(encoder, options)`, with the teacher as a
        third argument if it needs one.

    Raises:
        ConfigError: The name is no name or is taken, or `options` is no dataclass.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigError(f"a method cannot be called {name!r}; use lower-case letters, digits, _ and -")
    if not is_dataclass(options):
        raise ConfigError(f"the options of {name} are {options!r}; give a frozen dataclass")

    def register(method: "type[M]") -> "type[M]":
        plugin = note_registration(method.__module__)
        known = _ENTRIES.get(name)
        if known is not None and known.plugin != plugin:
            raise ConfigError(f"{plugin} calls a method {name}, but there is one already; give it another name")
        _ENTRIES[name] = MethodEntry(method, options, {}, augment, lr_per_256, needs_teacher, plugin=plugin)
        return method

    return register


def method_names() -> tuple[str, ...]:
    """Name every method that `create_method` knows."""
    load_installed_plugins()
    return tuple(_ENTRIES)


def method_entry(name: str) -> MethodEntry:
    """Return what is known about a method.

    Raises:
        ConfigError: An unknown name, with the closest match.
    """
    if name not in _ENTRIES and name not in method_names():
        raise ConfigError(f"{unknown_name('method', name, _ENTRIES)}; one of your own takes --plugin")
    return _ENTRIES[name]


def method_options(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all options of a method: its defaults with `overrides` on top.

    Raises:
        ConfigError: An unknown method or option (with the closest match), or a value that is not valid.
    """
    entry = method_entry(name)
    known = {item.name for item in fields(entry.options_type)}
    for key in overrides or {}:
        if key not in known:
            raise ConfigError(_unknown_option(name, str(key), known))
    return asdict(from_mapping(entry.options_type, {**entry.preset, **(overrides or {})}))


def former_options(name: str, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a run's record lacks, because it was begun before they were there.

    They are at the defaults of the options' class, which leave a method as it was, and not at what its entry has chosen
    of them since.

    Args:
        name: The run's method.
        saved: All options that its record has.

    Raises:
        ConfigError: An unknown method.
    """
    defaults = asdict(method_entry(name).options_type())
    return {key: value for key, value in defaults.items() if key not in saved}


def _unknown_option(method: str, key: str, known: Collection[str]) -> str:
    """Say that a method has no such option, which others have, and where those are that it has."""
    owners = [name for name, entry in _ENTRIES.items() if key in {item.name for item in fields(entry.options_type)}]
    said = f"{key} is an option of {', '.join(owners)}" if owners else unknown_name("option", key, sorted(known))
    command = command_line("tinyedge", "train", "--method", method, "--help-method")
    return f"{method}: {said}; `{command}` lists its options"


def create_method(
    name: str, encoder: "Encoder", options: Mapping[str, Any] | None = None, teacher: "Teacher | None" = None
) -> "PretrainingMethod":
    """Build a pretraining method around an encoder, with fresh weights from torch's global generator.

    Args:
        name: One of `method_names()`.
        encoder: The encoder to pretrain; it is not copied.
        options: Options that differ from the method's defaults.
        teacher: The frozen network to distil, for a method that needs or takes one and for no other.

    Raises:
        ConfigError: An unknown method or option, an option's value, an encoder that the method cannot work with, or a
            teacher that is missing or not needed.
    """
    check_teacher(name, teacher is not None)
    entry = method_entry(name)
    values: Any = from_mapping(entry.options_type, method_options(name, options))
    build = _build(entry)
    return build(encoder, values) if teacher is None else build(encoder, values, teacher)


def check_teacher(name: str, given: bool) -> None:
    """Refuse a method that lacks the teacher it needs, or is given one that it does not.

    Raises:
        ConfigError: One of these, or an unknown method.
    """
    entry = method_entry(name)
    if entry.needs_teacher and not given:
        raise ConfigError(
            f"{name} distils a teacher; give --teacher RUN, or --teacher patches:1024, which needs no run"
        )
    if given and not (entry.needs_teacher or entry.takes_teacher):
        distilling = ", ".join(other for other, one in _ENTRIES.items() if one.needs_teacher or one.takes_teacher)
        raise ConfigError(f"{name} has no teacher; leave out --teacher, or use one of {distilling}")


def check_start_given(name: str, given: bool) -> None:
    """Refuse a method that goes on from another run's encoder and is given none.

    Raises:
        ConfigError: It is, or the method is unknown.
    """
    if method_entry(name).needs_start and not given:
        raise ConfigError(f"{name} goes on from the encoder of a run; give --from RUN, or use `tinyedge finetune RUN`")


def learns_from_labels(name: str) -> bool:
    """Return whether a method learns from labels; imports it.

    Raises:
        ConfigError: It is unknown.
    """
    return bool(getattr(_build(method_entry(name)), "uses_labels", False))


def _build(entry: MethodEntry) -> "Callable[..., PretrainingMethod]":
    if not isinstance(entry.build, str):
        return entry.build
    module, _, name = entry.build.partition(":")
    build: Callable[..., PretrainingMethod] = getattr(importlib.import_module(module), name)
    return build
