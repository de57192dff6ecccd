"""The answer as people get it: masks, evidence, cost; it knows how to describe itself and to save itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agent.versions import Versions
from graphs.conversation import Turn
from graphs.endings import Ending
from graphs.episode import Evidence, Usage
from graphs.events import Event, Question
from graphs.masks import RLE, decode_rle
from tools.errors import SegscoutError
from tools.media import Media
from tools.segmenters.base import Box, Mask

SCHEMA = "segscout.result/1"


class Masks(Mapping[int, Mask]):
    """The masks of one instance by frame: boolean (height, width) in the original size, decoded when asked for."""

    def __init__(self, rles: Mapping[int, RLE]) -> None:
        self._rles = dict(sorted(rles.items()))

    def __getitem__(self, frame: int) -> Mask:
        """Return the mask of a frame; KeyError if none was cut there."""
        return decode_rle(self._rles[frame])

    def __iter__(self) -> Iterator[int]:
        return iter(self._rles)

    def __len__(self) -> int:
        return len(self._rles)

    def __repr__(self) -> str:
        return f"Masks({len(self)} frames)"

    def __eq__(self, other: object) -> bool:
        # A mapping compares its values, and arrays have no truth value.
        return isinstance(other, Masks) and self._rles == other._rles

    def __hash__(self) -> int:
        return hash(tuple((frame, rle["counts"]) for frame, rle in self._rles.items()))

    def rle(self, frame: int) -> RLE:
        """Return the mask of a frame as COCO run lengths, without decoding; KeyError if none was cut there."""
        return self._rles[frame]


@dataclass(frozen=True)
class Instance:
    """One object that was found; box, points and labels (1 inside, 0 outside) are in pixels of the keyframe.

    `score` is the segmenter's own estimate of the mask at the keyframe, 0 to 1.
    """

    label: str
    box: Box | None
    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    score: float
    masks: Masks
    evidence: tuple[Evidence, ...] = ()
    """What the policy says that this object rests on; always empty where its dialect cites nothing."""


@dataclass(frozen=True)
class Failure:
    """What broke: the boundary that was crossed, what happened there, and what mends it."""

    boundary: str
    message: str
    remedy: str

    def to_error(self) -> SegscoutError:
        """Return the error behind the failure, at its own boundary."""
        return SegscoutError(self.message, remedy=self.remedy, boundary=self.boundary)


@dataclass(frozen=True)
class Step:
    """An event and when it happened, in seconds since the start."""

    at: float
    event: Event


@dataclass(frozen=True)
class Result:
    """How an episode ended and all that it brought; coordinates are pixels of the original media."""

    query: str
    ending: Ending
    failure: Failure | None
    """Set if the episode brought no answer; its remedy says what to do."""
    keyframe: int | None
    instances: tuple[Instance, ...]
    evidence: tuple[Evidence, ...]
    usage: Usage
    versions: Versions
    media: Media = field(repr=False, compare=False)
    """Open, so that the result can be saved; `media.close()` when it is no longer wanted."""
    conversation: tuple[Turn, ...] = field(default=(), repr=False)
    steps: tuple[Step, ...] = field(default=(), repr=False)
    question: Question | None = None
    """What a person must choose before there is an answer; the ending is `asked` then."""
    thread_id: str | None = None
    """The thread that this is the result of, to go on with."""

    @property
    def found(self) -> bool:
        """Whether the object was found and cut out."""
        return self.ending is Ending.FOUND

    @property
    def absent(self) -> bool:
        """Whether the policy says that nothing in the media matches."""
        return self.ending is Ending.ABSENT

    def union(self, frame: int) -> Mask | None:
        """Return all instances of a frame in one mask, boolean (height, width), None if none was cut there."""
        masks = [instance.masks[frame] for instance in self.instances if frame in instance.masks]
        union: Mask | None = np.logical_or.reduce(masks) if masks else None
        return union

    def cited(self, instance: Instance) -> list[int]:
        """Return the places in `evidence` of what one of the instances cites."""
        return [self.evidence.index(one) for one in instance.evidence]

    def to_dict(self) -> dict[str, Any]:
        """Return all but pixels and conversation as plain data, ready for JSON."""
        media = self.media
        return {
            "schema": SCHEMA,
            "query": self.query,
            "found": self.found,
            "absent": self.absent,
            "ending": self.ending.value,
            "failure": asdict(self.failure) if self.failure else None,
            "media": {
                "name": media.name,
                "kind": media.kind,
                "width": media.width,
                "height": media.height,
                "frames": len(media.frames),
                "fps": media.fps,
                "sha256": media.sha256,
            },
            "keyframe": self.keyframe,
            "instances": [
                _plain_instance(instance) | {"evidence": self.cited(instance)} for instance in self.instances
            ],
            "evidence": [asdict(one) for one in self.evidence],
            "usage": {**asdict(self.usage), "seconds": dict(self.usage.seconds)},
            "versions": asdict(self.versions),
            "thread_id": self.thread_id,
            "question": asdict(self.question) if self.question else None,
        }

    def save(self, directory: str | Path, *, progress: Callable[[int, int], None] | None = None) -> list[Path]:
        """Write pictures, masks, trace and result to a folder, and return the files.

        Everything is written elsewhere first: a failure leaves the folder as it was. `progress` is told frames done
        and in all while the video is written. Raises InputError if the folder cannot be used, MediaError if a frame
        cannot be read or encoded.
        """
        from agent.saving import save_result  # late: drawing and encoding are of no use to those who never save

        return save_result(self, Path(directory), progress)


def _plain_instance(instance: Instance) -> dict[str, Any]:
    return {
        "label": instance.label,
        "box": list(instance.box) if instance.box else None,
        "points": [list(point) for point in instance.points],
        "labels": list(instance.labels),
        "score": instance.score,
        "frames": len(instance.masks),
    }
