"""A conversation as the one token stream that a policy read and wrote, and that training reads again.

The ids of a sampled turn are those that were sampled: nothing is ever rendered a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from graphs.conversation import ImageRef, Turn
from graphs.policies.chatml import ChatML
from tools.errors import SegscoutError


class StreamError(SegscoutError):
    """A token stream that must not be trained on."""

    boundary = "training"


@dataclass(frozen=True)
class TokenStream:
    """Token ids with images expanded; `mask` is 1 where the policy spoke, and only there `logprobs` are not 0.

    `images` are in token order; `prompt` counts the ids before the policy's first.
    """

    ids: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    images: tuple[ImageRef, ...]
    prompt: int


def to_stream(chatml: ChatML, turns: Sequence[Turn]) -> TokenStream:
    """Encode a conversation; it ends with the policy's last token, since nothing after it is learnt from.

    What the policy was shown last and never answered, as when time or room ran out, is left out with its pictures.

    Raises StreamError if the policy never spoke, or if a sampled turn lacks its ids or log-probabilities.
    """
    ids: list[int] = []
    mask: list[int] = []
    logprobs: list[float] = []
    images: list[ImageRef] = []
    last = 0
    for turn in answered(turns):
        images += [part for part in turn.parts if isinstance(part, ImageRef)]
        whole = chatml.encode_turn(turn)
        spoken = [0] * len(whole)
        scores = [0.0] * len(whole)
        if turn.role == "assistant":
            if turn.token_ids is None or turn.logprobs is None or len(turn.token_ids) != len(turn.logprobs):
                raise StreamError(
                    "a turn of the policy lacks its token ids or log-probabilities.",
                    remedy="Roll out with a checkpoint in process, or a VLLMTokenPolicy that asks for both.",
                )
            start = len(chatml.encode_header(turn.role))
            end = start + len(turn.token_ids)
            spoken[start:end] = [1] * len(turn.token_ids)
            scores[start:end] = turn.logprobs
            last = len(ids) + end
        ids += whole
        mask += spoken
        logprobs += scores
    if not last:
        raise StreamError("the policy never spoke.", remedy="Leave this episode out.")
    return TokenStream(tuple(ids[:last]), tuple(mask[:last]), tuple(logprobs[:last]), tuple(images), mask.index(1))


def answered(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return the turns up to the policy's last; none if it never spoke."""
    return turns[: max((at for at, turn in enumerate(turns, 1) if turn.role == "assistant"), default=0)]


def check_images(stream: TokenStream, chatml: ChatML) -> None:
    """Raise StreamError unless every run of image tokens is exactly one picture, of its size and in its order."""
    runs = [len(list(run)) for pad, run in groupby(stream.ids, lambda token: token == chatml.image_pad) if pad]
    sizes = [chatml.image_tokens(image) for image in stream.images]
    if runs != sizes:
        raise StreamError(
            f"image tokens come in runs of {runs}, the pictures need {sizes}.",
            remedy="Leave this episode out: its pictures and its tokens do not belong together.",
        )
