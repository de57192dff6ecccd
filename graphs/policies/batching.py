"""Sample many conversations at once with one model in process: what training rolls episodes out with.

Requests that arrive together become one wave: every conversation is read whole, padded on the left, those that are the
same once for all, and all of them are decoded in step. Each request draws from a stream of its own, so that a wave's
company does not change its choice.
"""

import asyncio
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache, Qwen3VLForConditionalGeneration

from graphs.conversation import ImageRef, Turn
from graphs.policies.base import Completion, FinishReason, Sampling, cut_after
from graphs.policies.chatml import ChatML, Encoded, find_ends, rope_positions
from graphs.policies.vision import PictureEncoder
from tools.devices import choose_device
from tools.errors import PolicyError, boundary
from tools.image_store import ImageStore

_TAIL = 24
"""No stop string is longer than this many tokens."""


@dataclass(frozen=True)
class _Request:
    encoded: Encoded
    images: ImageStore
    max_tokens: int
    stop: tuple[str, ...]
    sampling: Sampling
    reply: "Future[Completion]"


class BatchingPolicy:
    """Complete conversations in waves of up to `wave` requests; thread-safe.

    A wave waits for more until none has come for `gather` seconds: a wave costs about the same whatever its size.

    The model may be trained between waves: nothing is remembered from one to the next but encoded pictures, which
    `forget` drops. Raises PolicyError if a wave fails.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str = "batching", wave: int = 256, gather: float = 0.05
    ) -> None:
        self.name, self._wave_size, self._gather = name, wave, gather
        self.model, self._tokenizer = model, tokenizer
        self._pictures = PictureEncoder(model, keep=8 * wave)
        self.chatml = ChatML(self._encode, cell=self._pictures.cell)
        self._ends = find_ends(self.chatml, tokenizer.eos_token_id, model.generation_config.eos_token_id)
        self._spelled: dict[int, str] = {}
        self._waiting: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._start = threading.Lock()

    @classmethod
    def load(cls, checkpoint: str | Path, *, device: str | None = None, dtype: torch.dtype = torch.float32) -> Any:
        """Load a Qwen3-VL checkpoint (folder or hub id); PolicyError if it cannot be loaded."""
        with boundary(PolicyError, f"loading {checkpoint} failed", remedy="Check the folder or the hub id."):
            model = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        return cls(model.eval().to(choose_device(device)), tokenizer, name=Path(checkpoint).name)

    def forget(self) -> None:
        """Drop encoded pictures, after the weights that encoded them have changed."""
        self._pictures.forget()

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Sample the next turn together with whoever asks at the same time."""
        reply: Future[Completion] = Future()
        self._waiting.put(_Request(self.chatml.encode(list(turns)), images, max_tokens, tuple(stop), sampling, reply))
        with self._start:
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, daemon=True, name="segscout-waves")
                self._worker.start()
        return await asyncio.wrap_future(reply)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _serve(self) -> None:
        while True:
            requests = [self._waiting.get()]
            while len(requests) < self._wave_size:
                try:
                    requests.append(self._waiting.get(timeout=self._gather))
                except queue.Empty:
                    break
            wanted = [request for request in requests if request.reply.set_running_or_notify_cancel()]
            if not wanted:
                continue
            failure = boundary(PolicyError, "the policy in process failed", remedy="Use smaller waves or views.")
            try:
                with torch.inference_mode(), failure:
                    completions = self._wave(wanted)
            except PolicyError as error:
                for request in wanted:
                    request.reply.set_exception(error)
                continue
            for request, completion in zip(wanted, completions, strict=True):
                request.reply.set_result(completion)

    def _wave(self, requests: Sequence[_Request]) -> list[Completion]:
        training = self.model.training
        self.model.eval()
        try:
            return self._decode(requests)
        finally:
            self.model.train(training)

    def _decode(self, requests: Sequence[_Request]) -> list[Completion]:
        device = self.model.device
        cache = DynamicCache()
        places: dict[Encoded, int] = {}
        rows = [places.setdefault(request.encoded, len(places)) for request in requests]
        hidden, mask, step = self._read([requests[rows.index(place)] for place in places.values()], cache)
        if len(places) < len(requests):  # a group's prompts are the same for as long as it agrees
            spread = torch.tensor(rows, device=device)
            cache.batch_select_indices(spread)
            hidden, mask, step = hidden[spread], mask[spread], step[spread]
        lengths = [request.max_tokens for request in requests]
        draw = _Draw([request.sampling for request in requests], lengths, self.chatml.image_pad, device)
        sampled: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        finish: list[FinishReason | None] = [None] * len(requests)
        while True:
            tokens, scores = draw(self.model.lm_head(hidden).float())
            for row, (token, score) in enumerate(zip(tokens.tolist(), scores.tolist(), strict=True)):
                if finish[row] is None:
                    sampled[row].append(token)
                    logprobs[row].append(score)
                    finish[row] = self._finish(requests[row], sampled[row])
            if all(finish):
                break
            mask = torch.cat([mask, mask.new_ones(len(requests), 1)], dim=1)
            output = self.model.model.language_model(
                inputs_embeds=self.model.get_input_embeddings()(tokens[:, None]),
                attention_mask=mask,
                position_ids=step.expand(3, -1)[..., None],
                past_key_values=cache,
                use_cache=True,
            )
            hidden, step = output.last_hidden_state[:, -1], step + 1
        return [
            Completion(
                self._text(request, ids), reason or "length", len(request.encoded.ids), len(ids), tuple(ids), tuple(own)
            )
            for request, ids, own, reason in zip(requests, sampled, logprobs, finish, strict=True)
        ]

    def _read(self, requests: Sequence[_Request], cache: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Feed the conversations; return the last hidden states (rows, width), the mask, and the next positions."""
        device, pad = self.model.device, self.chatml.image_pad
        length = max(len(request.encoded.ids) for request in requests)
        ids = np.full((len(requests), length), self.chatml.end_of_turn, np.int64)
        mask = np.zeros((len(requests), length), np.int64)
        positions = np.ones((3, len(requests), length), np.int64)
        refs: list[tuple[ImageRef, ImageStore]] = []
        for row, request in enumerate(requests):
            own, start = request.encoded, length - len(request.encoded.ids)
            grids = [self._pictures.tokens(ref) for ref in own.images]
            ids[row, start:], mask[row, start:] = own.ids, 1
            positions[:, row, start:] = rope_positions(own.ids, pad, grids)
            refs += [(ref, request.images) for ref in own.images]
        tokens = torch.from_numpy(ids).to(device)
        embeds = self.model.get_input_embeddings()(tokens)
        shown = (tokens == pad) & torch.from_numpy(mask).to(device).bool()
        deep = None
        if refs:
            flat, deep = self._pictures.encode(refs)
            embeds[shown] = flat.to(embeds.dtype)
        output = self.model.model.language_model(
            inputs_embeds=embeds,
            attention_mask=torch.from_numpy(mask).to(device),
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=cache,
            use_cache=True,
            visual_pos_masks=shown if refs else None,
            deepstack_visual_embeds=deep,
        )
        following = torch.from_numpy(positions.max(axis=(0, 2)) + 1).to(device)
        return output.last_hidden_state[:, -1], torch.from_numpy(mask).to(device), following

    def _finish(self, request: _Request, sampled: Sequence[int]) -> FinishReason | None:
        if sampled[-1] in self._ends:
            return "stop"
        if self._may_stop(sampled[-1], request.stop):
            tail = self._tokenizer.decode(list(sampled[-_TAIL:]))
            if any(stop in tail for stop in request.stop):
                return "stop"
        return "length" if len(sampled) >= request.max_tokens else None

    def _may_stop(self, token: int, stops: Sequence[str]) -> bool:
        """Tell whether a token could end a stop string: decoding every tail would cost more than sampling."""
        text = self._spelled.get(token)
        if text is None:
            text = self._spelled[token] = self._tokenizer.decode([token])
        return any(stop[-1] in text for stop in stops)

    def _text(self, request: _Request, sampled: Sequence[int]) -> str:
        ended = sampled[-1] in self._ends
        return cut_after(str(self._tokenizer.decode(list(sampled[:-1] if ended else sampled))), request.stop)


class _Draw:
    """Draw one token a row at each step, by inverse distribution from each row's own stream of uniform numbers.

    Never `image_pad`: a policy that says it would seem to have been shown a picture that is not there.
    """

    def __init__(
        self, samplings: Sequence[Sampling], lengths: Sequence[int], image_pad: int, device: torch.device
    ) -> None:
        self._image_pad = image_pad
        streams = np.stack([np.random.default_rng(s.seed).random(max(lengths)) for s in samplings])
        self._uniform = torch.from_numpy(streams).to(device)
        heat = torch.tensor([s.temperature for s in samplings], device=device)[:, None]
        self._greedy, self._heat = heat[:, 0] <= 0, torch.where(heat <= 0, 1.0, heat)
        self._top_p = torch.tensor([s.top_p for s in samplings], device=device)[:, None]
        self._cut = any(s.top_p < 1 for s in samplings)
        self._step = 0

    def __call__(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens and their log-probabilities under what they were drawn from, (rows,) each."""
        scores = (logits / self._heat).log_softmax(-1)
        if self._cut:
            scores[:, self._image_pad] = -torch.inf
            ordered, order = scores.sort(dim=-1, descending=True)
            beyond = ordered.exp().cumsum(-1) - ordered.exp() >= self._top_p
            scores = scores.masked_fill(beyond.gather(-1, order.argsort(-1)), -torch.inf).log_softmax(-1)
        weights = scores.double().exp()
        weights[:, self._image_pad] = 0
        heights = weights.cumsum(-1)
        drawn = torch.searchsorted(heights, self._uniform[:, self._step, None] * heights[:, -1:], right=True)[:, 0]
        tokens = torch.where(self._greedy, weights.argmax(-1), drawn.clamp(max=scores.shape[-1] - 1))
        self._step += 1
        return tokens, scores.gather(-1, tokens[:, None])[:, 0]
