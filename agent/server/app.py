"""Put the server together: routes, guards, limits, and errors in one shape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from agent.agent import SegmentationAgent
from agent.page.doors import Doors
from agent.page.installed import check_page, missing_page_routes
from agent.page.uploads import Uploads
from agent.server.bodies import BodyLimit
from agent.server.chat import chat_routes
from agent.server.document import describe_app
from agent.server.errors import add_error_handlers
from agent.server.guard import Guard
from agent.server.metrics import Metrics, RequestCounter
from agent.server.probes import probe_routes
from agent.server.runs import Runs
from agent.server.settings import ServerSettings
from agent.server.upload import upload_routes
from agent.versions import segscout_version


def make_app(agent: SegmentationAgent, settings: ServerSettings | None = None) -> FastAPI:
    """Return the application that serves `agent`; other pages can be mounted on it.

    Its lifespan removes the files and closes the agent's connections. The guards come before everything that is
    mounted, and in their order: count, ask for the key, limit the body, open only the doors that the page needs.
    Raises InputError if the page is asked for and not installed.
    """
    settings = settings or ServerSettings()
    if settings.page:
        check_page()
    metrics = Metrics()
    runs = Runs(agent, settings, metrics)
    uploads = Uploads(settings) if settings.page else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stores = [runs.store, *([uploads.store] if uploads else [])]
        sweepers = [asyncio.create_task(store.keep_clean()) for store in stores]
        yield
        for sweeper in sweepers:
            sweeper.cancel()
        await runs.close()
        if uploads is not None:
            uploads.store.close()

    app = FastAPI(
        title="Segscout",
        version=segscout_version(),
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
        middleware=[
            Middleware(RequestCounter, metrics=metrics),
            Middleware(Guard, key=settings.key, links=runs.links, page=settings.page),
            Middleware(
                BodyLimit,
                max_bytes=settings.body_bytes,
                all_bytes=settings.bodies_bytes,
                seconds=settings.body_seconds,
            ),
            Middleware(Doors),
        ],
    )
    add_error_handlers(app)
    describe_app(app)
    for router in (chat_routes(runs), upload_routes(runs), probe_routes(runs)):
        app.include_router(router)
    if uploads is None:
        app.include_router(missing_page_routes())
        return app
    from agent.page.mount import mount_page  # late: Gradio is an extra, and takes seconds to import

    mount_page(app, runs, uploads)
    return app
