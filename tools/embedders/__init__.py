"""Embedders: texts to unit vectors."""

from tools.embedders.base import Embedder, EmbedderError
from tools.embedders.loading import load_embedder

__all__ = ["Embedder", "EmbedderError", "load_embedder"]
