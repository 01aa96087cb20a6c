"""How far apart the stages of an export are: PyTorch, ONNX, float TFLite, INT8."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyedge.errors import ToolMissing
from tinyedge.export.manifest import TensorSpec
from tinyedge.export.onnx import INPUT_NAME

FLOAT_LIMIT = 1e-3
TOP1_DROP_LIMIT = 1.0


@dataclass(frozen=True)
class FloatParity:
    """Two float stages on the same images.

    Attributes:
        max_abs: The largest difference of an output.
        relative: That, over the largest output's magnitude or 1, whichever is greater: held against `FLOAT_LIMIT`.
        cosine: Of all outputs as one vector.
    """

    max_abs: float
    relative: float
    cosine: float


@dataclass(frozen=True)
class Int8Parity:
    """The float network against the INT8 file.

    Attributes:
        cosine: Of all outputs as one vector.
        sqnr_db: Power of the outputs over the power of their error, in decibels.
        tflm_images: How many images TFLite Micro's interpreter ran; 0 where it is not installed.
        tflm_max_steps: Its largest difference from LiteRT there, in steps of the output's scale; None where not run.
    """

    cosine: float
    sqnr_db: float
    tflm_images: int
    tflm_max_steps: int | None


@dataclass(frozen=True)
class Top1Parity:
    """The classifiers on labelled test images.

    Attributes:
        images: How many.
        float_top1: Per cent right in float32.
        int8_top1: Per cent right in INT8.
        drop: The difference in points: held against `TOP1_DROP_LIMIT`.
        lost: Images that only the float network has right.
        won: Images that only the INT8 network has right.
    """

    images: int
    float_top1: float
    int8_top1: float
    drop: float
    lost: int
    won: int


@dataclass(frozen=True)
class ParityReport:
    """All comparisons of one export; those of absent stages are None.

    Attributes:
        images: How many images the numeric comparisons ran on.
        torch_onnx: The unfolded PyTorch network against ONNX Runtime.
        onnx_tflite: ONNX Runtime against float TFLite.
        float_int8: The float network against the INT8 file.
        top1: Accuracy, where the model is a classifier and there are labelled test images.
    """

    images: int
    torch_onnx: FloatParity
    onnx_tflite: FloatParity
    float_int8: Int8Parity | None
    top1: Top1Parity | None

    def failures(self) -> list[str]:
        """Return one sentence a gate that does not hold.

        A drop of accuracy counts only if chance does not explain it: for a network that is as good, `lost - won` has a
        standard deviation of sqrt(lost + won), and two of them are allowed.
        """
        failures = [
            f"{stages} differ by {parity.relative:.1e} of the output, over the limit of {FLOAT_LIMIT:.0e}"
            for stages, parity in (("PyTorch and ONNX", self.torch_onnx), ("ONNX and TFLite", self.onnx_tflite))
            if not parity.relative <= FLOAT_LIMIT
        ]
        top1 = self.top1
        if top1 and top1.drop > TOP1_DROP_LIMIT and top1.lost - top1.won > 2 * math.sqrt(top1.lost + top1.won):
            failures.append(
                f"INT8 has {top1.int8_top1:.2f} % of {top1.images} test images right, float {top1.float_top1:.2f} %: "
                f"a drop of {top1.drop:.2f} points, over the limit of {TOP1_DROP_LIMIT:.1f}"
            )
        return failures


def compare_float(reference: np.ndarray, other: np.ndarray) -> FloatParity:
    """Compare two float outputs (n, K)."""
    max_abs = float(np.abs(reference - other).max())
    return FloatParity(max_abs, max_abs / max(1.0, float(np.abs(reference).max())), _cosine(reference, other))


def compare_int8(reference: np.ndarray, codes: np.ndarray, output: TensorSpec, tflm_codes: np.ndarray) -> Int8Parity:
    """Compare float outputs with int8 ones.

    Args:
        reference: (n, K) float32.
        codes: (n, K) int8, LiteRT's.
        output: The INT8 model's output.
        tflm_codes: (m, K) int8, TFLite Micro's on the first m images; m is 0 where it did not run.
    """
    real = dequantise(codes, output)
    error = float(np.square(reference - real).sum())
    power = float(np.square(reference.astype(np.float64)).sum())
    steps = np.abs(codes[: len(tflm_codes)].astype(np.int32) - tflm_codes)
    return Int8Parity(
        cosine=_cosine(reference, real),
        # Finite, so that it can be written as JSON.
        sqnr_db=10 * math.log10(max(power, 1e-30) / max(error, 1e-30)),
        tflm_images=len(tflm_codes),
        tflm_max_steps=int(steps.max()) if len(tflm_codes) else None,
    )


def compare_top1(float_outputs: np.ndarray, int8_outputs: np.ndarray, labels: np.ndarray) -> Top1Parity:
    """Compare two classifiers' outputs (n, C) on labels (n,)."""
    float_right = float_outputs.argmax(axis=1) == labels
    int8_right = int8_outputs.argmax(axis=1) == labels
    lost, won = int((float_right & ~int8_right).sum()), int((int8_right & ~float_right).sum())
    return Top1Parity(
        images=len(labels),
        float_top1=100 * float(float_right.mean()),
        int8_top1=100 * float(int8_right.mean()),
        drop=100 * (lost - won) / len(labels),
        lost=lost,
        won=won,
    )


def dequantise(codes: np.ndarray, tensor: TensorSpec) -> np.ndarray:
    """Return the real values, float64, of int8 codes."""
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    real: np.ndarray = (codes.astype(np.float64) - tensor.zero_point) * tensor.scale
    return real


def run_torch(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Run normalised images (n, H, W, 3) float32 through a PyTorch network; return (n, K) float32."""
    with torch.inference_mode():
        batches = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).split(64)
        return torch.cat([network(batch) for batch in batches]).numpy()


def run_onnx(model: Path, images: np.ndarray) -> np.ndarray:
    """Run normalised images (n, H, W, 3) float32 through ONNX Runtime; return (n, K) float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # (n, 3, H, W)
    return np.concatenate([session.run(None, {INPUT_NAME: plane[np.newaxis]})[0] for plane in planes])


def run_tflite(model: Path, images: np.ndarray) -> np.ndarray:
    """Run images (n, H, W, 3) of the model's own type through LiteRT; return (n, K) of its output type.

    Without XNNPACK, which refuses some graphs and, in INT8, strays further from TFLite Micro than the built-in kernels.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(model), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]
    outputs = []
    for image in images:
        interpreter.set_tensor(input_index, image[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output_index)[0].copy())
    return np.stack(outputs)


def run_tflm(model: Path, images: np.ndarray) -> np.ndarray:
    """Run int8 images (n, H, W, 3) through TFLite Micro's interpreter.

    Returns:
        (n, K) int8, or (0, K) where the package does not exist for this machine.

    Raises:
        ModelError: TFLite Micro refuses the model.
    """
    from tinyedge.runtimes.tflm import TflmRuntime

    try:
        return TflmRuntime(model).run(images)
    except ToolMissing:
        return np.empty((0, 1), dtype=np.int8)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else float(np.array_equal(a, b))
