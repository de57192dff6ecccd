"""How a browser shows the server's key: once, at the login, and from then on by a cookie that tells nothing of it."""

import hashlib
import hmac
from time import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

COOKIE = "segscout_session"
SECONDS = 12 * 3_600
"""For how long a login holds."""

PAGE = "/ui"
LOGIN = f"{PAGE}/login"
_COVERED = (f"{PAGE}/", "/v1/files/")
"""What the cookie opens: the page, and the files of runs that it links to."""


def covers(path: str) -> bool:
    """Return whether a path may be opened by the cookie."""
    return path == PAGE or path.startswith(_COVERED)


def new_token(key: str) -> str:
    """Return a cookie's value: when it ends, and the proof that whoever made it had the key."""
    until = str(int(time()) + SECONDS)
    return f"{until}.{_proof(until, key)}"


def has_session(headers: Headers, key: str) -> bool:
    """Return whether a request carries a cookie that was made with the key and has not run out."""
    token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    until, _, proof = token.partition(".")
    proven = hmac.compare_digest(proof.encode(), _proof(until, key).encode())
    return proven and until.isascii() and until.isdecimal() and int(until) > time()


def from_another_site(headers: Headers) -> bool:
    """Return whether a page of another origin made the request; browsers send cookies along with those, too.

    Programs say nothing of where they come from, and pass.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # right behind proxies too, which may change the host
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def _proof(until: str, key: str) -> str:
    return hmac.new(key.encode(), f"segscout page until {until}".encode(), hashlib.sha256).hexdigest()
