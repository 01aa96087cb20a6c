"""ONNX to float TFLite without TensorFlow; runs as a program of its own, `python -m ...convert_direct FOLDER`.

onnx2tf 2 writes the TFLite file itself. It prints, and it writes more files than it is asked for: in a process of its
own both are harmless. FOLDER holds `model.onnx` as soon as a line comes in on standard input, the names of the
inputs whose axes stay as a JSON list; until then the packages are loaded. It receives `model_float.tflite`.
"""

import json
import sys
from pathlib import Path

from tinyedge.manifest.manifest import FLOAT_FILE


def convert(folder: Path) -> None:
    """Convert `folder/model.onnx` as soon as it is there."""
    import onnx2tf.onnx2tf as converter  # Loaded while there is time.

    if not (asked := sys.stdin.readline()):  # Whoever wanted a conversion is gone.
        return
    converter.convert(
        input_onnx_file_path=str(folder / "model.onnx"),
        output_folder_path=str(folder / "onnx2tf"),
        not_use_onnxsim=True,
        disable_strict_mode=True,  # It compares dummy inferences; the parity gate compares real ones.
        non_verbose=True,
        keep_shape_absolutely_input_names=json.loads(asked) or None,
    )
    (folder / "onnx2tf" / "model_float32.tflite").rename(folder / FLOAT_FILE)


if __name__ == "__main__":
    convert(Path(sys.argv[1]).resolve())
