"""The option --optimize of the commands that compile."""

import typer

OPTIMIZE = typer.Option(
    "balanced",
    help="What kernels are chosen for: balanced; speed, for more flash and up to a quarter more RAM; size.",
)
