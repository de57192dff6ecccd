"""Generic reasons: by what each class of a vocabulary is known in any picture; asked once, kept on disk, resumable."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from graphs.openvocab.asking import complete, repaired, understand
from graphs.openvocab.questions import PROMPT_VERSION, generic_question
from graphs.openvocab.reasons import ClassReason, read_generic_reasons, read_object, write_object
from graphs.openvocab.replies import read_class_reason
from graphs.openvocab.vocabulary import Vocabulary
from graphs.policies.base import Policy, Sampling
from tools.image_store import ImageStore

_OTHERS = 60
"""Names of other classes that a question tells, so that the sense of a name is clear."""


def generic_path(folder: Path, vocabulary: Vocabulary, policy: str) -> Path:
    """Return where a policy's reasons for a vocabulary are kept: a fingerprint, never a name, makes the path."""
    key = hashlib.sha256(f"{vocabulary.digest}\n{policy}\n{PROMPT_VERSION}".encode()).hexdigest()[:24]
    return folder / f"{key}_class_reason.json"


async def reason_classes(
    policy: Policy,
    vocabulary: Vocabulary,
    path: Path,
    *,
    attributes: int = 5,
    repairs: int = 1,
    seconds: float = 120.0,
    sampling: Sampling | None = None,
    on_class: Callable[[str, str], None] | None = None,
) -> dict[int, ClassReason]:
    """Ask for the reasons of every class that `path` does not hold yet; return all, by the place of their class.

    The file is in the published format and grows class by class, so a run that is cut off goes on where it was. A class
    whose reply cannot be read is left out and asked for again next time; `on_class` is told each class and the problem,
    empty if there was none. Raises PolicyError if the policy fails, InputError if the file cannot be read or written.
    """
    kept: dict[str, Any] = read_object(path) if path.exists() else {}
    known = read_generic_reasons(path, vocabulary) if kept else {}
    for place, one in enumerate(vocabulary.classes):
        if place in known:
            continue
        question = generic_question(one.names, _others(vocabulary, place), attributes)
        reason, problem, text = None, "", ""
        for _ in range(repairs + 1):
            completion = await complete(policy, question, ImageStore(), sampling or Sampling(), seconds)
            text = completion.text
            reason, problem = understand(completion, read_class_reason)
            if reason is not None:
                break
            question = repaired(question, text, problem)
        if reason is not None:
            known[place] = reason
            kept[one.name] = as_published(reason, text, attributes)
            write_object(path, kept)
        if on_class is not None:
            on_class(one.name, problem)
    return known


def as_published(reason: ClassReason, raw: str, most: int) -> dict[str, object]:
    """Return a class's entry in the published file; attributes beyond `most` are only in the raw reply."""
    return {
        "raw_response": raw,
        "general_category": reason.general_category,
        "sub_category": reason.sub_category,
        "class_des": list(reason.attributes[:most]),
    }


def _others(vocabulary: Vocabulary, place: int) -> Sequence[str]:
    """Return names of other classes, the nearest in the list first, for such lists are often sorted by sense."""
    near = sorted(range(len(vocabulary)), key=lambda other: abs(other - place))
    return [vocabulary.classes[other].name for other in near if other != place][:_OTHERS]
