"""Teachers by what a user says: a run of another encoder, a published network, or a patch dictionary."""

import difflib
import hashlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.errors import CheckpointError, ConfigError, TinyEdgeError
from tinyedge.installation import package_missing
from tinyedge.ssl.teacher import ConcatenatedTeacher, Teacher, TeacherOutput
from tinyedge.training.classifier_file import StoredClassifier, read_classifier
from tinyedge.training.encoder_file import encoder_settings
from tinyedge.training.patch_teacher import load_patch_teacher
from tinyedge.training.run import CLASSIFIER_FILE, load_run
from tinyedge.training.teacher_source import (
    PACKAGED,
    TIMM,
    PackagedNetwork,
    check_source,
    is_dictionary,
    published_network,
    split_source,
)

_TAPS = 3


class EncoderTeacher(Teacher):
    """An encoder that this toolkit pretrained; its maps are those of its last three stages.

    It sees images that are normalised by the student's data set: for a teacher of another data set these too have mean
    0 and deviation 1 a channel.

    Args:
        encoder: In evaluation mode.
        classifier: Of its feature, of the student's classes; None where there is none, or the method has no use for it.
    """

    def __init__(self, encoder: Encoder, classifier: nn.Linear | None = None):
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.feature_dim = encoder.feature_dim
        self.map_channels = encoder.map_channels()[-_TAPS:]
        self.digest = _digest(encoder_settings(encoder), encoder)
        if classifier is not None:
            self.classifier = classifier.requires_grad_(False)
            self.digest = _digest(self.digest, classifier)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the encoder's pooled features and the maps of its last three stages."""
        maps = [feature_map.float() for feature_map in self.encoder.forward_maps(images)]
        return TeacherOutput(self.encoder.feature(maps), tuple(maps[-_TAPS:]))


