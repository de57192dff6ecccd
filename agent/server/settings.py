"""What a server allows: who may ask, how much at once, how large, and for how long its files can be fetched."""

from dataclasses import dataclass, field

from agent.server.sources import MediaFetcher, NoFetcher
from tools.media import Limits

MEBIBYTE = 1024**2


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The limits of one server; the defaults suit a machine that runs the shipped parts."""

    key: str | None = field(default=None, repr=False)
    """What every request but `/health` must carry as `Authorization: Bearer KEY`; None: only this machine may ask."""

    recall: bool = True
    """Whether a follow-up tells the policy what was asked and found before; the shipped one never learnt to read it."""

    media: Limits = field(
        default_factory=lambda: Limits(max_pixels=25_000_000, max_frames=3_600, max_bytes=48 * MEBIBYTE)
    )
    pictures: int = 64
    """Pictures in one message at most; several are the frames of a clip."""

    body_bytes: int = 64 * MEBIBYTE
    """Bytes of one request at most; in a data URI, media are a third larger than as a file."""

    bodies_bytes: int = 512 * MEBIBYTE
    """Bytes of the bodies of all requests that are not answered yet; beyond it, more are refused with 429."""

    body_seconds: float = 60.0
    """Time for a request's body to arrive."""

    running: int = 4
    """Runs at once; a run is one episode with all that is done for it."""

    waiting: int = 256
    """Requests that may wait for their run; one more is refused with 429."""

    waiting_seconds: float = 300.0
    """For how long the last of them may have to wait, by what runs have taken so far; else it is refused as well."""

    run_seconds: float = 600.0
    """Time for one run, from opening the media to the saved files."""

    ping_seconds: float = 10.0
    """A stream in which nothing happens says so this often, so that no proxy takes it for dead."""

    file_seconds: float = 3_600.0
    """For how long the files of a run can be fetched."""

    file_bytes: int = 2_048 * MEBIBYTE
    """Bytes of all files kept; beyond it the oldest run's go first."""

    fetcher: MediaFetcher = field(default_factory=NoFetcher)
    """What follows the https URLs that requests name."""

    page: bool = False
    """Whether the web page is mounted at `/ui`; needs the extra `ui`."""
