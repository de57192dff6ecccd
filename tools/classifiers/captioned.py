"""A mask classifier from captioned pictures, without CLIP: each word of a caption is learnt from the pictures it names.

A mask is described by a segmenter's own image features under it and by its outline; kernel ridge regression, in closed
form, maps that to the words of the captions. So a space of words takes the place of CLIP's: a text is the words in it
that are known, a mask the words that fit it. For small closed worlds of which a few hundred captioned pictures exist.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tools.classifiers.base import Rows, unit
from tools.embedders.words import words
from tools.errors import InputError
from tools.image_store import Image
from tools.segmenters.base import Mask
from tools.segmenters.prompts import box_of

_OUTLINE = 14
"""Side of the small square that a mask's outline is drawn into."""


class FeatureMaps(Protocol):
    """What sees a picture, such as the encoder of a segmenter."""

    def feature_maps(self, image: Image) -> list[torch.Tensor]:
        """Return float32 (channels, height, width) a level, finest first, of an RGB picture."""
        ...


@dataclass(frozen=True)
class CaptionedMask:
    """A region of an RGB picture, boolean mask (height, width), and the words that say what it is."""

    image: Image
    mask: Mask
    caption: str


class CaptionedEncoder:
    """Encode masks and texts in the space of the captions' words; see the module."""

    name = "captioned"

    def __init__(
        self,
        features: FeatureMaps,
        examples: Iterable[CaptionedMask],
        *,
        levels: int = 1,
        width: float = 0.3,
        ridge: float = 0.03,
        scale: float = 40.0,
    ) -> None:
        """Learn the words of `examples`; `levels` of the feature maps are used, finest first.

        `width` is the factor of squared distances in the kernel, `ridge` what is added to its diagonal. Raises
        InputError without examples.
        """
        self._features, self._levels, self._width, self.scale = features, levels, width, scale
        pairs = [(self._describe(one.image, one.mask), set(words(one.caption))) for one in examples]
        if not pairs:
            raise InputError("there is no captioned picture to learn from.", remedy="Give some.")
        self._words = sorted(set.union(*(said for _, said in pairs)))
        seen = np.stack([vector for vector, _ in pairs])
        self._mean, self._std = seen.mean(axis=0), seen.std(axis=0) + 1e-6
        # Looks and outline weigh alike, however many numbers each has.
        parts = np.repeat([seen.shape[1] - _OUTLINE**2, _OUTLINE**2], [seen.shape[1] - _OUTLINE**2, _OUTLINE**2])
        self._std *= np.sqrt(np.maximum(parts, 1))
        told = np.array([[word in said for word in self._words] for _, said in pairs], np.float64)
        self._often = told.mean(axis=0)
        self._known = (seen - self._mean) / self._std
        kernel = self._kernel(self._known) + np.eye(len(seen)) * ridge
        self._weights: NDArray[np.float64] = np.linalg.solve(kernel, told - self._often)

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """Encode texts by the known words in them: float32 (len(texts), words) of length 1, or 0 if none is known."""
        said = [set(words(text)) for text in texts]
        return unit(np.array([[word in some for word in self._words] for some in said]).reshape(len(texts), -1) * 1.0)

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        """Encode masks by how well each word fits: float32 (len(masks), words) of length 1."""
        if not masks:
            return np.zeros((0, len(self._words)), np.float32)
        seen = np.stack([self._describe(image, mask) for mask in masks])
        fits = self._kernel((seen - self._mean) / self._std) @ self._weights + self._often
        return unit(np.clip(fits, 0.0, 1.0))

    def _kernel(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how near vectors are to the examples, (vectors, examples), 1 for the same and 0 for far away."""
        apart = (seen**2).sum(axis=1)[:, None] + (self._known**2).sum(axis=1) - 2 * seen @ self._known.T
        return np.asarray(np.exp(-self._width * np.maximum(apart, 0)))

    def _describe(self, image: Image, mask: Mask) -> NDArray[np.float64]:
        """Return mean and deviation of the features under a mask, level by level, and the mask's outline, flat."""
        parts = []
        for level in self._features.feature_maps(image)[: self._levels]:
            maps = level.cpu().numpy().astype(np.float64)
            weight = cv2.resize(mask.astype(np.float32), maps.shape[:0:-1], interpolation=cv2.INTER_AREA)
            # Cells at the edge show the surroundings as well, so the inner ones count most.
            weight = weight.astype(np.float64) ** 4
            weight /= max(weight.sum(), 1e-9)
            mean = (maps * weight).sum(axis=(1, 2))
            parts += [mean, np.sqrt(((maps - mean[:, None, None]) ** 2 * weight).sum(axis=(1, 2)))]
        return np.concatenate([*parts, outline(mask).ravel()])


def outline(mask: Mask, side: int = _OUTLINE) -> NDArray[np.float64]:
    """Draw a mask into a small square, scaled by its box's longer side and centred: float64 (side, side), 0 to 1."""
    box = box_of(mask)
    canvas = np.zeros((side, side))
    if box is None:
        return canvas
    x1, y1, x2, y2 = (int(v) for v in box)
    height, width = y2 - y1, x2 - x1
    longer = max(height, width)
    square = np.zeros((longer, longer), np.float32)
    top, left = (longer - height) // 2, (longer - width) // 2
    square[top : top + height, left : left + width] = mask[y1:y2, x1:x2]
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.float64)
