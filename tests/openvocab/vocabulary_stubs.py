"""A toy world in which every right answer can be worked out by hand: coloured blocks, words as unit vectors."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from graphs.conversation import Turn
from graphs.openvocab import OpenVocabularyContext, Vocabulary
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.dialects import JsonReasoning
from graphs.policies.base import Completion, Sampling
from tools.classifiers.base import Rows
from tools.errors import PolicyError
from tools.image_store import Image, ImageStore
from tools.segmenters.base import Frames, Mask, Prompt, Segment

RED, BLUE, GREY = (200, 0, 0), (0, 0, 200), (90, 90, 90)
VOCABULARY = Vocabulary.of(["apple, fruit", "bicycle, bike", "wall"], stuff=["wall"])


def picture() -> Image:
    """40 by 60: a red block left, a blue one right, on grey."""
    image = np.full((40, 60, 3), GREY, np.uint8)
    image[10:30, 5:25] = RED
    image[10:30, 35:55] = BLUE
    return image


MEANINGS = {
    "apple": (0.6, 0, 0.5, 0),
    "bicycle": (0.5, 0, 0.6, 0),
    "wall": (0, 0, 0, 1),
    "red": (2, 0, 0, 0),
    "blue": (0, 0, 2, 0),
}


class ToyEmbedder:
    """Words without their plural ending, one axis each; "cycle" is close to "bike"."""

    name = "toy"
    dimension = 6
    chance = 0.1
    axes = ("apple", "fruit", "bicycle", "bike", "wall")

    def embed_queries(self, texts: Sequence[str]) -> Rows:
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> Rows:
        return np.array([self._vector(text) for text in texts], np.float32)

    def _vector(self, text: str) -> list[float]:
        if text == "cycle":
            return [0, 0, 0, 0.7, 0, 0.7]
        hit = [float(text.rstrip("s") == axis) for axis in self.axes]
        return [*hit, 0.0 if any(hit) else 1.0]


class ColourSegmenter:
    """Cuts out all pixels of the colour under the point, or the box itself."""

    name = "colour"

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        return [Segment(self._cut(image, prompt), 0.9) for prompt in prompts]

    def _cut(self, image: Image, prompt: Prompt) -> Mask:
        if prompt.box is None:
            x, y = prompt.points[0]
            return np.asarray((image == image[int(y), int(x)]).all(axis=2))
        x1, y1, x2, y2 = (round(v) for v in prompt.box)
        mask = np.zeros(image.shape[:2], np.bool_)
        mask[y1:y2, x1:x2] = True
        return mask

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        raise NotImplementedError


class ToyEncoder:
    """Words on axes: a mask is its mean colour (red, green, blue, grey), a text the colours that its words mean."""

    name = "toy"
    scale = 10.0

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        self.texts += texts
        vectors = [[MEANINGS.get(word.strip(".,"), (0, 0, 0, 0)) for word in text.split()] for text in texts]
        return np.array([np.sum(vector, axis=0) for vector in vectors], np.float32)

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        rows = []
        for mask in masks:
            mean = image[mask].mean(axis=0)
            grey = mean.max() - mean.min() < 20
            rows.append([0, 0, 0, 1] if grey else [*(mean / np.linalg.norm(mean)), 0])
        return np.array(rows, np.float32).reshape(-1, 4)


STEPS = {
    "describe": "Describe the whole",
    "shortlist": "Which of these classes",
    "reason": "For each candidate",
    "locate": "Where is: ",
    "generic": "Class: ",
}


SCRIPT = {
    "describe": '{"description": "a fruit and a wheel before a wall"}',
    "shortlist": '```json\n{"classes": ["apple", "bikes", "wall", "unicorn"]}\n```',
    "reason": json.dumps(
        {
            "reasons": [
                {"class": "apple", "general_category": "food", "sub_category": "fruit", "attributes": ["red skin"]},
                {
                    "class": "bikes",
                    "general_category": "thing",
                    "sub_category": "vehicle",
                    "attributes": ["blue frame"],
                },
            ]
        }
    ),
}
"""Replies that find the apple, the bicycle and the wall, and name one thing that is no class."""


class Script:
    """Answers each step with the next of its replies (the last one repeats), and remembers what it was asked."""

    name = "script"

    def __init__(self, **replies: str | list[str]) -> None:
        self.replies = {step: [some] if isinstance(some, str) else list(some) for step, some in replies.items()}
        self.asked: list[tuple[str, str, Sampling]] = []

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        text = "".join(turn.text for turn in turns)
        step = next(step for step, mark in STEPS.items() if mark in turns[1].text)
        self.asked.append((step, text, sampling))
        if step not in self.replies:
            raise PolicyError(f"there is no reply to {step}.", remedy="Script one.")
        before = sum(one == step for one, _, _ in self.asked) - 1
        some = self.replies[step]
        return Completion(some[min(before, len(some) - 1)], "stop", 7, 5)


def context(policy: Script | None, **changes: object) -> OpenVocabularyContext:
    """A context with stubs everywhere; None for no policy."""
    settings: dict[str, object] = {
        "vocabulary": VOCABULARY,
        "aligner": ClassAligner(VOCABULARY, ToyEmbedder()),
        "segmenter": ColourSegmenter(),
        "encoder": ToyEncoder(),
        "policy": policy,
        "dialect": JsonReasoning(side=32),
    }
    return OpenVocabularyContext(**(settings | changes))  # type: ignore[arg-type]
