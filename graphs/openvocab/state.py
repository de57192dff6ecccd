"""What a checkpoint of the second graph holds: plain values; masks and scores stay in the context's workspace."""

import operator
from typing import Annotated, Any

from typing_extensions import TypedDict

from graphs.state import PlainFailure, add_counts


class PlainReply(TypedDict):
    """A raw reply of the policy: the step it belongs to, what was asked about, and why it could not be read, if so."""

    step: str
    about: str
    text: str
    problem: str
    prompt_tokens: int
    completion_tokens: int


class PlainPresence(TypedDict):
    """A class that reasoning found: its place, the policy's name for it, how alike they are, and the reason."""

    place: int
    name: str
    likeness: float
    reason: dict[str, Any]


class PlainPhrase(TypedDict):
    """A phrase to compare masks with, see `composer.Phrase`."""

    place: int
    slot: int
    text: str


class PlainRegion(TypedDict):
    """A box of the policy, 0..1 of the picture, and the place of the class that it is said to show."""

    place: int
    box: list[float]


class VocabularyInput(TypedDict):
    """What a run starts from: the picture's sha256; the picture itself comes by the context."""

    image: str


class VocabularyState(TypedDict, total=False):
    """The state of one run."""

    image: str
    description: str
    candidates: list[str]
    reasons: dict[str, dict[str, Any]]
    presence: list[PlainPresence]
    unaligned: list[str]
    phrases: list[PlainPhrase]
    regions: list[PlainRegion]
    replies: Annotated[list[PlainReply], operator.add]
    seconds: Annotated[dict[str, float], add_counts]
    ending: str
    failure: PlainFailure
