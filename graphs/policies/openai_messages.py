"""Conversations as chat messages, pictures as data URIs; each picture is encoded once."""

import base64
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Literal

import cv2

from graphs.conversation import ImageRef, Turn
from graphs.dialects.neutral import defuse_special
from tools.image_store import Image, ImageStore

ImageFormat = Literal["png", "jpeg"]


def data_uri(image: Image, image_format: ImageFormat) -> str:
    """Encode an RGB picture, uint8 (height, width, 3), as a data URI; PNG is exact, JPEG is about ten times smaller."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if image_format == "png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    _, encoded = cv2.imencode(f".{image_format}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return f"data:image/{image_format};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


class PictureCache:
    """Data URIs by sha256, the least recently used dropped first; safe across threads, and so across event loops."""

    def __init__(self, image_format: ImageFormat = "png", *, max_chars: int = 256 * 1024**2) -> None:
        self._format = image_format
        self._max_chars = max_chars
        self._uris: OrderedDict[str, str] = OrderedDict()
        self._chars = 0
        self._lock = Lock()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._uris

    def get(self, ref: ImageRef, images: ImageStore) -> str:
        """Return the data URI of a picture."""
        with self._lock:
            if (known := self._uris.get(ref.sha256)) is not None:
                self._uris.move_to_end(ref.sha256)
                return known
        uri = data_uri(images.get(ref.sha256), self._format)  # unlocked: it takes long, and others need not wait
        with self._lock:
            if ref.sha256 not in self._uris:
                self._uris[ref.sha256] = uri
                self._chars += len(uri)
            self._uris.move_to_end(ref.sha256)
            while self._chars > self._max_chars and len(self._uris) > 1:
                self._chars -= len(self._uris.popitem(last=False)[1])
        return uri


def to_messages(turns: Sequence[Turn], images: ImageStore, cache: PictureCache) -> list[dict[str, Any]]:
    """Render turns as OpenAI chat messages.

    Servers tokenize message text with special tokens recognised, so those that the policy itself may have sampled
    (an image placeholder, an end of turn) are defused in its past turns; retrieved text was neutralised when rendered.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "assistant":
            messages.append({"role": "assistant", "content": defuse_special(turn.text)})
        elif not any(isinstance(part, ImageRef) for part in turn.parts):
            messages.append({"role": turn.role, "content": turn.text})
        else:
            messages.append({"role": turn.role, "content": _content(turn, images, cache)})
    return messages


def _content(turn: Turn, images: ImageStore, cache: PictureCache) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, ImageRef):
            content.append({"type": "image_url", "image_url": {"url": cache.get(part, images)}})
        elif content and content[-1]["type"] == "text":
            content[-1]["text"] += part.text
        else:
            content.append({"type": "text", "text": part.text})
    return content
