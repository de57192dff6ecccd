"""Conversations as chat messages, pictures as data URIs; each picture of an episode is encoded once."""

import base64
from collections.abc import Sequence
from threading import Lock
from typing import Any, Literal
from weakref import WeakKeyDictionary

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
    """Data URIs of the pictures in each image store, for as long as that lives; safe across threads and event loops.

    `mark` is part of their names, if a server is to call them by names of ours.
    """

    def __init__(self, image_format: ImageFormat = "png") -> None:
        self.mark = ""
        self._format = image_format
        self._uris: WeakKeyDictionary[ImageStore, dict[str, str]] = WeakKeyDictionary()
        self._lock = Lock()

    def holds(self, ref: ImageRef, images: ImageStore) -> bool:
        """Tell whether a picture is encoded already."""
        return ref.sha256 in self._of(images)

    def get(self, ref: ImageRef, images: ImageStore) -> str:
        """Return the data URI of a picture."""
        uris = self._of(images)
        if ref.sha256 not in uris:
            uris.setdefault(ref.sha256, data_uri(images.get(ref.sha256), self._format))
        return uris[ref.sha256]

    def _of(self, images: ImageStore) -> dict[str, str]:
        with self._lock:
            return self._uris.setdefault(images, {})


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
            name = {"uuid": f"{part.sha256}.{cache.mark}"} if cache.mark else {}
            content.append({"type": "image_url", "image_url": {"url": cache.get(part, images)}, **name})
        elif content and content[-1]["type"] == "text":
            content[-1]["text"] += part.text
        else:
            content.append({"type": "text", "text": part.text})
    return content
