"""Pretrain vision encoders without labels, quantise them to INT8 and prove them bit for bit on Cortex-M.

Each command is a function of the same name and options: `tinyedge.train(out="runs/first", data="digits")`. They are
imported on first use, so that `import tinyedge` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinyedge.version import __version__

__all__ = [
    "Encoder",
    "PretrainingMethod",
    "TinyEdgeError",
    "TrainConfig",
    "__version__",
    "bench",
    "build",
    "check",
    "compile",
    "export",
    "finetune",
    "load",
    "pack",
    "predict",
    "probe",
    "quantise",
    "register_encoder",
    "register_method",
    "report",
    "requantise",
    "train",
    "watch",
    "web",
]

if TYPE_CHECKING:
    from tinyedge.api.bench import bench
    from tinyedge.api.build import build
    from tinyedge.api.check import check
    from tinyedge.api.compile import compile
    from tinyedge.api.export import export
    from tinyedge.api.finetune import finetune
    from tinyedge.api.load import load
    from tinyedge.api.pack import pack
    from tinyedge.api.predict import predict
    from tinyedge.api.probe import probe
    from tinyedge.api.quantise import quantise
    from tinyedge.api.report import report
    from tinyedge.api.requantise import requantise
    from tinyedge.api.train import train
    from tinyedge.api.watch import watch
    from tinyedge.api.web import web
    from tinyedge.encoders.base import Encoder
    from tinyedge.encoders.registry import register_encoder
    from tinyedge.errors import TinyEdgeError
    from tinyedge.ssl.base import PretrainingMethod
    from tinyedge.ssl.registry import register_method
    from tinyedge.training.config import TrainConfig

_ELSEWHERE = {
    "Encoder": "tinyedge.encoders.base",
    "PretrainingMethod": "tinyedge.ssl.base",
    "TinyEdgeError": "tinyedge.errors",
    "TrainConfig": "tinyedge.training.config",
    "register_encoder": "tinyedge.encoders.registry",
    "register_method": "tinyedge.ssl.registry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE.get(name, f"tinyedge.api.{name}")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
