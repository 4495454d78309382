"""The HTTP routes: metrics, health, and the first live page.

Nothing is computed until somebody asks. The page is static; it polls ``/api/state`` and the
previews while it is in view.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from worker.config import Http
from worker.records import Face, Image
from worker.web.preview import preview

COOKIE = "maskwatch_token"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the worker and how it does; only ``failed`` makes the worker not ready."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    detail: str = ""


class View(Protocol):
    """What the HTTP side may know of the worker."""

    def alive(self) -> bool:
        """True while the main loop turns."""

    def parts(self) -> Sequence[Part]:
        """Each part of the worker."""

    def state(self) -> Mapping[str, Any]:
        """The document behind the live page, fit for JSON."""

    def last_look(self, camera: str) -> tuple[Image, Sequence[Face]] | None:
        """The frame last detected on, and its faces; None where there is none yet."""

    def exposition(self) -> bytes:
        """The metrics in the text format of Prometheus."""


def make_app(view: View, http: Http) -> Starlette:
    """The HTTP side of a worker."""
    page = (files("worker.web") / "static" / "page.html").read_text(encoding="utf-8")

    def metrics(_: Request) -> Response:
        return Response(view.exposition(), media_type="text/plain; version=0.0.4")

    def healthz(_: Request) -> Response:
        alive = view.alive()
        return PlainTextResponse("alive\n" if alive else "stuck\n", 200 if alive else 503)

    def readyz(_: Request) -> Response:
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

    def state(_: Request) -> Response:
        return JSONResponse(view.state())

    def camera_preview(request: Request) -> Response:
        look = view.last_look(request.path_params["camera"])
        if look is None:
            return PlainTextResponse("no picture yet\n", 404)
        return Response(preview(*look, http.faces), media_type="image/jpeg")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return PlainTextResponse("there is nothing here\n", 404)
        return Response(
            (files("worker.web") / "static" / name).read_bytes(), media_type=STATIC[name]
        )

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/", lambda _: HTMLResponse(page)),
            Route("/static/{name}", static),
            Route("/api/state", state),
            Route("/preview/{camera}.jpg", camera_preview),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guard(http))],
    )


def _guard(
    http: Http,
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Asks for the token where one is set; metrics and health are for machines and show no one."""
    open_paths = {"/metrics", "/healthz", "/readyz"}
    secret = http.token.get_secret_value() if http.token else None

    async def dispatch(
        request: Request, proceed: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        given = request.query_params.get("token") or request.cookies.get(COOKIE) or ""
        bearer = request.headers.get("authorization", "")
        given = bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else given
        guarded = secret is not None and request.url.path not in open_paths
        if guarded and not hmac.compare_digest(given.encode(), (secret or "").encode()):
            return PlainTextResponse(
                "This page needs its token: open it as /?token=… "
                "(http.token in the worker's configuration).\n",
                401,
                HEADERS,
            )
        response = await proceed(request)
        response.headers.update(HEADERS)
        if secret and request.query_params.get("token"):
            response.set_cookie(COOKIE, secret, httponly=True, samesite="strict")
        return response

    return dispatch
