import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinyedge.atomic import atomic_directory, atomic_path, write_json, write_text
from tinyedge.errors import TinyEdgeError


def test_text_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "first")
    write_text(path, "second")
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["b.txt"]


def test_an_error_inside_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "b.txt"
    write_text(path, "old")
    with pytest.raises(ValueError, match="half"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ValueError("half")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["b.txt"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "b.txt"
    write_text(path, "old")
    with pytest.raises(TinyEdgeError, match="No space left on device"), atomic_path(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["b.txt"]


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TinyEdgeError, match="cannot write"):
        write_text(tmp_path / "file" / "b.txt", "")


def test_json_refuses_what_no_reader_could_parse(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


def test_a_directory_is_replaced_whole(tmp_path):
    path = tmp_path / "out"
    with atomic_directory(path) as temporary:
        (temporary / "old.c").write_text("")
    with atomic_directory(path) as temporary:
        (temporary / "new.c").write_text("")
    assert os.listdir(path) == ["new.c"]
    with pytest.raises(ValueError, match="half"), atomic_directory(path) as temporary:
        (temporary / "half.c").write_text("")
        raise ValueError("half")
    assert os.listdir(path) == ["new.c"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_directory_is_replaced_where_the_system_can_exchange_names_and_where_not(tmp_path, monkeypatch, exchanges):
    renamed = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *paths: renamed.append(paths) or replace(*paths))
    if not exchanges:
        monkeypatch.setattr("tinyedge.atomic._exchange", lambda *_: False)
    path = tmp_path / "out"
    for name in ("old.c", "new.c"):
        with atomic_directory(path) as temporary:
            (temporary / name).write_text("")
    assert os.listdir(path) == ["new.c"]
    assert os.listdir(tmp_path) == ["out"]
    # The first time there was nothing to step aside.
    assert len(renamed) == (1 if exchanges and sys.platform == "linux" else 3)


def test_a_directory_that_lost_its_name_gets_it_back(tmp_path):
    """As of a process that was killed after it had put the old one aside."""
    path, former = tmp_path / "o[u]t", tmp_path / ".o[u]t.x1y2.former"
    former.mkdir()
    (former / "old.c").write_text("")
    with pytest.raises(ValueError, match="half"), atomic_directory(path):
        assert os.listdir(path) == ["old.c"]
        raise ValueError("half")
    assert os.listdir(path) == ["old.c"]
    assert os.listdir(tmp_path) == ["o[u]t"]


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path):
    path = tmp_path / "out"
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tinyedge.atomic import atomic_directory\n"
        "with atomic_directory(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half.c').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", program, path], check=False).returncode == -signal.SIGKILL
    old, young = sorted(tmp_path.iterdir())
    mine = [tmp_path / name for name in (".out.original", ".out.my-notes.tinyedge", ".out.original.bak.tinyedge")]
    for folder in mine:
        folder.mkdir()
    with atomic_directory(path) as running:
        for folder in (old, *mine, running):
            os.utime(folder, (0, 0))
        with atomic_directory(path) as temporary:
            assert sorted(tmp_path.iterdir()) == sorted((young, *mine, running, temporary))


def test_a_directory_behind_a_link_is_replaced_there(tmp_path):
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "disk" / "out" / "old.c").write_text("")
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "disk" / "out")
    with atomic_directory(link) as temporary:
        (temporary / "new.c").write_text("")
    assert link.is_symlink()
    assert os.listdir(link) == ["new.c"]
    assert sorted(os.listdir(tmp_path)) == ["disk", "out"]
    assert os.listdir(tmp_path / "disk") == ["out"]


def test_a_file_is_not_replaced_by_a_directory(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(TinyEdgeError, match="is no folder"), atomic_directory(tmp_path / "out"):
        pass
    assert (tmp_path / "out").read_text() == "mine"
