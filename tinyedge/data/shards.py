"""WebDataset shards: unlabelled images in tar files, streamed, for data that is larger than memory.

A rank reads every world-th shard of an epoch's own order, shuffles the undecoded samples in a buffer, and decodes each
batch on several threads. Everything follows from (seed, epoch, rank, world size), and a place in the stream is reached
again by reading up to it without decoding. A broken image leaves its place to another one of its batch, so that the
order never depends on what is broken.
"""

import hashlib
import io
import json
import logging
import math
import random
import re
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count, groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image

from tinyedge.atomic import write_json
from tinyedge.data.cache import cache_directory
from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset, greyscale
from tinyedge.data.decode import decode_image
from tinyedge.data.layout import IMAGE_SUFFIXES
from tinyedge.data.white_level import find_white_level
from tinyedge.errors import ConfigError, DataError, TinyEdgeError
from tinyedge.installation import package_missing

_SAMPLE_IMAGES = 2048  # for mean, deviation and batch-norm statistics
_SHUFFLE_IMAGES = 4096
_DECODE_THREADS = 8
_MAX_BROKEN = 0.01
_LEAST_SEEN = 1000  # before the share of broken images is judged
_COUNT_VERSION = 2  # of the rule that images are counted by
_MAX_SHARDS = 100_000
_SHOWN = 60  # of a pattern that is refused
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?\}")
_LIST = re.compile(r"\{([^{}]*,[^{}]*)\}")
_PLAIN = re.compile(r"(?:[^{}\\$]|\{[^{}\\$]*\})*")  # Of braces in none, and nothing that takes their meaning.
_LONG_NUMBER = re.compile(r"\d{100}")
_META_NAME = re.compile(r"__[^/]*__($|/)")  # webdataset passes over such files
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shards:
    """The tar files that a pattern names.

    Attributes:
        pattern: What the user gave, such as `shards/{000..099}.tar`.
        files: In the order of the pattern.
        images: How many images each file holds.
    """

    pattern: str
    files: tuple[Path, ...]
    images: tuple[int, ...]

    def __len__(self) -> int:
        return sum(self.images)


def open_shards(pattern: str) -> Shards:
    """Find the shards and count their images; the counts are kept in `cache_directory()/shards`.

    Args:
        pattern: Path of a tar file, with ranges or lists in braces; several with "::" between them. It names files of
            this machine and nothing else: no address, and no variable of the environment.

    Raises:
        DataError: A shard is missing, no readable tar file, or holds no image; or there are too many.
        ToolMissing: webdataset is not installed.
    """
    files = _files_of(pattern)
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]} does not exist ({len(missing)} of {len(files)} shards of {pattern} are missing); "
            "correct the pattern given to --data, or bring the shards there"
        )
    return Shards(pattern, files, tuple(_count_images(file) for file in files))


def load_shard_sample(pattern: str, image_size: int | None, white_level: int | None = None) -> ImageDataset:
    """Return the first images of the shards as a data set in memory: what statistics and calibration are taken from.

    Args:
        pattern: See `open_shards`.
        image_size: S; see `tinyedge.data.images.decode_image`. None takes the multiple of 32 nearest to the most common
            short side, from 32 to 96.
        white_level: White of 16-bit greyscale images; None takes it from those of the sample.

    Raises:
        DataError: See `open_shards`; or no image of the sample can be decoded.
        ToolMissing: webdataset is not installed.
    """
    shards = open_shards(pattern)
    raw = list(islice(_read(shards.files), _SAMPLE_IMAGES))
    size = image_size or _most_common_size(raw)
    white_level = white_level or find_white_level(map(io.BytesIO, raw))
    decoded = [item for item in _decode_all(raw, size, white_level) if isinstance(item, np.ndarray)]
    if not decoded:
        raise DataError(f"none of the first {len(raw)} images of {pattern} can be decoded; write the shards again")
    images = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()  # (N, 3, S, S)
    name = Path(pattern).parent.name or "shards"
    return build_dataset(name, ImageSplit(images, None), None, (), white_level=white_level)


