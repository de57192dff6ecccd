"""Run a Qwen3-VL-architecture policy in this process, with transformers.

The key-value cache of a conversation is kept across its turns, because a conversation only grows; each picture is
encoded once; in float32, as on a CPU, what it says is guessed ahead and checked in one pass. The shipped policy is the
default checkpoint; a real Qwen3-VL folder or hub id works the same way.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, DynamicCache, Qwen3VLForConditionalGeneration

from graphs.conversation import ImageRef, Turn
from graphs.policies.base import Completion, FinishReason, Sampling, cut_after
from graphs.policies.chatml import ChatML, find_ends, rope_positions
from graphs.policies.drafts import CONTEXT, Drafts
from graphs.policies.vision import PictureEncoder
from tools.devices import choose_device
from tools.errors import PolicyError, boundary
from tools.image_store import ImageStore

EMBEDDED = Path(__file__).parent / "embedded"
_KEPT_CONVERSATIONS = 8
_LEAST_SHARED = 32
"""A shorter common prefix is not worth another conversation's cache."""


@dataclass
class _Memory:
    """What a key-value cache holds: token ids, with a fingerprint of its picture in place of an image token."""

    ids: tuple[int, ...] = ()
    cache: Any = field(default_factory=DynamicCache)

    def cut(self, length: int) -> None:
        """Forget what comes after the first `length` ids."""
        if length < len(self.ids):
            self.cache.crop(length - len(self.ids))  # negative: how many to drop from the end
            self.ids = self.ids[:length]


