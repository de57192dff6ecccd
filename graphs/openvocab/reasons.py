"""Reasons: by what one knows that something is of a class. The published JSON files of them are read and written."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphs.openvocab.vocabulary import Vocabulary, plain_name, split_names
from tools.errors import InputError, boundary

_REMEDY = "Give a file in OpenSeg-R's format, or leave it out."


@dataclass(frozen=True)
class ClassReason:
    """Coarse to fine: the broad category, the kind within it, and the visual attributes that tell it apart."""

    general_category: str = ""
    sub_category: str = ""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageReasons:
    """What was said of one picture: the candidate classes by the names that the policy used, each with its reason."""

    description: str
    candidates: Mapping[str, ClassReason]


def read_generic_reasons(path: Path, vocabulary: Vocabulary) -> dict[int, ClassReason]:
    """Read reasons that hold for every picture, by the place of their class; `class_des` holds the attributes.

    Classes that the file does not know are left out, and so are names that are no class. Raises InputError for a file
    that cannot be read.
    """
    found: dict[int, ClassReason] = {}
    for key, value in read_object(path).items():
        place = vocabulary.places.get(plain_name(key))
        if place is not None and isinstance(value, dict):
            found.setdefault(place, _reason(value, "class_des"))
    return found


def read_image_reasons(path: Path) -> ImageReasons:
    """Read the reasons of one picture: `reasoning.map_class_reason`, in which a key may hold several synonyms.

    Raises InputError for a file that cannot be read or has no such part.
    """
    whole = read_object(path)
    reasoning = whole.get("reasoning")
    reasons = reasoning.get("map_class_reason") if isinstance(reasoning, dict) else None
    if not isinstance(reasons, dict):
        raise InputError(f"{path} has no reasoning with a map_class_reason.", remedy=_REMEDY)
    candidates = {
        ", ".join(split_names(key)): _reason(value, "reason3")
        for key, value in reasons.items()
        if isinstance(value, dict)
    }
    return ImageReasons(str(reasoning.get("description", "")) if isinstance(reasoning, dict) else "", candidates)


def write_image_reasons(path: Path, reasons: ImageReasons, replies: Sequence[Mapping[str, object]] = ()) -> None:
    """Write the reasons of one picture in the published form, with every raw reply beside them; whole or not at all."""
    mapped = {
        name: {
            "general_category": reason.general_category,
            "sub_category": reason.sub_category,
            "reason3": list(reason.attributes),
        }
        for name, reason in reasons.candidates.items()
    }
    reasoning = {"description": reasons.description, "map_class_reason": mapped}
    write_object(path, {"reasoning": reasoning, "replies": [dict(reply) for reply in replies]})


def as_plain_reason(reason: ClassReason) -> dict[str, Any]:
    """Return a reason as plain values, for state and files."""
    return {**asdict(reason), "attributes": list(reason.attributes)}


def from_plain_reason(plain: Mapping[str, Any]) -> ClassReason:
    """Return the reason of plain values; the inverse of `as_plain_reason`."""
    return _reason(plain, "attributes")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; InputError if it is not one."""
    with boundary(InputError, f"{path} cannot be read", remedy=_REMEDY):
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.", remedy=_REMEDY)
    return value


def write_object(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object, whole or not at all; InputError if the folder cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with boundary(InputError, f"{path} cannot be written", remedy="Check the folder, and the room on the disk."):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)


def clean_attributes(values: object) -> tuple[str, ...]:
    """Return a list's strings, or the parts of comma-separated text, without blanks, brackets, dots and doubles."""
    parts = values.split(",") if isinstance(values, str) else values if isinstance(values, list | tuple) else ()
    cleaned = (" ".join(str(part).split()).strip("[]().;") for part in parts)
    return tuple(dict.fromkeys(part for part in cleaned if part))


def _reason(value: Mapping[str, Any], attributes: str) -> ClassReason:
    def text(key: str) -> str:
        return " ".join(str(value.get(key) or "").split())

    return ClassReason(text("general_category"), text("sub_category"), clean_attributes(value.get(attributes)))
