"""What each way of quantising keeps of a trained encoder: accuracy, noise, bytes, and instructions on a Cortex-M4.

    python benchmarks/int8_table.py RUN ... --data FOLDER [--ways plain tuned qat mixed 16x8] [--qat 1]

RUN is a probed run directory or a folder of models/; FOLDER the data set that it was trained on. The ways:

* plain: the least and the greatest value of each activation, and nothing else;
* tuned: what `tinyedge export` does: channels equalised, ranges chosen on unseen images, output bias corrected;
* qat: that, finished by training the codes for `--qat` epochs (`tinyedge export --qat`);
* mixed, 16x8: int16 activations where `tinyedge export --precision` has them.

Top-1 is of all test images and in our C on the host, which has TFLite Micro's bits; SQNR, cosine and the share of equal
predictions compare its logits with the float network's. "simulated = C" is the share of predictions that the trained
network in PyTorch and our C have in common. Instructions are one inference's on the emulated stm32f405, or on
mps2_an386 where a model does not fit.

Prints Markdown and writes benchmarks/results/int8_table.json, where other runs' and ways' figures stay. A model with
the very bytes of the one in that file keeps its accuracy, as its answers are the same; its instructions are counted.
"""

import argparse
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinyedge.atomic import write_json
from tinyedge.benchmark.bench import run_bench
from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.converter import Converter
from tinyedge.conversion.fold import fold_classifier
from tinyedge.conversion.onnx import INPUT_NAME, export_onnx
from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.errors import BudgetExceeded, GateFailed
from tinyedge.exporter.export import Probe, export_model, load_probe
from tinyedge.exporter.options import ExportOptions
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.preprocess import normalise_images
from tinyedge.parity.distance import cosine, sqnr_db
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes
from tinyedge.training.run import load_run

RESULTS = Path(__file__).parent / "results" / "int8_table.json"
BOARDS = ("stm32f405", "mps2_an386")  # Both Cortex-M4; the second has room.
BATCH = 250


@dataclass(frozen=True)
class Subject:
    """What is quantised."""

    name: str
    encoder: Encoder
    probe: Probe
    dataset: ImageDataset

    def test_images(self) -> np.ndarray:
        """Return the test images, (n, H, W, 3) float32, normalised."""
        assert self.dataset.test is not None
        return normalise_images(self.dataset.test.images.numpy(), self.dataset.mean, self.dataset.std)

    def test_labels(self) -> np.ndarray:
        """Return their classes, (n,)."""
        assert self.dataset.test is not None
        assert self.dataset.test.labels is not None
        labels: np.ndarray = self.dataset.test.labels.numpy()
        return labels


def write_plain(subject: Subject, folder: Path) -> Path:
    """Write the INT8 model of an encoder that nothing was tuned for; return its path."""
    options = ExportOptions()
    network = fold_classifier(subject.encoder, subject.probe.weight, subject.probe.bias)
    order = np.random.default_rng(options.seed).permutation(len(subject.dataset.train))
    images = subject.dataset.train.images[torch.from_numpy(np.sort(order[: options.calibration_images]))]
    calibration = normalise_images(images.numpy(), subject.dataset.mean, subject.dataset.std)
    folder.mkdir()
    export_onnx(network, subject.encoder.input_size, "logits", folder / "model.onnx")
    with Converter() as converter:
        graph = canonical(converter.convert(folder / "model.onnx"), [INPUT_NAME], ["logits"])
    histograms = observe(FloatExecutor(graph), (torch.from_numpy(calibration),))
    ranges = {tensor: min_max(histogram) for tensor, histogram in histograms.items()}
    model = folder / "model_int8.tflite"
    model.write_bytes(tflite_bytes(quantise(graph, ranges)))
    return model


def write_way(subject: Subject, way: str, qat_epochs: float, folder: Path) -> Path:
    """Write the model of one way; return its path."""
    if way == "plain":
        return write_plain(subject, folder)
    options = ExportOptions(
        precision=way if way in ("mixed", "16x8") else "int8", qat_epochs=qat_epochs if way == "qat" else 0.0
    )
    try:
        export_model(subject.encoder, subject.dataset, subject.probe, folder, options, announce=_announce, detail=_show)
    except GateFailed as error:  # The figures say so too.
        print(error, flush=True)
    model = read_manifest(folder).model
    assert model is not None
    return folder / model


