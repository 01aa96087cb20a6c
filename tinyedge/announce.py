"""Steps of long work, told to whoever wants to show them."""


def silent(step: str) -> None:
    """Announce a step to nobody."""
