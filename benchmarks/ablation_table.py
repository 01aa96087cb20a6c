"""What each part of the label-free recipe is worth: three epochs of it with one thing changed at a time.

    python benchmarks/ablation_table.py --cifar10 FOLDER

FOLDER holds train/CLASS/*.jpg. A linear probe of 20 % of the labels is measured on 5,000 train images that no label is
taken from; the test images are not read. Stop it at any time: the next call goes on where this one was. Writes
benchmarks/results/ablation_table.json, of which `result_tables.py` makes the table of docs/recipe.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ssl_table import tinyedge

from tinyedge.atomic import write_json
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import ENCODER_FILE, METRICS_FILE

RESULTS = Path(__file__).parent / "results" / "ablation_table.json"
HELD_OUT = 5000
LABELS = 0.2
STAGES = "1,2,3,4"
_SHARED = ("--strides", "2,1,2,2,2", "--epochs", "3", "--view-sizes", "16,16,16,24,32", "--batch-size", "256")
_RECIPE = {
    "cached_views": "2",
    "distilled_views": "2",
    "multi_scale_weight": "0",
    "similarity_weight": "1",
    "queue_size": "4096",
}


def _best(*arguments: str, **changes: str) -> tuple[str, ...]:
    options = (f"--option={key}={value}" for key, value in {**_RECIPE, **changes}.items())
    return ("--method", "best", "--teacher", "patches:4096", *options, *arguments)


# Folder of the run -> what is changed, and the arguments of `tinyedge train`.
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "queue4096": ("the recipe", _best()),
    "no_vicreg": ("without VICReg", _best(vicreg_weight="0")),
    "no_teacher": ("without the teacher: VICReg alone", ("--method", "vicreg")),
    "stages": ("trained with the feature of stages 1 to 4", _best("--feature-stages", STAGES)),
    "no_relational": ("without the queue", _best(relational_weight="0")),
    "queue16384": ("a queue of 16,384 in place of 4,096", _best(queue_size="16384")),
    "no_similarity": ("without the cosines within a batch", _best(similarity_weight="0")),
}


def measured(run: Path) -> dict[str, Any] | None:
    """Return what is known of a finished run, None where one of its two probes is missing."""
    path = run / "probe.json"
    records: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    means = {
        tuple(record["stages"]): record["mean"]
        for record in records
        if (record["split"], record["label_fraction"], record["protocol"]) == ("held-out", LABELS, "linear")
    }
    last, wide = means.get((4,)), means.get((1, 2, 3, 4))
    if last is None or wide is None:
        return None
    return {
        "last_stage": last,
        "all_stages": wide,
        "core_seconds": round(read_metrics(run / METRICS_FILE)[-1]["cpu_s"]),
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the table of what was measured."""
    lines = ["| | stage 4 | stages 1 to 4 | core-seconds |", "|---|---|---|---|"]
    for name, (changed, _) in VARIANTS.items():
        if name in results["runs"]:
            row = results["runs"][name]
            figures = f"{100 * row['last_stage']:.1f} | {100 * row['all_stages']:.1f} | {row['core_seconds']:,}"
            lines.append(f"| {changed} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and probe what is not done, and write the results after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="where the runs are kept")
    parser.add_argument("--only", nargs="+", choices=sorted(VARIANTS), help="names of runs")
    options = parser.parse_args()
    for name in options.only or VARIANTS:
        run = options.out / name
        if not (run / ENCODER_FILE).is_file():
            resumed = ["--resume"] if (run / "config.yaml").is_file() else []
            arguments = [*_SHARED, *VARIANTS[name][1], "--data", options.cifar10, "--out", run, *resumed]
            tinyedge("train", *arguments)
        for stages in ("4", STAGES) if measured(run) is None else ():
            held = ["--hold-out", HELD_OUT, "--labels", LABELS, "--seeds", 1, "--stages", stages, "--no-plots"]
            tinyedge("probe", run, "--data", options.cifar10, *held)
        results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"schema": 1, "runs": {}}
        results["runs"][name] = measured(run)
        write_json(RESULTS, results)
    print(markdown(results))


if __name__ == "__main__":
    main()
