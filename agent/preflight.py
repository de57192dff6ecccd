"""Try a policy and a search before a long run: what a run would need of them, asked once, with the remedy.

Only the address that is named is asked, no redirect is followed, and a search sends a query only if that is asked for.
"""

import asyncio
from pathlib import Path
from time import perf_counter

import numpy as np

from agent.doctor import Check
from graphs.conversation import ImageRef, Text, Turn
from graphs.policies.base import Policy, Sampling
from graphs.policies.loading import EMBEDDED, TOKENS, has_weights, is_address
from tools.errors import PolicyError, SegscoutError
from tools.image_store import ImageStore
from tools.search.choosing import SearchRequest, choose
from tools.settings import Settings

_SIDE = 64
_RED = (200, 30, 30)
_TOKENS = 128
_TRIES = 3
"""Requests that one live query may take, retries of a fault that passes included."""


async def examine_policy(policy: str, *, model: str | None, key: str | None, seconds: float) -> list[Check]:
    """Check that a policy is there, serves the model, and answers a picture within `seconds`; raises nothing."""
    if not is_address(policy):
        return [_folder(policy)]
    try:
        return await _examine_endpoint(policy.removeprefix(TOKENS), model, key, seconds)
    except SegscoutError as error:
        return [_check("policy address", False, error.message, error.remedy)]


async def examine_search(name: str, *, kb: Path | None, settings: Settings, live: bool, seconds: float) -> Check:
    """Check that a search can be made, and with `live` that it answers one query within `seconds`; raises nothing."""
    title = f"search {name}"
    try:
        chosen = choose(SearchRequest(name, kb=kb, cache="off", calls=_TRIES, read_pages=False), settings)
        if chosen.web is None:
            from tools.knowledge import KnowledgeBase

            await asyncio.to_thread(KnowledgeBase.open, chosen.kb or Path())
            return _check(title, True, "the knowledge base can be read")
        if not live:
            return _check(title, True, "can be asked; --live asks it once")
        start = perf_counter()
        async with asyncio.timeout(seconds):
            await chosen.web.search_text("emblem", 1)
    except SegscoutError as error:
        return _check(title, False, error.message, error.remedy)
    except TimeoutError:
        return _check(title, False, f"gave no answer in {seconds:.3g} s", "Try again later, or give more --seconds.")
    return _check(title, True, f"answered in {perf_counter() - start:.1f} s")


async def _examine_endpoint(address: str, model: str | None, key: str | None, seconds: float) -> list[Check]:
    from graphs.policies.openai import OpenAIPolicy

    policy = OpenAIPolicy(address, model=model, api_key=key, timeout=seconds, retries=0)
    try:
        served = await policy.served_models()
        reached = _check("policy address", True, f"{policy.name.rpartition(' at ')[2]} answers")
        known = _served(model, served)
        return [reached, known, *([await _picture(policy, seconds)] if known.ok else [])]
    finally:
        await policy.close()


def _served(model: str | None, served: list[str]) -> Check:
    names = ", ".join(served[:10]) or "no model"
    if (model in served) if model else len(served) == 1:
        return _check("policy model", True, model or served[0])
    remedy = "Choose one with --model." if served else "Load a model in the server."
    missing = f"{model!r} is not there; " if model else ""
    return _check("policy model", False, f"{missing}it serves {names}", remedy)


async def _picture(policy: Policy, seconds: float) -> Check:
    """Ask about a small picture, as every run does."""
    images = ImageStore()
    picture = ImageRef(images.put(np.full((_SIDE, _SIDE, 3), _RED, np.uint8)), _SIDE, _SIDE)
    turn = Turn("user", (picture, Text("Which colour is this? Answer in one word.")))
    start = perf_counter()
    try:
        async with asyncio.timeout(seconds):
            await policy.complete([turn], images, max_tokens=_TOKENS, stop=(), sampling=Sampling())
    except PolicyError as error:
        return _check("policy picture", False, error.message, error.remedy)
    except TimeoutError:
        remedy = "Wait until the model has loaded, or give more --seconds."
        return _check("policy picture", False, f"no answer in {seconds:.3g} s", remedy)
    return _check("policy picture", True, f"answered in {perf_counter() - start:.1f} s")


def _folder(policy: str) -> Check:
    here = policy == EMBEDDED or has_weights(Path(policy))
    remedy = "Use embedded, an address http://host:8000/v1, or a checkpoint folder."
    return _check("policy", here, policy if here else f"there is no policy {policy!r}", remedy)


def _check(name: str, ok: bool, found: str, remedy: str = "") -> Check:
    """Return a check of what the command line names, which is therefore needed."""
    return Check(name, "the run", ok, True, found, "" if ok else remedy)
