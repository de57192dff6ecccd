"""Pages as text: what a reader would read of them, without menus, scripts and hidden parts, at a bounded length."""

import asyncio
import codecs
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tools.errors import FetchError, boundary
from tools.web.extras import load_extra
from tools.web.fetcher import Fetched, Fetcher

KINDS = ("text/html", "application/xhtml+xml", "text/plain")
MAX_CHARACTERS = 20_000
_READERS = 2
_MAX_SOURCE = 1_000_000
"""Characters of HTML that are looked at: the worst pages take about 8 s a million."""
_CHARSET = re.compile(r"[\w-]{1,40}")
_CHARSET_IN_PAGE = re.compile(rb"charset=[\"']?([\w-]{1,40})", re.IGNORECASE)
_CHARSETS = re.compile(r"utf-8|ascii|(?:iso8859|koi8)-\w+|cp\d+|gb\w+|big5|euc_\w+|shift_jis")
"""Python's names of charsets in use; its others are none, or are slow on purpose-made input (punycode)."""
_ANOTHER = "Choose another source."


@dataclass(frozen=True)
class Page:
    """The text of a page: foreign, and to be neutralised before any policy sees it."""

    url: str
    title: str
    text: str


class PageReader:
    """Read pages from the web."""

    def __init__(self, fetcher: Fetcher, *, characters: int = MAX_CHARACTERS, seconds: float = 5.0) -> None:
        """Give at most `characters` of a page, and up on those that take more than `seconds` to read once fetched.

        Raises InputError if trafilatura is not installed.
        """
        self._fetcher = fetcher
        self._characters = characters
        self._seconds = seconds
        self._trafilatura = load_extra("trafilatura", "reading pages")
        # Threads of its own: a page that is given up goes on in one until it is through, and must not take a place
        # from look-ups of names, or from searches.
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="pages")

    async def read(self, url: str) -> Page:
        """Return the page at `url`; FetchError if it cannot be fetched, has no text, or takes too long."""
        fetched = await self._fetcher.fetch(url, KINDS)
        limit = asyncio.timeout(self._seconds)
        try:
            with boundary(FetchError, "the page cannot be read", remedy=_ANOTHER):
                async with limit:
                    loop = asyncio.get_running_loop()
                    return await loop.run_in_executor(self._threads, self._extract, fetched)
        except FetchError as error:
            if limit.expired():
                told = f"the page was not read within {self._seconds:.3g} s."
                raise FetchError(told, remedy=_ANOTHER) from error
            raise

    def close(self) -> None:
        """Let go of the threads; pages that wait for one are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _extract(self, fetched: Fetched) -> Page:
        title, text = "", _decode(fetched)
        if fetched.kind != "text/plain":
            document = self._trafilatura.bare_extraction(text, with_metadata=True, include_comments=False, fast=True)
            title, text = (document.title or "", document.text or "") if document is not None else ("", "")
        if not text.strip():
            raise FetchError("the page has no text.", remedy=_ANOTHER)
        return Page(fetched.url, title[:300], text[: self._characters])


def _decode(fetched: Fetched) -> str:
    """Decode by the charset that the server or else the page names, or as UTF-8; what does not fit is replaced."""
    named = _CHARSET_IN_PAGE.search(fetched.body[:2000])
    told = fetched.charset or (named[1].decode("ascii") if named else "")
    charset = _charset(told) or "utf-8"
    # As text, since trafilatura would unpack bytes that are compressed once more.
    return fetched.body.decode(charset, errors="replace")[:_MAX_SOURCE]


def _charset(told: str) -> str:
    try:
        name = codecs.lookup(told).name if _CHARSET.fullmatch(told) else ""
    except LookupError:
        return ""
    return name if _CHARSETS.fullmatch(name) else ""
