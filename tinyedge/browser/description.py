"""What a page is told of its model, as JSON."""

import base64
from typing import Any

from tinyedge.browser.wasm import CLASSES
from tinyedge.browser.web_model import WebModel
from tinyedge.tflite.graph import Tensor
from tinyedge.version import __version__


def describe(model: WebModel, wasm: bytes) -> dict[str, Any]:
    """Return what `assets/model.js` and `assets/page.js` read."""
    table = model.preprocessing.table
    learning = model.learning
    scores = model.scores
    return {
        "sha256": model.sha256,
        "input": {
            "height": model.preprocessing.height,
            "width": model.preprocessing.width,
            "channels": len(table),
            "dtype": table.dtype.name,
            "white_level": model.preprocessing.white_level,
            "table": base64.b64encode(table.tobytes()).decode("ascii"),
        },
        "outputs": [_describe_output(tensor) for tensor in model.program.outputs],
        "scores": None
        if scores is None
        else {"index": scores.output, "classes": scores.classes, "is_probability": scores.is_probability},
        "embedding": None if learning is None else {"index": learning.output, "classes": CLASSES},
        "preprocessing": _preprocessing_text(model),
        "facts": _facts(model, wasm),
    }


def _describe_output(tensor: Tensor) -> dict[str, Any]:
    quantised = tensor.quantisation is not None
    return {
        "dtype": tensor.dtype.name,
        "elements": tensor.elements,
        "scale": tensor.q.scale if quantised else None,
        "zero_point": tensor.q.zero_point if quantised else 0,
    }


def _preprocessing_text(model: WebModel) -> str:
    size = f"{model.preprocessing.width} × {model.preprocessing.height}"
    fit = f"A picture is resized to cover {size} pixels (bicubic, as Pillow does it) and cropped at its centre."
    if model.manifest is None:
        return f"{fit} {_sentence(model.preprocessing.assumption or '')}"
    told = model.manifest.preprocessing
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (told.mean, told.std))
    return f"{fit} Then {told.formula}, with mean {mean} and std {std}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _facts(model: WebModel, wasm: bytes) -> list[tuple[str, str, str]]:
    """Return terms, what stands beside them, and how that is set."""
    program = model.program
    return [
        ("File", model.path.name, ""),
        ("SHA-256", model.sha256, "hash"),
        ("Arena", f"{program.plan.arena_bytes:,} bytes of RAM for all activations", ""),
        ("Constants", f"{program.constant_bytes:,} bytes", ""),
        ("Multiply-accumulates", f"{program.macs:,} an inference", ""),
        *([] if model.learning_advice is None else [("Learns classes", f"No: {model.learning_advice}.", "")]),
        ("WebAssembly", f"{len(wasm):,} bytes, kernels: {program.options.instruction_set}", ""),
        ("Made by", f"tinyedge {__version__}", ""),
    ]