class TimmTeacher(Teacher):
    """A network of timm, such as DINO's ViT-S/16, at the size and normalisation that it was trained with.

    Its feature is what enters its classifier: the class token of a ViT (after the final norm), the pooled map of a
    convolutional network. Its maps are the patch tokens of the blocks at one, two and three thirds of a ViT's depth
    (4, 8 and 12 of 12; after the final norm, as DINO's own `get_intermediate_layers` gives them), or the last three
    maps of a convolutional network.

    Args:
        model: Made by timm, weights loaded.
        mean: Per channel, what the incoming images are normalised with.
        std: Per channel.
        input_size: H = W that it sees images at, in pixels; None is what it was trained with.
    """

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        input_size: int | None = None,
    ):
        from timm.data.config import resolve_data_config

        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self._own: dict[str, Any] = resolve_data_config(model=model)
        self.input_size: int = input_size or self._own["input_size"][-1]
        blocks = getattr(model, "blocks", None)
        depth = len(blocks) if isinstance(blocks, nn.Sequential) and hasattr(model, "patch_embed") else 0
        self._taps = [depth * third // _TAPS - 1 for third in range(1, _TAPS + 1)] if depth else _TAPS
        # (image * std + mean - own mean) / own std, as one scale and one offset.
        own_std = torch.tensor(self._own["std"])
        self.register_buffer("scale", (torch.tensor(std) / own_std)[:, None, None])
        self.register_buffer(
            "offset", ((torch.tensor(mean) - torch.tensor(self._own["mean"])) / own_std)[:, None, None]
        )
        with torch.no_grad():
            features, maps = self(torch.zeros(1, len(mean), 8, 8))
        self.feature_dim = features.shape[1]
        self.map_channels = tuple(feature_map.shape[1] for feature_map in maps)
        self.digest = _digest(f"{self.input_size} {model!r}", self)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return feature and maps of images (B, C, H, W), enlarged bicubically to the network's own size."""
        images = images * self.scale + self.offset
        images = F.interpolate(images, size=(self.input_size, self.input_size), mode="bicubic", align_corners=False)
        model: Any = self.model
        last, maps = model.forward_intermediates(images, indices=self._taps, norm=True, output_fmt="NCHW")
        features = model.forward_head(last, pre_logits=True)  # (B, D)
        return TeacherOutput(features.float(), tuple(feature_map.float() for feature_map in maps))


def load_teacher(
    source: str, dataset: ImageDataset, *, download: bool = False, with_classifier: bool = False
) -> Teacher:
    """Return the teacher that `source` names.

    Args:
        source: The directory of a finished run; `patches:ATOMS` for a dictionary of the student's own images;
            `efficientnet_lite0`, which a package ships; `dino_vits16` or `timm:MODEL` for a published network, with
            `=WEIGHTS` (a .safetensors, .pth or .pt file) behind it or to be downloaded; or several of these with commas
            between.
        dataset: The student's.
        download: Whether published weights may be fetched.
        with_classifier: Whether a single run brings its classifier along, if that is of the student's classes.

    Raises:
        CheckpointError: A run or weights file that is missing, corrupt or of another network.
        ConfigError: A run for images of another size, an unknown network, or weights that may not be downloaded.
        TinyEdgeError: The download failed, or the cache folder cannot be written.
        ToolMissing: timm, or the package that ships a network, is not installed.
    """
    check_source(source)
    parts = split_source(source)
    teachers = [_load_one(part, dataset, download, with_classifier and len(parts) == 1) for part in parts]
    return teachers[0] if len(teachers) == 1 else ConcatenatedTeacher(teachers)


def _load_one(part: str, dataset: ImageDataset, download: bool, with_classifier: bool) -> Teacher:
    if is_dictionary(part):
        return load_patch_teacher(part, dataset)
    if part in PACKAGED:
        return TimmTeacher(_packaged_model(PACKAGED[part]), dataset.mean, dataset.std, PACKAGED[part].input_size)
    network = published_network(part)
    if network is not None:
        return TimmTeacher(_timm_model(part.partition("=")[0], *network, download), dataset.mean, dataset.std)
    run = load_run(Path(part).expanduser())
    encoder, image_size = run.load_encoder(), dataset.train.images.shape[-1]
    if encoder.input_size != image_size:
        raise ConfigError(
            f"the teacher {part} was trained on images of {encoder.input_size} pixels and the student's have "
            f"{image_size}; give --image-size {encoder.input_size}, or another --teacher"
        )
    if encoder.channels != dataset.train.images.shape[1]:
        raise ConfigError(
            f"the teacher {part} was trained on images of {encoder.channels} channels and the student's have "
            f"{dataset.train.images.shape[1]}; give --channels {encoder.channels}, or another --teacher"
        )
    stored = _classifier(run.path / CLASSIFIER_FILE, encoder, dataset) if with_classifier else None
    if stored is not None and stored.stages is not None:
        encoder.read_feature_from(stored.stages)
    return EncoderTeacher(encoder, None if stored is None else stored.module())


def _classifier(path: Path, encoder: Encoder, dataset: ImageDataset) -> StoredClassifier | None:
    """Return the classifier of a run if it has one, and of these classes in this order."""
    stored = read_classifier(path, encoder) if path.is_file() else None
    return stored if stored is not None and stored.classes == tuple(dataset.classes) else None


def _timm_model(name: str, model_name: str, weights: str, download: bool) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise package_missing("timm") from error
    if not timm.is_model(model_name):
        close = difflib.get_close_matches(model_name, timm.list_models(), n=1)
        hint = f"did you mean {TIMM}{close[0]}?" if close else "`timm.list_models()` names them all"
        raise ConfigError(f"timm knows no model {model_name}; {hint}")
    if not weights:
        if not download:
            raise ConfigError(f"the teacher {name} needs weights; give --teacher {name}=WEIGHTS, or add --download")
        try:
            return timm.create_model(model_name, pretrained=True, num_classes=0)
        except (OSError, RuntimeError) as error:  # what urllib, huggingface_hub and timm raise without a network
            reason = " ".join(str(error).split())
            raise TinyEdgeError(
                f"the weights of {name} cannot be downloaded ({reason}); "
                f"fetch them by other means and give --teacher {name}=WEIGHTS"
            ) from error
    model = timm.create_model(model_name, pretrained=False, num_classes=0)
    _load_weights(model, name, Path(weights).expanduser())
    return model


def _packaged_model(packaged: PackagedNetwork) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise package_missing("timm") from error
    path = packaged.weights()
    reinstall = f"install {packaged.distribution} again"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != packaged.sha256:
        raise CheckpointError(f"{path} is missing or not the file of SHA-256 {packaged.sha256[:12]}...; {reinstall}")
    model: nn.Module = timm.create_model(packaged.network, pretrained=False)
    model.load_state_dict(renamed_in_order(_read_weights(path), model.state_dict()))
    model.reset_classifier(0)  # type: ignore[operator]
    return model


def renamed_in_order(state: dict[str, torch.Tensor], needed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the values of `state` under the keys of `needed`: the same network, whose layers others named.

    Args:
        state: In the order of the layers.
        needed: Likewise.

    Raises:
        CheckpointError: They differ in their number of values, or in the shape of one.
    """
    if [value.shape for value in state.values()] != [value.shape for value in needed.values()]:
        raise CheckpointError("the weights are of another network; give another --teacher")
    return dict(zip(needed, state.values(), strict=True))


def _load_weights(model: nn.Module, name: str, path: Path) -> None:
    state = _read_weights(path)
    needed = model.state_dict()
    # A classifier is not needed, and checkpoints of DINO's training wrap the network once or twice.
    state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
    misfits = [key for key, value in needed.items() if key not in state or state[key].shape != value.shape]
    if misfits:
        raise CheckpointError(
            f"{path} does not hold the weights of {name}: {misfits[0]} is missing or of another shape; "
            f"give another file as --teacher {name}=WEIGHTS"
        )
    model.load_state_dict({key: state[key] for key in needed})


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable file of weights; download it again") from error
    for key in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(f"{path} holds no state dict; save the network's `state_dict()` with `torch.save`")
    return state


def _digest(settings: str, module: nn.Module) -> str:
    digest = hashlib.sha256(settings.encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
