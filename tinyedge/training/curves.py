"""The pictures of a run's log."""

from tinyedge.plots.plots import plot_training
from tinyedge.plots.png import pictures_of
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import METRICS_FILE, Run


def draw_curves(run: Run) -> None:
    """Draw what a run has logged into its `plots`, or log why not: it is whole without them.

    Args:
        run: One that is trained; where its method takes no steps there is nothing to draw.
    """
    with pictures_of("the run"):
        plot_training(read_metrics(run.path / METRICS_FILE), run.path / "plots")
