"""Token in, token out against a vLLM server: the policy for rollouts and for evaluating hundreds of episodes at once.

The server continues exactly the ids that training reads, and says which ids it sampled. Start it with
`--logprobs-mode processed_logprobs`, or log-probabilities are those before temperature and top_p.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import openai
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from graphs.conversation import Turn
from graphs.policies.base import Completion, Sampling, cut_after
from graphs.policies.chatml import ChatML, find_ends
from graphs.policies.coalescing import Coalescer
from graphs.policies.vllm_branching import NEVER, Brancher
from graphs.policies.vllm_forms import choose_form
from graphs.policies.vllm_pictures import Claim, Holdings
from graphs.policies.vllm_prompts import Prompt, PromptEncoder
from graphs.policies.vllm_renderer import Renderer
from graphs.policies.vllm_replies import BrokenOffError, Reply, Sample, read_reply
from graphs.policies.vllm_server import VLLMServer
from tools.errors import InputError, PolicyError, boundary
from tools.image_store import ImageStore

_log = logging.getLogger(__name__)

GENERATE = "/inference/v1/generate"
_FINAL_ONLY = 2
"""vLLM's RequestOutputKind: nothing is wanted before the end."""
_APART = 100
"""Requests that carry their pictures themselves once a server has turned out to hold too few."""


