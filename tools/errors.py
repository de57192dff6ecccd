"""The error vocabulary: every failure names the boundary that it crossed and the remedy.

A bad episode is data, not a crash: the graph records these errors as endings; the CLI prints them as one line.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SegscoutError(Exception):
    """Report a failure with the boundary that it crossed and what mends it."""

    boundary: str = "segscout"

    def __init__(self, message: str, *, remedy: str, boundary: str | None = None) -> None:
        """Say what happened and what mends it; `boundary` overrides the class's, for an error that was data before."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if boundary is not None:
            self.boundary = boundary

    def __str__(self) -> str:
        return f"{self.boundary}: {self.message} {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are made anew from their positional arguments, which leave out the remedy; workers send theirs.
        return _remake, (type(self), self.message), self.__dict__


def _remake(kind: type[SegscoutError], message: str) -> SegscoutError:
    return kind.__new__(kind, message)


class InputError(SegscoutError):
    """The user asked for something that cannot be done: empty query, unknown name, bad box."""

    boundary = "input"


class MediaError(SegscoutError):
    """An image or video is missing, unreadable, too large or of a refused type."""

    boundary = "media"


class KnowledgeBaseError(SegscoutError):
    """A knowledge base is missing or broken."""

    boundary = "knowledge base"


class SearchError(SegscoutError):
    """A search provider failed: down, slow, refused or unreadable."""

    boundary = "search"


class FetchError(SegscoutError):
    """A URL is refused, or what it names could not be fetched."""

    boundary = "fetch"


class SegmenterError(SegscoutError):
    """A segmenter could not be loaded or could not run."""

    boundary = "segmenter"


class PolicyError(SegscoutError):
    """The policy could not be reached or gave nothing usable."""

    boundary = "policy"


class EvaluationError(SegscoutError):
    """A sample could not be scored."""

    boundary = "evaluation"


class CheckpointError(SegscoutError):
    """A thread's checkpoints cannot be read or written."""

    boundary = "checkpoints"


@contextmanager
def boundary(error: type[SegscoutError], what: str, *, remedy: str) -> Iterator[None]:
    """Turn anything that escapes foreign code into `error`; the one place with a broad `except`.

    Errors of our own vocabulary pass unchanged, so the innermost boundary wins.
    """
    try:
        yield
    except SegscoutError:
        raise
    except Exception as cause:
        told = str(cause).rstrip(".")
        raise error(f"{what}: {type(cause).__name__}: {told}.", remedy=remedy) from cause
