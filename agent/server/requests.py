"""What chat clients send: the part of OpenAI's protocol that means something here; the rest is ignored, and says so.

Refused by name is what would change the answer and is not done: several choices, and the client's own tools. Ignored,
with a warning in the reply, is what steers how a model samples (the server's owner has chosen that for the policy
behind the agent) and every field that is not known; a known one must still hold what OpenAI allows in it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from agent.server.errors import RequestError
from agent.server.examples import CHAT

MODEL = "segscout"
"""The only model; what is behind it, the server's owner decides."""

MAX_MESSAGES = 1_000

_TOLD_FIELDS = 20
"""Ignored fields that are named."""

_SAMPLING = "the server's owner has chosen how the policy samples"
_UNKNOWN = "it means nothing here"

_OWN_PROMPT = "the policy has a prompt of its own"
_INSTRUCTING = frozenset({"system", "developer"})
_OWN_TOOLS = "Refused unless empty: the agent has its own."
_EMPTY: JsonDict = {"maxItems": 0}


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class TextPart(_Sent):
    """A piece of text."""

    type: Literal["text"]
    text: str


class MediaUrl(_Sent):
    """Where media are: a data URI, or an address."""

    url: str


class ImagePart(_Sent):
    """A picture; also read if it turns out to be a clip, as many clients can name nothing else."""

    type: Literal["image_url"]
    image_url: MediaUrl | str


class VideoPart(_Sent):
    """A clip, as vLLM and others spell it."""

    type: Literal["video_url"]
    video_url: MediaUrl | str


Part = Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]


class UserMessage(_Sent):
    """What a person said and showed."""

    role: Literal["user"]
    content: str | list[Part]


class OtherMessage(_Sent):
    """What anybody else said; only the assistant's is read, as what was answered before."""

    role: Literal["system", "developer", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


Message = Annotated[UserMessage | OtherMessage, Field(discriminator="role")]


class StreamOptions(_Sent):
    """How to stream; with `include_usage` a last chunk tells the cost."""

    include_usage: bool | None = False


class Sampling(_Sent):
    """What OpenAI lets clients choose about sampling: checked, and passed over with a warning."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)


class ChatRequest(Sampling):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [CHAT]})

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, description="Only 1 is done here.", json_schema_extra={"enum": [1, None]})
    tools: list[Any] | None = Field(default=None, description=_OWN_TOOLS, json_schema_extra=_EMPTY)
    functions: list[Any] | None = Field(default=None, description=_OWN_TOOLS, json_schema_extra=_EMPTY)

    @property
    def include_usage(self) -> bool:
        """Whether a stream shall end with its cost."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def warnings(self) -> list[str]:
        """Return what of the request is passed over, a sentence for each field; a field that is null asks nothing."""
        chosen = [name for name in Sampling.model_fields if getattr(self, name) is not None]
        unknown = [name for name, value in (self.model_extra or {}).items() if value is not None]
        told = [(name, _SAMPLING) for name in chosen] + [(name[:60], _UNKNOWN) for name in unknown]
        if any(message.role in _INSTRUCTING and said(message) for message in self.messages):
            told.insert(0, ("the system message", _OWN_PROMPT))
        more = [f"{len(told) - _TOLD_FIELDS} more fields are ignored."] if len(told) > _TOLD_FIELDS else []
        return [f"{name} is ignored: {why}." for name, why in told[:_TOLD_FIELDS]] + more

    def check(self) -> None:
        """Raise RequestError for what is asked and not done here."""
        if self.model != MODEL:
            told = f"there is no model {self.model[:60]!r}."
            raise RequestError(
                told, remedy=f"The model is {MODEL!r}.", status=404, param="model", code="model_not_found"
            )
        if self.n is not None and self.n != 1:
            raise RequestError(f"n is {self.n}.", remedy="Ask for one choice: n=1.", param="n", code="unsupported")
        for name in ("tools", "functions"):
            if getattr(self, name):
                raise RequestError(
                    f"{name} are given, but the agent has its own.",
                    remedy=f"Leave out {name}.",
                    param=name,
                    code="unsupported",
                )


def said(message: UserMessage | OtherMessage) -> str:
    """Return the text of a message."""
    if isinstance(message.content, str):
        return message.content.strip()
    parts = message.content or []
    texts = [part.get("text") if isinstance(part, dict) else getattr(part, "text", None) for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def shown(message: UserMessage) -> tuple[str, ...]:
    """Return the URLs of the media that a message shows, in order."""
    urls: list[str] = []
    for part in message.content if isinstance(message.content, list) else []:
        if not isinstance(part, TextPart):
            named = part.image_url if isinstance(part, ImagePart) else part.video_url
            urls.append(named if isinstance(named, str) else named.url)
    return tuple(urls)
