"""What a finished run is, in a table."""

from rich.console import Console
from rich.table import Table

from tinyedge.encoders.flops import count_macs
from tinyedge.encoders.registry import count_parameters
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import BRANCHES, CHECKPOINT_FILE, CONFIG_FILE, ENCODER_FILE, METRICS_FILE, Run, load_run


def print_run(run: Run, console: Console) -> None:
    """Print a line for each file of the run, what its encoders cost, and a table of its last metrics."""
    for name in (CONFIG_FILE, METRICS_FILE, "metrics.csv", CHECKPOINT_FILE, ENCODER_FILE):
        path = run.path / name
        if path.is_file():
            console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True)
    for path in sorted((run.path / "plots").glob("*.png")):
        console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True)
    for path in (run.path, *sorted((run.path / BRANCHES).glob("*"))):
        encoder = load_run(path).load_encoder()
        cost = f"{count_parameters(encoder):,} parameters, {count_macs(encoder):,} multiply-accumulates an image"
        console.print(f"{path}  {encoder.name}: {cost}", highlight=False, soft_wrap=True)
    records = read_metrics(run.path / METRICS_FILE)
    if not records:
        return
    first, last = records[0], records[-1]
    table = Table("metric", f"step {first['step']}", f"step {last['step']}")
    for key, value in last.items():
        if key != "step":
            table.add_row(key, f"{first.get(key, float('nan')):.4g}", f"{value:.4g}")
    console.print(table)
