"""Counts as people write them: 1 image, 2 images."""


def counted(count: float, noun: str) -> str:
    """Return a count with its noun, in the plural where it is not one: "1 epoch", "50,000 images", "0.5 epochs".

    Args:
        count: Whole, or shown with at most six digits.
        noun: In the singular; its plural takes an s, or es behind s and x.
    """
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun if count == 1 else noun + ending}"
