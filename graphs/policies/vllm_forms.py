"""How pictures travel with token ids: two forms of vLLM's `POST /inference/v1/generate`.

Checked against the source of vLLM 0.25.1, and of `content_parts` as it was merged for 0.30; only the first has been
read whole. In both, a picture is named by its sha256: all that vLLM asks is that different pictures' names differ.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from graphs.conversation import ImageRef
from graphs.policies.openai_messages import data_uri
from graphs.policies.vllm_prompts import Prompt
from graphs.policies.vllm_renderer import Renderer
from tools.image_store import Image, ImageStore

_PARTS_SINCE = (0, 30)

Pixels = Mapping[str, bytes]
"""What of pictures travels, by sha256: characters that need no escape in JSON. Megabytes: copied once, never parsed."""


class Form(Protocol):
    """Write the parts of a request that concern token ids and pictures."""

    async def pixels(self, refs: Sequence[ImageRef], images: ImageStore) -> Pixels:
        """Make what of pictures must travel; PolicyError if the server makes other image tokens of them than we do."""
        ...

    def fields(self, prompt: Prompt, pixels: Pixels) -> list[bytes]:
        """Return fields of a JSON object, in pieces; pictures without pixels are named only."""
        ...


class Features:
    """vLLM 0.25 to 0.29: ids expanded, pictures as processed tensors, made here as the server's own renderer would.

    A `null` in place of a tensor means the one that the engine has cached under that name. An engine without that
    cache (several API server processes, `--mm-processor-cache-gb 0`, or the shm cache) does not survive a `null`.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def pixels(self, refs: Sequence[ImageRef], images: ImageStore) -> Pixels:
        """Process pictures."""
        return await self._renderer.process(refs, images)

    def fields(self, prompt: Prompt, pixels: Pixels) -> list[bytes]:
        """Return `token_ids` with image runs expanded, and `features`."""
        pieces = [b'"token_ids":[', prompt.whole.encode(), b"]"]
        if prompt.spans:
            names = [span.image.sha256 for span in prompt.spans]
            places = [{"offset": span.offset, "length": span.length} for span in prompt.spans]
            told = {"mm_hashes": {"image": names}, "mm_placeholders": {"image": places}}
            pieces += [b',"features":{', _members(told), b',"kwargs_data":{"image":[']
            for name in names:
                pieces += [b'"', pixels[name], b'"', b","] if name in pixels else [b"null", b","]
            pieces[-1] = b"]}}"
        return pieces


class ContentParts:
    """VLLM from 0.30 on, served with --enable-scale-out: one image token for each picture, pixels as a data URI.

    A part of a `uuid` without its `url` means the picture that was sent under that uuid: so the merged source reads
    (`parse_image(None, uuid)`); what the server says when it has lost one was not checked. The reply's
    prompt_token_ids are asked for, since it is the server that expands.
    """

    async def pixels(self, refs: Sequence[ImageRef], images: ImageStore) -> Pixels:
        """Encode pictures as data URIs."""
        return await asyncio.to_thread(_uris, {ref.sha256: images.get(ref.sha256) for ref in refs})

    def fields(self, prompt: Prompt, pixels: Pixels) -> list[bytes]:
        """Return `token_ids` with one image token for each picture, and `content_parts`."""
        pieces = [b'"return_token_ids":true,"token_ids":[', prompt.folded.encode(), b"]"]
        if prompt.images:
            pieces.append(b',"content_parts":[')
            for name in (image.sha256 for image in prompt.images):
                url = [b',"url":"', pixels[name], b'"'] if name in pixels else []
                pieces += [b"{", _members({"type": "image_url", "uuid": name}), *url, b"}", b","]
            pieces[-1] = b"]"
        return pieces


def choose_form(version: tuple[int, int], renderer: Renderer) -> Form:
    """Return the form that a server of this version reads best."""
    return ContentParts() if version >= _PARTS_SINCE else Features(renderer)


def _members(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()[1:-1]


def _uris(pictures: Mapping[str, Image]) -> Pixels:
    return {sha256: data_uri(image, "png").encode() for sha256, image in pictures.items()}
