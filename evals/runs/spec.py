"""What an evaluation is of: everything that decides its numbers, kept beside them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tools.search import CacheMode

NO_SEARCH = "off"


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A benchmark with its data, and what is measured on it.

    `data` is a folder, a file or a hub id; `split` "" is the benchmark's own. `search` None is what the benchmark
    brings to look things up in (Emblems their world, others nothing), "off" nothing, "kb" the knowledge base in the
    folder `kb`, and else a web search. How fast it runs, and where, is no part of it.
    """

    benchmark: str
    data: str | None = None
    split: str = ""
    seed: int = 0
    n: int | None = None
    policy: str = "embedded"
    model: str | None = None
    checkpoint: str | None = None
    profile: str | None = None
    segmenter: str = "sam2"
    sam2_model: str | None = None
    search: str | None = None
    kb: str | None = None
    search_cache: CacheMode = "off"
    device: str | None = None
    reasoning: Literal["on", "off"] = "on"
    """Of open-vocabulary benchmarks: whether the policy first says what there is."""

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)
