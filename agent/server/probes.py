"""What operators ask: is it alive, which version, how busy; and the files of finished runs."""

from fastapi import APIRouter
from starlette.responses import FileResponse, PlainTextResponse

from agent.server.document import errors
from agent.server.errors import RequestError
from agent.server.files import KINDS
from agent.server.links import FILES
from agent.server.metrics import CONTENT_TYPE, Gauges
from agent.server.replies import HealthReply, Responses, VersionReply
from agent.server.runs import Runs

_SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=600"}

_SCHEMAS = {
    kind: {} if kind == "application/json" else {"type": "string", "format": "binary"} for kind in KINDS.values()
}
_FILE: Responses = {
    200: {"description": "The file.", "content": {kind: {"schema": schema} for kind, schema in _SCHEMAS.items()}},
    206: {"description": "The part of the file that Range asks for."},
    416: {"description": "The file is shorter than that."},
    **errors(404),
}


def probe_routes(runs: Runs) -> APIRouter:
    """Return the routes that tell how the server does."""
    router = APIRouter(tags=["server"])
    versions = runs.agent.versions
    gauges: Gauges = {
        "segscout_requests_in_flight": ("Requests not answered to their end.", lambda: runs.metrics.in_flight),
        "segscout_runs_in_flight": ("Runs under way.", lambda: runs.gate.running),
        "segscout_runs_waiting": ("Requests that wait for their run.", lambda: runs.gate.waiting),
        "segscout_files_bytes": ("Bytes of the files of finished runs.", lambda: runs.store.bytes),
    }

    @router.get("/health", response_model=HealthReply)
    async def health() -> dict[str, str]:
        """Say that the server answers."""
        return {"status": "ok"}

    @router.get("/version", response_model=VersionReply)
    async def version() -> dict[str, str]:
        """Say what is behind the server."""
        return {"version": versions.segscout, "policy": versions.policy, "segmenter": versions.segmenter}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Return what Prometheus reads."""
        return PlainTextResponse(runs.metrics.render(gauges), media_type=CONTENT_TYPE)

    @router.get(FILES + "{run_id}/{name}", responses=_FILE)
    async def file(run_id: str, name: str) -> FileResponse:
        """Return a file of a finished run."""
        path = runs.store.find(run_id, name)
        if path is None:
            told = "there is no such file, or no longer."
            raise RequestError(told, remedy="Ask again.", status=404, code="file_not_found")
        return FileResponse(path, media_type=KINDS[name], headers=_SAFE)

    return router
