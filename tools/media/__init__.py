"""Media in: a picture or a clip from anything people hold in their hands, checked before it is decoded."""

from tools.media.base import Limits, Media
from tools.media.opening import MediaSource, open_media
from tools.media.sampling import resize_square, sample_frames

__all__ = ["Limits", "Media", "MediaSource", "open_media", "resize_square", "sample_frames"]
