"""`tinyedge.load`: a trained model for PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.installation import missing_packages_told
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

if TYPE_CHECKING:
    from tinyedge.evaluation.trained_model import TrainedModel


@missing_packages_told()
def load(source: Path | str) -> "TrainedModel":
    """Load a trained encoder, with the classifier of its last probe, as one PyTorch module on the CPU.

    Its `preprocess` turns image files into the normalised tensor that it takes; `classes` names its outputs.

    Args:
        source: A run directory, a model of the zoo such as "tinynext_t_cifar10", or an `encoder.safetensors` alone.

    Raises:
        CheckpointError: There is no such run, or its files are missing or corrupt.
        ConfigError: The encoder came from a plug-in that is not loaded.
        DataError: A run from before its encoder's file described it, whose data set cannot be loaded.
    """
    if not locate(source).is_file():
        load_run(Path(source)).check_trained()
    from tinyedge.evaluation.trained_model import load_trained

    return load_trained(source)
