"""What must hold of every record; checked when one is written and by `segscout rl check`."""

import math
from collections.abc import Iterator
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from graphs.conversation import ImageRef, Turn, from_plain
from graphs.state import PlainTurn
from rl.records.schema import SCHEMA_VERSION, Record, Status
from rl.stream import answered
from tools.errors import SegscoutError

_TURNS: TypeAdapter[list[PlainTurn]] = TypeAdapter(list[PlainTurn])
_WRITTEN = "It was not written; roll the episode out again."


class RecordError(SegscoutError):
    """A record that contradicts itself, or a file of records that cannot be used."""

    boundary = "records"


def check_record(record: Record, image_pad: int, *, remedy: str = _WRITTEN) -> None:
    """Raise RecordError for the first invariant that does not hold; `image_pad` is the id of an image token."""
    for problem in problems(record, image_pad):
        raise RecordError(f"episode {record['episode_id']}: {problem}.", remedy=remedy)


def check_read(record: Record) -> Record:
    """Return a record that is to be trained on; RecordError if an invariant does not hold."""
    check_record(record, image_pad_of(record), remedy="Run `segscout rl check` on its folder, or record it again.")
    return record


def image_pad_of(record: Record) -> int:
    """Return the id that stands for pictures, by the record itself; -1 if it has none."""
    places = [image["token_start"] for image in record["images"]]
    return record["input_ids"][places[0]] if places and 0 <= places[0] < len(record["input_ids"]) else -1


def problems(record: Record, image_pad: int) -> Iterator[str]:
    """Yield what is wrong with a record, in words."""
    ids, mask, scores = record["input_ids"], record["loss_mask"], record["logprobs"]
    if record["schema_version"] != SCHEMA_VERSION:
        yield f"schema version {record['schema_version']} is not {SCHEMA_VERSION}"
    if record["status"] not in get_args(Status):
        yield f"{record['status']!r} is no status"
    if not len(ids) == len(mask) == len(scores):
        yield f"{len(ids)} ids, {len(mask)} of the mask and {len(scores)} log-probabilities"
        return
    if any(value not in (0, 1) for value in mask):
        yield "the mask holds more than 0 and 1"
    if any(not math.isfinite(score) or score > 1e-4 or (score != 0 and not one) for score, one in zip(scores, mask)):  # noqa: B905
        yield "a log-probability is not one, or stands where the policy did not speak"
    if record["prompt_len"] != (mask.index(1) if 1 in mask else len(ids)):
        yield "the prompt does not end where the policy begins"
    yield from _image_problems(record, image_pad)
    yield from _turn_problems(record)
    yield from _message_problems(record)


def cell_of(record: Record) -> float:
    """Return the area in pixels that one image token covers, by the first picture; 0 if there is none."""
    first = record["images"][0] if record["images"] else None
    return first["width"] * first["height"] / first["token_len"] if first and first["token_len"] else 0.0


def _image_problems(record: Record, image_pad: int) -> Iterator[str]:
    ids, covered = record["input_ids"], 0
    for image in record["images"]:
        start, end = image["token_start"], image["token_start"] + image["token_len"]
        run = ids[start:end]
        bounded = (start == 0 or ids[start - 1] != image_pad) and (end >= len(ids) or ids[end] != image_pad)
        if len(run) != image["token_len"] or set(run) != {image_pad} or not bounded:
            yield f"picture {image['sha256'][:12]} and its run of image tokens at {start} do not agree"
        area, side = image["width"] * image["height"], math.isqrt(max(0, round(cell_of(record))))
        if not side or area != side**2 * image["token_len"] or image["width"] % side or image["height"] % side:
            yield f"picture {image['sha256'][:12]} of {image['width']}x{image['height']} has another number of tokens"
        covered += image["token_len"]
    if covered != sum(token == image_pad for token in ids):
        yield "there are image tokens without a picture"


def _turn_problems(record: Record) -> Iterator[str]:
    spoken, at = 0, 0
    for turn in record["turns"]:
        if turn["start"] != at or turn["end"] < turn["start"]:
            yield f"the turns do not follow one another at token {at}"
        at = turn["end"]
        stretch = record["loss_mask"][turn["start"] : turn["end"]]
        spoken += sum(stretch)
        if turn["kind"] != "policy" and any(stretch):
            yield "the mask is 1 outside the policy's turns"
        if turn["kind"] == "policy" and not all(stretch):
            yield "a turn of the policy is not wholly in the mask"
    if at != len(record["input_ids"]):
        yield "the turns do not end where the stream ends"
    if spoken != sum(record["loss_mask"]):
        yield "the mask is 1 outside the turns"


def _message_problems(record: Record) -> Iterator[str]:
    try:
        messages = [from_plain(turn) for turn in _TURNS.validate_json(record["messages"])]
    except (ValidationError, KeyError, ValueError):
        yield "the messages are no conversation"
        return
    shown = [part for turn in answered(messages) for part in turn.parts if isinstance(part, ImageRef)]
    if shown != [ImageRef(image["sha256"], image["width"], image["height"]) for image in record["images"]]:
        yield "the pictures are not those of the messages, in their order"
    said = [turn for turn in messages if turn.role == "assistant"]
    stretches = [turn for turn in record["turns"] if turn["kind"] == "policy"]
    if len(said) != len(stretches):
        yield f"the policy has {len(stretches)} turns, the messages have {len(said)}"
    for turn, message in zip(stretches, said, strict=False):
        if turn["text"] != message.text:
            yield f"the text of the turn at token {turn['start']} is not that of its message"
        if not _same_tokens(record, turn["start"], turn["end"], message):
            yield f"the tokens of the turn at token {turn['start']} are not those of its message"


def _same_tokens(record: Record, start: int, end: int, message: Turn) -> bool:
    """Tell whether a stretch is what the message says was sampled; Parquet keeps log-probabilities in 32 bits."""
    if tuple(record["input_ids"][start:end]) != message.token_ids or message.logprobs is None:
        return False
    scores = record["logprobs"][start:end]
    return len(scores) == len(message.logprobs) and all(
        math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6)
        for one, other in zip(scores, message.logprobs, strict=True)
    )
