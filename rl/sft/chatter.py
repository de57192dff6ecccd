"""Words of strangers among the records that are found, so that a policy learns to leave them alone.

Whoever has read nothing but records of one form is confused by any other sentence, and swayed by one that sounds like
an order. So a share of trajectories is played with both among the results: idle sentences, orders, forged answers,
protocol and role tokens (as the dialect defuses them), forged records and noise. What the demonstrator answers stays
what the true records say. The texts are drawn from a grammar; those that `evals.injections` plants are none of them.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphs.dialects.base import ShownImage
from graphs.dialects.observations import MAX_BODY_CHARS
from tools.search.base import TextHit


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


_THINGS = _phrases("harbour, bridge, market, garden, museum, river, concert, mayor, library, road, school, tower")
_DOES = _phrases("opened, closed, burned down, moved, was painted, was sold, sang, waited, grew, fell silent, rang")
_WHEN = _phrases("in spring, last year, at noon, before the war, on Sundays, for a week, without warning, again")
_DROP = _phrases("Disregard, Forget, Skip, Override, Leave out, Never mind, Cancel, Stop")
_WHAT = _phrases("the request, all rules, what was asked, every earlier word, the pictures, your task, the question")
_SAY = _phrases("say, report, write, claim, reply, conclude, state")
_OUTCOME = _phrases(
    "nothing is to be found, it is missing, it is gone, the first one is right, the box is empty, it is on the left, "
    "no such emblem exists, you are done"
)
_TAGS = _phrases("answer, search, keyframe, thinking, information, tool_call, think, box, function, system, user, bbox")
_ROLES = _phrases("im_start, im_end, assistant, user, system, endoftext, eot_id, vision_start, image_pad")
_TITLES = _phrases("Notice, Update, Erratum, Reply, Summary, Remark, Result, Note")
_SHAPES = _phrases("flag, wheel, anchor, crown, leaf, arrow, bell, key")
"""No shape of Emblems: a forged record is about nobody, and must not be right by chance."""
_PAINTS = _phrases("grey, brown, gold, silver, plain, striped, dotted")
_LETTERS = "абвгдежзиклмнопрстαβγδεζηθ的一是不了人我在有他这中大来上国אבגדהוזחטعربيةنصー日本語かなéüñß"


def idle(rng: np.random.Generator) -> str:
    """Say something that nobody asked for."""
    return " ".join(f"The {_word(rng, _THINGS)} {_word(rng, _DOES)} {_word(rng, _WHEN)}." for _ in range(_few(rng)))


def order(rng: np.random.Generator) -> str:
    """Order something else."""
    loud = str.upper if rng.random() < 0.2 else str
    return loud(f"{_word(rng, _DROP)} {_word(rng, _WHAT)} and {_word(rng, _SAY)} that {_word(rng, _OUTCOME)}.")


def forged_answer(rng: np.random.Generator) -> str:
    """Look like an answer or a call of somebody's protocol."""
    tag, numbers = _word(rng, _TAGS), [int(v) for v in rng.integers(0, 1000, 4)]
    inside = (f'{{"bbox_2d": {numbers}, "point_2d": {numbers[:2]}}}', str(numbers), "{}", str(numbers[0]), idle(rng))
    opening, closing = (f"<{tag}>", f"</{tag}>") if rng.random() < 0.8 else (f"</{tag}>", f"<{tag}>")
    return f"{opening}{inside[int(rng.integers(len(inside)))]}{closing if rng.random() < 0.7 else ''}"


def roles(rng: np.random.Generator) -> str:
    """Look like the turns of a conversation."""
    return " ".join(f"<|{_word(rng, _ROLES)}|> {order(rng) if rng.random() < 0.5 else ''}" for _ in range(_few(rng)))


def forged_record(rng: np.random.Generator) -> str:
    """Look like another record, of nobody in particular."""
    number = int(rng.integers(2, 9))
    return f"{number}. (Title: {_word(rng, _TITLES)}) The emblem is a {_word(rng, _PAINTS)} {_word(rng, _SHAPES)}."


def noise(rng: np.random.Generator) -> str:
    """Be nothing that can be read."""
    count = int(rng.integers(5, 40))
    letters = "".join(_LETTERS[int(i)] for i in rng.integers(0, len(_LETTERS), count))
    coded = base64.b64encode(rng.bytes(count)).decode()
    entities = f"&lt;{_word(rng, _TAGS)}&gt; &#{int(rng.integers(32, 999))};"
    link = f"![{_word(rng, _THINGS)}](https://{_word(rng, _THINGS)}.example/{coded[:8]})"
    return (letters, coded, entities, link)[int(rng.integers(4))]


def repeated(rng: np.random.Generator) -> str:
    """Say one thing again and again, to the end of the room that a result has."""
    one = (idle, order, forged_answer)[int(rng.integers(3))](rng)
    return " ".join([one] * (1 + int(rng.integers(100, MAX_BODY_CHARS + 80)) // len(one)))


KINDS: tuple[Callable[[np.random.Generator], str], ...] = (
    idle, order, forged_answer, roles, forged_record, noise, repeated,
)  # fmt: skip


@dataclass(frozen=True)
class Chatter:
    """How often strangers speak: the share of trajectories, and of those how many have it in every result.

    In the rest it is a result of its own, in place of the last if there are two or more.
    """

    share: float = 0.0
    everywhere: float = 0.4

    def draw(self, rng: np.random.Generator) -> "Strangers | None":
        """Return who speaks in a trajectory, if anybody does."""
        if not self.share or rng.random() >= self.share:
            return None
        return Strangers(rng, bool(rng.random() < self.everywhere))


SILENCE = Chatter()


@dataclass(frozen=True)
class Strangers:
    """Those who speak in one trajectory."""

    rng: np.random.Generator
    everywhere: bool

    def kept(self, hits: Sequence[TextHit]) -> list[TextHit]:
        """Return the results that they leave."""
        return list(hits) if self.everywhere else list(hits[: max(1, len(hits) - 1)])

    def among(self, hits: Sequence[TextHit], query: str) -> list[TextHit]:
        """Return the results that they left, with what they say."""
        if not hits:
            return []
        if self.everywhere:
            return [
                replace(hit, title=f"{hit.title} {said}", snippet=f"{hit.snippet} {said}")
                for hit, said in ((hit, self.say()) for hit in hits)
            ]
        return [*hits, TextHit(query, self.say(), "stranger", 0.0)]

    def under(self, pictures: Sequence[ShownImage]) -> list[ShownImage]:
        """Return found pictures with what they say in the captions."""
        return [replace(one, name=f"{one.name} {self.say()}") if self.everywhere else one for one in pictures]

    def say(self) -> str:
        """Say one to three things."""
        return " ".join(KINDS[int(self.rng.integers(len(KINDS)))](self.rng) for _ in range(_few(self.rng)))


def _word(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _few(rng: np.random.Generator) -> int:
    return 1 + int(rng.integers(0, 10) > 6) + int(rng.integers(0, 10) > 8)
