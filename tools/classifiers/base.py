"""What every encoder of masks and words does, and how descriptions become one row each."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.errors import SegscoutError
from tools.image_store import Image
from tools.segmenters.base import Mask

Rows = NDArray[np.float32]
"""Vectors, float32 (n, dimension), each of length 1 or 0."""


class ClassifierError(SegscoutError):
    """A classifier's weights are missing or unreadable, or it cannot run."""

    boundary = "classifier"


class MaskTextEncoder(Protocol):
    """Put masks of a picture and texts into one space, where the inner product is their likeness."""

    name: str
    scale: float
    """What cosines are multiplied by before the softmax over classes."""

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """Encode texts: float32 (len(texts), dimension); ClassifierError when the model fails."""
        ...

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        """Encode boolean masks (height, width) of an RGB picture: float32 (len(masks), dimension)."""
        ...


def unit(rows: NDArray[np.floating]) -> Rows:
    """Scale rows to length 1; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)


def encode_phrases(encoder: MaskTextEncoder, phrases: Sequence[str], templates: Sequence[str]) -> Rows:
    """Encode each phrase in every template ("a photo of {}.") and average: float32 (phrases, dimension).

    Rows are of length 1. The texts are laid out phrase by phrase, so that an average is over the templates of one
    phrase and never over different phrases.
    """
    texts = [template.replace("{}", phrase) for phrase in phrases for template in templates]
    rows = unit(encoder.encode_texts(texts))
    return unit(rows.reshape(len(phrases), len(templates), -1).mean(axis=1))
