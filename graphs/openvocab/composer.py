"""The prompt composer: what the attributes of classes become as sentences, and how their scores become one a class.

The published code averages its templates across attributes and pools synonyms with them (both follow from the order of
its rows). Here every vector is one phrase over all templates, and every row knows its class and its attribute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphs.openvocab.reasons import ClassReason
from graphs.openvocab.vocabulary import Vocabulary
from tools.classifiers.base import MaskTextEncoder, Rows, encode_phrases

TEMPLATES = (
    "a photo of {}.",
    "a photo of one {}.",
    "a close photo of {}.",
    "a photo of {} in a scene.",
    "a scene with {} in it.",
    "a small {} in a photo.",
    "a large {} in a photo.",
)
BARE = 0
"""The slot of the phrase without an attribute; attributes follow from 1."""

Scores = NDArray[np.float64]
"""Scores, float64 (masks, classes)."""


@dataclass(frozen=True)
class Phrase:
    """One thing to compare masks with: a name of class `place`, alone or with its attribute number `slot` - 1."""

    place: int
    slot: int
    text: str


def compose(
    vocabulary: Vocabulary,
    in_image: Mapping[int, ClassReason],
    generic: Mapping[int, ClassReason],
    *,
    most: int = 3,
) -> list[Phrase]:
    """Return all phrases of all classes: every name alone, and with each of at most `most` attributes.

    Attributes are those seen in the image where there are any, else the generic ones, else none.
    """
    phrases = []
    for place, one in enumerate(vocabulary.classes):
        reasons = (source.get(place) for source in (in_image, generic))
        attributes = next((reason.attributes for reason in reasons if reason and reason.attributes), ())
        for name in one.names:
            phrases.append(Phrase(place, BARE, name))
            phrases += [Phrase(place, slot, f"{name} that has {a}") for slot, a in enumerate(attributes[:most], 1)]
    return phrases


class PhraseRows:
    """Vectors of phrases by one encoder, kept because generic phrases come again with every picture."""

    def __init__(self, encoder: MaskTextEncoder, templates: Sequence[str] = TEMPLATES, *, keep: int = 100_000) -> None:
        self._encoder, self._templates, self._keep = encoder, tuple(templates), keep
        self._known: dict[str, Rows] = {}

    def rows(self, phrases: Sequence[Phrase]) -> Rows:
        """Return a vector a phrase: float32 (phrases, dimension), its templates averaged; ClassifierError may rise."""
        texts = list(dict.fromkeys(phrase.text for phrase in phrases))
        new = [text for text in texts if text not in self._known]
        fresh = dict(zip(new, encode_phrases(self._encoder, new, self._templates), strict=True)) if new else {}
        known = {text: self._known[text] for text in texts if text not in fresh} | fresh
        if len(self._known) + len(fresh) > self._keep:
            self._known.clear()
        self._known.update(fresh)
        return np.stack([known[phrase.text] for phrase in phrases])


def score_classes(masks: Rows, rows: Rows, phrases: Sequence[Phrase], classes: int, *, scale: float) -> Scores:
    """Score masks (masks, dimension) by the `rows` of phrases: `scale` times the likeness, one number a class.

    Of the synonyms of a class the best counts, slot by slot; its slots, the bare name and each attribute, are averaged.
    """
    likeness = masks.astype(np.float64) @ rows.astype(np.float64).T * scale
    slots = max(phrase.slot for phrase in phrases) + 1
    best = np.full((classes * slots, len(masks)), -np.inf)
    np.maximum.at(best, [phrase.place * slots + phrase.slot for phrase in phrases], likeness.T)
    pooled = best.reshape(classes, slots, len(masks))
    used = np.isfinite(pooled)
    summed, count = np.where(used, pooled, 0.0).sum(axis=1).T, used.sum(axis=1).T
    return np.asarray(summed / np.maximum(count, 1), np.float64)
