"""A finished run as chat clients get it: words for people, JSON for programs, and where the files are.

`segmentation` holds everything that programs need; the text says the same for people, and ends in a fenced JSON block
with the masks of the keyframe, because stock clients drop fields that they do not know.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.coco import label_of, to_coco
from agent.result import Instance, Result
from agent.saving import OVERLAY, VIDEO
from agent.server.clarification import question_fields, question_text
from agent.server.markdown import quoted, source_link
from agent.sources import source_numbers, told_sources
from graphs.events import FoundHit

SCHEMA = "segscout.segmentation/1"
MAX_INLINE_CHARS = 2_000_000
"""Run lengths of all frames together; beyond it the field, too, holds the keyframe's alone, and a URL all others."""


def segmentation_of(result: Result, files: Mapping[str, str]) -> dict[str, Any]:
    """Return a result as plain data: `masks` of all frames (COCO run lengths and boxes), citations, `files` by URL.

    The citations of a mask are the places, among all citations, of what its object rests on.
    """
    masks = [mask | {"citations": result.cited(result.instances[mask["instance"]])} for mask in _masks(result)]
    complete = sum(len(mask["rle"]["counts"]) for mask in masks) <= MAX_INLINE_CHARS
    kept = masks if complete else [mask for mask in masks if mask["frame"] == result.keyframe]
    citations = [{key: value for key, value in asdict(one).items() if key != "picture"} for one in result.evidence]
    return _head(result) | {"complete": complete, "masks": kept, "citations": citations, "files": dict(files)}


def answer_text(result: Result, files: Mapping[str, str]) -> list[str]:
    """Return the answer in pieces that follow one another: verdict, sources, pictures, JSON of the keyframe."""
    verdict, sources = _verdict(result), _sources(result)
    return [piece for piece in (f"{verdict}\n", sources, _pictures(files), _block(result)) if piece]


def _head(result: Result) -> dict[str, Any]:
    media = result.media
    size = {"width": media.width, "height": media.height}
    head = {"schema": SCHEMA, "ending": result.ending.value, "frame": result.keyframe, **size}
    return head | question_fields(result)


def _masks(result: Result) -> list[dict[str, Any]]:
    """Return each instance in each frame; `bbox` is [x, y, width, height] in pixels, `score` that of the keyframe."""
    return [
        {
            "frame": one["image_id"],
            "instance": one["instance_id"],
            "label": label_of(result.instances[one["instance_id"]], result),
            "bbox": one["bbox"],
            "score": round(result.instances[one["instance_id"]].score, 4),
            "rle": one["segmentation"],
        }
        for one in to_coco(result)["annotations"]
    ]


def _verdict(result: Result) -> str:
    asked = quoted(result.query, 300)
    if result.failure is not None:
        return f"No answer was reached: {quoted(result.failure.message, 300)} {quoted(result.failure.remedy, 300)}"
    if result.question is not None:
        return question_text(result)
    if result.absent:
        return f"Not there: nothing matches “{asked}”."
    count = len(result.instances)
    objects = "one object" if count == 1 else f"{count} objects"
    frames = len(result.media.frames)
    where = f" in frame {result.keyframe} of {frames}, followed through the clip" if frames > 1 else ""
    boxes = "; ".join(_place(result, number) for number in range(count))
    return f"Found {objects} for “{asked}”{where}: {boxes}."


def _place(result: Result, number: int) -> str:
    instance = result.instances[number]
    name = f"{quoted(instance.label, 80)} " if instance.label else ""
    cited = _cited(result, instance)
    if instance.box is None:
        return f"{name}by its points, score {instance.score:.2f}{cited}"
    return f"{name}box ({', '.join(f'{value:.0f}' for value in instance.box)}), score {instance.score:.2f}{cited}"


def _cited(result: Result, instance: Instance) -> str:
    numbers = source_numbers(result, instance)
    return f", by source {', '.join(map(str, numbers))}" if numbers else ""


def _sources(result: Result) -> str:
    if not result.evidence:
        return "\nNothing was looked up: this rests on the frames and on what the model knows.\n"
    lines = [f"{number}. {_citation(hit)}" for number, hit in enumerate(told_sources(result), 1)]
    return "\nSources:\n\n" + "\n".join(lines) + "\n"


def _citation(hit: FoundHit) -> str:
    said = f": {quoted(hit.snippet, 300)}" if hit.snippet else ""
    return f"{quoted(hit.title, 150)}{said} {source_link(hit.source)}"


def _pictures(files: Mapping[str, str]) -> str:
    told = f"\n![overlay]({files[OVERLAY]})\n" if OVERLAY in files else ""
    others = [f"[{name}]({url})" for name, url in files.items() if name != OVERLAY]
    video_first = sorted(others, key=lambda link: not link.startswith(f"[{VIDEO}]"))
    return told + (f"\n{' · '.join(video_first)}\n" if others else "")


def _block(result: Result) -> str:
    masks = [mask for mask in _masks(result) if mask["frame"] == result.keyframe]
    plain = json.dumps(_head(result) | {"masks": masks}, ensure_ascii=False, allow_nan=False)
    # So that a label that holds a fence of its own cannot end the block.
    return f"\n```json\n{plain.replace('`', chr(92) + 'u0060')}\n```\n"