class ShardStream:
    """The batches of one rank, epoch after epoch.

    Args:
        shards: What to read; at least one for each rank.
        image_size: S.
        batch_size: Images of this rank's batch.
        seed: Of the order.
        rank: Of this process.
        world_size: Ranks.
        channels: 3 for RGB, 1 for greyscale.
        white_level: White of 16-bit greyscale images.

    Raises:
        ConfigError: There are fewer shards than ranks.
    """

    def __init__(
        self,
        shards: Shards,
        image_size: int,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        channels: int = 3,
        white_level: int | None = None,
    ):
        if len(shards.files) < world_size:
            raise ConfigError(
                f"{shards.pattern} has {len(shards.files)} shards for {world_size} devices; "
                "write more and smaller shards, or give a smaller --devices"
            )
        self._shards, self._size, self._channels, self._batch_size = shards, image_size, channels, batch_size
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._white_level = white_level
        self.steps_per_epoch = len(shards) // (batch_size * world_size)
        self.seen = 0
        self.broken = 0

    def batches(self, first_step: int) -> Iterator[torch.Tensor]:
        """Yield the batches (B, C, S, S) uint8 of the steps from `first_step` on, without end.

        Raises:
            DataError: A shard became unreadable, or too many images are broken.
        """
        epoch, position = divmod(first_step, self.steps_per_epoch)
        with ThreadPoolExecutor(_DECODE_THREADS) as pool:
            for current in count(epoch):
                raw = self._epoch(current)
                for _ in islice(raw, position * self._batch_size):
                    pass
                # The next batch is decoded while this one is trained on.
                ahead: list[Future[np.ndarray | str]] | None = None
                for _ in range(position, self.steps_per_epoch):
                    samples = list(islice(raw, self._batch_size))
                    ready, ahead = ahead, [pool.submit(self._decode, sample) for sample in samples]
                    if ready is not None:
                        yield self._stack([future.result() for future in ready])
                if ahead is not None:
                    yield self._stack([future.result() for future in ahead])
                position = 0

    def _epoch(self, epoch: int) -> Iterator[bytes]:
        """Yield this rank's samples; over again, in another order, if its shards hold fewer than others'."""
        for turn in count():
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._shards.files))
            own = [self._shards.files[index] for index in order[self._rank :: self._world_size]]
            shuffle = random.Random(f"{self._seed} {epoch} {self._rank} {turn}")
            yield from _webdataset().filters.shuffle(_SHUFFLE_IMAGES, initial=_SHUFFLE_IMAGES, rng=shuffle)(_read(own))

    def _decode(self, sample: bytes) -> np.ndarray | str:
        return _decode(sample, self._size, self._white_level)

    def _stack(self, items: Sequence[np.ndarray | str]) -> torch.Tensor:
        good = [item for item in items if isinstance(item, np.ndarray)]
        for reason in (item for item in items if isinstance(item, str)):
            self.broken += 1
            if self.broken <= 3:
                _log.warning("skipped a broken image in %s: %s", self._shards.pattern, reason)
        self.seen += len(items)
        if not good or (self.seen >= _LEAST_SEEN and self.broken > _MAX_BROKEN * self.seen):
            raise DataError(
                f"{self.broken} of {self.seen} images in {self._shards.pattern} are broken, more than "
                f"{_MAX_BROKEN:.0%}; write the shards again"
            )
        fill = iter(good * len(items))
        rows = [item if isinstance(item, np.ndarray) else next(fill) for item in items]
        images = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)
        return greyscale(images) if self._channels == 1 else images


def _files_of(pattern: str) -> tuple[Path, ...]:
    """The paths that a pattern names, whether there are such files or not."""
    _webdataset()  # Which brings braceexpand.
    import braceexpand

    if _LONG_NUMBER.search(pattern):
        raise _too_many(pattern)
    for first, last, step in _RANGE.findall(pattern):  # Before they are spelled out.
        if abs(int(last) - int(first)) // max(abs(int(step or 1)), 1) >= _MAX_SHARDS:
            raise _too_many(pattern)
    for part in pattern.split("::"):
        # Lists that are in no other braces multiply; names with more in them are spelled out to be counted.
        lists = _LIST.findall(part) if _PLAIN.fullmatch(part) else []
        if math.prod(inside.count(",") + 1 for inside in lists) > _MAX_SHARDS:
            raise _too_many(pattern)
    try:
        parts = chain.from_iterable(map(braceexpand.braceexpand, pattern.split("::")))
        names = list(islice(parts, _MAX_SHARDS + 1))
    except ValueError as error:
        raise DataError(f"{pattern} is no pattern of shards ({error}); close every brace that is opened") from error
    if len(names) > _MAX_SHARDS:
        raise _too_many(pattern)
    return tuple(Path(name).expanduser() for name in names)


