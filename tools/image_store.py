"""Pixels by reference: images live here by sha256, so state, records and logs stay small."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""RGB picture, uint8, shape (height, width, 3)."""


def image_sha256(image: Image) -> str:
    """Hash the shape and the pixels of an RGB picture."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class ImageStore:
    """Keep the images of one episode, addressed by their sha256."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def put(self, image: Image) -> str:
        """Store an RGB picture, uint8 (height, width, 3), and return its reference."""
        ref = image_sha256(image)
        self._images.setdefault(ref, image)
        return ref

    def get(self, ref: str) -> Image:
        """Return the picture behind `ref`; KeyError if this episode never stored it."""
        return self._images[ref]

    def __contains__(self, ref: str) -> bool:
        return ref in self._images

    def __len__(self) -> int:
        return len(self._images)
