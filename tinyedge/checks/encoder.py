"""An encoder before any training: folded, traced and quantised as its export will be, then checked like any model.

Sizes, layers and operators of a deployed encoder do not depend on what it learned, so random weights and made-up ranges
give the same arena and, but for a few constants that happen to be equal, the same flash.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tinyedge.benchmark.budget import PARAMETER_LIMIT
from tinyedge.boards.board import Board
from tinyedge.checks.budgets import parameters_fit
from tinyedge.checks.check import SCHEMA, CheckReport, check_model
from tinyedge.checks.trace import trace
from tinyedge.conversion.fold import Deployable, fold_classifier, fold_encoder
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.flops import count_macs
from tinyedge.encoders.registry import count_parameters, create_encoder
from tinyedge.errors import ConfigError
from tinyedge.quantisation.quantise import quantise
from tinyedge.tflite.writer import tflite_bytes

_RANGE = (-6.0, 6.0)


@dataclass(frozen=True)
class EncoderReport:
    """What is to be known of an encoder before it is trained.

    Attributes:
        encoder: Its name in the registry.
        input_size: H = W of its images, in pixels.
        strides: Those that it was built with.
        act: The activation of its MLPs.
        parameters: Of the encoder while it trains: batch norms counted, a classifier not.
        macs: Of the encoder while it trains.
        diagnostic: Why the export refuses it; None if it does not.
        deployed: What becomes of it on a board; None where the export refuses it.
    """

    encoder: str
    input_size: int
    strides: tuple[int, ...]
    act: str
    parameters: int
    macs: int
    diagnostic: str | None
    deployed: CheckReport | None

    def failure(self) -> str | None:
        """Say in one sentence why the encoder cannot be deployed; None if it can."""
        if self.diagnostic is not None:
            return self.diagnostic
        if not parameters_fit(self.parameters):
            return (
                f"{self.encoder} has {self.parameters:,} parameters and the budget is under {PARAMETER_LIMIT:,}: "
                "choose a smaller encoder"
            )
        failure = None if self.deployed is None else self.deployed.failure()
        return None if failure is None else f"{failure}, or give --strides more of 2"

    def to_json(self) -> dict[str, Any]:
        """As the documented JSON object: that of a model, and `encoder`."""
        own = {
            "name": self.encoder,
            "input_size": self.input_size,
            "strides": list(self.strides),
            "act": self.act,
            "params": self.parameters,
            "params_limit": PARAMETER_LIMIT,
            "macs": self.macs,
        }
        deployed = {"schema": SCHEMA} if self.deployed is None else self.deployed.to_json()
        return {**deployed, "encoder": own, "failure": self.failure()}


def check_encoder(
    name: str,
    boards: Sequence[Board],
    *,
    input_size: int,
    channels: int = 3,
    strides: tuple[int, ...] | None = None,
    act: str = "relu",
    classes: int | None = None,
) -> EncoderReport:
    """Check an encoder that nobody has trained.

    Args:
        name: One of `tinyedge.encoders.registry.encoder_names()`.
        boards: What it might be deployed on.
        input_size: H = W of its images, in pixels.
        channels: As for `create_encoder`.
        strides: As for `create_encoder`.
        act: As for `create_encoder`.
        classes: Of a linear classifier behind it; None leaves the feature as the output.

    Raises:
        ConfigError: There is no such encoder, or not with these options.
    """
    encoder = create_encoder(
        name, input_size=input_size, strides=strides, act=act, channels=channels, enforce_budget=False
    ).eval()
    diagnostic, deployable = None, None
    try:
        deployable = _fold(encoder, classes)
    except ConfigError as error:
        diagnostic = str(error)
    return EncoderReport(
        encoder=name,
        input_size=input_size,
        strides=encoder.strides,
        act=act,
        parameters=count_parameters(encoder),
        macs=count_macs(encoder),
        diagnostic=diagnostic,
        deployed=None if deployable is None else _check_deployable(deployable, encoder, boards),
    )


def _fold(encoder: Encoder, classes: int | None) -> Deployable:
    if classes is None:
        return fold_encoder(encoder)
    return fold_classifier(encoder, torch.zeros(classes, encoder.feature_dim), torch.zeros(classes))


def _check_deployable(network: Deployable, encoder: Encoder, boards: Sequence[Board]) -> CheckReport:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data.normal_(generator=generator)  # Equal constants are stored once; trained ones are not equal.
    graph = trace(network, encoder.input_size, encoder.name, encoder.channels)
    activations = [*graph.inputs, *(operator.output for operator in graph.operators)]
    model = tflite_bytes(quantise(graph, dict.fromkeys(activations, _RANGE)))
    with tempfile.TemporaryDirectory(prefix="tinyedge-check-") as folder:
        path = Path(folder) / f"{encoder.name}.tflite"
        path.write_bytes(model)
        return dataclasses.replace(check_model(path, boards), model=encoder.name)
