"""Read back what an earlier answer of ours found, out of the JSON that stands in its text.

Strictly: numbers and short labels only, whatever else the text holds.
"""

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from graphs.dialects.neutral import one_line

_OPEN, _CLOSE = "```json\n", "\n```"
_LABEL_CHARS = 80
_TOLD_OBJECTS = 4

_Pixels = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Mask(BaseModel):
    label: str
    bbox: tuple[_Pixels, _Pixels, _Pixels, _Pixels]


class _Found(BaseModel):
    ending: str = Field(max_length=40)
    frame: int | None = Field(ge=0, le=10_000_000)
    width: int = Field(ge=1, le=1_000_000)
    height: int = Field(ge=1, le=1_000_000)
    masks: list[_Mask] = Field(max_length=10_000)


def tell_found(answer: str) -> str:
    """Return in a clause what an answer found and where, in shares of the frame, which every policy reads alike."""
    try:
        found = _Found.model_validate_json(block_of(answer))
    except ValidationError:
        return "the answer is not known"
    if not found.masks:
        return "it was not there" if found.ending == "absent" else "no answer was reached"
    told = ", ".join(_tell(mask, found) for mask in found.masks[:_TOLD_OBJECTS])
    more = len(found.masks) - _TOLD_OBJECTS
    return f"found in frame {found.frame}: {told}{f' and {more} more' if more > 0 else ''}"


def block_of(answer: str) -> str:
    """Return the last fenced JSON in an answer's text, empty if there is none."""
    _, _, block = answer.rpartition(_OPEN)
    return block.partition(_CLOSE)[0]


def _tell(mask: _Mask, found: _Found) -> str:
    x, y, width, height = mask.bbox
    label = one_line(mask.label[: _LABEL_CHARS * 4]).replace('"', "'")[:_LABEL_CHARS]
    across = f"{_share(x, found.width)}-{_share(x + width, found.width)} % across"
    down = f"{_share(y, found.height)}-{_share(y + height, found.height)} % down"
    return f'"{label}", {across} and {down}'


def _share(value: float, whole: int) -> int:
    return min(100, round(100 * value / whole))
