"""What an evaluation is of: everything that decides its numbers, kept beside them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from graphs.policies.loading import without_credentials
from tools.search import CacheMode

NO_SEARCH = "off"


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A benchmark with its data, and what is measured on it.

    `data` is a folder, a file or a hub id; `split` "" is the benchmark's own. `search` None is what the benchmark
    brings to look things up in (Emblems their world, others nothing), "off" nothing, "kb" the knowledge base in the
    folder `kb`, and else a web search. How many at once, and by which engine, is no part of it.
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
    boxes: bool = False
    """Of open-vocabulary benchmarks: whether the policy's own boxes are cut and scored, too."""
    clip: str | None = None
    """Of open-vocabulary benchmarks: the CLIP or SigLIP that compares masks with names, a hub id or folder."""
    classes: str | None = None
    """Of open-vocabulary benchmarks: a file of class names that takes the place of the data set's own."""
    embedder: str = "hashing"
    """Of open-vocabulary benchmarks: what takes the policy's names for classes (see `tools.embedders`)."""

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it, and as it is kept: credentials in the policy's address are left out."""
        return {**asdict(self), "policy": without_credentials(self.policy)}
