"""tinyedge's encoders by timm's names: `import tinyedge.timm`, then `timm.create_model("tinyedge_tinynext_t")`.

`num_classes`, `in_chans`, `img_size`, `global_pool`, `drop_rate`, `features_only` and `out_indices` mean what they mean
to timm's own models; `strides`, `act` and `hidden` are those of `create_encoder`. `pretrained=True` loads a model of
the zoo: `timm.list_models("tinyedge_*", pretrained=True)` names them. `pretrained_cfg_overlay={"file":
"runs/mine/encoder.safetensors", "num_classes": N}` loads a run's encoder, and its classifier if there is one.
"""

import json
from pathlib import Path
from typing import Any

import torch
from timm.layers.classifier import create_classifier
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from tinyedge.encoders.base import Encoder
from tinyedge.encoders.evaluation_mode import evaluating
from tinyedge.encoders.registry import LAST_STAGE, create_encoder, encoder_names
from tinyedge.errors import ConfigError
from tinyedge.shell import command_line
from tinyedge.ssl.options import unknown_name
from tinyedge.training.classifier_file import read_classifier
from tinyedge.training.encoder_file import read_description
from tinyedge.training.run import CLASSIFIER_FILE, ENCODER_FILE, load_run
from tinyedge.zoo import locate, zoo_names

__all__ = ["TimmEncoder", "register"]

_PREFIX = "tinyedge_"
_USUAL_PIXELS = 224


class TimmEncoder(nn.Module):
    """An encoder with a classifier, with the methods that timm's models have.

    Args:
        encoder: One of `tinyedge.encoders.registry.encoder_names`.
        num_classes: C; 0 is for features (B, D), without a classifier.
        in_chans: 3 for RGB, 1 for greyscale.
        img_size: H = W of the images that it is built for, in pixels: the default strides depend on it.
        global_pool: Pooling of the last map, as in timm; "" leaves it a map.
        drop_rate: Of the features before the classifier.
        strides: As for `create_encoder`.
        act: As for `create_encoder`.
        hidden: As for `create_encoder`.

    Attributes:
        encoder: As `tinyedge` trains it.
        num_features: D.
        feature_info: Of the map of each stage: its channels, and by how much it is smaller than the images.
    """

    pretrained_cfg: dict[str, Any]

    def __init__(
        self,
        encoder: str,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = _USUAL_PIXELS,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        strides: tuple[int, ...] | None = None,
        act: str = "relu",
        hidden: tuple[int, ...] | None = None,
    ):
        super().__init__()
        height, width = img_size if isinstance(img_size, tuple | list) else (img_size, img_size)
        if height != width:
            raise ConfigError(
                f"img_size is {height} x {width}, but the encoders are built for squares; give one number"
            )
        self.encoder = create_encoder(
            encoder,
            input_size=height,
            strides=strides,
            act=act,
            hidden=hidden,
            channels=in_chans,
            enforce_budget=False,
        )
        self.num_features = self.head_hidden_size = self.encoder.feature_dim
        self.num_classes = num_classes
        self.feature_info = _feature_info(self.encoder)
        self.global_pool: nn.Module
        self.fc: nn.Module
        self._make_head(global_pool)
        self.head_drop = nn.Dropout(drop_rate)

    def _make_head(self, global_pool: str) -> None:
        self._pool_type = global_pool
        self.global_pool, self.fc = create_classifier(self.num_features, self.num_classes, pool_type=global_pool)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C), or features (B, D) for no classes, of normalised images (B, C, H, W)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map (B, D, H_4, W_4) of normalised images (B, C, H, W)."""
        return self.encoder.forward_maps(x)[-1]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return logits, or with `pre_logits` features, of the last map."""
        features: torch.Tensor = self.head_drop(self.global_pool(x))
        if pre_logits:
            return features
        logits: torch.Tensor = self.fc(features)
        return logits

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> "list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]":
        """Return the maps of some stages, after the last map unless they alone are asked for; arguments as in timm.

        Raises:
            ConfigError: `output_fmt` is not NCHW.
        """
        if output_fmt != "NCHW":
            raise ConfigError(f"output_fmt is {output_fmt}, but the encoders' maps are NCHW; leave it out")
        maps = self.encoder.forward_maps(x)
        taken = [maps[index] for index in self._stages(indices)]
        return taken if intermediates_only else (maps[-1], taken)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the classifier where the maps of some stages are all that is wanted; returns the stages' numbers."""
        if prune_head:
            self.reset_classifier(0, "")
        return self._stages(indices)

    def _stages(self, indices: int | list[int] | None) -> list[int]:
        """Return the stages that timm's indices mean: the last so many, or those of a list, also from the end."""
        count = len(self.feature_info)
        if indices is None or isinstance(indices, int):
            chosen = list(range(count))[count - (count if indices is None else indices) :]
        else:
            chosen = [index + count if index < 0 else index for index in indices]
        if not chosen or not all(0 <= index < count for index in chosen):
            raise ConfigError(f"{indices} names no stages of {count}; give numbers from 0 to {count - 1}")
        return chosen

    def get_classifier(self) -> nn.Module:
        """Return the layer that makes logits of features."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier of so many classes in the place of the one that is there; 0 leaves features."""
        self.num_classes = num_classes
        self._make_head(self._pool_type if global_pool is None else global_pool)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return how timm tells a parameter's depth by its name, for learning rates by layer."""
        last = (99999,)
        if coarse:
            blocks: Any = [(r"^encoder\.(?:stage|embed)(\d+)", None), (r"^encoder\.(?:norm|head)", last)]
        else:  # What lies between two stages comes behind the blocks of the first.
            blocks = [(r"^encoder\.stage(\d+)\.(\d+)", None), (r"^encoder\.embed(\d+)", last)]
            blocks.append((r"^encoder\.(?:norm|head)", last))
        return {"stem": r"^encoder\.stem", "blocks": blocks}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Do nothing: activations of encoders of this size are kept.

        Raises:
            ConfigError: It is asked for.
        """
        if enable:
            raise ConfigError("tinyedge's encoders have no gradient checkpointing; leave it out")

    def no_weight_decay(self) -> set[str]:
        """Name the parameters that are never decayed, beside those of one dimension."""
        return set()


def _feature_info(encoder: Encoder) -> list[dict[str, Any]]:
    """Return timm's description of the map of each stage."""
    pixels = encoder.input_size
    with torch.no_grad(), evaluating(encoder):
        maps = encoder.forward_maps(torch.zeros(1, encoder.channels, pixels, pixels))
    return [
        {"num_chs": one.shape[1], "reduction": round(pixels / one.shape[2]), "module": f"encoder.stage{number}"}
        for number, one in enumerate(maps, 1)
    ]


