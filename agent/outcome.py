"""From the graph's account of an episode to the Result that people get."""

from collections.abc import Mapping, Sequence

from agent.result import Failure, Instance, Masks, Result, Step
from agent.versions import Versions
from graphs.endings import Ending
from graphs.episode import EpisodeResult
from graphs.masks import MaskStore
from tools.media import Media


def _more(limit: str) -> str:
    return f"Allow more {limit}: --{limit} N, or budget=Budget({limit}=N) in Python."


NO_ANSWER: Mapping[Ending, Failure] = {
    Ending.MALFORMED: Failure(
        "policy",
        "its turns could not be read, in spite of hints.",
        "Check --model, --profile and --dialect: they must fit each other.",
    ),
    Ending.TURNS_SPENT: Failure("policy", "the turns were spent without an answer.", _more("turns")),
    Ending.SEARCHES_SPENT: Failure("policy", "it kept on searching with no search left.", _more("searches")),
    Ending.TOKENS_SPENT: Failure("policy", "the tokens were spent without an answer.", _more("tokens")),
    Ending.SECONDS_SPENT: Failure(
        "policy", "the time was spent without an answer.", f"{_more('seconds')} Or use a faster endpoint."
    ),
}
"""What to say of an episode in which nothing broke, and yet no answer came."""


def to_result(
    episode: EpisodeResult, media: Media, steps: Sequence[Step], versions: Versions, thread_id: str | None = None
) -> Result:
    """Return the Result of an episode on `media`."""
    failure = Failure(**episode.failure) if episode.failure else NO_ANSWER.get(episode.ending)
    instances = tuple(
        Instance(
            one.label,
            one.box,
            one.points,
            one.labels,
            one.score,
            masks_of(episode.masks, number),
            tuple(episode.evidence[place] for place in one.evidence),
        )
        for number, one in enumerate(episode.instances)
    )
    return Result(
        query=episode.query,
        ending=episode.ending,
        failure=failure,
        keyframe=episode.keyframe,
        instances=instances,
        evidence=episode.evidence,
        usage=episode.usage,
        versions=versions,
        media=media,
        conversation=episode.conversation,
        steps=tuple(steps),
        question=episode.question,
        thread_id=thread_id,
    )


def masks_of(store: MaskStore, target: int) -> Masks:
    """Return the masks of one target by frame."""
    rles = {frame: rle for frame in store.frames() if (rle := store.rle(target, frame)) is not None}
    return Masks(rles)
