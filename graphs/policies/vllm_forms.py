"""How pictures travel with token ids: two forms of vLLM's `POST /inference/v1/generate`.

Checked against the source of vLLM 0.25.1, and of `content_parts` as it was merged for 0.30; only the first has been
read whole.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from graphs.conversation import ImageRef, Turn
from graphs.policies.chatml import ChatML
from graphs.policies.openai_messages import data_uri
from graphs.policies.openai_replies import UnusableReplyError
from graphs.policies.vllm_prompts import Prompt, PromptEncoder
from graphs.policies.vllm_server import VLLMServer
from tools.errors import PolicyError
from tools.image_store import ImageStore

RENDER = "/v1/chat/completions/render"
_PARTS_SINCE = (0, 30)


class Form(Protocol):
    """Write the parts of a request that concern token ids and pictures."""

    def ids(self, prompt: Prompt) -> str:
        """Return the token ids between their brackets."""
        ...

    def fields(self, prompt: Prompt, names: Sequence[str]) -> dict[str, Any]:
        """Return what says which pictures are meant, by the names that the server knows them under."""
        ...

    async def send(self, refs: Sequence[ImageRef], images: ImageStore) -> tuple[Prompt, list[str], dict[str, Any]]:
        """Return a prompt that shows pictures, their names, and the fields that carry their pixels; PolicyError."""
        ...


class Features:
    """vLLM 0.25 to 0.29: ids expanded, pictures as processed tensors, which the server's own renderer makes.

    A `null` in place of a tensor means the one that the engine has cached under that hash. An engine without that
    cache (several API server processes, `--mm-processor-cache-gb 0`, or the shm cache) does not survive a `null`.
    """

    def __init__(self, server: VLLMServer, model: str, encode: PromptEncoder, chatml: ChatML) -> None:
        self._server, self._model, self._encode, self._chatml = server, model, encode, chatml

    def ids(self, prompt: Prompt) -> str:
        """Return the ids with image runs expanded."""
        return prompt.whole

    def fields(self, prompt: Prompt, names: Sequence[str]) -> dict[str, Any]:
        """Return `features` without any tensor."""
        return self._features(prompt, names, [None] * len(names))

    async def send(self, refs: Sequence[ImageRef], images: ImageStore) -> tuple[Prompt, list[str], dict[str, Any]]:
        """Have pictures rendered; PolicyError if the server makes other image tokens of them than we do."""
        uris = await asyncio.to_thread(_uris, refs, images)
        content = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
        request = {"model": self._model, "messages": [{"role": "user", "content": content}]}

        async def body() -> bytes:
            return json.dumps(request, separators=(",", ":")).encode()

        rendered = await self._server.ask(RENDER, body, _Rendered.read)
        self._compare(refs, rendered)
        prompt = self._encode([Turn("user", tuple(refs))])
        names = rendered.features.mm_hashes.image
        return prompt, names, self._features(prompt, names, rendered.features.kwargs_data.image)

    def _features(self, prompt: Prompt, names: Sequence[str], data: Sequence[str | None]) -> dict[str, Any]:
        if not prompt.spans:
            return {}
        placeholders = [{"offset": span.offset, "length": span.length} for span in prompt.spans]
        return {
            "features": {
                "mm_hashes": {"image": list(names)},
                "mm_placeholders": {"image": placeholders},
                "kwargs_data": {"image": list(data)},
            }
        }

    def _compare(self, refs: Sequence[ImageRef], rendered: "_Rendered") -> None:
        theirs = [rendered.token_ids[p.offset :][: p.length] for p in rendered.features.mm_placeholders.image]
        ours = [[self._chatml.image_pad] * self._chatml.image_tokens(ref) for ref in refs]
        if theirs != ours:
            raise PolicyError(
                f"{self._server.endpoint} makes {[len(run) for run in theirs]} tokens of pictures, or others than the "
                f"{[len(run) for run in ours]} of the checkpoint's tokenizer.",
                remedy="Give the served model's own folder as checkpoint, and sizes that its processor keeps.",
            )


class ContentParts:
    """VLLM from 0.30 on, served with --enable-scale-out: one image token for each picture, pixels as a data URI.

    A part of a `uuid` without its `url` means the picture that was sent under that uuid: so the merged source reads
    (`parse_image(None, uuid)`); what the server says when it has lost one was not checked. The reply's
    prompt_token_ids are asked for, since it is the server that expands.
    """

    def __init__(self, encode: PromptEncoder) -> None:
        self._encode = encode

    def ids(self, prompt: Prompt) -> str:
        """Return the ids with one image token for each picture."""
        return prompt.folded

    def fields(self, prompt: Prompt, names: Sequence[str]) -> dict[str, Any]:
        """Return `content_parts` without any URI."""
        return self._parts([{"type": "image_url", "uuid": name} for name in names])

    async def send(self, refs: Sequence[ImageRef], images: ImageStore) -> tuple[Prompt, list[str], dict[str, Any]]:
        """Encode pictures as data URIs."""
        uris = await asyncio.to_thread(_uris, refs, images)
        names = [ref.sha256 for ref in refs]
        parts = [{"type": "image_url", "url": uri, "uuid": name} for uri, name in zip(uris, names, strict=True)]
        return self._encode([Turn("user", tuple(refs))]), names, self._parts(parts)

    def _parts(self, parts: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        return {"return_token_ids": True, **({"content_parts": list(parts)} if parts else {})}


def choose_form(
    version: tuple[int, int], server: VLLMServer, model: str, encode: PromptEncoder, chatml: ChatML
) -> Form:
    """Return the form that a server of this version reads best."""
    return ContentParts(encode) if version >= _PARTS_SINCE else Features(server, model, encode, chatml)


class _Place(BaseModel):
    offset: int
    length: int


class _Hashes(BaseModel):
    image: list[str]


class _Ranges(BaseModel):
    image: list[_Place]


class _Data(BaseModel):
    image: list[str]


class _RenderedFeatures(BaseModel):
    mm_hashes: _Hashes
    mm_placeholders: _Ranges
    kwargs_data: _Data


class _Rendered(BaseModel):
    token_ids: list[int]
    features: _RenderedFeatures

    @classmethod
    def read(cls, body: bytes) -> "_Rendered":
        """Read a rendered conversation; UnusableReplyError if it is none."""
        try:
            rendered = cls.model_validate_json(body)
        except ValidationError as error:
            raise UnusableReplyError("it rendered no pictures") from error
        parts = rendered.features
        if not len(parts.mm_hashes.image) == len(parts.mm_placeholders.image) == len(parts.kwargs_data.image):
            raise UnusableReplyError("it rendered pictures in parts")
        return rendered


def _uris(refs: Sequence[ImageRef], images: ImageStore) -> list[str]:
    return [data_uri(images.get(ref.sha256), "png") for ref in refs]
