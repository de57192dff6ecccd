"""Put together what an evaluation runs: policy, profile, segmenter and search, by the names that the CLI takes."""

from graphs.context import Context
from graphs.policies.base import Policy
from graphs.policies.loading import is_address, load_policy
from graphs.policies.openai import OpenAIPolicy
from graphs.profiles import Profile
from tools.search.base import SearchProvider
from tools.segmenters import load_segmenter
from tools.settings import read_settings


async def open_policy(
    policy: str,
    model: str | None,
    api_key: str | None = None,
    *,
    checkpoint: str | None = None,
    device: str | None = None,
) -> Policy:
    """Load a policy as `load_policy` does, and greet an endpoint first: better now than once an episode.

    `api_key` is SEGSCOUT_API_KEY, from the environment or `.env`, unless given.
    """
    key = read_settings().secret() if api_key is None and is_address(policy) else api_key
    loaded = load_policy(policy, model=model, api_key=key, checkpoint=checkpoint, device=device)
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
    device: str | None = None,
) -> Context:
    """Return the context that all episodes share; `search` None switches search off.

    Raises InputError for an unknown segmenter, SegmenterError if it cannot be loaded.
    """
    return Context(
        policy=policy,
        dialect=profile.make_dialect(),
        segmenter=load_segmenter(segmenter, sam2_model, device),
        search=search,
        budget=profile.budget,
        sampling=profile.sampling,
    )
