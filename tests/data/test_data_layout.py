"""Folders as people have them. The files need no pixels here: the layout is a matter of their names."""

from pathlib import Path

import pytest

from tinyedge.data.layout import Layout, list_folder, list_images
from tinyedge.errors import DataError


def _make(root: Path, **counts: int) -> Path:
    """So many images in each folder; a double underscore in a name is a slash, `here` is the root."""
    for name, count in counts.items():
        folder = root if name == "here" else root / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (folder / f"{index:03}.jpg").touch()
    return root


def _counts(layout: Layout) -> tuple[dict[str | None, int], dict[str | None, int]]:
    """Images of each class in both splits."""
    found: list[dict[str | None, int]] = []
    for listing in (layout.train, layout.test):
        names = [] if listing is None else listing.class_names or [None] * len(listing.files)
        found.append({name: names.count(name) for name in dict.fromkeys(names)})
    return found[0], found[1]


def test_class_folders_are_split_class_by_class(tmp_path):
    layout = list_folder(_make(tmp_path, cat=20, dog=10, eel=3))
    assert layout.classes == ("cat", "dog", "eel")
    assert _counts(layout) == ({"cat": 16, "dog": 8, "eel": 2}, {"cat": 4, "dog": 2, "eel": 1})
    assert not set(layout.train.files) & set(layout.test.files)
    assert layout.held_out.startswith("20% of each class by seed 0: 7 images, sha256 ")


def test_a_train_folder_of_classes_alone_is_split_too(tmp_path):
    layout = list_folder(_make(tmp_path, train__cat=10, train__dog=5))
    assert _counts(layout) == ({"cat": 8, "dog": 4}, {"cat": 2, "dog": 1})


def test_a_test_split_of_its_own_is_left_as_it_is(tmp_path):
    layout = list_folder(_make(tmp_path, Train__cat=10, Train__dog=5, TEST__cat=2, TEST__dog=9))
    assert _counts(layout) == ({"cat": 10, "dog": 5}, {"cat": 2, "dog": 9})
    assert layout.held_out is None


def test_the_split_is_of_the_files_not_of_their_place_or_order(tmp_path, monkeypatch):
    here, there = _make(tmp_path / "here", cat=50, dog=50), _make(tmp_path / "there" / "copy", cat=50, dog=50)
    first = list_folder(here)
    monkeypatch.chdir(tmp_path)
    for root in (there, tmp_path / "there", Path("here")):
        again = list_folder(root)
        assert again.held_out == first.held_out
        assert [path.parts[-2:] for path in again.test.files] == [path.parts[-2:] for path in first.test.files]


def test_a_file_more_moves_at_most_one_other(tmp_path):
    before = set(list_folder(_make(tmp_path, cat=52, dog=50)).test.files)
    (tmp_path / "cat" / "new.jpg").touch()
    layout = list_folder(tmp_path)
    assert len(before ^ set(layout.test.files)) <= 2
    assert layout.held_out != list_folder(_make(tmp_path / "other", cat=52, dog=50)).held_out


def test_two_images_of_a_class_are_both_to_learn_from(tmp_path):
    assert _counts(list_folder(_make(tmp_path, cat=2, dog=8))) == ({"cat": 2, "dog": 6}, {"dog": 2})
    assert list_folder(_make(tmp_path / "few", cat=2, dog=1)).test is None


@pytest.mark.parametrize("spelling", ["unlabelled", "Unlabeled"])
@pytest.mark.parametrize("labelled", ["train__{}", "{}", "labelled__{}"])
def test_unlabelled_images_are_trained_on_beside_the_classes(tmp_path, spelling, labelled):
    folders = {labelled.format(name): 5 for name in ("cat", "dog")}
    layout = list_folder(_make(tmp_path, **folders, **{spelling: 7, f"{spelling}__2024": 2, "here": 3}))
    assert layout.classes == ("cat", "dog")
    assert _counts(layout) == ({None: 12, "cat": 4, "dog": 4}, {"cat": 1, "dog": 1})
    assert layout.train.files == sorted(layout.train.files)


