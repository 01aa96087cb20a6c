"""What a finished run is, in a table."""

from rich.console import Console
from rich.table import Table

from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import CHECKPOINT_FILE, CONFIG_FILE, ENCODER_FILE, METRICS_FILE, Run


def print_run(run: Run, console: Console) -> None:
    """Print a line for each file of the run and a table of its last metrics."""
    for name in (CONFIG_FILE, METRICS_FILE, "metrics.csv", CHECKPOINT_FILE, ENCODER_FILE):
        path = run.path / name
        if path.is_file():
            console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True)
    for path in sorted((run.path / "plots").glob("*.png")):
        console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True)
    records = read_metrics(run.path / METRICS_FILE)
    if not records:
        return
    first, last = records[0], records[-1]
    table = Table("metric", f"step {first['step']}", f"step {last['step']}")
    for key, value in last.items():
        if key != "step":
            table.add_row(key, f"{first.get(key, float('nan')):.4g}", f"{value:.4g}")
    console.print(table)