def measure(subject: Subject, way: str, model: Path) -> dict[str, Any]:
    """Return what the answers of one model to the test images are worth."""
    float_outputs = float_logits(subject)
    graph = read_tflite(model)
    source, output = graph.inputs[0].quantisation, graph.outputs[0].quantisation
    assert source is not None
    assert output is not None
    steps = np.floor(subject.test_images() / np.float32(source.scale) + 0.5) + source.zero_point
    codes = np.clip(steps, -128, 127).astype(np.int8)
    answers = AotRuntime(model).run(codes)
    real = (answers.astype(np.float64) - output.zero_point) * output.scale
    labels = subject.test_labels()
    return {
        "run": subject.name,
        "way": way,
        "images": len(labels),
        "float_top1": 100 * float((float_outputs.argmax(1) == labels).mean()),
        "top1": 100 * float((answers.argmax(1) == labels).mean()),
        "equal_predictions": 100 * float((answers.argmax(1) == float_outputs.argmax(1)).mean()),
        "sqnr_db": sqnr_db(float_outputs, real),
        "cosine": cosine(float_outputs, real),
        "simulated_equal": None if way != "qat" else _simulated_equal(model, codes, answers),
        "bytes": model.stat().st_size,
        "sha256": _sha256(model),
    }


def count(model: Path) -> dict[str, Any]:
    """Return what one inference of a model takes on the first emulated board that it fits."""
    for board in BOARDS:
        try:
            report, _ = run_bench(model, target="emulator", board_name=board, inputs=2)
        except BudgetExceeded as error:
            print(error, flush=True)
            continue
        (record,) = report.results
        return {"instructions": record.instructions, "board": board, "bit_exact": record.bit_exact}
    return {"instructions": None, "board": None, "bit_exact": None}


def _sha256(model: Path) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


def _simulated_equal(model: Path, codes: np.ndarray, answers: np.ndarray) -> float:
    """Return in per cent how often the network that was trained predicts what our C predicts."""
    network = IntegerExecutor(read_tflite(model))
    with torch.no_grad():
        simulated = [network(batch.float()) for batch in torch.from_numpy(codes).split(BATCH)]
    return 100 * float((torch.cat(simulated).argmax(1).numpy() == answers.argmax(1)).mean())


def float_logits(subject: Subject) -> np.ndarray:
    """Return the logits (n, C) of encoder and probe on the test images, nothing folded."""
    with torch.inference_mode():
        features = [
            subject.encoder(batch.permute(0, 3, 1, 2)) for batch in torch.from_numpy(subject.test_images()).split(BATCH)
        ]
        logits: np.ndarray = (torch.cat(features) @ subject.probe.weight.T + subject.probe.bias).numpy()
    return logits


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a table."""
    lines = [
        "| model | way | top-1 | float | equal predictions | SQNR | cosine | simulated = C | bytes | instructions |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        simulated = "" if row["simulated_equal"] is None else f"{row['simulated_equal']:.2f} %"
        instructions = "" if row["instructions"] is None else f"{row['instructions']:,}"
        lines.append(
            f"| {row['run']} | {row['way']} | {row['top1']:.2f} % | {row['float_top1']:.2f} % "
            f"| {row['equal_predictions']:.2f} % | {row['sqnr_db']:.1f} dB | {row['cosine']:.4f} | {simulated} "
            f"| {row['bytes']:,} | {instructions} |"
        )
    return "\n".join(lines)


def _announce(step: str) -> None:
    print(f"  {step}", flush=True)


def _show(text: str) -> None:
    print(f"    {text}", end="\r", flush=True)


def main() -> None:
    """Quantise every run in every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--ways", nargs="+", default=["plain", "tuned", "qat", "mixed", "16x8"])
    parser.add_argument("--qat", type=float, default=1.0, help="epochs")
    options = parser.parse_args()

    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []
    for path in options.runs:
        run = load_run(path, options.data)
        encoder = run.load_encoder().eval()
        probe = load_probe(path, encoder)
        subject = Subject(path.name, probe.reads(encoder), probe, run.load_dataset())
        for way in options.ways:
            print(f"{path.name}, {way}", flush=True)
            with tempfile.TemporaryDirectory() as name:
                model = write_way(subject, way, options.qat, Path(name) / way)
                same = [
                    old for old in rows if (old["run"], old["way"], old["sha256"]) == (path.name, way, _sha256(model))
                ]
                row = {**(same[0] if same else measure(subject, way, model)), **count(model)}
            row["qat_epochs"] = options.qat if way == "qat" else None
            rows = [old for old in rows if (old["run"], old["way"]) != (row["run"], row["way"])] + [row]
            write_json(RESULTS, {"schema": 1, "rows": rows})
            print(markdown([row]), flush=True)
    print(markdown(rows))
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()
