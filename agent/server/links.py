"""Links to files that open without the server's key, in a browser for instance, for a while and for one file each."""

import hmac
import re
import secrets
from time import time
from urllib.parse import parse_qs

FILES = "/v1/files/"
"""Where the files of runs are; the path goes on with the run's id and the file's name."""

_EXPIRES = re.compile(r"\d{1,12}", re.ASCII)


class Links:
    """Sign addresses with a secret that this process made and nobody is told; a restart makes all of them void."""

    def __init__(self, seconds: float) -> None:
        self._secret, self._seconds = secrets.token_bytes(32), seconds

    def sign(self, path: str) -> str:
        """Return the query that opens `path`, and no other, until its time is over."""
        expires = str(int(time() + self._seconds))
        return f"expires={expires}&signature={self._signature(path, expires)}"

    def opens(self, path: str, query: str) -> bool:
        """Return whether `query` was signed here for this file's path, and its time is not over."""
        given = parse_qs(query, max_num_fields=8) if query.count("&") < 8 else {}
        expires, signature = given.get("expires", [""])[0], given.get("signature", [""])[0]
        if not path.startswith(FILES) or not _EXPIRES.fullmatch(expires) or int(expires) < time():
            return False
        # As bytes, because compare_digest takes no text beyond ASCII.
        return hmac.compare_digest(signature.encode(errors="replace"), self._signature(path, expires).encode())

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}?{expires}".encode(errors="replace"), "sha256").hexdigest()