def _too_many(pattern: str) -> DataError:
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}..."
    return DataError(f"{shown} names more than {_MAX_SHARDS:,} shards; write fewer and larger ones")


def _webdataset() -> Any:
    try:
        import webdataset
    except ImportError as error:
        raise package_missing("webdataset") from error
    return webdataset


def _read(files: Sequence[Path]) -> Iterator[bytes]:
    """Yield the undecoded image of each sample of the shards that has one."""
    tar = _webdataset().tariterators
    # Opened here: webdataset takes names for addresses, and what follows "pipe:" for a command.
    members = tar.tar_file_expander({"url": file.name, "stream": stream} for file, stream in _opened(files))
    try:
        for sample in tar.group_by_keys(members):
            found = next((key for key in sample if _is_image(key)), None)
            if found is not None:
                yield sample[found]
    except (tarfile.TarError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"a shard cannot be read ({reason}); bring it there again, then add --resume") from error


def _opened(files: Sequence[Path]) -> Iterator[tuple[Path, BinaryIO]]:
    for file in files:
        with file.open("rb") as stream:
            yield file, stream


def _decode(raw: bytes, image_size: int, white_level: int | None) -> np.ndarray | str:
    """Return the image (S, S, 3) uint8, or why there is none."""
    try:
        return decode_image(io.BytesIO(raw), image_size, white_level)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises almost anything on a broken file.
        return f"{type(error).__name__}: {error}"


def _decode_all(raw: Sequence[bytes], image_size: int, white_level: int | None) -> list[np.ndarray | str]:
    with ThreadPoolExecutor(_DECODE_THREADS) as pool:
        return list(pool.map(lambda item: _decode(item, image_size, white_level), raw))


def _most_common_size(raw: Sequence[bytes]) -> int:
    sides: dict[int, int] = {}
    for item in raw[:256]:
        try:
            with Image.open(io.BytesIO(item)) as image:
                side = min(image.size)
        except Exception:  # the decoder counts the broken ones
            continue
        sides[side] = sides.get(side, 0) + 1
    side = max(sides, key=lambda key: (sides[key], key)) if sides else 32
    return min(max((side + 16) // 32 * 32, 32), 96)


def _count_images(file: Path) -> int:
    status = file.stat()
    key = f"{_COUNT_VERSION} {file.absolute()} {status.st_size} {status.st_mtime_ns}"
    cache = cache_directory() / "shards" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        if stored["shard"] == key:
            return int(stored["images"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not counted yet
    try:
        with tarfile.open(file, "r:") as archive:
            names = [member.name for member in archive if member.isfile()]
            # tarfile takes a file that was cut within a header for one that ends there.
            with file.open("rb") as stream:
                stream.seek(archive.offset)
                if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("it is cut short")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{file} is no readable tar file ({error}); write the shard again") from error
    images = _count_samples(names)
    if images == 0:
        raise DataError(f"{file} holds no image; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
    try:
        write_json(cache, {"shard": key, "images": images})
    except TinyEdgeError as error:
        _log.warning("the count of a shard's images is not kept: %s", error)
    return images


def _count_samples(names: Sequence[str]) -> int:
    """Return how many samples `_read` finds in the files of a shard: neighbours with the same key are one sample."""
    split_name = _webdataset().tariterators.base_plus_ext  # folder and base name up to its first dot; what follows
    parts = [split_name(name) for name in names if not _META_NAME.match(name)]
    samples = groupby((part for part in parts if part[0] is not None), key=lambda part: part[0])
    return sum(any(_is_image(extensions) for _, extensions in sample) for _, sample in samples)


def _is_image(extensions: str) -> bool:
    return f".{extensions.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES
