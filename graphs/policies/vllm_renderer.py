"""Pictures as the tensors that vLLM 0.25 to 0.29 wants with token ids: its own renderer is asked once for each size.

What it makes of a picture is the mold for all others of that size. If it cuts them otherwise than we do (a model that
is no Qwen3-VL), it renders every picture.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ValidationError

from graphs.conversation import ImageRef
from graphs.policies.chatml import ChatML
from graphs.policies.openai_messages import data_uri
from graphs.policies.openai_replies import UnusableReplyError
from graphs.policies.vllm_molds import Mold, find_mold, probe
from graphs.policies.vllm_pictures import Holdings
from graphs.policies.vllm_server import VLLMServer
from tools.errors import PolicyError
from tools.image_store import Image, ImageStore

RENDER = "/v1/chat/completions/render"
_REMEDY = "Give the served model's own folder as checkpoint, and sizes that its processor keeps."


class Renderer:
    """Process pictures for the model that `server` serves; safe for concurrent episodes and several event loops.

    `patch` is the side in pixels of what its vision part sees as one.
    """

    def __init__(self, server: VLLMServer, model: str, chatml: ChatML, patch: int) -> None:
        self._server, self._model, self._chatml, self._patch = server, model, chatml, patch
        self._molds: dict[tuple[int, int], Mold] = {}
        self._sizes = Holdings()
        self._cuts_as_we_do = True

    async def process(self, refs: Sequence[ImageRef], images: ImageStore) -> dict[str, bytes]:
        """Return items in base64, by sha256; PolicyError if the server makes other image tokens of them than we do."""
        pictures = {ref.sha256: images.get(ref.sha256) for ref in refs}
        for ref in refs:
            if (shape := pictures[ref.sha256].shape) != (ref.height, ref.width, 3):
                raise PolicyError(
                    f"a picture of shape {shape} is shown as {ref.width}x{ref.height} pixels.", remedy=_REMEDY
                )
            await self._learn(ref.height, ref.width)
        if self._cuts_as_we_do:
            return await asyncio.to_thread(_fill, {ref: self._molds[ref.height, ref.width] for ref in refs}, pictures)
        return dict(zip(pictures, await self._render(refs, list(pictures.values())), strict=True))

    async def _learn(self, height: int, width: int) -> None:
        """Have a picture of that size rendered, unless it was; one episode does it while the others wait."""
        if (height, width) in self._molds or not self._cuts_as_we_do:
            return
        claim = await self._sizes.claim([f"{height}x{width}"])
        try:
            if claim.carry and self._cuts_as_we_do:
                await self._learn_alone(height, width)
            claim.settle(True)
        finally:
            claim.settle(False)

    async def _learn_alone(self, height: int, width: int) -> None:
        picture = probe(height, width)
        (item,) = await self._render([ImageRef("", width, height)], [picture])
        merge = self._chatml.cell // self._patch
        mold = await asyncio.to_thread(find_mold, item, picture, self._patch, merge)
        if mold is None:
            self._cuts_as_we_do = False
        else:
            self._molds[height, width] = mold

    async def _render(self, refs: Sequence[ImageRef], pictures: Sequence[Image]) -> list[bytes]:
        uris = await asyncio.to_thread(lambda: [data_uri(picture, "png") for picture in pictures])
        content = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
        request = {"model": self._model, "messages": [{"role": "user", "content": content}]}

        async def body() -> bytes:
            return json.dumps(request, separators=(",", ":")).encode()

        rendered = await self._server.ask(RENDER, body, _Rendered.read)
        theirs = [rendered.token_ids[place.offset :][: place.length] for place in rendered.places]
        ours = [[self._chatml.image_pad] * self._chatml.image_tokens(ref) for ref in refs]
        if theirs != ours:
            raise PolicyError(
                f"{self._server.endpoint} makes {[len(run) for run in theirs]} tokens of pictures, or others than the "
                f"{[len(run) for run in ours]} of the checkpoint's tokenizer.",
                remedy=_REMEDY,
            )
        return rendered.items


def _fill(molds: Mapping[ImageRef, Mold], pictures: Mapping[str, Image]) -> dict[str, bytes]:
    return {ref.sha256: mold.fill(pictures[ref.sha256]) for ref, mold in molds.items()}


class _Place(BaseModel):
    offset: int
    length: int


class _Ranges(BaseModel):
    image: list[_Place]


class _Data(BaseModel):
    image: list[bytes]


class _Features(BaseModel):
    mm_placeholders: _Ranges
    kwargs_data: _Data


class _Rendered(BaseModel):
    token_ids: list[int]
    features: _Features

    @property
    def places(self) -> list[_Place]:
        """Where image tokens stand."""
        return self.features.mm_placeholders.image

    @property
    def items(self) -> list[bytes]:
        """Pictures as tensors, in base64."""
        return self.features.kwargs_data.image

    @classmethod
    def read(cls, body: bytes) -> "_Rendered":
        """Read a rendered conversation; UnusableReplyError if it is none."""
        try:
            rendered = cls.model_validate_json(body)
        except ValidationError as error:
            raise UnusableReplyError("it rendered no pictures") from error
        if len(rendered.places) != len(rendered.items):
            raise UnusableReplyError("it rendered pictures in parts")
        return rendered
