"""`/v1/models` and `/v1/chat/completions`: the agent as a model that any chat client can talk to."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from time import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from agent.server.answer import answer_text, segmentation_of
from agent.server.completions import Completion, finish_reason, list_models, model_card, reasoned
from agent.server.connection import while_connected
from agent.server.conversation import read_ask
from agent.server.document import RUN_ERRORS, errors
from agent.server.errors import RequestError, error_body, log_error
from agent.server.narration import narrate
from agent.server.replies import ChatReply, ModelReply, ModelsReply, Responses
from agent.server.requests import MODEL, ChatRequest
from agent.server.runs import Finished, Run, Runs
from agent.server.sources import open_sources
from agent.server.streaming import DONE, Opening, Put, RunStream, event
from agent.server.wire import JSONReply
from tools.errors import SegscoutError, boundary

FileUrls = Callable[[Finished], dict[str, str]]
"""Returns the address of every file of a run by its name."""

_HOST = re.compile(r"[\w.-]{1,253}(:\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:\d{1,5})?", re.ASCII)

_EVENT = {
    "type": "object",
    "description": "A server-sent event: a chat.completion.chunk or an error, in JSON, and at last [DONE].",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
_CHAT_REPLIES: Responses = {
    200: {
        "model": ChatReply,
        "description": "The completion or, with `stream`, its chunks; an error on the way is the last of them.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    },
    **errors(*RUN_ERRORS),
}


def chat_routes(runs: Runs) -> APIRouter:
    """Return the routes that chat clients use."""
    router, started = APIRouter(tags=["chat"]), int(time())
    settings = runs.settings

    @router.get("/v1/models", response_model=ModelsReply)
    async def models() -> dict[str, Any]:
        """List the only model."""
        return list_models(started)

    @router.get("/v1/models/{model}", response_model=ModelReply, responses=errors(404))
    async def model(model: str) -> dict[str, Any]:
        """Describe the only model."""
        if model != MODEL:
            raise RequestError(
                "there is no such model.", remedy=f"The model is {MODEL!r}.", status=404, code="model_not_found"
            )
        return model_card(started)

    @router.post("/v1/chat/completions", responses=_CHAT_REPLIES)
    async def chat(request: Request, asked: ChatRequest) -> Response:
        """Answer the last user message: whole, or as server-sent events with `stream`."""
        asked.check()
        ask = read_ask(asked.messages, pictures=settings.pictures, recall=settings.recall)
        opener = partial(open_sources, ask.urls, fetcher=settings.fetcher, limits=settings.media)
        opened = runs.open(ask.query, ask.question, opener, ask.thread_id, ask.choice)
        urls_of = partial(runs.file_urls, base=base_url(request))
        completion = Completion(asked.warnings())
        if asked.stream:
            opening = Opening(opened, settings.ping_seconds)
            await while_connected(request, opening.begin())
            produce = partial(_stream, opening, completion, urls_of, asked.include_usage)
            return RunStream(opening, produce, ping_seconds=settings.ping_seconds)
        async with await while_connected(request, opened) as run:
            return JSONReply(await while_connected(request, _whole(run, completion, urls_of)))

    return router


async def _whole(run: Run, completion: Completion, urls_of: FileUrls) -> dict[str, Any]:
    reasoning: list[str] = []
    finished: Finished | None = None
    async for item in run.watch():
        if isinstance(item, Finished):
            finished = item
        else:
            reasoning.append(narrate(item))
    assert finished is not None
    result, urls = finished.result, urls_of(finished)
    return completion.whole(
        result,
        content="".join(answer_text(result, urls)),
        reasoning="".join(reasoning),
        segmentation=segmentation_of(result, urls),
    )


async def _stream(opening: Opening, completion: Completion, urls_of: FileUrls, include_usage: bool, put: Put) -> None:
    """Put the reply as events: role, reasoning as it happens, content, masks, cost; an error ends it in their place."""
    usage = {"usage": None} if include_usage else {}

    def say(delta: Mapping[str, Any], finish: str | None = None) -> None:
        put(event(completion.chunk(delta, finish=finish) | usage))

    put(event(completion.first_chunk() | usage))
    try:
        with boundary(SegscoutError, "the answer could not be told", remedy="Report it."):
            async with await opening.run() as run:
                async for item in run.watch():
                    if not isinstance(item, Finished):
                        if told := narrate(item):
                            say(reasoned(told))
                        continue
                    result, urls = item.result, urls_of(item)
                    for piece in answer_text(result, urls):
                        say({"content": piece})
                    say({"segmentation": segmentation_of(result, urls)}, finish_reason(result))
                    if include_usage:
                        put(event(completion.cost(result)))
    except SegscoutError as error:
        log_error(error)
        put(event(error_body(error)))
    put(DONE)


def base_url(request: Request) -> str:
    """Return this server's address as the client knows it, ending in a slash; without the host if that is no host."""
    host = request.headers.get("host", "")
    origin = f"{request.scope['scheme']}://{host}" if _HOST.fullmatch(host) else ""
    return f"{origin}{request.scope.get('root_path', '')}/"
