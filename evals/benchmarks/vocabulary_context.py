"""Put together what labels the pictures of a benchmark, by the names that the command line takes."""

from evals.contexts import open_policy
from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, Vocabulary
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows
from graphs.openvocab.dialects import JsonReasoning
from graphs.policies.loading import EMBEDDED
from tools.embedders import load_embedder
from tools.errors import InputError
from tools.segmenters import load_segmenter


async def open_vocabulary_context(spec: RunSpec, vocabulary: Vocabulary) -> OpenVocabularyContext:
    """Return the context that all pictures of a run share.

    Raises InputError without a CLIP, and for the policy that ships, which cannot describe photographs; and what loading
    raises.
    """
    if spec.clip is None:
        raise InputError(
            "nothing compares masks with the names of classes.",
            remedy="Name a CLIP or SigLIP, such as --clip openai/clip-vit-base-patch32, or its folder.",
        )
    policy = None
    if spec.reasoning == "on":
        if spec.policy == EMBEDDED:
            raise InputError(
                "the policy that ships knows Emblems, and cannot say what is in a photograph.",
                remedy="Give the address of another with --policy, or say --no-reasoning.",
            )
        policy = await open_policy(spec.policy, spec.model, checkpoint=spec.checkpoint, device=spec.device)
    # Imported late: torch and transformers take seconds, which the help of commands must not cost.
    from tools.classifiers.clip import ClipEncoder

    encoder = ClipEncoder(spec.clip, device=spec.device)
    return OpenVocabularyContext(
        vocabulary=vocabulary,
        aligner=ClassAligner(vocabulary, load_embedder(spec.embedder)),
        segmenter=load_segmenter(spec.segmenter, spec.sam2_model, spec.device),
        encoder=encoder,
        rows=PhraseRows(encoder),
        policy=policy,
        dialect=JsonReasoning(),
    )
