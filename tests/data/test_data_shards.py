import hashlib
import io
import json
import tarfile
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from tinyedge.data.dataset import labelled_splits
from tinyedge.data.registry import load_dataset
from tinyedge.data.shards import ShardStream, _files_of, load_shard_sample, open_shards
from tinyedge.errors import ConfigError, DataError

pytest.importorskip("webdataset")
SIZE = 16


def png(number: int) -> bytes:
    """An image whose first pixel is its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    pixels[0, 0] = number % 256, number // 256, 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def write_shard(path, contents: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Five shards of 14 to 18 images, with texts beside them, numbered through."""
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    number = 0
    for shard in range(5):
        contents = {}
        for _ in range(14 + shard):
            contents |= {f"{number:05}.txt": b"caption", f"{number:05}.png": png(number)}
            number += 1
        write_shard(tmp_path / f"part-{shard}.tar", contents)
    return f"{tmp_path}/part-{{0..4}}.tar"


def numbers(batches: list[torch.Tensor]) -> list[list[int]]:
    return [(batch[:, 0, 0, 0].int() + 256 * batch[:, 1, 0, 0].int()).tolist() for batch in batches]


def flat(batches: list[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


def first(stream: ShardStream, count: int, from_step: int = 0) -> list[torch.Tensor]:
    return list(islice(stream.batches(from_step), count))


def test_images_are_counted_and_the_count_is_kept(shards):
    opened = open_shards(shards)
    assert opened.images == (14, 15, 16, 17, 18)
    assert len(opened) == 80
    assert open_shards(shards) == opened


@pytest.mark.parametrize(
    "names",
    [
        [f"./{n:04}.png" for n in range(20)],
        [f"v1.0/{n:04}.png" for n in range(20)],
        [f"./set.2/{folder}/{n}.small.PNG" for folder in "ab" for n in range(10)],
        [f"{n:04}.{suffix}" for n in range(20) for suffix in ("cls", "png")],
        ["__meta__/a.png", ".hidden.png", *(f"{n:04}.png" for n in range(20))],
    ],
)
def test_images_are_counted_as_they_are_read(tmp_path, monkeypatch, names):
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    shard = tmp_path / "x.tar"
    write_shard(shard, {name: png(n) for n, name in enumerate(names)})
    assert len(open_shards(str(shard))) == len(load_shard_sample(str(shard), SIZE).train) == 20


def test_a_count_by_the_former_rule_is_not_taken(shards, tmp_path):
    file = tmp_path / "part-0.tar"
    key = f"{file.absolute()} {file.stat().st_size} {file.stat().st_mtime_ns}"
    stored = tmp_path / "cache" / "shards" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps({"shard": key, "images": 1}))
    assert open_shards(shards).images[0] == 14


def test_an_epoch_shows_each_image_once_and_decodes_it_exactly(shards):
    stream = ShardStream(open_shards(shards), SIZE, 8, seed=0, rank=0, world_size=1)
    assert stream.steps_per_epoch == 10
    batches = first(stream, 20)
    assert all(batch.shape == (8, 3, SIZE, SIZE) and batch.dtype == torch.uint8 for batch in batches)
    shown = numbers(batches)
    orders = [flat(shown[:10]), flat(shown[10:])]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(80))
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])
    with Image.open(io.BytesIO(png(orders[0][3]))) as image:
        assert np.array_equal(batches[0][3].permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize("step", [1, 9, 10, 13])
def test_a_stream_goes_on_where_it_was_stopped(shards, step):
    opened = open_shards(shards)
    whole = first(ShardStream(opened, SIZE, 8, 3, 0, 1), 16)
    resumed = first(ShardStream(opened, SIZE, 8, 3, 0, 1), 16 - step, from_step=step)
    assert all(torch.equal(a, b) for a, b in zip(whole[step:], resumed, strict=True))
    other_seed = first(ShardStream(opened, SIZE, 8, 4, 0, 1), 1)
    assert not torch.equal(whole[0], other_seed[0])


def test_two_ranks_see_different_images_and_as_many_steps(shards):
    opened = open_shards(shards)
    streams = [ShardStream(opened, SIZE, 4, 0, rank, 2) for rank in range(2)]
    assert {stream.steps_per_epoch for stream in streams} == {10}
    # The rank of two shards has 30 to 35 of the 40 places, so 7 batches hold no image twice.
    shown = [flat(numbers(first(stream, 7))) for stream in streams]
    assert not set(shown[0]) & set(shown[1])
    assert all(len(set(own)) == len(own) == 28 for own in shown)
    epoch = [flat(numbers(first(stream, 10))) for stream in streams]
    assert not set(epoch[0]) & set(epoch[1])  # a rank that is short repeats its own


def test_a_broken_image_leaves_its_place_to_another(shards, tmp_path):
    write_shard(tmp_path / "part-2.tar", {f"{n:05}.png": png(n) if n != 40 else b"no image" for n in range(29, 45)})
    opened = open_shards(shards)
    stream = ShardStream(opened, SIZE, 8, 0, 0, 1)
    shown = numbers(first(stream, 10))
    assert (stream.broken, stream.seen) == (1, 80)
    whole = flat(shown)
    assert set(whole) == set(range(80)) - {40}
    batch = next(batch for batch in shown if len(set(batch)) == 7)
    assert max(batch.count(number) for number in batch) == 2
    resumed = ShardStream(opened, SIZE, 8, 0, 0, 1)
    assert numbers(first(resumed, 3, from_step=7)) == shown[7:]


def test_shards_that_are_all_broken_stop_the_stream(shards, tmp_path):
    for shard in range(5):
        write_shard(tmp_path / f"part-{shard}.tar", {f"{n}.jpg": b"\xff\xd8 no image" for n in range(8)})
    with pytest.raises(DataError, match=r"8 of 8 images in .* are broken"):
        first(ShardStream(open_shards(shards), SIZE, 8, 0, 0, 1), 1)
    with pytest.raises(DataError, match="can be decoded"):
        load_shard_sample(shards, SIZE)


def test_shards_that_are_missing_truncated_or_empty(shards, tmp_path):
    with pytest.raises(DataError, match=r"part-5\.tar does not exist \(2 of 7 shards"):
        open_shards(shards.replace("0..4", "0..6"))
    content = (tmp_path / "part-1.tar").read_bytes()
    (tmp_path / "part-1.tar").write_bytes(content[: len(content) // 2 + 100])
    with pytest.raises(DataError, match=r"part-1\.tar"):
        first(ShardStream(open_shards(shards), SIZE, 8, 0, 0, 1), 10)
    write_shard(tmp_path / "part-1.tar", {"a.txt": b"text"})
    with pytest.raises(DataError, match=r"part-1\.tar holds no image"):
        open_shards(shards)


def test_fewer_shards_than_ranks(shards):
    with pytest.raises(ConfigError, match="5 shards for 6 devices"):
        ShardStream(open_shards(shards), SIZE, 8, 0, 0, 6)


def test_the_sample_is_a_data_set_without_labels(shards):
    dataset = load_dataset(shards, image_size=SIZE)
    assert dataset.train.images.shape == (80, 3, SIZE, SIZE)
    assert numbers([dataset.train.images]) == [list(range(80))]
    assert load_shard_sample(shards, None).train.images.shape[-1] == 32
    with pytest.raises(DataError, match="has no labels"):
        labelled_splits(dataset)


@pytest.mark.parametrize("name", ["pipe:touch was_run #.tar", "${HOME}.tar", "$HOME.tar", "%HOME%.tar"])
def test_a_name_is_a_file_and_never_a_command(name, tmp_path, monkeypatch):
    """A loader of addresses would run what follows "pipe:", and put the value of a variable into the name."""
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "of_the_variable"))
    write_shard(tmp_path / "of_the_variable.tar", {"0.png": png(0)})
    monkeypatch.chdir(tmp_path)
    write_shard(tmp_path / name, {f"{number}.png": png(number) for number in range(6)})
    assert len(load_shard_sample(name, SIZE).train) == 6
    stream = ShardStream(open_shards(name), SIZE, batch_size=3, seed=0, rank=0, world_size=1)
    assert len(flat(numbers(first(stream, 2)))) == 6
    with pytest.raises(DataError, match="does not exist"):
        open_shards("pipe:touch was_run; echo other.tar")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("pattern", "count", "first", "last"),
    [
        ("{t-{000000..001281},v-{000..099}}.tar", 1382, "t-000000.tar", "v-099.tar"),
        ("s-{0..1000000..100}.tar", 10_001, "s-0.tar", "s-1000000.tar"),
        ("s-{0000000000..0000000999}.tar", 1000, "s-0000000000.tar", "s-0000000999.tar"),
        ("{1700000000..1700000003}.tar", 4, "1700000000.tar", "1700000003.tar"),
        ("a-{0..9}.tar::b-{0..9}.tar", 20, "a-0.tar", "b-9.tar"),
        ("s-{9..0..3}.tar", 4, "s-9.tar", "s-0.tar"),
    ],
)
def test_patterns_name_what_braces_do(pattern, count, first, last):
    files = [str(file) for file in _files_of(pattern)]
    assert (len(files), files[0], files[-1]) == (count, first, last)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{0..99999999}.tar", "more than 100,000 shards"),
        ("{0..999}/{0..999}.tar", "more than 100,000 shards"),
        ("{a,b}" * 40 + ".tar", "more than 100,000 shards"),
        ("{0.." + "9" * 5000 + "}.tar", r"9\.\.\. names more than"),
        ("{0..9.tar", "close every brace"),
        ("${HOME}.tar", r"^\$\{HOME\}\.tar does not exist"),
        ("https://example.org/{0..3}.tar", "does not exist"),
    ],
    ids=lambda value: value[:20],
)
def test_patterns_that_name_no_files_are_sentences(pattern, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        open_shards(pattern)