class LocalPolicy:
    """Complete conversations with a Qwen3-VL checkpoint, in process; greedy or sampled with a seed."""

    def __init__(
        self, checkpoint: str | Path = EMBEDDED, *, device: str | None = None, name: str | None = None
    ) -> None:
        """Load the checkpoint (folder or hub id); raises PolicyError if it cannot be loaded."""
        if isinstance(checkpoint, Path) and not (checkpoint / "config.json").exists():
            raise PolicyError(f"there is no policy checkpoint in {checkpoint}.", remedy="Name a checkpoint folder.")
        self.name = name or (checkpoint.name if isinstance(checkpoint, Path) else checkpoint)
        self.device = choose_device(device)
        with boundary(PolicyError, f"loading {checkpoint} failed", remedy="Check the folder or the hub id."):
            model, tokenizer = _load(str(checkpoint), str(self.device))
        self._model, self._tokenizer = model, tokenizer
        self._pictures = PictureEncoder(model)
        self.chatml = ChatML(self._encode, cell=self._pictures.cell)
        self._ends = find_ends(self.chatml, tokenizer.eos_token_id, model.generation_config.eos_token_id)
        self._memories: list[_Memory] = []
        # In bfloat16 a pass over many tokens rounds otherwise than one over each, so that guesses would change answers.
        self._drafts = Drafts() if model.dtype == torch.float32 else Drafts(length=0)
        self._lock = threading.Lock()

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Sample the next turn in a worker thread; one conversation at a time."""
        return await asyncio.to_thread(self._complete, list(turns), images, max_tokens, tuple(stop), sampling)

    def _complete(
        self, turns: list[Turn], images: ImageStore, max_tokens: int, stop: tuple[str, ...], sampling: Sampling
    ) -> Completion:
        encoded = self.chatml.encode(turns)
        failure = boundary(PolicyError, "the policy in process failed", remedy="Try a smaller view or another device.")
        with self._lock, torch.inference_mode(), failure:
            return self._sample(encoded.ids, encoded.images, images, max_tokens, stop, sampling)

    def _sample(
        self,
        ids: tuple[int, ...],
        refs: Sequence[ImageRef],
        images: ImageStore,
        max_tokens: int,
        stop: tuple[str, ...],
        sampling: Sampling,
    ) -> Completion:
        memory = self._remember(self._fingerprints(ids, refs))
        self._drafts.learn([token for token in ids[len(memory.ids) :] if token != self.chatml.image_pad])
        positions = rope_positions(ids, self.chatml.image_pad, [self._pictures.tokens(ref) for ref in refs])
        following = int(positions.max()) + 1
        rows = self._extend(memory, ids, positions, refs, images)
        generator = torch.Generator().manual_seed(sampling.seed)
        before = ids[-CONTEXT:]
        sampled: list[int] = []
        logprobs: list[float] = []
        guessed: tuple[int, ...] = ()
        text, finish = "", None
        while finish is None:
            for row in rows:
                token, logprob = _draw(row, sampling, generator, self.chatml.image_pad)
                sampled.append(token)
                logprobs.append(logprob)
                text, finish = self._text(sampled, max_tokens, stop)
                if finish or guessed[:1] != (token,):
                    break
                guessed = guessed[1:]
            memory.cut(len(ids) + len(sampled) - 1)
            if finish is None:
                guessed = self._drafts.guess((*before, *sampled))[: max_tokens - len(sampled) - 1]
                rows = self._step(memory, (sampled[-1], *guessed), following + len(sampled) - 1)
        self._drafts.learn((*before, *sampled))
        self._keep(memory)
        return Completion(text, finish, len(ids), len(sampled), tuple(sampled), tuple(logprobs))

    def _text(self, sampled: list[int], max_tokens: int, stop: tuple[str, ...]) -> tuple[str, FinishReason | None]:
        """Return the text so far, and why it ends with its last token, if it does."""
        if sampled[-1] in self._ends:
            return self._tokenizer.decode(sampled[:-1]), "stop"
        text = self._tokenizer.decode(sampled)
        if any(end in text for end in stop):
            return cut_after(text, stop), "stop"
        return text, "length" if len(sampled) >= max_tokens else None

    def _fingerprints(self, ids: Sequence[int], refs: Sequence[ImageRef]) -> tuple[int, ...]:
        """Replace image tokens, which are all alike, by a negative number that tells their pictures apart."""
        each = (-1 - int(ref.sha256[:15], 16) for ref in refs for _ in range(self.chatml.image_tokens(ref)))
        return tuple(next(each) if token == self.chatml.image_pad else token for token in ids)

    def _remember(self, ids: tuple[int, ...]) -> _Memory:
        """Take out the memory that shares the longest prefix with `ids`, cut back to that prefix, or make a new one.

        It is put back by `_keep` when the turn is done: what a failing pass leaves half-written is forgotten.
        """
        best, shared = None, _LEAST_SHARED
        for place, memory in enumerate(self._memories):
            # At least one id must be new, or there would be no logits to sample from.
            common = min(_common_prefix(memory.ids, ids), len(ids) - 1)
            if common > shared:
                best, shared = place, common
        if best is None:
            return _Memory()
        memory = self._memories.pop(best)
        memory.cut(shared)
        return memory

    def _keep(self, memory: _Memory) -> None:
        self._memories.append(memory)
        del self._memories[:-_KEPT_CONVERSATIONS]

    def _extend(
        self, memory: _Memory, ids: tuple[int, ...], positions: Any, refs: Sequence[ImageRef], images: ImageStore
    ) -> torch.Tensor:
        """Feed what the memory does not hold yet; return the logits of the next token, float32 (1, vocabulary)."""
        known = len(memory.ids)
        new = torch.tensor([ids[known:]], device=self.device)
        embeds = self._model.get_input_embeddings()(new)
        is_image = new == self.chatml.image_pad
        deep: list[torch.Tensor] | None = None
        if bool(is_image.any()):
            before = sum(1 for token in ids[:known] if token == self.chatml.image_pad)
            flat, layers = self._pictures.encode([(ref, images) for ref in refs])
            embeds[is_image] = flat[before:].to(embeds.dtype)
            deep = [layer[before:] for layer in layers]
        output = self._model.model.language_model(
            inputs_embeds=embeds,
            position_ids=torch.from_numpy(positions[:, None, known:]).to(self.device),
            past_key_values=memory.cache,
            use_cache=True,
            visual_pos_masks=is_image if deep else None,
            deepstack_visual_embeds=deep,
        )
        memory.ids = self._fingerprints(ids, refs)
        return self._logits(output.last_hidden_state[0, -1:])

    def _step(self, memory: _Memory, tokens: tuple[int, ...], position: int) -> torch.Tensor:
        """Feed tokens, the first at `position`; return the logits after each, float32 (tokens, vocabulary)."""
        places = torch.arange(position, position + len(tokens), device=self.device)
        output = self._model.model.language_model(
            inputs_embeds=self._model.get_input_embeddings()(torch.tensor([tokens], device=self.device)),
            position_ids=places.expand(3, 1, -1),
            past_key_values=memory.cache,
            use_cache=True,
        )
        memory.ids = (*memory.ids, *tokens)
        return self._logits(output.last_hidden_state[0])

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model.lm_head(hidden)
        return logits.float()


@lru_cache(maxsize=2)
def _load(checkpoint: str, device: str) -> tuple[Any, Any]:
    dtype = torch.float32 if device.startswith("cpu") else torch.bfloat16
    model = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype)
    return model.eval().to(device), AutoTokenizer.from_pretrained(checkpoint)


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    length = min(len(one), len(other))
    differing = np.flatnonzero(np.asarray(one[:length]) != np.asarray(other[:length]))
    return int(differing[0]) if len(differing) else length


def _draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator, image_pad: int) -> tuple[int, float]:
    """Draw a token; the log-probability is that of the distribution it was drawn from (of temperature 1 if greedy).

    Never `image_pad`: a policy that says it would seem to have been shown a picture that is not there.
    """
    if sampling.temperature <= 0:
        scores = logits.log_softmax(-1)
        allowed = logits.index_fill(0, torch.tensor([image_pad], device=logits.device), -torch.inf)
        token = int(allowed.argmax())
        return token, float(scores[token])
    scaled = (logits / sampling.temperature).log_softmax(-1).cpu()
    if sampling.top_p < 1:
        scaled[image_pad] = -torch.inf
        ordered, order = scaled.sort(descending=True)
        beyond = ordered.exp().cumsum(-1) - ordered.exp() >= sampling.top_p
        scaled[order[beyond]] = -torch.inf
        scaled = scaled.log_softmax(-1)
    weights = scaled.exp()
    weights[image_pad] = 0
    token = int(torch.multinomial(weights, 1, generator=generator))
    return token, float(scaled[token])
