import pytest

from tinyedge.plural import counted


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (1, "epoch", "1 epoch"),
        (1.0, "epoch", "1 epoch"),
        (0, "image", "0 images"),
        (50_000, "image", "50,000 images"),
        (0.25, "epoch", "0.25 epochs"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
        (3, "box", "3 boxes"),
        (2, "test image", "2 test images"),
    ],
)
def test_one_is_singular_and_all_else_is_not(count, noun, said):
    assert counted(count, noun) == said
