"""What `segscout segment` was asked, checked without the heavy parts, so that a slip is told at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.folders import check_directory
from tools.errors import InputError
from tools.media import Media, open_media
from tools.search.choosing import SearchRequest
from tools.segmenters.base import Box
from tools.settings import Settings

_BOX_REMEDY = "Write it as X,Y,X,Y: left, top, right, bottom in pixels."


CHECKPOINTS = Path("runs/checkpoints.db")


@dataclass(frozen=True)
class ThreadRequest:
    """Whether the run is kept, under which id, and whether and how a person is asked."""

    thread_id: str | None = None
    checkpoints: Path | None = None
    clarify: bool = False
    choice: int | None = None
    serves: bool = False
    """Whether a question is answered in the process that asks it, so that memory will do."""

    @property
    def file(self) -> Path | None:
        """Where threads are kept; None if no file needs to be."""
        return self.checkpoints or (CHECKPOINTS if self.thread_id or (self.clarify and not self.serves) else None)

    def check(self) -> None:
        """Raise InputError for what belongs to a thread and has none."""
        if self.thread_id is None and self.choice is not None:
            raise InputError("--choice belongs to a thread.", remedy="Name it with --thread.")
        if self.thread_id is None and self.checkpoints is not None and not self.clarify:
            remedy = "Give --clarify, too." if self.serves else "Name the run with --thread."
            raise InputError("--checkpoints without a thread keeps nothing.", remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of an agent, each as the command line names it."""

    policy: str
    model: str | None
    profile: str | None
    dialect: str | None
    segmenter: str
    sam2_model: str | None
    device: str | None


@dataclass(frozen=True, kw_only=True)
class Request:
    """The command line; None is "not said", so the settings decide."""

    media: str = ""
    query: str = ""
    policy: str | None = None
    model: str | None = None
    profile: str | None = None
    dialect: str | None = None
    segmenter: str | None = None
    sam2_model: str | None = None
    box: Sequence[str] = ()
    frame: int = 0
    search: SearchRequest = field(default_factory=SearchRequest)
    device: str | None = None
    out: Path | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the budget that are not to be the profile's."""
    thread: ThreadRequest = field(default_factory=ThreadRequest)

    def parts(self, settings: Settings) -> Parts:
        """Return the parts of the agent: what the command line does not say, the settings do.

        Of an endpoint's model and a SAM 2 checkpoint in the settings only what fits the other parts is taken.
        """
        policy, segmenter = self.policy or settings.policy, self.segmenter or settings.segmenter
        return Parts(
            policy=policy,
            model=self.model or (settings.model if "://" in policy else None),
            profile=self.profile or settings.profile,
            dialect=self.dialect or settings.dialect,
            segmenter=segmenter,
            sam2_model=self.sam2_model or (settings.sam2_model if segmenter == "sam2" else None),
            device=self.device or settings.device,
        )


@dataclass(frozen=True)
class Checked:
    """What the request turned out to mean: open media, boxes in pixels, and where the results go."""

    media: Media
    boxes: list[Box]
    out: Path


def given(**limits: float | None) -> dict[str, float]:
    """Return the limits that the command line names."""
    return {name: value for name, value in limits.items() if value is not None}


def check_request(request: Request) -> Checked:
    """Open the media and check the rest; raises InputError or MediaError."""
    if not request.query.strip() and not request.box:
        raise InputError("the query is empty.", remedy="Say what to find, or give its box with --box X,Y,X,Y.")
    boxes = [read_box(text) for text in request.box]
    request.thread.check()
    if boxes and request.thread.file is not None:
        raise InputError("--box is cut at once; there is no thread.", remedy="Leave out --thread and --clarify.")
    out = request.out or Path("runs/segment") / Path(request.media).stem
    check_directory(out)
    return Checked(open_media(request.media), boxes, out)


def read_box(text: str) -> Box:
    """Read `X,Y,X,Y` (pixels; right and bottom are exclusive edges); InputError if it is no box with an area."""
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(f"{text!r} is no box.", remedy=_BOX_REMEDY) from error
    # Written so that a NaN fails too; a box of infinite size is cut to the picture.
    if not (x1 < x2 and y1 < y2):
        raise InputError(f"the box {text} is empty.", remedy=_BOX_REMEDY)
    return x1, y1, x2, y2
