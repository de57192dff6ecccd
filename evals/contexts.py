"""Put together what an evaluation runs: policy, profile, segmenter and search, by the names that the CLI takes."""

from graphs.context import Context
from graphs.policies.base import Policy
from graphs.policies.loading import load_policy
from graphs.policies.openai import OpenAIPolicy
from graphs.profiles import Profile
from tools.search.base import SearchProvider
from tools.segmenters import load_segmenter


async def open_policy(policy: str, model: str | None, api_key: str | None = None) -> Policy:
    """Load a policy as `load_policy` does, and greet an endpoint first: better now than once an episode."""
    loaded = load_policy(policy, model=model, api_key=api_key)
    if isinstance(loaded, OpenAIPolicy):
        await loaded.served_models()
    return loaded


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
