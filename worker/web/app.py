"""The HTTP routes: metrics, health, and the live page.

Nothing is computed until somebody asks, and then once for all who ask. No route takes a path: what
may be asked for is a name out of a list, or the id of a camera that there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from string import Template

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from worker import __version__
from worker.config import Http
from worker.web.guard import Guard, busy
from worker.web.live import EventStream, LiveHub, Once
from worker.web.preview import Previews
from worker.web.view import View

STATIC = {
    "page.css": "text/css",
    "theme.js": "text/javascript",
    "live.js": "text/javascript",
    "words.js": "text/javascript",
    "chart.js": "text/javascript",
    "events.js": "text/javascript",
    "frame.js": "text/javascript",
    "tile.js": "text/javascript",
    "cameras.js": "text/javascript",
    "camera.js": "text/javascript",
    "zones.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
PAGES = {"cameras": "Cameras", "camera": "Camera", "zones": "Zones"}
"""Each page has a fragment of HTML and a module, and its title in the shell."""

CAMERA_KEEP_S = 1.0
"""What a camera's own page asks for is made so often at most."""


def make_app(view: View, http: Http, hub: LiveHub | None = None) -> Starlette:
    """The HTTP side of a worker.

    Args:
        view: the worker.
        http: who may ask, and how faces are shown.
        hub: the live streams, for those who want to close them.
    """
    ask = Template(_read("token.html")).substitute(version=__version__)
    return Starlette(
        routes=[
            *_for_machines(view),
            *_pages(view),
            *_documents(view, hub or LiveHub(view)),
            *_pictures(view, http),
        ],
        middleware=[Middleware(Guard, http=http, ask=ask)],
    )


def _for_machines(view: View) -> Iterator[Route]:
    """What scrapers and supervisors ask."""

    async def metrics(_: Request) -> Response:
        return Response(view.exposition(), media_type="text/plain; version=0.0.4")

    async def healthz(_: Request) -> Response:
        alive = view.alive()
        return PlainTextResponse("alive\n" if alive else "stuck\n", 200 if alive else 503)

    async def readyz(_: Request) -> Response:
        parts = view.parts()
        ready = all(part.state != "failed" for part in parts)
        degraded = any(part.state == "degraded" for part in parts)
        return JSONResponse(
            {
                "state": "degraded" if ready and degraded else "ready" if ready else "failed",
                "parts": {
                    part.name: {"state": part.state, "detail": part.detail} for part in parts
                },
            },
            200 if ready else 503,
        )

    yield Route("/metrics", metrics)
    yield Route("/healthz", healthz)
    yield Route("/readyz", readyz)


def _pages(view: View) -> Iterator[Route]:
    """The pages and what they are made of; read once."""
    static = {name: _read(name).encode() for name in STATIC}
    pages = {name: _page(name, title) for name, title in PAGES.items()}

    async def page(request: Request) -> Response:
        return HTMLResponse(pages[request.url.path.strip("/") or "cameras"])

    async def camera_page(request: Request) -> Response:
        if not view.knows(request.path_params["camera_id"]):
            return _no_camera()
        return HTMLResponse(pages["camera"])

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in static:
            return PlainTextResponse("there is nothing here\n", 404)
        return Response(static[name], media_type=STATIC[name])

    yield Route("/", page)
    yield Route("/zones", page)
    yield Route("/camera/{camera_id}", camera_page)
    yield Route("/static/{name}", asset)


def _documents(view: View, hub: LiveHub) -> Iterator[Route]:
    """What the pages show, as JSON; made once for all who ask within a moment."""
    cameras = Once(CAMERA_KEEP_S)

    async def state(_: Request) -> Response:
        return _json(hub.state())

    async def hours(_: Request) -> Response:
        return _json(hub.hours())

    async def live(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type)
        if hub.full:
            return busy("as many pages follow this worker live as may")
        return EventStream(hub)

    async def camera(request: Request) -> Response:
        camera_id = request.path_params["camera_id"]
        if not view.knows(camera_id):
            return _no_camera()
        return _json(cameras.get(camera_id, lambda: view.camera(camera_id)))

    yield Route("/api/state", state)
    yield Route("/api/hours", hours)
    yield Route("/api/live", live)
    yield Route("/api/camera/{camera_id}", camera)


def _pictures(view: View, http: Http) -> Iterator[Route]:
    """What the cameras see."""
    previews = Previews(view, http.faces)

    async def camera_preview(request: Request) -> Response:
        jpeg = await previews.get(request.path_params["camera_id"])
        if jpeg is None:
            return PlainTextResponse("no picture yet\n", 404)
        return Response(jpeg, media_type="image/jpeg")

    yield Route("/preview/{camera_id}.jpg", camera_preview)


def _no_camera() -> Response:
    return PlainTextResponse("there is no camera of this name\n", 404)


def _json(document: bytes) -> Response:
    return Response(document, media_type="application/json")


def _read(name: str) -> str:
    return (files("worker.web") / "static" / name).read_text(encoding="utf-8")


def _page(name: str, title: str) -> str:
    """A page: the shell with a page's own part in it."""
    return Template(_read("shell.html")).substitute(
        title=title, name=name, main=_read(f"{name}.html"), version=__version__
    )
