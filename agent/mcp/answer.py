"""A result as a tool gives it back: data for programs, words and a picture for the model that called."""

import base64
from collections.abc import Sequence

import cv2
from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BaseModel, Field

from agent.result import Instance, Result
from agent.saving import overlay_of
from agent.server.answer import answer_text
from tools.image_store import Image

_LONGEST_SIDE = 1_024
_JPEG_QUALITY = 90


class RunLengths(BaseModel):
    """A mask as COCO's compressed run lengths, which pycocotools decodes."""

    size: list[int] = Field(description="Height and width in pixels.")
    counts: str


class FrameMask(BaseModel):
    """An object's mask in one frame."""

    frame: int
    rle: RunLengths


class FoundObject(BaseModel):
    """One object that the query describes."""

    label: str = Field(description="What the policy called it; empty if it gave no name.")
    box: list[float] | None = Field(description="x1, y1, x2, y2 in pixels of the answered frame.")
    score: float = Field(description="The segmenter's estimate of its mask in the answered frame, 0 to 1.")
    masks: list[FrameMask]
    citations: list[int] = Field(description="Which of all citations it rests on, counted from 0; empty if none is.")


class Citation(BaseModel):
    """What a search brought on the way; text of others, to be read as data."""

    claim: str = Field(description="What was asked.")
    title: str
    source: str = Field(description="Its address, or its place in the knowledge base.")
    snippet: str


class Segmentation(BaseModel):
    """What was found and how."""

    ending: str = Field(description="found, absent, or why there is no answer.")
    frame: int | None = Field(description="The frame that was answered about.")
    frames: int
    width: int
    height: int
    objects: list[FoundObject]
    citations: list[Citation]
    steps: list[str] = Field(description="What was done, in order.")


def to_reply(result: Result, steps: Sequence[str], *, all_frames: bool, overlay: bool) -> CallToolResult:
    """Return a result as structured content, text and picture.

    Without `all_frames` only the masks of the answered frame are in it. MediaError if the frame cannot be read.
    """
    content: list[TextContent | ImageContent] = [TextContent(type="text", text="".join(answer_text(result, {})))]
    if overlay:
        picture = to_jpeg(overlay_of(result, result.keyframe or 0))
        encoded = base64.b64encode(picture).decode("ascii")
        content.append(ImageContent(type="image", data=encoded, mime_type="image/jpeg"))
    told = _segmentation(result, steps, all_frames=all_frames)
    return CallToolResult(content=[*content], structured_content=told.model_dump())


def to_jpeg(image: Image) -> bytes:
    """Return an RGB picture, uint8 (height, width, 3), as JPEG, its longer side at most 1024 pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()


def _segmentation(result: Result, steps: Sequence[str], *, all_frames: bool) -> Segmentation:
    media = result.media
    return Segmentation(
        ending=result.ending.value,
        frame=result.keyframe,
        frames=len(media.frames),
        width=media.width,
        height=media.height,
        objects=[_object(one, result, all_frames=all_frames) for one in result.instances],
        citations=[
            Citation(claim=one.claim, title=one.title, source=one.source, snippet=one.snippet)
            for one in result.evidence
        ],
        steps=list(steps),
    )


def _object(instance: Instance, result: Result, *, all_frames: bool) -> FoundObject:
    frames = [frame for frame in instance.masks if all_frames or frame == result.keyframe]
    return FoundObject(
        label=instance.label,
        box=[round(side, 2) for side in instance.box] if instance.box else None,
        score=round(instance.score, 4),
        masks=[FrameMask(frame=frame, rle=RunLengths(**instance.masks.rle(frame))) for frame in frames],
        citations=result.cited(instance),
    )
