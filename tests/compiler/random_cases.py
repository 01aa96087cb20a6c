"""Random models with what goes into them and what TFLite Micro gives, each made once a process."""

import functools
import tempfile
from pathlib import Path

from compiler.model_cases import ModelCase
from compiler.random_models import random_inputs, random_model

from tinyedge.tflite.model import Model

_RUNS = 6


@functools.cache
def random_case(seed: int) -> ModelCase:
    """The model of a seed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"random_model_{seed}.tflite"
        path.write_bytes(random_model(seed))
        model = Model(path)
    return ModelCase(f"random_model({seed})", model, random_inputs(seed, model.graph().inputs[0].shape, _RUNS))