def test_unlabelled_images_beside_both_splits(tmp_path):
    folders = {"train__cat": 5, "train__dog": 4, "test__cat": 3, "test__dog": 2}
    layout = list_folder(_make(tmp_path, unlabelled=100, **folders))
    assert _counts(layout) == ({None: 100, "cat": 5, "dog": 4}, {"cat": 3, "dog": 2})


@pytest.mark.parametrize(
    "folders",
    [
        {"here": 5},
        {"unlabelled": 5},
        {"photos": 5},
        {"here": 3, "photos": 2},
        {"archive__photos__may": 5},
        {"train": 5},
        {"unlabelled": 2, "photos": 3},
    ],
)
def test_images_that_nothing_tells_apart_are_unlabelled(tmp_path, folders):
    layout = list_folder(_make(tmp_path, **folders))
    assert (len(layout.train.files), layout.train.class_names, layout.test) == (5, None, None)
    assert layout.classes == ()


@pytest.mark.parametrize("inner", ["", "train__"])
def test_a_folder_that_holds_all_is_gone_through(tmp_path, inner):
    folders = {f"Kaggle download__pets v2__{inner}{name}": 5 for name in ("größe", "a b")}
    assert list_folder(_make(tmp_path, **folders, __MACOSX=1)).classes == ("a b", "größe")


def test_nested_folders_belong_to_the_first_of_the_way(tmp_path):
    layout = list_folder(_make(tmp_path, cat__2023=3, cat__2024=2, dog=5))
    assert _counts(layout) == ({"cat": 4, "dog": 4}, {"cat": 1, "dog": 1})


def test_a_refusal_says_what_a_set_looks_like(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no image in .*a folder for each class, or train/CLASS and test/CLASS"):
        list_folder(tmp_path)
    with pytest.raises(DataError, match=r"move them into class folders, or into .*unlabelled"):
        list_folder(_make(tmp_path, train__cat=2, train=1))


def test_two_folders_of_one_split_are_refused(tmp_path):
    with pytest.raises(DataError, match="both labelled/ and train/: leave one train/"):
        list_folder(_make(tmp_path, train__cat=2, labelled__cat=1))


def test_links_that_lead_back_are_not_followed_round_and_round(tmp_path):
    root = _make(tmp_path / "pets", cat=5, dog__puppies=5)
    (root / "cat" / "all").symlink_to(root)
    (root / "dog" / "up").symlink_to(root / "dog")
    (root / "dog" / "same").symlink_to(root / "cat")  # Leads elsewhere, and once more to all.
    layout = list_folder(root)
    assert layout.classes == ("cat", "dog")
    names = [path.relative_to(root).as_posix() for path in layout.train.files + layout.test.files]
    assert len(names) == len(set(names)) == 15


@pytest.mark.parametrize("below", ["", "train"])
def test_classes_may_be_links_to_what_another_class_holds(tmp_path, below):
    root = _make(tmp_path / "pets" / below, cats__tabby=5, dogs=5)
    (root / "tabby").symlink_to(root / "cats" / "tabby")
    (root / "hounds").symlink_to(root / "dogs")
    assert list_folder(tmp_path / "pets").classes == ("cats", "dogs", "hounds", "tabby")


def test_a_folder_above_the_working_directory_is_listed_whole(tmp_path, monkeypatch):
    root = _make(tmp_path / "pets", cats__tabby=5, dogs=5)
    monkeypatch.chdir(root / "cats" / "tabby")
    assert len(list_images(Path("../.."))) == 10


def test_a_folder_that_holds_a_link_to_itself_alone_holds_no_image(tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "pets").symlink_to(tmp_path / "pets")
    with pytest.raises(DataError, match="no image in"):
        list_folder(tmp_path / "pets")


def test_folders_that_all_link_to_each_other_are_listed_once(tmp_path):
    """Followed along every path, twelve of them would be 10^9."""
    for name in "abcdefghijkl":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").touch()
        for other in "abcdefghijkl":
            (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
    assert list_images(tmp_path) == [tmp_path / name / f"{name}.png" for name in "abcdefghijkl"]
    by_links = [tmp_path / "b" / f"to_{name}" / f"{name}.png" for name in "acdefghijkl"]
    assert list_images(tmp_path / "b") == [tmp_path / "b" / "b.png", *by_links]
