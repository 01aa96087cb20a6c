"""Model cards with the metadata block that the Hugging Face hub reads: a README.md that begins with YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Registered data set -> the repository of it on the hub.
_DATASETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100", "tiny-imagenet": "zh-plus/tiny-imagenet"}
_TAGS = ("tinyml", "microcontroller", "cortex-m", "int8", "tflite")


@dataclass(frozen=True)
class Accuracy:
    """What was measured of a model on test images.

    Attributes:
        what: Of which classifier, as the card says it.
        value: In [0, 1].
    """

    what: str
    value: float


def metadata(
    name: str,
    *,
    data: str,
    data_name: str,
    classifies: bool,
    learned_from_labels: bool,
    accuracies: Sequence[Accuracy],
    licence: str | None,
) -> dict[str, Any]:
    """Return the metadata of a card, as `huggingface_hub.ModelCardData` takes it.

    Args:
        name: Of the model.
        data: Of the images, the registered name or the folder's.
        data_name: The same for people.
        classifies: Whether it gives classes; else it gives features.
        learned_from_labels: Whether the encoder saw labels.
        accuracies: On the test images; without one the card has no results.
        licence: As the hub calls it, such as "apache-2.0"; None leaves it out.
    """
    values: dict[str, Any] = {} if licence is None else {"license": licence.lower()}
    values["library_name"] = "tinyedge"
    values["pipeline_tag"] = "image-classification" if classifies else "image-feature-extraction"
    values["tags"] = [*_TAGS, *([] if learned_from_labels else ["self-supervised"])]
    if data in _DATASETS:
        values["datasets"] = [_DATASETS[data]]
    if accuracies:
        values["metrics"] = ["accuracy"]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"type": data, "name": data_name, "split": "test"},
            "metrics": [
                {"type": "accuracy", "value": round(accuracy.value, 4), "name": accuracy.what}
                for accuracy in accuracies
            ],
        }
        values["model-index"] = [{"name": name, "results": [result]}]
    return values


def metadata_block(values: dict[str, Any]) -> str:
    """Return metadata as the first lines of a card, the lines with dashes around it included."""
    import yaml

    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of two columns without names; a bar in a cell, as in the name of a class, is no end of it."""
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in cells)])
