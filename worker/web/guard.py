"""Who may ask for what, and how much at once: the token, the host, the headers of every answer."""

from __future__ import annotations

import hmac
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.config import Http

COOKIE = "maskwatch_token"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

FOR_MACHINES = frozenset({"/metrics", "/healthz", "/readyz"})
"""For scrapers and supervisors: these show no one, and answer however many people look."""

MAX_REQUESTS = 64
"""Requests for the page that are answered at once; live streams are bounded on their own."""

RETRY_S = 5
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Guard:
    """Stands before every route.

    Args:
        ask: the page that asks for the token, for those who come without.
    """

    def __init__(self, app: ASGIApp, http: Http, ask: str) -> None:
        self._app = app
        self._http = http
        self._ask = ask
        self._secret = http.token.get_secret_value().encode() if http.token else None
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what may pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        path, given = _address(request)
        remember = given is not None and self._is_token(given)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if remember:
                    headers.append("set-cookie", self._cookie(given or ""))
            await send(message)

        if not path:
            answer = PlainTextResponse("This is no address.\n", 400)
            await answer(scope, receive, send_guarded)
        elif path in FOR_MACHINES or path.startswith("/static/"):
            await self._app(scope, receive, send_guarded)
        elif refusal := self._refusal(request):
            await refusal(scope, receive, send_guarded)
        elif remember and not path.startswith("/api/"):
            # out of the address bar and of the history
            rest = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
            target = path + (f"?{urlencode(rest)}" if rest else "")
            await RedirectResponse(target, 303)(scope, receive, send_guarded)
        elif path == "/api/live":
            await self._app(scope, receive, send_guarded)
        else:
            await self._bounded(scope, receive, send_guarded)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way >= MAX_REQUESTS:
            await busy("more people look at this page than it can serve")(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    def _refusal(self, request: Request) -> Response | None:
        """What those hear who may not see the page; None for those who may."""
        if self._secret is None:
            # a foreign page may give its own name this address, and would then read along
            host = request.url.hostname or ""
            if self._http.loopback and host not in LOOPBACK_NAMES:
                return PlainTextResponse(
                    f"This page is for this machine alone: ask for it as {self._http.host}, or "
                    "set http.token in the worker's configuration.\n",
                    421,
                )
            return None
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = (
            request.query_params.get("token")
            or (bearer.strip() if scheme.lower() == "bearer" else "")  # others are a proxy's
            or request.cookies.get(COOKIE, "")
        )
        if self._is_token(given):
            return None
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(self._ask, 401)
        return PlainTextResponse(
            "This page needs its token: open it as /?token=… "
            "(http.token in the worker's configuration).\n",
            401,
        )

    def _is_token(self, given: str) -> bool:
        return self._secret is not None and hmac.compare_digest(given.encode(), self._secret)

    def _cookie(self, token: str) -> str:
        answer = Response()
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return answer.headers["set-cookie"]


def _address(request: Request) -> tuple[str, str | None]:
    """Path and token; neither, where what stands in the address is no text."""
    try:
        _ = request.url.path  # is it text? What it says is put together with the Host header,
        return request.scope["path"], request.query_params.get("token")  # which anybody may write
    except ValueError:
        return "", None


def busy(why: str) -> Response:
    """The answer when there is no room; says when to come again."""
    return PlainTextResponse(
        f"{why[0].upper()}{why[1:]}; come again in {RETRY_S} seconds.\n",
        503,
        {"Retry-After": str(RETRY_S)},
    )
