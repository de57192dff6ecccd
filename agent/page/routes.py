"""What the page needs beside Gradio: a way in for media, which Gradio would keep under names that strangers give."""

from functools import partial
from pathlib import Path

import anyio
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse

from agent.page.uploads import MEDIA, PREVIEW, Uploads, gone
from agent.server.errors import RequestError
from agent.server.session import PAGE
from tools.media import Limits

# Browsers find out themselves which container a clip is in; and served so, nothing that was dropped can be a page.
_KINDS = {MEDIA: "video/mp4", PREVIEW: "image/jpeg"}
_SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=600"}


def media_routes(uploads: Uploads, limits: Limits) -> APIRouter:
    """Return the routes that take media in and show them; `limits` are those of their size."""
    router = APIRouter(prefix=f"{PAGE}/media", include_in_schema=False)

    @router.post("")
    async def add(request: Request) -> dict[str, str]:
        """Take the body as a picture or clip; its bytes alone decide which."""
        upload = await uploads.add(partial(_receive, request, limits))
        return {"id": upload.id}

    @router.get("/{upload_id}/{name}")
    async def media(upload_id: str, name: str) -> FileResponse:
        """Return what was dropped, or its preview."""
        path = uploads.store.find(upload_id, name) if name in _KINDS else None
        if path is None:
            raise gone()
        return FileResponse(path, media_type=_KINDS[name], headers=_SAFE)

    return router


async def _receive(request: Request, limits: Limits, path: Path) -> None:
    """Write a request's body to a file, as long as it keeps to the limits."""
    size = 0
    try:
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                limits.check_bytes(size, "what was dropped")  # an empty body is one empty chunk
                await file.write(chunk)
    except ClientDisconnect as error:
        raise RequestError("the client has gone.", remedy="Send it again.", status=499, code="client_gone") from error
