"""Image files to uint8 tensors: one size, three channels, broken files named."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tinyedge.atomic import atomic_path
from tinyedge.data.cache import cache_directory
from tinyedge.data.decode import decode_image
from tinyedge.errors import TinyEdgeError

_CACHE_VERSION = 2
_CACHE_MIN_FILES = 2000  # Fewer decode in about the time that the cache takes to read.
_CACHE_MAX_BYTES = 8 << 30
_CHUNK = 256
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedImages:
    """What came out of a list of image files.

    Attributes:
        images: (K, 3, S, S) uint8, RGB, in the order of the files.
        kept: (K,) int64, the position in the list of files of each image.
        broken: Position and reason of each file that could not be decoded.
    """

    images: torch.Tensor
    kept: torch.Tensor
    broken: tuple[tuple[int, str], ...]


def native_short_side(files: Sequence[Path], sample: int = 256) -> int | None:
    """Return the most common short side, in pixels, of up to `sample` evenly spaced files; None if none opens."""
    counts: dict[int, int] = {}
    for path in files[:: max(1, len(files) // sample)]:
        try:
            with Image.open(path) as image:
                side = min(image.size)
        except Exception:  # decode_files() names the broken ones.
            continue
        counts[side] = counts.get(side, 0) + 1
    return max(counts, key=lambda side: (counts[side], side)) if counts else None


def decode_files(files: Sequence[Path], image_size: int, white_level: int | None = None) -> DecodedImages:
    """Decode `files` to one size, leaving out the broken ones.

    A long list is cached under `cache_directory()/decoded`, keyed by each file's path, size and modification time and
    by `image_size` and `white_level`; the second call then takes about a second.
    """
    cache = None
    if len(files) >= _CACHE_MIN_FILES and len(files) * 3 * image_size**2 <= _CACHE_MAX_BYTES:
        cache = cache_directory() / "decoded" / f"{_fingerprint(files, image_size, white_level)}.safetensors"
        found = _read_cache(cache)
        if found is not None:
            return found
    decoded = _decode(files, image_size, white_level)
    if cache is not None:
        _write_cache(cache, decoded)
    return decoded


def _decode(files: Sequence[Path], image_size: int, white_level: int | None) -> DecodedImages:
    pixels = np.empty((len(files), image_size, image_size, 3), dtype=np.uint8)

    def decode_chunk(start: int) -> list[tuple[int, str]]:
        broken = []
        for index in range(start, min(start + _CHUNK, len(files))):
            try:
                pixels[index] = decode_image(files[index], image_size, white_level)
            except MemoryError:
                raise
            except Exception as error:  # Pillow raises almost anything on a broken file.
                broken.append((index, f"{type(error).__name__}: {error}"))
        return broken

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        broken = [item for chunk in pool.map(decode_chunk, range(0, len(files), _CHUNK)) for item in chunk]
    lost = {index for index, _ in broken}
    kept = np.array([index for index in range(len(files)) if index not in lost], dtype=np.int64)
    whole = pixels[kept] if lost else pixels
    images = torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()  # (K, 3, S, S)
    return DecodedImages(images, torch.from_numpy(kept), tuple(broken))


def _fingerprint(files: Sequence[Path], image_size: int, white_level: int | None) -> str:
    digest = hashlib.sha256(f"{_CACHE_VERSION} {image_size} {white_level}\n".encode())
    here = Path.cwd()
    for path in files:
        status = path.stat()
        absolute = os.path.join(here, path)  # noqa: PTH118 - 5x faster
        digest.update(f"{absolute}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _read_cache(path: Path) -> DecodedImages | None:
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            broken = json.loads(stored.metadata()["broken"])
            return DecodedImages(
                stored.get_tensor("images"), stored.get_tensor("kept"), tuple((int(i), str(why)) for i, why in broken)
            )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("%s is not a readable cache (%s); the images are decoded again", path, error)
        return None


def _write_cache(path: Path, decoded: DecodedImages) -> None:
    from safetensors.torch import save_file

    try:
        with atomic_path(path) as temporary:
            save_file(
                {"images": decoded.images, "kept": decoded.kept},
                temporary,
                metadata={"broken": json.dumps(decoded.broken)},
            )
    except TinyEdgeError as error:
        # A full disk costs the next start some seconds, not this run.
        _log.warning("the decoded images are not cached: %s", error)
