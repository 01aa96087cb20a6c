"""What each stage of a foreign network makes of the same samples: its source, the float graph, and the INT8 file."""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.conversion.intake import run_graph
from tinyedge.conversion.network import SourceNetwork
from tinyedge.errors import ModelError, ToolMissing, UnsupportedOpError
from tinyedge.parity.distance import cosine, sqnr_db
from tinyedge.parity.gate_limits import NetworkGates
from tinyedge.parity.layers import LayerParity
from tinyedge.parity.parity import BitParity, FloatParity, compare_float
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.apart import ApartRuntime
from tinyedge.runtimes.litert_model import litert_content
from tinyedge.runtimes.litert_session import BUILT_IN, LitertSession
from tinyedge.tflite.frames import count_differing, empty_frames, parts_of
from tinyedge.tflite.graph import Graph, Tensor
from tinyedge.tflite.model import Model

_HINT = "try --precision mixed or 16x8, --qat, or more calibration samples"


@dataclass(frozen=True)
class OutputParity:
    """One output of the INT8 file against the float graph's, on samples that calibration has not seen.

    Attributes:
        name: In the source.
        cosine: Of all samples' values as one vector.
        sqnr_db: Power of all samples' values over the power of their errors, in decibels.
        max_error: The largest difference of a value.
        max_value: The largest magnitude of a float value.
        top1_agreement: Per cent of samples whose largest value is the same; None where the output is no vector.
    """

    name: str
    cosine: float
    sqnr_db: float
    max_error: float
    max_value: float
    top1_agreement: float | None


@dataclass(frozen=True)
class NetworkParity:
    """The report of a quantised network.

    Attributes:
        samples: How many every stage ran.
        unseen: Whether calibration has not seen them.
        source: What ran the source: "ONNX Runtime", "PyTorch" or "LiteRT".
        float_parity: The source against the float graph that was quantised, the worst of the outputs.
        runtime: What the INT8 file ran in for the figures of the outputs.
        outputs: Of each.
        bit_exact: TFLite Micro against our C.
        missing: Why one of them did not run, a sentence each.
        gates: What has to hold.
        layers: Of every operator, where they were compared.
    """

    samples: int
    unseen: bool
    source: str
    float_parity: FloatParity
    runtime: str
    outputs: tuple[OutputParity, ...]
    bit_exact: BitParity
    missing: tuple[str, ...]
    gates: NetworkGates
    layers: tuple[LayerParity, ...] = ()

    def failures(self) -> list[str]:
        """Return one sentence a gate that does not hold."""
        failures = []
        if not self.float_parity.relative <= self.gates.float_difference:
            failures.append(
                f"{self.source} and the float graph differ by {self.float_parity.relative:.1e} of the output, over the "
                f"limit of {self.gates.float_difference:.0e}: report it with the model"
            )
        for output in self.outputs:
            if not output.cosine >= self.gates.cosine:
                failures.append(
                    f"output {output.name} in {self.runtime} has a cosine of {output.cosine:.4f} to the float one, "
                    f"under the limit of {self.gates.cosine:g}: {_HINT}"
                )
        if self.bit_exact.differing_values:
            failures.append(
                f"TFLite Micro and our C differ in {self.bit_exact.differing_values} output values on "
                f"{self.bit_exact.images} samples: a defect of tinyedge, report it with the quantised file"
            )
        return failures

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        figures = dataclasses.asdict(self)
        for key in ("outputs", "missing", "layers"):
            figures[key] = list(figures[key])
        return figures


def compare_network(
    network: SourceNetwork,
    graph: Graph,
    model: Path,
    samples: Sequence[np.ndarray],
    *,
    unseen: bool,
    source: str,
    gates: NetworkGates,
) -> NetworkParity:
    """Run every stage on samples and compare them.

    Args:
        network: The source.
        graph: The float graph that was quantised.
        model: The INT8 file.
        samples: Of each input of the graph, (n, ...) float32.
        unseen: Whether calibration has not seen them.
        source: What runs the source.
        gates: What has to hold.

    Raises:
        ModelError: No runtime takes the INT8 file.
    """
    quantised = Model(model).any_graph()
    frames = to_frames(samples, quantised.inputs)
    with ThreadPoolExecutor(2) as pool:  # Our C leaves Python while it runs, and TFLite Micro has its own process.
        micro = pool.submit(_run, "TFLite Micro", _run_reference, model, frames)
        ours = pool.submit(_run, "our C", _run_aot, model, frames)
        wanted = [values.reshape(len(values), -1) for values in run_graph(graph, samples)]
        given = [
            layout.to_source(values) if values.ndim == len(layout.shape) else values
            for layout, values in zip(network.inputs, samples, strict=True)
        ]
        original = [
            (layout.to_graph(values) if values.ndim == len(layout.order) else values).reshape(len(values), -1)
            for layout, values in zip(network.outputs, network.run(given), strict=True)
        ]
    stages = [compare_float(one, other) for one, other in zip(original, wanted, strict=True)]
    results = {"our C": ours.result(), "TFLite Micro": micro.result()}
    missing = tuple(result for result in results.values() if isinstance(result, str))
    runtime, found = next(
        ((name, result) for name, result in results.items() if not isinstance(result, str)), ("LiteRT", None)
    )
    if found is None:
        found = _run_litert(model, frames, quantised)
    return NetworkParity(
        samples=len(samples[0]),
        unseen=unseen,
        source=source,
        float_parity=max(stages, key=lambda stage: stage.relative),
        runtime=runtime,
        outputs=tuple(
            _compare_output(layout.name, floats, _real(codes, tensor).reshape(len(codes), -1), tensor)
            for layout, floats, codes, tensor in zip(
                network.outputs, wanted, parts_of(found), quantised.outputs, strict=True
            )
        ),
        bit_exact=_compare_bits(results["TFLite Micro"], results["our C"]),
        missing=missing,
        gates=gates,
    )


def to_frames(samples: Sequence[np.ndarray], tensors: Sequence[Tensor]) -> np.ndarray:
    """Return samples, (n, ...) float32 of each input, as frames in the quantisation of a model's inputs."""
    frames = empty_frames(len(samples[0]), tensors)
    for part, values, tensor in zip(parts_of(frames), samples, tensors, strict=True):
        limits = np.iinfo(tensor.dtype)
        codes = np.floor(values / np.float32(tensor.q.scale) + 0.5) + tensor.q.zero_point
        part[...] = np.clip(codes, limits.min, limits.max).reshape(part.shape)
    return frames


def _run(name: str, run: Callable[[Path, np.ndarray], np.ndarray], model: Path, frames: np.ndarray) -> np.ndarray | str:
    """Run frames in a runtime of this machine, or say why that cannot be."""
    try:
        return run(model, frames)
    except (ToolMissing, UnsupportedOpError, ModelError) as error:
        return f"{name} did not run: {error}"


def _run_reference(model: Path, frames: np.ndarray) -> np.ndarray:
    with ApartRuntime("reference", Model(model)) as runtime:
        return runtime.run(frames)


def _run_aot(model: Path, frames: np.ndarray) -> np.ndarray:
    return AotRuntime(model).run(frames)


def _run_litert(model: Path, frames: np.ndarray, quantised: Graph) -> np.ndarray:
    try:
        session = LitertSession(litert_content(Model(model)), BUILT_IN)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"no runtime of this machine takes {model}: {error}") from error
    return session.run_frames(frames, quantised.outputs)


def _real(codes: np.ndarray, tensor: Tensor) -> np.ndarray:
    if tensor.quantisation is None:
        return codes.astype(np.float64)
    real: np.ndarray = (codes.astype(np.float64) - tensor.q.zero_point) * tensor.q.scale
    return real


def _compare_output(name: str, wanted: np.ndarray, found: np.ndarray, tensor: Tensor) -> OutputParity:
    vector = len([size for size in tensor.shape if size > 1]) == 1 and tensor.quantisation is not None
    agreement = 100 * float((wanted.argmax(axis=1) == found.argmax(axis=1)).mean())
    return OutputParity(
        name=name,
        cosine=cosine(wanted, found),
        sqnr_db=round(sqnr_db(wanted, found), 2),
        max_error=float(np.abs(wanted - found).max()),
        max_value=float(np.abs(wanted).max()),
        top1_agreement=agreement if vector else None,
    )


def _compare_bits(tflm: np.ndarray | str, ours: np.ndarray | str) -> BitParity:
    if isinstance(tflm, str) or isinstance(ours, str):
        return BitParity(0, None, None)
    differing = count_differing(tflm, ours)
    first = next((at for at in range(len(ours)) if count_differing(tflm[at : at + 1], ours[at : at + 1])), None)
    return BitParity(len(ours), differing, first if differing else None)
