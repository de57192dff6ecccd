"""A transformers encoder whose sentence vector is the mean of its token vectors: what MiniLM and e5 have in common."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.embedders.base import EmbedderError, Vectors
from tools.errors import boundary

_BATCH = 32


class MeanPoolingEmbedder:
    """Embed texts with a transformers encoder: mean over the tokens that are no padding, then length 1."""

    def __init__(
        self, name: str, where: str, *, chance: float, tokens: int, query_prefix: str = "", passage_prefix: str = ""
    ) -> None:
        """Load tokenizer and weights of `where`, a local folder or a hub id; `tokens` is where texts are cut.

        Raises EmbedderError if they cannot be had.
        """
        self._tokenizer, self._model = _load(name, where)
        self.name = name
        self.chance = chance
        self.dimension = int(self._model.config.hidden_size)
        self._tokens = tokens
        self._prefixes = (query_prefix, passage_prefix)
        # Fast tokenizers keep padding and truncation as state: two threads at once raise "Already borrowed".
        self._lock = threading.Lock()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed questions: float32 (len(texts), dimension); EmbedderError when the model fails."""
        return self._embed([self._prefixes[0] + text for text in texts])

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Embed documents: float32 (len(texts), dimension); EmbedderError when the model fails."""
        return self._embed([self._prefixes[1] + text for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        # Texts of like length share a batch: less padding, and the padding never changes the result by more than noise.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with boundary(EmbedderError, f"{self.name} failed", remedy="Try the embedder 'hashing', which needs no model."):
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                vectors[batch] = self._encode([texts[i] for i in batch])
        return vectors

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Vectors:
        with self._lock:
            inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=self._tokens, return_tensors="pt")
        states: torch.Tensor = self._model(**inputs).last_hidden_state
        kept = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * kept).sum(1) / kept.sum(1)
        unit: Vectors = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return unit


def _load(name: str, where: str) -> tuple[Any, Any]:
    """Load the tokenizer and the model at `where`; EmbedderError, in one line, if they cannot be had."""
    remedy = f"Name a local folder or a reachable hub id as {name}:WHERE, or use 'hashing', which needs no weights."
    folder = Path(where).expanduser()
    # Said here, for a folder that is wrong would be looked up on the hub and fail with a puzzling message there.
    if (folder.is_dir() or where.startswith((".", "/", "~"))) and not (folder / "config.json").is_file():
        raise EmbedderError(f"{where} is not a folder that holds a model.", remedy=remedy)
    with boundary(EmbedderError, f"the model {where} of {name} cannot be loaded", remedy=remedy):
        from transformers import AutoModel, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder))
            return tokenizer, AutoModel.from_pretrained(str(folder), dtype=torch.float32).eval()
        except (OSError, ValueError) as cause:
            # transformers explains at length what to install and where to read; the first line says what is wrong.
            reason = str(cause).partition("\n")[0]
            raise EmbedderError(f"the model {where} of {name} cannot be loaded: {reason}", remedy=remedy) from cause
