"""The options --kernels-in and --weights-in of the commands that build images."""

import typer

KERNELS_IN = typer.Option(
    "flash", "--kernels-in", help="What the kernels run from: flash, or ram on a board with memory for code."
)
WEIGHTS_IN = typer.Option("flash", "--weights-in", help="What the model's constants are read from: flash or ram.")
