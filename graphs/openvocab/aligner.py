"""The class aligner: names that a policy invents ("bike") become classes ("bicycle"), or are reported as unaligned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphs.openvocab.vocabulary import Vocabulary, plain_name, split_names
from tools.embedders import Embedder


@dataclass(frozen=True)
class Alignment:
    """The place of the class that a name was taken for, and how alike they are (1: the very name)."""

    name: str
    place: int
    likeness: float


class ClassAligner:
    """Align names with a vocabulary: the very name or a synonym first, else the most similar one above a threshold.

    `threshold` is a cosine of the embedder; never below what unrelated texts reach by chance. May be shared.
    """

    def __init__(self, vocabulary: Vocabulary, embedder: Embedder, *, threshold: float = 0.6) -> None:
        """Embed all names of the vocabulary; raises EmbedderError when the model fails."""
        self._vocabulary, self._embedder = vocabulary, embedder
        self.threshold = max(threshold, embedder.chance)
        pairs = [(place, name) for place, one in enumerate(vocabulary.classes) for name in one.names]
        self._places = [place for place, _ in pairs]
        self._vectors = embedder.embed_passages([name for _, name in pairs])

    def align(self, names: Sequence[str]) -> tuple[list[Alignment], list[str]]:
        """Return the alignments, in order, and the names that are like no class; a name may hold several, by commas.

        Raises EmbedderError when the model fails.
        """
        found: list[Alignment] = []
        strange: list[str] = []
        for name in names:
            spelled = [*split_names(name), name]
            exact = next((p for s in spelled if (p := self._vocabulary.places.get(plain_name(s))) is not None), None)
            if exact is not None:
                found.append(Alignment(name, exact, 1.0))
            else:
                strange.append(name)
        if not strange:
            return found, []
        likeness = self._embedder.embed_queries(strange) @ self._vectors.T
        best = likeness.argmax(axis=1)
        close = likeness[np.arange(len(strange)), best]
        unaligned = []
        for name, which, how in zip(strange, best, close, strict=True):
            if how >= self.threshold:
                found.append(Alignment(name, self._places[which], float(how)))
            else:
                unaligned.append(name)
        order = {name: number for number, name in enumerate(names)}
        return sorted(found, key=lambda one: order[one.name]), unaligned