def _with_classifier(weights: dict[str, torch.Tensor], model: TimmEncoder) -> dict[str, torch.Tensor]:
    """Return what `model` holds of the weights in an encoder's file, and of the classifier that lies beside it.

    Raises:
        ConfigError: The file is of another encoder, or the classifier is of a feature that timm's models do not have.
    """
    if any(name.startswith("encoder.") for name in weights):  # A checkpoint of timm's own training.
        return weights
    loaded = {f"encoder.{name}": value for name, value in weights.items()}
    file = Path(model.pretrained_cfg.get("file", ""))
    described = read_description(file) if file.is_file() else None
    encoder = model.encoder
    if described is not None:
        for what in ("encoder", "strides", "act", "hidden"):
            asked, there = getattr(encoder, "name" if what == "encoder" else what), getattr(described, what)
            if asked != there and what == "encoder":
                raise ConfigError(f"the encoder is {asked}, but {file} is of {there}: create {_variant(there)!r}")
            if asked != there and (what, encoder.name) != ("act", "mobilenetv2_035"):  # Which is ReLU6 by any name.
                raise ConfigError(f"{what} is {asked}, but {file} was trained with {there}; give {what}={there!r}")
    classifier = file.with_name(CLASSIFIER_FILE)
    own = {f"fc.{name}": value.detach() for name, value in model.fc.state_dict().items()}
    if file.is_file() and classifier.is_file() and model.num_classes:
        stored = read_classifier(classifier)
        if stored.weight.shape[1] != model.num_features and len(stored.weight) == model.num_classes:
            again = command_line("tinyedge", "probe", file.parent, "--stages", "4")
            raise ConfigError(
                f"{classifier} takes {stored.weight.shape[1]} features, of several stages, and timm's models have the "
                f"{model.num_features} of the last one: run `{again}`, or give num_classes=0"
            )
        own = {"fc.weight": stored.weight, "fc.bias": stored.bias}
    return loaded | own


def _pretrained_configs() -> dict[str, dict[str, Any]]:
    """Return timm's description of each model of the zoo, under its name and tag."""
    configs = {}
    for name in sorted(zoo_names(), key=len):  # Of an encoder's, the first is what it is without a tag.
        folder = locate(name)
        exported = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        pixels, _, channels = exported["input"]["shape"][1:]
        encoder = exported["encoder"]
        # A classifier of a feature of several stages fits no head of timm's: the model is an encoder there.
        stages = read_classifier(folder / CLASSIFIER_FILE).stages or load_run(folder).config.feature_stages
        classes = exported["classes"] if stages == LAST_STAGE else []
        configs[f"{_PREFIX}{encoder}.{name.removeprefix(f'{encoder}_')}"] = {
            "file": str(folder / ENCODER_FILE),
            "input_size": (channels, pixels, pixels),
            "fixed_input_size": True,
            "crop_pct": 1.0,
            "mean": tuple(exported["preprocessing"]["mean"]),
            "std": tuple(exported["preprocessing"]["std"]),
            "num_classes": len(classes),
            "label_names": tuple(classes) or None,
            "classifier": "fc",
            "license": "apache-2.0",
        }
    return configs


default_cfgs: dict[str, Any] = dict(generate_default_cfgs({**_pretrained_configs()}))


def _variant(encoder: str) -> str:
    return f"{_PREFIX}{encoder}".replace("-", "_").replace(":", "_")


def register(encoder: str) -> str:
    """Let `timm.create_model` build an encoder, also one of your own, as `tinyedge_NAME`; returns that name.

    Args:
        encoder: One of `tinyedge.encoders.registry.encoder_names`.

    Raises:
        ConfigError: There is no such encoder.
    """
    if encoder.partition(":")[0] not in encoder_names():
        raise ConfigError(f"{unknown_name('encoder', encoder, encoder_names())}; one of your own is imported first")
    variant = _variant(encoder)
    if variant not in default_cfgs:
        usual = {"input_size": (3, _USUAL_PIXELS, _USUAL_PIXELS), "fixed_input_size": True, "classifier": "fc"}
        default_cfgs.update(generate_default_cfgs({variant: usual}))

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        model: nn.Module = build_model_with_cfg(
            TimmEncoder,
            variant,
            pretrained,
            feature_cfg={"out_indices": (0, 1, 2, 3), "feature_cls": "getter"},
            pretrained_filter_fn=_with_classifier,
            encoder=encoder,
            **kwargs,
        )
        return model

    create.__name__ = create.__qualname__ = variant
    create.__doc__ = f"Build {encoder} with a classifier."
    register_model(create)
    return variant


for _encoder in ("tinynext_t", "tinynext_s", "mobilenetv2_035"):
    register(_encoder)
