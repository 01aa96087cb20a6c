"""The model of tests/firmware/fixtures in images for boards, each built once a session."""

import dataclasses
import pickle
from pathlib import Path

from once import OncePerSession

from tinyedge.boards.board import load_board
from tinyedge.firmware.cmake_build import build_image
from tinyedge.firmware.image import FirmwareImage, ImageOptions

COUNTDOWN = Path(__file__).resolve().parents[1] / "firmware" / "fixtures" / "countdown"


def countdown_image(once: OncePerSession, board_name: str, options: ImageOptions = ImageOptions()) -> FirmwareImage:
    """Build the image, or find it; it is not to be changed."""

    def fill(folder: Path) -> None:
        built = build_image(COUNTDOWN, load_board(board_name), folder, options)
        (folder / "image.pickle").write_bytes(pickle.dumps(built))

    values = [str(value) for value in dataclasses.astuple(options)]
    folder = once.folder("-".join(["countdown", board_name, *values]), fill)
    built = pickle.loads((folder / "image.pickle").read_bytes())
    assert isinstance(built, FirmwareImage)
    return built
