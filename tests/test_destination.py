import os

import pytest

from tinyedge.destination import check_file, check_folder
from tinyedge.errors import ConfigError


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "old.npy").write_bytes(b"old")
    for folder in (tmp_path, tmp_path / "there", tmp_path / "a" / "b"):
        check_folder(folder, "give another")
    for file in ("old.npy", "new.npy", "a/b/new.npy", "there/new.npy"):
        check_file(tmp_path / file, "--outputs")
    assert sorted(os.listdir(tmp_path)) == ["old.npy", "there"]
    assert os.listdir(tmp_path / "there") == []


@pytest.mark.parametrize("name", ["old.npy", "old.npy/deeper", "dangling", "long" * 100])
def test_what_cannot_be_a_folder_is_refused(tmp_path, name):
    (tmp_path / "old.npy").write_bytes(b"old")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"(is a file|is no folder|File name too long).*: give another$"):
        check_folder(tmp_path / name, "give another")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        check_folder(tmp_path / "locked" / "out", "give another")


def test_a_file_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder: .* to --plan"):
        check_file(tmp_path, "--plan")
