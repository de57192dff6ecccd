"""Tell what a media source is and open it; the only place that knows every kind."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tools.errors import InputError, MediaError, boundary
from tools.image_store import Image, image_sha256
from tools.media.base import Limits, Media
from tools.media.frames import ListFrames, decode_animation, mixed_sizes
from tools.media.images import FORMATS, decode_file, from_array, from_pillow, open_header, upright_size
from tools.media.video import CONTAINERS, VideoFrames

Picture = str | Path | PIL.Image.Image | NDArray[np.uint8]
MediaSource = Picture | Sequence[Picture]
"""A file, a Pillow image, an array (one picture or (frames, height, width, 3)), or a list of pictures of one size."""

DEFAULT_FPS = 24.0
"""Frames a second of clips that do not say."""


def open_media(
    source: MediaSource, *, name: str | None = None, fps: float = 0.0, limits: Limits | None = None
) -> Media:
    """Open a picture or clip; sizes are checked before pixels are decoded, and videos are streamed.

    `fps` overrides what the source says (frames a second). Raises MediaError, with the remedy, for anything
    missing, unreadable, too large or of a refused type, and InputError for a source of the wrong Python type.
    """
    limits = limits or Limits()
    match source:
        case str() | Path():
            media = _open_path(_existing_file(source, limits), limits)
        case PIL.Image.Image():
            media = _one_picture(from_pillow(source, name or "image", limits), "image", None)
        case np.ndarray() if source.ndim == 4:
            media = _open_list(list(source), "frames", limits)
        case np.ndarray():
            media = _one_picture(from_array(source, name or "image", limits), "image", None)
        case list() | tuple():
            media = _open_list(source, "frames", limits)
        case _:
            raise InputError(
                f"media of type {type(source).__name__} cannot be opened.",
                remedy="Give a path, a Pillow image, an array, or a list of them.",
            )
    speed = (fps or media.fps) if media.kind == "video" else 0.0
    return Media(media.kind, media.frames, media.width, media.height, speed, name or media.name, media.sha256)


def _open_path(path: Path, limits: Limits) -> Media:
    sha256 = _file_sha256(path)
    picture = open_header(path, limits)
    if picture is None:
        return _open_video(path, sha256, limits)
    with picture:
        if not getattr(picture, "is_animated", False):
            return _one_picture(from_pillow(picture, path.name, limits), path.name, sha256)
        frames, fps = decode_animation(picture, path.name, limits)
    height, width = frames[0].shape[:2]
    loaders = [partial(_same, frame) for frame in frames]
    return Media("video", ListFrames(loaders, width=width, height=height), width, height, fps, path.name, sha256)


def _open_video(path: Path, sha256: str, limits: Limits) -> Media:
    frames = VideoFrames(path, limits, kinds=f"{', '.join(FORMATS)} pictures or {CONTAINERS} videos")
    return Media("video", frames, frames.width, frames.height, frames.fps or DEFAULT_FPS, path.name, sha256)


def _one_picture(image: Image, name: str, sha256: str | None) -> Media:
    height, width = image.shape[:2]
    frames = ListFrames([partial(_same, image)], width=width, height=height)
    return Media("image", frames, width, height, 0.0, name, sha256 or image_sha256(image))


def _open_list(pictures: Sequence[Picture], name: str, limits: Limits) -> Media:
    """Open a list of pictures as a clip; files are only looked at now and decoded when their turn comes."""
    limits.check_count(len(pictures), name)
    digest = hashlib.sha256()
    loaders: list[Callable[[], Image]] = []
    sizes: list[tuple[int, int]] = []
    for index, picture in enumerate(pictures):
        loader, (width, height), sha256 = _frame_loader(picture, f"frame {index}", limits)
        loaders.append(loader)
        sizes.append((height, width))
        digest.update(sha256.encode())
        if sizes[-1] != sizes[0]:
            raise mixed_sizes(index, sizes[-1], sizes[0])
    height, width = sizes[0]
    frames = ListFrames(loaders, width=width, height=height)
    return Media("video", frames, width, height, DEFAULT_FPS, name, digest.hexdigest())


def _frame_loader(picture: Picture, name: str, limits: Limits) -> tuple[Callable[[], Image], tuple[int, int], str]:
    """Return how to decode one frame, its width and height, and its fingerprint."""
    if isinstance(picture, str | Path):
        path = _existing_file(picture, limits)
        header = open_header(path, limits)
        if header is None:
            raise MediaError(f"{name}, {path.name}, is no picture.", remedy=f"Give one of {', '.join(FORMATS)}.")
        with header:
            return partial(decode_file, path, limits), upright_size(header), _file_sha256(path)
    if isinstance(picture, PIL.Image.Image):
        image = from_pillow(picture, name, limits)
    elif isinstance(picture, np.ndarray):
        image = from_array(picture, name, limits)
    else:
        raise InputError(
            f"{name} is of type {type(picture).__name__}, which is no picture.",
            remedy="Give a list of paths, Pillow images or arrays.",
        )
    return partial(_same, image), (image.shape[1], image.shape[0]), image_sha256(image)


def _existing_file(source: str | Path, limits: Limits) -> Path:
    """Return the path of a readable file of allowed size, or raise MediaError."""
    if "://" in str(source):
        raise MediaError(f"{source} is an address, not a file.", remedy="Download it and give the path.")
    with boundary(MediaError, f"cannot look at {source}", remedy="Check the path and its permissions."):
        path = Path(source).expanduser()
        found, is_folder = path.exists(), path.is_dir()
        if is_folder or not found:
            problem = "is a folder, not a file" if is_folder else "does not exist"
            remedy = "Give one file, or a list of its frames." if is_folder else "Check the path."
            raise MediaError(f"{source} {problem}.", remedy=remedy)
        if not path.is_file():
            raise MediaError(f"{source} is not a regular file.", remedy="Copy it to a file first.")
        limits.check_bytes(path.stat().st_size, path.name)
        return path.resolve()


def _file_sha256(path: Path) -> str:
    with (
        boundary(MediaError, f"cannot read {path.name}", remedy="Check its permissions."),
        path.open("rb") as file,
    ):
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same(image: Image) -> Image:
    return image
