"""What chat clients send: the part of OpenAI's protocol that means something here; the rest is ignored.

Refused by name is what would change the answer and is not done: several choices, and the client's own tools.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.server.errors import RequestError

MODEL = "segscout"
"""The only model; what is behind it, the server's owner decides."""

MAX_MESSAGES = 1_000


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore")


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


class ChatRequest(_Sent):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream shall end with its cost."""
        return bool(self.stream_options and self.stream_options.include_usage)

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
