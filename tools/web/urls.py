"""What a URL must look like before anything is resolved; one parser, for the check and for the request."""

import ipaddress
import re
from collections.abc import Container

import httpx2 as httpx

from tools.errors import FetchError

MAX_LINK = 2000
"""Characters of a link that is shown or saved."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# The last label starts with a letter: what ends in a number is an address in one of its many disguises.
_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]")
_GIVE = "Give the http or https address of a public web server."
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_url(url: str | httpx.URL, ports: Container[int]) -> httpx.URL:
    """Parse `url` and return it without its fragment; whether its host is public is only known once it is resolved.

    Raises FetchError unless it is http or https, with a full domain name or a plain address, without user and
    password, on one of `ports`.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise FetchError("this is no URL that can be fetched.", remedy=_GIVE) from error
    if parsed.scheme not in _DEFAULT_PORTS:
        raise FetchError(f"{parsed.scheme[:20] or 'no scheme'!r} is not fetched.", remedy=_GIVE)
    host = parsed.raw_host.decode("ascii")
    if not (is_address(host) or (len(host) <= 253 and _NAME.fullmatch(host))):
        raise FetchError(f"{host[:100]!r} is no domain name.", remedy=_GIVE)
    if parsed.userinfo:
        raise FetchError(f"a URL of {host} carries a user or a password.", remedy="Give it without them.")
    if (port := port_of(parsed)) not in ports:
        raise FetchError(f"port {port} of {host} is refused.", remedy="Give an address on port 80 or 443.")
    return parsed.copy_with(fragment=None)


def port_of(url: httpx.URL) -> int:
    """Return the port of an http or https URL, the scheme's if it names none."""
    return url.port if url.port is not None else _DEFAULT_PORTS[url.scheme]


def is_address(host: str) -> bool:
    """Return whether `host` is a literal IPv4 or IPv6 address in its plain form, without a scope."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def as_link(url: str) -> str:
    """Return `url` as a link that is safe to show and to cite, "" if it is none: http or https, with a host."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        return ""
    link = str(parsed)
    return link if parsed.scheme in _DEFAULT_PORTS and parsed.host and len(link) <= MAX_LINK else ""
