"""The keyframe tool: look at one frame of a clip in high resolution."""

from tools.errors import InputError
from tools.image_store import Image
from tools.media.sampling import resize_square
from tools.segmenters.base import Frames


def look_closer(frames: Frames, index: int, side: int) -> Image:
    """Return frame `index` as a square of `side` pixels, RGB uint8 (side, side, 3).

    Raises InputError, with the indices that exist, when there is no such frame; the text is fit for the policy to read.
    """
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(frames):
        last = len(frames) - 1
        valid = "only frame 0" if last == 0 else f"frames 0 to {last}"
        raise InputError(f"there is no frame {index}; the clip has {valid}.", remedy="Ask for one of those.")
    return resize_square(frames[index], side)