class VLLMTokenPolicy:
    """Complete conversations by token ids at `address` (http://host:8000 or tokens+http://host:8000).

    `checkpoint` is the served model's folder or hub id, whose tokenizer and image cell are used; by default the one
    that the server names, if that is a folder here. The server is greeted at once. `logprobs` tells whether it is asked
    for those of what it samples: training needs them, an answer does not, and they cost it time. With `coalesce`
    episodes that go on from the same prompt ask once for their turns, which all come when the longest is done: for
    short turns. With `branch` such turns are decoded together until they part (`Brancher`), where temperature and top_p
    are 1: for a policy that is sure of most of what it says. `timeout` is in seconds per request. Safe for concurrent
    episodes and several event loops. Raises InputError if a checkpoint must be named, PolicyError if the server cannot
    be reached or the checkpoint cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        checkpoint: str | Path | None = None,
        model: str | None = None,
        api_key: str | None = None,
        logprobs: bool = True,
        coalesce: bool = False,
        branch: bool = False,
        timeout: float = 120.0,
        retries: int = 3,
        pause: float = 0.5,
    ) -> None:
        self._scored = logprobs
        self._server = VLLMServer(address, api_key=api_key, timeout=timeout, retries=retries, pause=pause)
        served = self._server.greet(model)
        self._model = served.model
        folder = checkpoint or _folder(served.root, self._server.endpoint)
        self.chatml, self._tokenizer, patch = _read_checkpoint(folder)
        self._ends = find_ends(self.chatml, self._tokenizer.eos_token_id, _read_eos(folder))
        self._encode = PromptEncoder(self.chatml)
        self._stopping = cache(self._find_stopping)
        self._form = choose_form(served.version, Renderer(self._server, self._model, self.chatml, patch))
        self._pictures = Holdings()
        self._apart = 0
        self._coalescer = Coalescer[Sample]() if coalesce else None
        self._brancher = Brancher(self._ask, self._draw, barred=self.chatml.image_pad) if branch else None

    @property
    def name(self) -> str:
        """The model and where it is served."""
        return f"{self._model} at {self._server.endpoint}"

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Sample the next turn; the end-of-turn id is among its ids, as are ids that spell more than a stop string.

        Raises PolicyError that names the server and the remedy, also if the server read another prompt than ours.
        """
        prompt = self._encode(turns)
        params, seed = self._params(max_tokens, stop, sampling), sampling.seed % 2**31
        if self._brancher is not None and sampling.temperature == sampling.top_p == 1.0:
            ended = partial(self._spells, stop)
            choice = await self._brancher.sample(prompt, images, params, seed, ended)
        else:
            choice = await self._draw(prompt, images, params, seed)
        ids = self._until_stop(choice.token_ids, stop)
        text = cut_after(str(self._tokenizer.decode(ids[:-1] if ids[-1] in self._ends else ids)), stop)
        return Completion(
            text,
            "length" if choice.finish_reason == "length" and not _holds(text, stop) else "stop",
            prompt.length,
            len(ids),
            tuple(ids),
            tuple(choice.scores[: len(ids)]) if self._scored else None,
        )

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._server.close()

    def forget(self) -> None:
        """Keep nothing that the server has said, after its weights have changed."""
        if self._brancher is not None:
            self._brancher.forget()

    async def _draw(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any], seed: int) -> Sample:
        """Return a sample, if wished asked for together with those that other episodes want of the same prompt."""

        async def ask(first: int, count: int) -> Sequence[Sample]:
            return (await self._ask(prompt, images, {**params, "seed": first, "n": count})).choices

        if self._coalescer is None or params["temperature"] == 0.0:  # greedily, vLLM draws no two
            return (await ask(seed, 1))[0]
        shown = tuple(image.sha256 for image in prompt.images)
        return await self._coalescer.join((prompt.whole, shown, json.dumps(params)), seed, ask)

    async def _ask(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Reply:
        """Return the server's reply to a prompt; pictures that it has not are carried along.

        Where others wait for those, a request for one token goes before, so that they need not wait long; also where
        several samples are wanted, since vLLM hands the pictures on with each. The server keeps what it computed for
        the prompt, so that costs little more than the way there and back; but where nobody shares pictures it would be
        two requests in five. A server that has lost them twice holds less than is shown at once: this request and the
        next `_APART` bring their own.
        """
        claim: Claim | None = None
        losses = 0
        apart = bool(prompt.images) and self._apart > 0
        self._apart -= apart
        brief: Mapping[str, Any] = {**params, "max_tokens": 1, "n": 1}
        asked = params

        async def body() -> bytes:
            nonlocal claim, asked
            if claim is None:
                shown = [image.sha256 for image in prompt.images]
                claim = self._pictures.claim_apart(shown) if apart else await self._pictures.claim(shown)
            refs = {image.sha256: image for image in prompt.images}
            pixels = await self._form.pixels([refs[name] for name in claim.carry], images) if claim.carry else {}
            asked = brief if not apart and (claim.wanted or (claim.carry and params["n"] > 1)) else params
            return self._body(self._form.fields(prompt, pixels), asked)

        def read(reply: bytes) -> Reply:
            return read_reply(reply, scored=asked["logprobs"] is not None, samples=asked["n"])

        def mend(error: Exception) -> bool:
            nonlocal claim, losses, apart
            if claim is None or not claim.places or not _may_have_lost_pictures(error):
                return False
            claim.settle(False)
            self._pictures.forget(claim.places)
            claim, losses = None, losses + 1
            if losses == 2 and not apart:
                apart = True
                self._carry_apart()
            return True

        try:
            while True:
                reply = await self._server.ask(GENERATE, body, read, mend=mend)
                self._check_prompt(prompt, reply)
                if claim is not None:
                    claim.settle(True)
                if asked is params:
                    return reply
                claim, brief = None, params  # once: a server that loses pictures at once would be asked for ever
        finally:
            if claim is not None:
                claim.settle(False)

    def _carry_apart(self) -> None:
        if not self._apart:
            _log.warning(
                "%s has lost pictures twice in a row, so they travel with each request for a while; if it holds too "
                "few, give it more room with --mm-processor-cache-gb.",
                self._server.endpoint,
            )
        self._apart = _APART

    def _params(self, max_tokens: int, stop: Sequence[str], sampling: Sampling) -> dict[str, Any]:
        return {
            "max_tokens": max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "logprobs": 0 if self._scored else None,
            "logit_bias": {str(self.chatml.image_pad): NEVER},  # only the graph shows pictures
            "output_kind": _FINAL_ONLY,
            **self._stopping(tuple(stop)),
        }

    def _find_stopping(self, stop: tuple[str, ...]) -> dict[str, Any]:
        """Return the parameters that end a turn; where each stop is a token, the server need not spell what it samples.

        A stop that is spelt with other tokens then ends nothing there: `_until_stop` finds it and drops what was
        sampled beyond, so that the turn is the same.
        """
        tokens = [self.chatml.encode_text(each) for each in stop]
        if all(len(ids) == 1 and self._tokenizer.decode(ids) == each for ids, each in zip(tokens, stop, strict=True)):
            return {"stop_token_ids": sorted(self._ends.union(*tokens)), "detokenize": False}
        spelling = {"stop": stop, "include_stop_str_in_output": True, "skip_special_tokens": False}
        return {"stop_token_ids": sorted(self._ends), **spelling}

    def _body(self, fields: Sequence[bytes], params: Mapping[str, Any]) -> bytes:
        rest = json.dumps({"model": self._model, "sampling_params": params}, separators=(",", ":")).encode()
        return b"".join((b"{", *fields, b",", rest[1:]))

    def _check_prompt(self, prompt: Prompt, reply: Reply) -> None:
        same = reply.prompt_token_ids is None or reply.prompt_token_ids == prompt.ids
        if not same or (reply.usage is not None and reply.usage.prompt_tokens != prompt.length):
            raise PolicyError(
                f"{self._server.endpoint} read another prompt than it was sent.",
                remedy="Give the served model's own folder as checkpoint, and sizes that its processor keeps.",
            )

    def _spells(self, stop: Sequence[str], ids: Sequence[int]) -> bool:
        return _holds(self._tokenizer.decode(ids), stop)

    def _until_stop(self, ids: Sequence[int], stop: Sequence[str]) -> Sequence[int]:
        """Return ids up to the one that ends the first stop string."""
        if not self._spells(stop, ids[:-1]):
            return ids
        return ids[: next(count for count in range(1, len(ids)) if self._spells(stop, ids[:count]))]


def _holds(text: str, stop: Sequence[str]) -> bool:
    return any(each in text for each in stop)


def _may_have_lost_pictures(error: Exception) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code == 500 or "cache" in error.message.lower()
    return isinstance(error, BrokenOffError)


def _folder(root: str, endpoint: str) -> Path:
    if not (Path(root) / "config.json").is_file():
        raise InputError(
            f"{endpoint} serves {root!r}, which is no folder here, and its tokenizer is needed.",
            remedy="Name the served model's folder or hub id with --checkpoint.",
        )
    return Path(root)


def _read_checkpoint(checkpoint: str | Path) -> tuple[ChatML, Any, int]:
    """Return how conversations are encoded for a checkpoint, its tokenizer, and an image patch's side in pixels."""
    with boundary(PolicyError, f"reading the tokenizer of {checkpoint} failed", remedy="Check the folder or hub id."):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        vision = AutoConfig.from_pretrained(checkpoint).vision_config
        cell = int(vision.patch_size) * int(vision.spatial_merge_size)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    return ChatML(encode, cell=cell), tokenizer, int(vision.patch_size)


def _read_eos(checkpoint: str | Path) -> int | list[int] | None:
    """Return what ends a turn for a server of this checkpoint, whatever it is asked."""
    try:
        eos: int | list[int] | None = GenerationConfig.from_pretrained(checkpoint).eos_token_id
    except OSError:  # not every checkpoint says how to generate
        return None
    return eos
