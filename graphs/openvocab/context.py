"""What a run of the second graph works with; never checkpointed, never copied into state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from langgraph.runtime import Runtime

from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows, Scores
from graphs.openvocab.dialects import ReasoningDialect
from graphs.openvocab.events import VocabularyEvent
from graphs.openvocab.fusion import Maps, PanopticRules, PresencePrior
from graphs.openvocab.reasons import ClassReason, ImageReasons
from graphs.openvocab.vocabulary import Vocabulary
from graphs.policies.base import Policy, Sampling
from tools.classifiers.base import MaskTextEncoder
from tools.errors import InputError
from tools.image_store import Image, ImageStore
from tools.segmenters.automatic import Proposals
from tools.segmenters.base import Segment, Segmenter


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run goes; thresholds of the parts are theirs.

    `regions`: masks of all that stands out, scored by the encoder, or boxes that the policy gives class by class.
    `certain` are the first names of classes that count as present whatever the policy says, such as a background.
    """

    regions: Literal["masks", "boxes"] = "masks"
    proposals: Proposals = field(default_factory=Proposals)
    prior: PresencePrior = field(default_factory=PresencePrior)
    panoptic: PanopticRules = field(default_factory=PanopticRules)
    attributes: int = 3
    """Attributes of a class that become phrases."""
    names_per_question: int = 150
    """A larger vocabulary is shown to the policy in several questions."""
    reply_seconds: float = 120.0
    repairs: int = 1
    """How often a reply that cannot be read is asked for again."""
    rest: bool = True
    """Whether what no mask covers becomes a mask of its own, so that every pixel gets a class."""
    certain: frozenset[str] = frozenset()
    sampling: Sampling = field(default_factory=Sampling)


@dataclass
class Workspace:
    """Pixels and numbers of one run: the masks, their scores by class before the prior, and the maps.

    `found` are the places of the classes that the prior takes for present, none if reasoning found none.
    """

    segments: list[Segment] | None = None
    scores: Scores | None = None
    found: frozenset[int] = frozenset()
    maps: Maps | None = None


@dataclass(frozen=True, kw_only=True)
class OpenVocabularyContext:
    """The run-scoped context. Parts may be shared by many runs; `image`, `images` and `work` belong to one.

    Without `policy` there is no reasoning: generic reasons and bare names alone score the masks. `reasons` that were
    recorded before take the place of asking. Raises InputError where a way to regions lacks its parts.
    """

    vocabulary: Vocabulary
    aligner: ClassAligner
    segmenter: Segmenter
    encoder: MaskTextEncoder | None = None
    rows: PhraseRows | None = None
    """The encoder's vectors of phrases, kept across runs; by default made anew for each."""
    policy: Policy | None = None
    dialect: ReasoningDialect | None = None
    generic: Mapping[int, ClassReason] = field(default_factory=dict)
    reasons: ImageReasons | None = None
    settings: Settings = field(default_factory=Settings)
    sink: Callable[[VocabularyEvent], None] | None = None
    image: Image | None = None
    images: ImageStore = field(default_factory=ImageStore)
    work: Workspace = field(default_factory=Workspace)

    def __post_init__(self) -> None:
        if self.policy is not None and self.dialect is None:
            raise InputError("there is a policy, but no way to ask it.", remedy="Give a reasoning dialect.")
        if self.settings.regions == "masks" and self.encoder is None:
            raise InputError("masks need an encoder to be named.", remedy="Give one, or ask for boxes.")
        if self.settings.regions == "boxes" and self.policy is None:
            raise InputError("boxes need a policy to give them.", remedy="Give one, or ask for masks.")


def emit(runtime: Runtime[OpenVocabularyContext], event: VocabularyEvent) -> None:
    """Send an event to the custom stream and to the sink."""
    runtime.stream_writer(event)
    if runtime.context.sink is not None:
        runtime.context.sink(event)
