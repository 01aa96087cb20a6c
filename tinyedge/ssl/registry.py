"""The pretraining methods by name, with their defaults."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tinyedge.encoders.base import Encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import PretrainingMethod
from tinyedge.ssl.best import Best, BestOptions
from tinyedge.ssl.byol import Byol, ByolOptions
from tinyedge.ssl.ca_dssl import CaDssl, CaDsslOptions
from tinyedge.ssl.cass import Cass, CassOptions
from tinyedge.ssl.emp_ssl import EmpSsl, EmpSslOptions
from tinyedge.ssl.multi_pretext import MultiPretext, MultiPretextOptions
from tinyedge.ssl.options import from_mapping, unknown_name
from tinyedge.ssl.random_init import RandomInit
from tinyedge.ssl.seed import Seed, SeedOptions
from tinyedge.ssl.simclr import SimClr, SimClrOptions
from tinyedge.ssl.simdistill import SimDistill, SimDistillOptions
from tinyedge.ssl.supervised import Supervised, SupervisedOptions
from tinyedge.ssl.teacher import Teacher
from tinyedge.ssl.vicreg import VicReg, VicRegOptions
from tinyedge.ssl.vicreg_dual import GatedVicRegOptions, VicRegDual
from tinyedge.ssl.vicreg_gating import VicRegGating


@dataclass(frozen=True)
class _NoOptions:
    """A method without options."""


@dataclass(frozen=True)
class MethodEntry:
    """How to build a method, and what suits it.

    Attributes:
        build: Makes it from an encoder, its options, and a teacher if it `needs_teacher`.
        options_type: Dataclass of its options.
        preset: Options that differ from that dataclass's defaults.
        augment: Augmentation preset of its views.
        lr_per_256: Peak learning rate for 256 images a step.
        needs_teacher: Whether it distils a frozen teacher.
    """

    build: Callable[..., PretrainingMethod]
    options_type: type
    preset: Mapping[str, Any] = field(default_factory=dict)
    augment: str = "weak"
    lr_per_256: float = 5e-4
    needs_teacher: bool = False


_ENTRIES: dict[str, MethodEntry] = {
    "s0-literal": MethodEntry(MultiPretext, MultiPretextOptions, {"corrupt_at": "stage4", "normalise_losses": False}),
    "s0": MethodEntry(MultiPretext, MultiPretextOptions, lr_per_256=3e-3),
    "s0-plus": MethodEntry(
        MultiPretext,
        MultiPretextOptions,
        # 5,000 held-out CIFAR-10 images had 48.6 % at a vicreg_weight of 0.2 and 49.7 % at 1, after 2 epochs each.
        {"corrupt_at": "input+stage3", "mask_block": 2, "roll_unit": None, "vicreg_weight": 1.0},
        augment="strong",
        lr_per_256=3e-3,
    ),
    "simclr": MethodEntry(SimClr, SimClrOptions, augment="strong", lr_per_256=3e-3),
    "vicreg": MethodEntry(VicReg, VicRegOptions, augment="strong", lr_per_256=3e-3),
    "vicreg-dual": MethodEntry(VicRegDual, GatedVicRegOptions, augment="strong", lr_per_256=3e-3),
    "vicreg-gating": MethodEntry(VicRegGating, GatedVicRegOptions, augment="strong", lr_per_256=3e-3),
    "byol": MethodEntry(Byol, ByolOptions, augment="strong", lr_per_256=2e-3),
    "emp-ssl": MethodEntry(EmpSsl, EmpSslOptions, augment="patch", lr_per_256=3e-3),
    "cass": MethodEntry(Cass, CassOptions, augment="strong", lr_per_256=1e-3),
    "supervised": MethodEntry(Supervised, SupervisedOptions, augment="supervised", lr_per_256=3e-3),
    "best": MethodEntry(Best, BestOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "ca-dssl": MethodEntry(CaDssl, CaDsslOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "seed": MethodEntry(Seed, SeedOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "simdistill": MethodEntry(SimDistill, SimDistillOptions, augment="strong", lr_per_256=3e-3, needs_teacher=True),
    "random": MethodEntry(lambda encoder, options: RandomInit(encoder), _NoOptions),
}


def method_names() -> tuple[str, ...]:
    """Name every method that `create_method` knows."""
    return tuple(_ENTRIES)


def method_entry(name: str) -> MethodEntry:
    """Return what is known about a method.

    Raises:
        ConfigError: An unknown name, with the closest match.
    """
    if name not in _ENTRIES:
        raise ConfigError(unknown_name("method", name, _ENTRIES))
    return _ENTRIES[name]


def method_options(name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all options of a method: its defaults with `overrides` on top.

    Raises:
        ConfigError: An unknown method or option (with the closest match), or a value that is not valid.
    """
    entry = method_entry(name)
    return asdict(from_mapping(entry.options_type, {**entry.preset, **(overrides or {})}))


def create_method(
    name: str, encoder: Encoder, options: Mapping[str, Any] | None = None, teacher: Teacher | None = None
) -> PretrainingMethod:
    """Build a pretraining method around an encoder, with fresh weights from torch's global generator.

    Args:
        name: One of `method_names()`.
        encoder: The encoder to pretrain; it is not copied.
        options: Options that differ from the method's defaults.
        teacher: The frozen network to distil, for a method that needs one and for no other.

    Raises:
        ConfigError: An unknown method or option, an option's value, an encoder that the method cannot work with, or a
            teacher that is missing or not needed.
    """
    entry = method_entry(name)
    values: Any = from_mapping(entry.options_type, method_options(name, options))
    if entry.needs_teacher:
        if teacher is None:
            raise ConfigError(f"{name} distils a teacher; give --teacher RUN, such as a run of --method s0-plus")
        return entry.build(encoder, values, teacher)
    if teacher is not None:
        raise ConfigError(f"{name} has no teacher; leave out --teacher, or use one of {', '.join(_distilling())}")
    return entry.build(encoder, values)


def _distilling() -> list[str]:
    return [name for name, entry in _ENTRIES.items() if entry.needs_teacher]
