"""The ways to judge an encoder by name, and which numbers they take; free of torch."""

from tinyedge.errors import ConfigError

OWN = "own"
PROTOCOLS = ("linear", "linear-sgd", "knn", "finetune", OWN)
TRAINED_PROTOCOLS = ("linear-sgd", "finetune")  # These take passes over images; the others work on features alone.
DEFAULT_EPOCHS = 100
LAST_STAGE = (4,)  # Of records that name none.
SMALLEST_DETECTION_IMAGE = 64  # pixels


def check_protocol(
    label_fraction: float, protocol: str, seeds: int, epochs: int | None, stages: tuple[int, ...] | None
) -> None:
    """Refuse a probe that makes no sense; see `tinyedge.evaluation.probe.probe_run` for the arguments.

    Raises:
        ConfigError: An unknown protocol, or a fraction, count or stage out of range.
    """
    if protocol not in PROTOCOLS:
        known = f"{', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}"
        raise ConfigError(f"unknown protocol {protocol!r}: use --protocol {known}")
    if not 0 < label_fraction <= 1:
        raise ConfigError(f"--labels is above 0 and at most 1, not {label_fraction}: 0.2 means 20 % of the labels")
    if seeds < 1:
        raise ConfigError(f"--seeds is at least 1, not {seeds}: 3 is usual")
    if epochs is not None and protocol not in TRAINED_PROTOCOLS:
        raise ConfigError(f"--epochs has no meaning for --protocol {protocol}: leave it out or use linear-sgd")
    if epochs is not None and epochs < 1:
        raise ConfigError(f"--epochs is at least 1, not {epochs}: {DEFAULT_EPOCHS} is usual")
    if stages is not None and (not stages or sorted(set(stages)) != list(stages) or not set(stages) <= {1, 2, 3, 4}):
        given = ",".join(map(str, stages))
        raise ConfigError(f"--stages {given!r} is no ascending choice of 1, 2, 3 and 4: 1,2,3,4 is usual")
    if protocol == OWN and label_fraction != 1:
        raise ConfigError("--labels has no meaning for --protocol own: the run's own classifier is measured as it is")
    if protocol in ("finetune", OWN) and stages is not None:
        raise ConfigError(f"--protocol {protocol} has no --stages: leave them out or use --protocol linear")


def check_detection(epochs: int, image_size: int, seeds: int) -> None:
    """Refuse a detector that cannot be trained; see `tinyedge.evaluation.detection.detect_run` for the arguments.

    Raises:
        ConfigError: A number out of range.
    """
    for option, value, least, usual in (
        ("--epochs", epochs, 1, 60),
        ("--seeds", seeds, 1, 3),
        ("--image-size", image_size, SMALLEST_DETECTION_IMAGE, 160),
    ):
        if value < least:
            raise ConfigError(f"{option} is at least {least}, not {value}: {usual} is usual")
