"""`/v1/segment`: one uploaded file and a query in, JSON out, for those who hold no conversation."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import APIRouter, Form, Request, UploadFile

from agent.server.answer import segmentation_of
from agent.server.chat import base_url
from agent.server.clarification import ThreadId
from agent.server.completions import usage_of
from agent.server.connection import while_connected
from agent.server.document import RUN_ERRORS, errors
from agent.server.errors import RequestError
from agent.server.examples import QUESTION
from agent.server.replies import Responses, UploadReply
from agent.server.runs import Runs
from agent.server.sources import open_files, write_source
from agent.server.wire import JSONReply
from graphs.episode import MAX_QUERY_CHARS
from tools.media import Limits, Media

_REPLIES: Responses = {
    200: {"model": UploadReply, "description": "What was found."},
    **errors(*(status for status in RUN_ERRORS if status != 404)),
}


def upload_routes(runs: Runs) -> APIRouter:
    """Return the route that takes an upload."""
    router = APIRouter(tags=["segment"])

    @router.post("/v1/segment", responses=_REPLIES)
    async def segment(
        request: Request,
        file: UploadFile,
        query: Annotated[str, Form(min_length=1, max_length=MAX_QUERY_CHARS, examples=[QUESTION])],
        thread: Annotated[ThreadId | None, Form()] = None,
        choice: Annotated[int | None, Form(ge=0)] = None,
    ) -> JSONReply:
        """Segment an uploaded picture or clip, and return its masks, citations and files.

        If it asks a question, send the same again with its `thread` and a `choice`.
        """
        query = query.strip()
        if not query:
            raise RequestError("the query is empty.", remedy="Say what to find.", param="query")
        opener = partial(_open, [file], runs.settings.media)
        async with await while_connected(request, runs.open(query, query, opener, thread, choice)) as run:
            finished = await while_connected(request, run.finish())
            result, urls = finished.result, runs.file_urls(finished, base_url(request))
            reply = {"query": query, **segmentation_of(result, urls), "usage": usage_of(result.usage)}
            return JSONReply(reply)

    return router


async def _open(uploads: Sequence[UploadFile], limits: Limits, folder: Path) -> Media:
    files = []
    for number, upload in enumerate(uploads):
        data = await upload.read()
        files.append(await anyio.to_thread.run_sync(write_source, data, folder / f"media-{number}"))
    return await anyio.to_thread.run_sync(open_files, files, limits)
