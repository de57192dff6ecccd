"""Searches: a knowledge base, or the web, behind one protocol."""

from tools.search.loading import CacheMode, load_search

__all__ = ["CacheMode", "load_search"]
