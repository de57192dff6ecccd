"""Choose the parts of an agent by what people write: names, addresses, folders, or objects made elsewhere."""

from pathlib import Path

from graphs.policies.base import Policy
from graphs.profiles import Profile, get_profile
from tools.errors import InputError, PolicyError
from tools.knowledge import KnowledgeBase
from tools.search.base import SearchProvider
from tools.search.knowledge_base import KnowledgeBaseSearch
from tools.segmenters import load_segmenter
from tools.segmenters.base import Segmenter

EMBEDDED = "embedded"
_WEIGHTS = "graphs/policies/embedded"


def is_address(policy: str | Path | Policy) -> bool:
    """Tell whether a policy is named by the address of an endpoint."""
    return isinstance(policy, str) and "://" in policy


def choose_profile(policy: str | Path | Policy, name: str | None) -> Profile:
    """Return the named profile; by default `qwen3-vl` for an endpoint, `embedded` for all that runs in process."""
    return get_profile(name or ("qwen3-vl" if is_address(policy) else EMBEDDED))


def choose_policy(policy: str | Path | Policy, *, model: str | None, device: str | None, api_key: str | None) -> Policy:
    """Return the policy: the shipped one, one in a checkpoint folder, or one behind an endpoint's URL.

    Heavy libraries are imported only by the one that is asked for. Raises InputError for a name that means nothing,
    PolicyError if weights are missing or broken.
    """
    if not isinstance(policy, str | Path):
        return policy
    if is_address(policy):
        from graphs.policies.openai import OpenAIPolicy

        return OpenAIPolicy(str(policy), model=model, api_key=api_key)
    if model is not None:
        raise InputError("a model is named, but no endpoint.", remedy="Give the address that serves it with --policy.")
    if policy != EMBEDDED and not Path(policy).is_dir():
        raise InputError(
            f"there is no policy {str(policy)!r}.", remedy="Use embedded, an address http://host:8000/v1, or a folder."
        )
    if policy == EMBEDDED and not embedded_policy_there():
        raise PolicyError(
            "the embedded policy is not in this installation.",
            remedy=f"Restore {_WEIGHTS}, or name an endpoint with --policy http://host:8000/v1.",
        )
    from graphs.policies.local import LocalPolicy

    return LocalPolicy(device=device) if policy == EMBEDDED else LocalPolicy(Path(policy), device=device)


def embedded_policy_there() -> bool:
    """Tell whether the shipped policy's weights are in this installation, without importing torch."""
    return weights_there(Path(__file__).resolve().parents[1] / _WEIGHTS)


def weights_there(folder: Path) -> bool:
    """Tell whether a folder holds a checkpoint."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def choose_segmenter(segmenter: str | Segmenter | None, *, model: str | None, device: str | None) -> Segmenter | None:
    """Return the segmenter by name, or the object as it is; InputError or SegmenterError if it cannot be had."""
    if not isinstance(segmenter, str):
        return segmenter
    if segmenter == "grabcut" and model is not None:
        raise InputError("grabcut has no model to choose.", remedy="Leave out --sam2-model, or use --segmenter sam2.")
    return load_segmenter(segmenter, model, device)


def choose_search(
    knowledge_base: str | Path | KnowledgeBase | None, search: SearchProvider | None
) -> SearchProvider | None:
    """Return what to search with, None for nothing; InputError for two, KnowledgeBaseError for a broken folder."""
    if knowledge_base is None:
        return search
    if search is not None:
        raise InputError("there are two things to search.", remedy="Give a knowledge base or a search provider.")
    if not isinstance(knowledge_base, KnowledgeBase):
        knowledge_base = KnowledgeBase.open(knowledge_base)
    return KnowledgeBaseSearch(knowledge_base)
