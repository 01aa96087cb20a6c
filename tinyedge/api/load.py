"""`tinyedge.load`: a trained model for PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.hub.download import fetch_run, is_repository
from tinyedge.installation import missing_packages_told
from tinyedge.shell import command_line
from tinyedge.training.run import load_run
from tinyedge.zoo import locate

if TYPE_CHECKING:
    from tinyedge.evaluation.trained_model import TrainedModel


@missing_packages_told()
def load(source: Path | str, *, revision: str | None = None) -> "TrainedModel":
    """Load a trained encoder, with the classifier of its last probe, as one PyTorch module on the CPU.

    Its `preprocess` turns image files into the normalised tensor that it takes; `classes` names its outputs. Of a model
    of the hub, weights and settings are fetched into the hub's cache, and no code.

    Args:
        source: A run directory, a model of the zoo such as "tinynext_t_cifar10", an `encoder.safetensors` alone, or a
            repository "owner/name" of the Hugging Face hub, where there is no folder of that name.
        revision: Of such a repository, a commit, tag or branch; None is its newest commit. Which commit it was is the
            model's `revision`: given here again, it is the same model for ever.

    Raises:
        CheckpointError: There is no such run, or its files are missing or corrupt; or the hub cannot be reached.
        ConfigError: The encoder came from a plug-in that is not loaded, or `revision` is of no repository.
        DataError: A run from before its encoder's file described it, whose data set cannot be loaded.
        ToolMissing: It is a repository, and huggingface_hub is not installed.
    """
    commit = None
    if Path(source).suffix == ".tflite":
        bench = command_line("tinyedge", "bench", source)
        predict = command_line("tinyedge", "predict", source, "IMAGE")
        raise CheckpointError(
            f"{source} is a quantised network, and `load` gives a trained encoder for PyTorch: give its run directory, "
            f"or run the file itself with `{bench}` or `{predict}`"
        )
    if is_repository(source):
        source = fetch_run(str(source), revision)
        commit = source.name
    elif revision is not None:
        raise ConfigError(f"revision is {revision}, but {source} is no repository of the hub: leave it out")
    if not locate(source).is_file():
        load_run(Path(source)).check_trained()
    from tinyedge.evaluation.trained_model import load_trained

    model = load_trained(source)
    model.revision = commit
    return model
