"""Frames of Emblems, every pixel one of 320 emblems or background: does it help to say first what is there?

The policy names the emblems, and its words are their patterns, colours and shapes; they change no phrase that masks are
compared with, so that without a prior the labels are those of a run without reasoning.
"""

from evals.benchmarks.base import Benchmark
from evals.benchmarks.scorers.semantic import SemanticScorer
from evals.benchmarks.vocabulary import VocabularyBenchmark, check_split
from evals.benchmarks.ways import choose_ways
from evals.contexts import open_policy
from evals.emblems.frames import BACKGROUND, VOCABULARY, EmblemFrames
from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, Vocabulary
from graphs.openvocab.dialects import JsonReasoning
from graphs.policies.loading import is_address
from tools.errors import InputError
from tools.segmenters import load_segmenter

_N = 200
_PICTURES = 600
_EMPTY = 12


async def open_emblems_vocabulary(
    spec: RunSpec, vocabulary: Vocabulary, *, pictures: int = _PICTURES, empty: int = _EMPTY
) -> OpenVocabularyContext:
    """Load policy and segmenter, and learn words from `pictures` and `empty` backgrounds.

    InputError for a segmenter without features to learn them from.
    """
    # Imported late: torch and transformers take seconds, which the help of commands must not cost.
    from evals.emblems.semantic import make_context
    from tools.segmenters.sam2 import Sam2Segmenter

    assert vocabulary is VOCABULARY
    policy = None
    if spec.reasoning == "on":
        policy = await open_policy(spec.policy, spec.model, checkpoint=spec.checkpoint, device=spec.device)
    segmenter = load_segmenter(spec.segmenter, spec.sam2_model, spec.device)
    if not isinstance(segmenter, Sam2Segmenter):
        raise InputError(
            f"words cannot be learnt from {spec.segmenter}, which has no features.", remedy="Choose --segmenter sam2."
        )
    dialect = JsonReasoning() if is_address(spec.policy) else None
    return make_context(policy, spec.seed, segmenter, pictures=pictures, empty=empty, dialect=dialect)


def open_emblems_semantic(spec: RunSpec) -> Benchmark:
    """Open frames of a seed, 200 unless said; InputError for a bad seed or number, and for a CLIP or classes."""
    check_split(spec, "test")
    n = _N if spec.n is None else spec.n
    if n < 1 or spec.seed < 0:
        raise InputError(
            f"{n} frames of seed {spec.seed} cannot be drawn.", remedy="Ask for at least 1, of seed 0 or above."
        )
    if spec.clip is not None or spec.classes is not None:
        raise InputError(
            "emblems-semantic brings its classes and what compares masks with them.",
            remedy="Leave out --clip and --classes.",
        )
    return VocabularyBenchmark(
        name="emblems-semantic",
        title=f"Emblems semantic, 320 emblems and background, seed {spec.seed}",
        dataset=EmblemFrames(spec.seed, n),
        scorer=SemanticScorer(VOCABULARY, ignored="none; the background is a class", nothing=BACKGROUND),
        ways=choose_ways(spec),
        make_context=open_emblems_vocabulary,
    )
