"""What the policy is asked, step by step, with the JSON schema of each answer; pure.

Structure of the steps as in OpenSeg-R (arXiv 2505.16974: description, candidate classes, reasons from coarse to fine);
its prompts are not published, so the sentences are our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.conversation import ImageRef, Text, Turn

PROMPT_VERSION = "1"
"""Part of the key under which generic reasons are cached: raise it when a question below changes its meaning."""

_SYSTEM = "You help to label every region of a picture. Answer with one JSON object and nothing else."
_STRINGS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}


@dataclass(frozen=True)
class Question:
    """A conversation to be completed, where it stops, and the JSON schema of the answer (None: free text)."""

    turns: tuple[Turn, ...]
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int = 1_024


def describe_question(image: ImageRef) -> Question:
    """Ask for a description of the whole picture."""
    text = 'Describe the whole picture: every object, and every surface and background. Answer {"description": "..."}.'
    return _ask(image, text, _object(description={"type": "string"}))


def shortlist_question(image: ImageRef, description: str, names: Sequence[str]) -> Question:
    """Ask which of `names` can be seen."""
    text = (
        f"It was described so: {description}\n\nClasses: {'; '.join(names)}\n\nWhich of these classes can be seen in "
        'the picture, also small or partly hidden? Use the names as they are written. Answer {"classes": ["..."]}.'
    )
    return _ask(image, text, _object(classes=_STRINGS))


def reason_question(image: ImageRef, candidates: Sequence[str], most: int) -> Question:
    """Ask by what each candidate is recognised in this picture, coarse to fine."""
    text = (
        f"Candidates: {'; '.join(candidates)}\n\nFor each candidate that is in the picture, from coarse to fine: its "
        f"broad category, its kind within that, and at most {most} short visual attributes by which it is told apart "
        "here from the other candidates. Only what can be seen: colour, shape, material, parts, place. Answer "
        '{"reasons": [{"class": "...", "general_category": "...", "sub_category": "...", "attributes": ["..."]}]}.'
    )
    one = _object(
        **{"class": {"type": "string"}},
        general_category={"type": "string"},
        sub_category={"type": "string"},
        attributes=_STRINGS,
    )
    return _ask(image, text, _object(reasons={"type": "array", "items": one}))


def generic_question(names: Sequence[str], others: Sequence[str], most: int) -> Question:
    """Ask by what a class is recognised in any picture; `others` of the vocabulary say which sense is meant."""
    text = (
        f"Class: {', '.join(names)}\nOther classes of the same list: {'; '.join(others)}\n\nBy what is this class "
        f"recognised in a picture? Its broad category, its kind within that, and at most {most} short visual "
        "attributes that tell it from the others. Only what can be seen. Answer "
        '{"general_category": "...", "sub_category": "...", "attributes": ["..."]}.'
    )
    schema = _object(general_category={"type": "string"}, sub_category={"type": "string"}, attributes=_STRINGS)
    return _ask(None, text, schema, max_tokens=512)


def locate_question(image: ImageRef, name: str) -> Question:
    """Ask for the boxes of all regions of a class, in thousandths of the picture."""
    text = (
        f"Where is: {name}? Give a box for each, as [x1, y1, x2, y2] from 0 to 1000; none if it is not there. "
        'Answer {"boxes": [[x1, y1, x2, y2]]}.'
    )
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    return _ask(image, text, _object(boxes={"type": "array", "items": box}))


def _ask(image: ImageRef | None, text: str, schema: Mapping[str, Any], *, max_tokens: int = 1_024) -> Question:
    parts = (Text(text),) if image is None else (image, Text(f"\n{text}"))
    return Question((Turn("system", (Text(_SYSTEM),)), Turn("user", parts)), schema, max_tokens=max_tokens)


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
