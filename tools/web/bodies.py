"""Bodies as they arrive: counted as sent and as decompressed, and given up as soon as either is too much."""

import zlib

import httpx2 as httpx

from tools.errors import FetchError

_EITHER_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_ELSEWHERE = "Choose another source."


class Body:
    """Collect a body of at most `limit` bytes; raises FetchError for more, and for an encoding not asked for."""

    def __init__(self, headers: httpx.Headers, limit: int) -> None:
        """Begin a body with these response headers; FetchError if they promise more than `limit` bytes."""
        self._limit = limit
        self._sent = 0
        self._parts = bytearray()
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise FetchError(f"the body is encoded as {encoding[:40]!r}.", remedy=_ELSEWHERE)
        self._inflate = None if encoding in ("identity", "") else zlib.decompressobj(_EITHER_GZIP_OR_ZLIB)
        promised = headers.get("content-length", "")
        self._check(int(promised) if promised.isdecimal() else 0)

    def add(self, part: bytes) -> None:
        """Take the next bytes; zlib.error if they are no gzip although the headers said so."""
        self._sent += len(part)
        self._check(self._sent)
        if self._inflate is None:
            self._parts += part
        else:  # one byte more than there is room for, so that a bomb is noticed and never inflated
            self._parts += self._inflate.decompress(part, self._limit + 1 - len(self._parts))
        self._check(len(self._parts))

    def finish(self) -> bytes:
        """Return the whole body; FetchError if it was cut short."""
        if self._inflate is not None and self._sent and not self._inflate.eof:
            raise FetchError("the compressed body ends too early.", remedy=_ELSEWHERE)
        return bytes(self._parts)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise FetchError(f"the body has more than {self._limit} bytes.", remedy=_ELSEWHERE)
