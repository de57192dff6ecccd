"""Import large libraries without looking for garbage among them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Put the garbage collector off until the block ends.

    Nothing of a library that is being imported is garbage, and looking through it again and again takes a sixth of the
    seconds that torch, transformers and LangGraph need to load.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
