"""Put together what an evaluation runs: policy, profile, segmenter and search, by the names that the CLI takes."""

from pathlib import Path

from graphs.context import Context
from graphs.policies.base import Policy
from graphs.profiles import Profile, get_profile
from tools.errors import InputError
from tools.search.base import SearchProvider
from tools.segmenters import load_segmenter

EMBEDDED = "embedded"


def is_address(policy: str) -> bool:
    """Tell whether a policy's name is an endpoint's address."""
    return "://" in policy


def choose_profile(policy: str, name: str | None) -> Profile:
    """Return the profile by name; by default that of the shipped policy in process, and Qwen3-VL's at an endpoint."""
    return get_profile(name or ("qwen3-vl" if is_address(policy) else EMBEDDED))


async def open_policy(policy: str, model: str | None) -> Policy:
    """Load the shipped policy ("embedded") or one in a checkpoint folder, or reach for the one at an address.

    Raises InputError for a name that means nothing, PolicyError for weights that do not load and for an endpoint that
    does not answer: better now than once an episode.
    """
    if is_address(policy):
        from graphs.policies.openai import OpenAIPolicy

        remote = OpenAIPolicy(policy, model=model)
        await remote.served_models()
        return remote
    if model is not None:
        raise InputError("a model is named, but no endpoint.", remedy="Give the address that serves it with --policy.")
    if policy != EMBEDDED and not Path(policy).is_dir():
        raise InputError(
            f"there is no policy {policy!r}.", remedy="Use embedded, an address http://host:8000/v1, or a folder."
        )
    from graphs.policies.local import LocalPolicy

    return LocalPolicy() if policy == EMBEDDED else LocalPolicy(Path(policy))


def make_context(
    policy: Policy,
    profile: Profile,
    *,
    segmenter: str = "sam2",
    sam2_model: str | None = None,
    search: SearchProvider | None = None,
) -> Context:
    """Return the context that all episodes share; `search` None switches search off.

    Raises InputError for an unknown segmenter, SegmenterError if it cannot be loaded.
    """
    return Context(
        policy=policy,
        dialect=profile.make_dialect(),
        segmenter=load_segmenter(segmenter, sam2_model),
        search=search,
        budget=profile.budget,
        sampling=profile.sampling,
    )
