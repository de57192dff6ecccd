"""Token in, token out against a vLLM server: the policy for rollouts and for evaluating hundreds of episodes at once.

The server continues exactly the ids that training reads, and says which ids it sampled. Start it with
`--logprobs-mode processed_logprobs`, or log-probabilities are those before temperature and top_p.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
from pydantic import BaseModel, ValidationError
from transformers import AutoConfig, AutoTokenizer

from graphs.conversation import ImageRef, Turn
from graphs.policies.base import Completion, Sampling, cut_after
from graphs.policies.chatml import ChatML
from graphs.policies.openai_replies import UnusableReplyError
from graphs.policies.vllm_forms import choose_form
from graphs.policies.vllm_pictures import PlacedPictures, Places
from graphs.policies.vllm_prompts import Prompt, PromptEncoder
from graphs.policies.vllm_server import VLLMServer
from tools.errors import InputError, PolicyError, boundary
from tools.image_store import ImageStore

GENERATE = "/inference/v1/generate"
_NEVER = -100
_FINAL_ONLY = 2
"""vLLM's RequestOutputKind: nothing is wanted before the end."""


class BrokenOffError(UnusableReplyError):
    """The engine gave a request up: in 0.25 its only answer when it no longer has a picture."""


class VLLMTokenPolicy:
    """Complete conversations by token ids at `address` (http://host:8000 or tokens+http://host:8000).

    `checkpoint` is the served model's folder or hub id, whose tokenizer and image cell are used; by default the one
    that the server names, if that is a folder here. The server is greeted at once. `timeout` is in seconds per
    request. Safe for concurrent episodes and several event loops. Raises InputError if a checkpoint must be named,
    PolicyError if the server cannot be reached or the checkpoint cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        checkpoint: str | Path | None = None,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        pause: float = 0.5,
    ) -> None:
        self._server = VLLMServer(address, api_key=api_key, timeout=timeout, retries=retries, pause=pause)
        served = self._server.greet(model)
        self._model = served.model
        self.chatml, self._tokenizer = _read_checkpoint(checkpoint or _folder(served.root, self._server.endpoint))
        self._ends = {self.chatml.end_of_turn, self._tokenizer.eos_token_id} - {None}
        self._encode = PromptEncoder(self.chatml)
        self._form = choose_form(served.version, self._server, self._model, self._encode, self.chatml)
        self._pictures = PlacedPictures(self._send)

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
        params = self._params(max_tokens, stop, sampling)
        places: Places = {}

        async def body() -> bytes:
            nonlocal places
            places = await self._pictures.place(prompt.images, images)
            names = [places[image.sha256].result() for image in prompt.images]
            return self._body(prompt, self._form.fields(prompt, names), params)

        def mend(error: Exception) -> bool:
            lost = bool(places) and _may_have_lost_pictures(error)
            if lost:
                self._pictures.forget(places)
            return lost

        reply = await self._server.ask(GENERATE, body, _read_reply, mend=mend)
        self._check_prompt(prompt, reply)
        choice = reply.choices[0]
        return Completion(
            self._text(choice.token_ids, stop),
            "length" if choice.finish_reason == "length" else "stop",
            prompt.length,
            len(choice.token_ids),
            tuple(choice.token_ids),
            tuple(score.logprob for score in choice.logprobs.content),
        )

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._server.close()

    async def _send(self, refs: Sequence[ImageRef], images: ImageStore) -> list[str]:
        """Have the server read pictures once, sampling next to nothing, so that all others need only name them."""
        prompt, names, fields = await self._form.send(refs, images)
        request = self._body(prompt, fields, self._params(1, (), Sampling()))

        async def body() -> bytes:
            return request

        self._check_prompt(prompt, await self._server.ask(GENERATE, body, _read_reply))
        return names

    def _params(self, max_tokens: int, stop: Sequence[str], sampling: Sampling) -> dict[str, Any]:
        return {
            "max_tokens": max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
            "logprobs": 0,
            "stop": list(stop),
            "stop_token_ids": sorted(self._ends),
            "logit_bias": {str(self.chatml.image_pad): _NEVER},  # only the graph shows pictures
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "output_kind": _FINAL_ONLY,
        }

    def _body(self, prompt: Prompt, fields: dict[str, Any], params: dict[str, Any]) -> bytes:
        rest = json.dumps({"model": self._model, **fields, "sampling_params": params}, separators=(",", ":"))
        return f'{{"token_ids":[{self._form.ids(prompt)}],{rest[1:]}'.encode()

    def _check_prompt(self, prompt: Prompt, reply: "_Reply") -> None:
        same = reply.prompt_token_ids is None or reply.prompt_token_ids == prompt.ids
        if not same or (reply.usage is not None and reply.usage.prompt_tokens != prompt.length):
            raise PolicyError(
                f"{self._server.endpoint} read another prompt than it was sent.",
                remedy="Give the served model's own folder as checkpoint, and sizes that its processor keeps.",
            )

    def _text(self, ids: Sequence[int], stop: Sequence[str]) -> str:
        spoken = ids[:-1] if ids[-1] in self._ends else ids
        return cut_after(str(self._tokenizer.decode(spoken)), stop)


class _Score(BaseModel):
    logprob: float


class _Scores(BaseModel):
    content: list[_Score]


class _Choice(BaseModel):
    token_ids: list[int]
    logprobs: _Scores = _Scores(content=[])
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None


def _read_reply(body: bytes) -> _Reply:
    """Read a reply of the token endpoint; UnusableReplyError unless it holds ids with a log-probability each."""
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError as error:
        start = body[:80].decode("utf-8", "replace").strip()
        raise UnusableReplyError(f"it sent no token ids but {start!r}") from error
    if not reply.choices:
        raise UnusableReplyError("it sent a completion without choices")
    choice = reply.choices[0]
    if choice.finish_reason in ("error", "abort"):
        raise BrokenOffError(f"it broke the request off ({choice.finish_reason})")
    if not choice.token_ids or len(choice.token_ids) != len(choice.logprobs.content):
        raise UnusableReplyError(
            f"it sent {len(choice.token_ids)} token ids with {len(choice.logprobs.content)} log-probabilities"
        )
    return reply


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


def _read_checkpoint(checkpoint: str | Path) -> tuple[ChatML, Any]:
    """Return how conversations are encoded for a checkpoint, and its tokenizer."""
    with boundary(PolicyError, f"reading the tokenizer of {checkpoint} failed", remedy="Check the folder or hub id."):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        vision = AutoConfig.from_pretrained(checkpoint).vision_config
        cell = int(vision.patch_size) * int(vision.spatial_merge_size)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    return ChatML(encode, cell=cell), tokenizer
