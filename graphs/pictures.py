"""Pictures that the policy sees: made from frames or searched files, stored by reference, and made again on resume."""

from collections.abc import Mapping
from pathlib import Path

from graphs.context import Context
from graphs.conversation import ImageRef
from graphs.dialects.base import ShownFrame
from graphs.state import PlainPicture
from tools.closer_look import look_closer
from tools.errors import MediaError, boundary
from tools.image_store import Image
from tools.media import Limits, resize_square
from tools.media.images import decode_file

MAX_SEARCHED_PIXELS = 50_000_000


def show_frame(context: Context, index: int, side: int) -> tuple[ShownFrame, PlainPicture]:
    """Store frame `index` as a square of `side` pixels; raises MediaError if it cannot be read."""
    with boundary(MediaError, f"cannot read frame {index}", remedy="Check that the video is complete."):
        image = look_closer(context.media, index, side)
    shown = ShownFrame(index, _refer(context, image))
    return shown, {"origin": "frame", "frame": index, "path": "", "side": side}


def show_file(context: Context, path: Path, side: int) -> tuple[ImageRef, PlainPicture]:
    """Store a searched picture as a square of `side` pixels; raises MediaError if it cannot be read."""
    image = resize_square(decode_file(path, Limits(max_pixels=MAX_SEARCHED_PIXELS)), side)
    return _refer(context, image), {"origin": "file", "frame": -1, "path": str(path), "side": side}


def restore(context: Context, pictures: Mapping[str, PlainPicture]) -> None:
    """Make the pictures again that a resumed episode refers to and this process never stored.

    Raises MediaError if one cannot be read, or is no longer the same.
    """
    for sha256, picture in pictures.items():
        if sha256 in context.images:
            continue
        if picture["origin"] == "frame":
            show_frame(context, picture["frame"], picture["side"])
        else:
            show_file(context, Path(picture["path"]), picture["side"])
        if sha256 not in context.images:
            where = Path(picture["path"]).name or f"frame {picture['frame']}"
            raise MediaError(f"{where} is not what the thread has seen.", remedy="Start a new thread.")


def _refer(context: Context, image: Image) -> ImageRef:
    return ImageRef(context.images.put(image), image.shape[1], image.shape[0])
