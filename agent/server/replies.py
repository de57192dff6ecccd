"""What replies hold, for the OpenAPI document and whoever generates a client from it; the server writes plain data."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Cost(BaseModel):
    """What an episode took: tokens of all its turns, and the seconds of its nodes together."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    total_tokens: int = Field(ge=0)
    turns: int = Field(ge=0)
    searches: int = Field(ge=0)
    seconds: float = Field(ge=0)


class RunLengths(BaseModel):
    """A mask in COCO's compressed run lengths; `size` is [height, width]."""

    size: tuple[int, int]
    counts: str


class MaskReply(BaseModel):
    """One object in one frame; `bbox` is [x, y, width, height] in pixels."""

    frame: int = Field(ge=0)
    instance: int = Field(ge=0)
    label: str
    bbox: tuple[float, float, float, float]
    score: float
    rle: RunLengths
    citations: list[int] = Field(description="Which of all citations this object rests on, counted from 0.")


class CitationReply(BaseModel):
    """What a search brought; `claim` is what was asked, `snippet` what the source says."""

    claim: str
    tool: str
    title: str
    source: str
    snippet: str
    turn: int


class SegmentationReply(BaseModel):
    """What was found; `masks` of all frames or, unless `complete`, of the keyframe `frame` alone."""

    model_config = {"populate_by_name": True}

    format: Literal["segscout.segmentation/1"] = Field(alias="schema")
    ending: str
    frame: int | None
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    complete: bool
    masks: list[MaskReply]
    citations: list[CitationReply]
    files: dict[str, str] = Field(description="The address of each file by its name, for an hour.")


class UploadReply(SegmentationReply):
    """The reply to `POST /v1/segment`."""

    query: str
    usage: Cost


class MessageReply(BaseModel):
    """The answer: `content` for people, `segmentation` for programs."""

    role: Literal["assistant"]
    content: str
    refusal: None
    reasoning: str
    reasoning_content: str
    segmentation: SegmentationReply


class ChoiceReply(BaseModel):
    """The only choice."""

    index: Literal[0]
    message: MessageReply
    logprobs: None
    finish_reason: Literal["stop", "length"]


class ChatReply(BaseModel):
    """The reply to `POST /v1/chat/completions`; `warnings`, if any, say what of the request was passed over."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChoiceReply] = Field(min_length=1, max_length=1)
    usage: Cost
    warnings: list[str] = []


class ModelReply(BaseModel):
    """The only model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsReply(BaseModel):
    """The list of models."""

    object: Literal["list"]
    data: list[ModelReply]


class HealthReply(BaseModel):
    """The server answers."""

    status: Literal["ok"]


class VersionReply(BaseModel):
    """What is behind the server."""

    version: str
    policy: str
    segmenter: str


class ErrorDetail(BaseModel):
    """What went wrong and what mends it; `param` is the field at fault, `code` a word for programs."""

    message: str
    type: Literal[
        "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"
    ]
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """Every refusal and failure, in OpenAI's shape."""

    error: ErrorDetail


Responses = dict[int | str, dict[str, Any]]
