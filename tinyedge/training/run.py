"""A run directory: what training leaves behind, and what probe, export and bench start from."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.atomic import atomic_directory
from tinyedge.data.registry import check_dataset, load_dataset
from tinyedge.destination import check_folder
from tinyedge.errors import CheckpointError, ConfigError, GateFailed
from tinyedge.manifest.manifest import EXPORT_FOLDER
from tinyedge.plugins import require_plugin
from tinyedge.shell import command_line
from tinyedge.training.classifier_file import read_origin
from tinyedge.training.config import TrainConfig, load_config
from tinyedge.training.encoder_file import read_description
from tinyedge.training.run_lock import is_training
from tinyedge.zoo import locate, zoo_hint

if TYPE_CHECKING:
    from tinyedge.data.dataset import ImageDataset
    from tinyedge.encoders.base import Encoder

_log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
ENCODER_FILE = "encoder.safetensors"
CHECKPOINT_FILE = "checkpoints/last.ckpt"
METRICS_FILE = "metrics.jsonl"
CLASSIFIER_FILE = "probe.safetensors"
EMBEDDING_PLOT, CONFUSION_PLOT = "plots/embedding.png", "plots/confusion.png"  # of a probe
GALLERY_FILE = "plots/gallery.json"  # the same for a report
_EXPORTED = frozenset({"export.json", "parity.json"})  # What lies beside the encoder in the zoo, and below it in a run.
BRANCHES = "branches"  # folder of the further encoders that a method gave, each a run of its own


def resume_command(run: Path, config: TrainConfig) -> str:
    """Return the command that goes on with a run, its plug-ins named."""
    plugins = dict.fromkeys(plugin for plugin in (config.encoder_plugin, config.method_plugin) if plugin is not None)
    named = [word for plugin in plugins for word in ("--plugin", plugin)]
    return command_line("tinyedge", "train", "--out", run, "--resume", *named)


@dataclass(frozen=True)
class Run:
    """A training run on disk.

    Attributes:
        path: The run directory.
        config: The resolved configuration: no choice is left open in it.
        other_data: Whether the configuration names another data set than the one trained on.
    """

    path: Path
    config: TrainConfig
    other_data: bool = False

    @property
    def encoder_path(self) -> Path:
        """The trained encoder's weights: nothing else is in that file."""
        return self.path / ENCODER_FILE

    @property
    def branch_paths(self) -> list[Path]:
        """The run directories of the further encoders that its method gave."""
        return sorted((self.path / BRANCHES).glob("*"))

    def check_trained(self) -> None:
        """Refuse a run whose training did not end, before anything heavy is imported.

        Raises:
            CheckpointError: It has no encoder.
            ConfigError: The encoder came from a plug-in that is not loaded.
        """
        require_plugin(self.config.encoder_plugin, self.path)
        if not self.encoder_path.is_file():
            missing = f"{self.encoder_path} does not exist: training"
            if is_training(self.path):
                watch = command_line("tinyedge", "watch", self.path)
                raise CheckpointError(f"{missing} goes on in another process; wait until it ends, or run `{watch}`")
            raise CheckpointError(f"{missing} has not ended; run `{resume_command(self.path, self.config)}`")

    def load_encoder(self) -> "Encoder":
        """Return the trained encoder in evaluation mode on the CPU, batch-norm statistics included.

        Raises:
            CheckpointError: The weights are missing (training did not end), corrupt, not finite, or of another encoder.
            ConfigError: The encoder came from a plug-in that is not loaded.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from tinyedge.encoders.registry import create_encoder

        self.check_trained()
        try:
            weights = load_file(self.encoder_path)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.encoder_path} is corrupt ({error}); "
                f"run `{resume_command(self.path, self.config)}` to write it again"
            ) from error
        for name, value in weights.items():
            if not value.isfinite().all():
                raise CheckpointError(
                    f"{self.encoder_path} holds numbers that are not finite, in {name}; train again with --overwrite"
                )
        if self.config.image_size is None:
            raise CheckpointError(
                f"{self.path / CONFIG_FILE} has no image_size; write the images' size in pixels into it"
            )
        encoder = create_encoder(
            self.config.encoder,
            input_size=self.config.image_size,
            strides=self.config.strides,
            act=self.config.act,
            hidden=self.config.hidden,
            channels=self.config.channels,
            feature_stages=self.config.feature_stages,
            enforce_budget=False,
        )
        try:
            encoder.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.encoder_path} does not hold a {self.config.encoder}, which {CONFIG_FILE} names; "
                "train again with --overwrite"
            ) from error
        return encoder.eval()

    def check_dataset(self) -> None:
        """Refuse a run whose data set is not there, as far as that shows without reading an image.

        Raises:
            DataError: It is missing.
        """
        check_dataset(self.config.data, image_size=self.config.image_size, root=self._data_root)

    @property
    def _data_root(self) -> Path | None:
        return Path(self.config.data_root) if self.config.data_root else None

    def load_dataset(self) -> "ImageDataset":
        """Return the data set that the run was trained on, or that `load_run` was asked for.

        Its images have the run's size, and its mean and deviation are those that the encoder was trained with.
        """
        dataset = self._load(self.config.data)
        held_out = None if self.other_data else self.config.held_out
        if held_out not in (None, dataset.held_out):
            _log.warning(
                "%s has changed since the run was trained, which may have seen some of what are test images now; "
                "it held out %s",
                self.config.data,
                held_out,
            )
        return dataset

    @property
    def has_own_classifier(self) -> bool:
        """Whether a classifier was trained with the encoder, which a probe does not replace."""
        path = self.path / CLASSIFIER_FILE
        try:
            return path.is_file() and read_origin(path)[1]
        except CheckpointError:  # What is corrupt may be replaced.
            return False

    def load_probed_dataset(self) -> "ImageDataset":
        """Return the data set whose classes the run's classifier has.

        It is the one that `load_run` was asked for, else the one that the classifier learned from, else the run's own.
        """
        probed = None if self.other_data else self._probed_data()
        return self.load_dataset() if probed is None or probed == self.config.data else self._load(probed)

    def _load(self, data: str) -> "ImageDataset":
        """Load a data set as the encoder takes it: what it normalises with was fixed when it was trained."""
        dataset = load_dataset(
            data,
            image_size=self.config.image_size,
            channels=self.config.channels,
            white_level=self.config.white_level,
            root=self._data_root,
        )
        described = read_description(self.encoder_path) if self.encoder_path.is_file() else None
        return dataset if described is None else replace(dataset, mean=described.mean, std=described.std)

    def _probed_data(self) -> str | None:
        path = self.path / CLASSIFIER_FILE
        return read_origin(path)[0] if path.is_file() else None


def load_run(path: Path, data: str | None = None) -> Run:
    """Open a run directory.

    Args:
        path: What `tinyedge train` wrote, or a model of the zoo.
        data: Data set to use in place of the one that the run names, which may lie elsewhere on this machine.

    Raises:
        CheckpointError: It does not exist, is no run, or its configuration cannot be read.
    """
    path = locate(path)
    if not path.exists():
        train = command_line("tinyedge", "train", "--out", path)
        raise CheckpointError(f"{path} does not exist; give a run, as `{train}` writes one{zoo_hint(path)}")
    if not (path / CONFIG_FILE).is_file():
        raise CheckpointError(f"{path} is no run: it holds no {CONFIG_FILE}; give a folder that `tinyedge train` wrote")
    try:
        config = load_config(path / CONFIG_FILE)
    except ConfigError as error:
        raise CheckpointError(f"{error} (a run's {CONFIG_FILE} is written by `tinyedge train`)") from error
    return Run(path, config) if data is None else Run(path, replace(config, data=data), other_data=True)


@contextmanager
def claimed_run(run: Run, name: Path) -> Iterator[Run]:
    """Yield a run to write into: of a model of the zoo, a copy of that name in the current folder; else the run itself.

    A copy goes again where what was to be done with it is refused, as for a data set that does not fit.

    Args:
        run: As `load_run` opened it.
        name: What it was opened by.

    Raises:
        ConfigError: It, or the current folder, cannot be written to.
    """
    check_folder(name, "copy the run into a folder that you may write to")
    if run.path == name:
        yield run
        return
    with atomic_directory(name) as folder:
        export = folder / EXPORT_FOLDER
        export.mkdir()
        for file in sorted(run.path.iterdir()):
            shutil.copy(file, export if file.name in _EXPORTED or file.suffix == ".tflite" else folder)
    try:
        yield replace(run, path=name)
    except GateFailed:
        raise
    except BaseException:
        shutil.rmtree(name)
        raise
