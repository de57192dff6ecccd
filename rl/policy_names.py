"""What people may write where a policy is loaded in process: embedded, a checkpoint folder, a hub id."""

import re
from pathlib import Path

from graphs.policies.loading import EMBEDDED, EMBEDDED_FOLDER
from tools.errors import PolicyError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_checkpoint(policy: str, *, needs: str = "") -> str:
    """Return the folder or the hub id that is meant; PolicyError at once for a name that can be neither.

    `needs` is what the recipe that names it says it needs.
    """
    if policy == EMBEDDED:
        return str(EMBEDDED_FOLDER)
    if Path(policy).is_dir() or _HUB_ID.fullmatch(policy):
        return policy
    remedy = "Use embedded, a checkpoint folder, or a hub id as owner/name."
    raise PolicyError(
        f"there is no policy {policy!r}.", remedy=f"The recipe needs {needs}. {remedy}" if needs else remedy
    )
