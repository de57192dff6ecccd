"""What every benchmark does: run one sample, turn rows into measures, and show what a row was about."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from evals.metrics.intervals import Interval
from evals.runs.spec import RunSpec
from graphs.endings import Ending
from graphs.masks import RLE
from tools.image_store import Image
from tools.segmenters.base import Mask


@dataclass(frozen=True)
class Cut:
    """An answered object on a row's frame: what it is called, and its mask."""

    label: str
    rle: RLE


@dataclass(frozen=True, kw_only=True)
class Row:
    """One sample as it was run and scored; whatever failed has a row, too, with the scores of a failure.

    `error` is "" if there was an answer, else what kept it from coming: the boundary that was crossed (policy, search,
    segmenter, media, input) or the ending of an episode without an answer (malformed, turns_spent, …). `scores` are
    what measures are made of, by name; `score`, 0 to 1, sorts worst from best. `cuts` lie on `frame`. `details` are the
    benchmark's own, as JSON holds them.
    """

    index: int
    id: str
    query: str = ""
    group: str = ""
    ending: str = ""
    error: str = ""
    message: str = ""
    score: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    turns: int = 0
    searches: int = 0
    frame: int | None = None
    cuts: tuple[Cut, ...] = ()
    said: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether a part failed, or the sample could not be read, as opposed to the policy's own doing."""
        return bool(self.error) and self.error not in frozenset(Ending)

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON holds it."""
        return asdict(self)


def row_from_plain(plain: Mapping[str, Any]) -> Row:
    """Return the row that `to_plain` wrote."""
    cuts = tuple(Cut(**cut) for cut in plain["cuts"])
    return Row(**{**plain, "cuts": cuts, "said": tuple(plain["said"])})


@dataclass(frozen=True)
class Measure:
    """One number of a benchmark over `n` samples of `group` ("": all), with its 95 % interval if it has one.

    Values are 0 to 1; `higher_is_better` is False for errors such as MAE.
    """

    name: str
    value: float
    n: int
    ci95: Interval | None = None
    group: str = ""
    higher_is_better: bool = True


@dataclass(frozen=True)
class Published:
    """A number that somebody published for a measure of this benchmark, 0 to 1, and why it may not compare."""

    system: str
    split: str
    measure: str
    value: float
    source: str
    caveat: str = ""


@dataclass(frozen=True)
class Picture:
    """What a row was about, for a report: its frame, RGB uint8 (height, width, 3), and the true masks there."""

    image: Image
    truth: tuple[Mask, ...]


RunSample = Callable[[int], Awaitable[Row]]
"""Runs and scores one sample. Raises SegscoutError if the sample itself cannot be read; all else is in the row."""


class Benchmark(Protocol):
    """Samples and how they are scored; opening one reads what there is, but loads no model.

    `counts` says in a sentence how failures and empty truths count. `published` are numbers of others.
    """

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def title(self) -> str:
        """What a report calls it, with its split."""
        ...

    @property
    def counts(self) -> str:
        """How failures and empty truths count."""
        ...

    @property
    def published(self) -> Sequence[Published]:
        """Numbers of others on this split."""
        ...

    def __len__(self) -> int: ...

    async def prepare(self, spec: RunSpec) -> RunSample:
        """Load policy and tools, and return what runs a sample with them."""
        ...

    def failed(self, row: Row) -> Row:
        """Return the row of a sample that could not be run at all with the scores of a failure."""
        ...

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure of at least one row; the first one leads."""
        ...

    def picture(self, row: Row) -> Picture | None:
        """Load what a row was about; None where there is nothing to show."""
        ...
