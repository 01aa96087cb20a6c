"""`tinyedge.probe`: how good a run's encoder is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.evaluation.protocols import check_protocol
from tinyedge.installation import missing_packages_told
from tinyedge.training.run import Run, claimed_run, load_run

if TYPE_CHECKING:
    from tinyedge.evaluation.probe import ProbeResult


@missing_packages_told()
def probe(
    run: Run | Path | str,
    *,
    labels: float = 1.0,
    protocol: str = "linear",
    seeds: int = 3,
    epochs: int | None = None,
    stages: Sequence[int] | None = None,
    hold_out: int = 0,
    data: str | None = None,
    plots: bool = True,
    announce: Callable[[str], None] = silent,
) -> "ProbeResult":
    """Measure top-1 accuracy on the test split, with the encoder frozen unless it is fine-tuned.

    The record is added to `probe.json` of the run; after a linear probe on the test split of stages that end with 4
    `probe.safetensors` holds the classifier that `export` takes, and says these stages; one that was trained with the
    encoder stays there.

    Args:
        run: What `train` returned, its directory, or a model of the zoo, of which a copy is made in the current folder.
        labels: Share of the train labels, class by class, in (0, 1].
        protocol: `linear` (Newton-CG), `linear-sgd`, `knn` (k=20 cosine and k=1 Euclidean),
            `finetune`, or `own`, the classifier that `finetune` or the method `supervised` trained.
        seeds: Label subsets to average over; all labels are one, which `linear` and `knn` probe once.
        epochs: Passes over the labelled images, for `linear-sgd` and `finetune`; None is 100.
        stages: Ascending, of 1 to 4: the stages whose pooled maps are put side by side; None is the encoder's own
            feature, stage 4 unless it was trained with others.
        hold_out: Train images that are measured in place of the test split and never labelled, to choose options.
        data: Data set in place of the run's own, which may lie elsewhere on this machine.
        plots: Whether a linear probe draws the embedding and the confusion matrix.
        announce: Called with the name of each step when it begins.

    Raises:
        DataError: The data set lacks labels, a test split or a second class, or a class has too few labels.
        CheckpointError: The run has no encoder, or its files are corrupt.
        ConfigError: An unknown protocol, a fraction, count or stage out of range, or images held out of a run that
            learned from labels.
    """
    check_protocol(labels, protocol, seeds, epochs, None if stages is None else tuple(stages))
    name = run.path if isinstance(run, Run) else Path(run)
    found = load_run(name, data)
    found.check_trained()
    found.check_dataset()
    with claimed_run(found, name) as own:
        announce("loading PyTorch")
        from tinyedge.evaluation.probe import probe_run

        return probe_run(
            own,
            label_fraction=labels,
            protocol=protocol,
            seeds=seeds,
            epochs=epochs,
            stages=stages,
            hold_out=hold_out,
            plots=plots,
            announce=announce,
        )
