"""`/v1/models` and `/v1/chat/completions`: the agent as a model that any chat client can talk to."""

import re
from collections.abc import Mapping
from functools import partial
from time import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from agent.server.answer import answer_text, segmentation_of
from agent.server.completions import Completion, finish_reason, list_models, model_card, reasoned
from agent.server.connection import while_connected
from agent.server.conversation import read_ask
from agent.server.errors import RequestError, error_body, log_error
from agent.server.narration import narrate
from agent.server.requests import MODEL, ChatRequest
from agent.server.runs import Finished, Run, Runs
from agent.server.sources import open_sources
from agent.server.streaming import DONE, Put, RunStream, event
from agent.server.wire import JSONReply
from tools.errors import SegscoutError, boundary

_HOST = re.compile(r"[\w.-]{1,253}(:\d{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:\d{1,5})?", re.ASCII)


def chat_routes(runs: Runs) -> APIRouter:
    """Return the routes that chat clients use."""
    router, started = APIRouter(tags=["chat"]), int(time())
    settings = runs.settings

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """List the only model."""
        return list_models(started)

    @router.get("/v1/models/{model}")
    async def model(model: str) -> dict[str, Any]:
        """Describe the only model."""
        if model != MODEL:
            raise RequestError(
                "there is no such model.", remedy=f"The model is {MODEL!r}.", status=404, code="model_not_found"
            )
        return model_card(started)

    @router.post("/v1/chat/completions")
    async def chat(request: Request, asked: ChatRequest) -> Response:
        """Answer the last user message: whole, or as server-sent events with `stream`."""
        asked.check()
        ask = read_ask(asked.messages, pictures=settings.pictures, recall=settings.recall)
        opener = partial(open_sources, ask.urls, fetcher=settings.fetcher, limits=settings.media)
        opened = runs.open(ask.query, ask.question, opener, ask.thread_id, ask.choice)
        run = await while_connected(request, opened)
        base = base_url(request)
        if asked.stream:
            produce = partial(_stream, run, base, asked.include_usage)
            return RunStream(run, produce, ping_seconds=settings.ping_seconds)
        async with run:
            return JSONReply(await while_connected(request, _whole(run, base)))

    return router


async def _whole(run: Run, base: str) -> dict[str, Any]:
    reasoning: list[str] = []
    finished: Finished | None = None
    async for item in run.watch():
        if isinstance(item, Finished):
            finished = item
        else:
            reasoning.append(narrate(item))
    assert finished is not None
    result, urls = finished.result, file_urls(finished, base)
    return Completion().whole(
        result,
        content="".join(answer_text(result, urls)),
        reasoning="".join(reasoning),
        segmentation=segmentation_of(result, urls),
    )


async def _stream(run: Run, base: str, include_usage: bool, put: Put) -> None:
    """Put the reply as events: role, reasoning as it happens, content, masks, cost; an error ends it in their place."""
    completion = Completion()
    usage = {"usage": None} if include_usage else {}

    def say(delta: Mapping[str, Any], finish: str | None = None) -> None:
        put(event(completion.chunk(delta, finish=finish) | usage))

    say({"role": "assistant", "content": ""})
    try:
        with boundary(SegscoutError, "the answer could not be told", remedy="Report it."):
            async for item in run.watch():
                if not isinstance(item, Finished):
                    if told := narrate(item):
                        say(reasoned(told))
                    continue
                result, urls = item.result, file_urls(item, base)
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


def file_urls(finished: Finished, base: str) -> dict[str, str]:
    """Return the address of every file of a run by its name; `base` is the server's own, ending in a slash."""
    return {name: f"{base}v1/files/{finished.run_id}/{name}" for name in finished.files}
