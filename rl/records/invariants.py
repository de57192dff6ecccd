"""What must hold of every record; checked when one is written and by `segscout rl check`."""

import math
from collections.abc import Iterator

from rl.records.schema import SCHEMA_VERSION, Record
from tools.errors import SegscoutError


class RecordError(SegscoutError):
    """A record that contradicts itself, or a file of records that cannot be used."""

    boundary = "records"


def check_record(record: Record, image_pad: int) -> None:
    """Raise RecordError for the first invariant that does not hold; `image_pad` is the id of an image token."""
    for problem in problems(record, image_pad):
        raise RecordError(
            f"episode {record['episode_id']}: {problem}.", remedy="It was not written; roll the episode out again."
        )


def problems(record: Record, image_pad: int) -> Iterator[str]:
    """Yield what is wrong with a record, in words."""
    ids, mask, scores = record["input_ids"], record["loss_mask"], record["logprobs"]
    if record["schema_version"] != SCHEMA_VERSION:
        yield f"schema version {record['schema_version']} is not {SCHEMA_VERSION}"
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


def _image_problems(record: Record, image_pad: int) -> Iterator[str]:
    ids, covered = record["input_ids"], 0
    for image in record["images"]:
        start, end = image["token_start"], image["token_start"] + image["token_len"]
        run = ids[start:end]
        bounded = (start == 0 or ids[start - 1] != image_pad) and (end >= len(ids) or ids[end] != image_pad)
        if len(run) != image["token_len"] or set(run) != {image_pad} or not bounded:
            yield f"picture {image['sha256'][:12]} and its run of image tokens at {start} do not agree"
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
