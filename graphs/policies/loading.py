"""Choose a policy by what people write: "embedded", a checkpoint folder, or the address of an endpoint."""

import re
from pathlib import Path

from graphs.policies.base import Policy
from tools.errors import InputError, PolicyError
from tools.loading import loading

EMBEDDED = "embedded"
TOKENS = "tokens+"
"""What stands before the address of a vLLM server whose token endpoint is meant, not its chat endpoint."""
EMBEDDED_FOLDER = Path(__file__).parent / "embedded"


def is_address(policy: object) -> bool:
    """Tell whether a policy is named by the address of an endpoint."""
    return isinstance(policy, str) and "://" in policy


def without_credentials(address: str) -> str:
    """Return an address to be shown: without user name and password, and without its query, which may hold a key.

    What is no address is returned as it is.
    """
    scheme, mark, rest = address.partition("://")
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else address


def is_token_address(policy: object) -> bool:
    """Tell whether a policy is named by the address of a token endpoint."""
    return is_address(policy) and str(policy).startswith(TOKENS)


def has_weights(folder: Path) -> bool:
    """Tell whether a folder holds a checkpoint, without importing torch."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def load_policy(
    policy: str | Path,
    *,
    model: str | None = None,
    device: str | None = None,
    api_key: str | None = None,
    checkpoint: str | None = None,
) -> Policy:
    """Return the shipped policy, one in a checkpoint folder, or one behind an endpoint's address.

    http://host:8000/v1 is any chat endpoint. tokens+http://host:8000 is a vLLM server asked by token ids; `checkpoint`
    is the folder or hub id of what it serves, by default the folder that it names; log-probabilities are not asked of
    it (training makes a `VLLMTokenPolicy` of its own). Heavy libraries are imported only by
    the one that is asked for; `model` and `api_key` are for endpoints only. Raises InputError for a name that means
    nothing, PolicyError if weights are missing or broken, or if a vLLM server cannot be reached.
    """
    if is_token_address(policy):
        with loading():
            from graphs.policies.vllm_tokens import VLLMTokenPolicy

        return VLLMTokenPolicy(str(policy), checkpoint=checkpoint, model=model, api_key=api_key, logprobs=False)
    if checkpoint is not None:
        raise InputError(
            "a checkpoint is named, but no token endpoint.", remedy=f"Write the address as {TOKENS}http://host:8000."
        )
    if is_address(policy):
        with loading():
            from graphs.policies.openai import OpenAIPolicy

        return OpenAIPolicy(str(policy), model=model, api_key=api_key)
    if model is not None:
        raise InputError("a model is named, but no endpoint.", remedy="Give the address that serves it with --policy.")
    if policy != EMBEDDED and not Path(policy).is_dir():
        raise InputError(
            f"there is no policy {str(policy)!r}.", remedy="Use embedded, an address http://host:8000/v1, or a folder."
        )
    if policy == EMBEDDED and not has_weights(EMBEDDED_FOLDER):
        raise PolicyError(
            "the embedded policy is not in this installation.",
            remedy=f"Restore {EMBEDDED_FOLDER}, or name an endpoint with --policy http://host:8000/v1.",
        )
    with loading():
        from graphs.policies.local import LocalPolicy

    return LocalPolicy(device=device) if policy == EMBEDDED else LocalPolicy(Path(policy), device=device)
