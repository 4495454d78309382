"""A real Chromium for tests, watched for whatever goes wrong on a page."""

from __future__ import annotations

import importlib.util
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import program

from worker.config import Http
from worker.web.server import HttpServer
from worker.web.view import View

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEADLINE_MS = 20_000

SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""A folder, where somebody wants to look at what the tests saw."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; skipped or failed where it cannot be had."""
    path = program("chromium", "chromium (apt)")
    if importlib.util.find_spec("playwright") is None:
        message = "playwright is missing; install the extra test"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def serving(view: View, **http: Any) -> Iterator[HttpServer]:
    """The real HTTP side over a scripted worker."""
    server = HttpServer(view, Http(**{"port": 0, **http}))
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Watched:
    """A page, and the faults it had: errors on the console, exceptions, answers above 399."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        self._context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **context}
        )
        self._context.set_default_timeout(DEADLINE_MS)
        self.page: Page = self._context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _on_console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"{message.text} ({message.location.get('url', '')})")

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def wait_for_server(self, address: str, deadline_s: float) -> None:
        """Wait until something answers there."""
        ends_s = time.monotonic() + deadline_s
        while True:
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
            except OSError:
                assert time.monotonic() < ends_s, "no answer in time"
                time.sleep(0.1)
            else:
                return

    def open(self, url: str) -> Page:
        """Go there."""
        self.page.goto(url, wait_until="load")
        return self.page

    def another(self, url: str) -> Page:
        """One more window of the same browser."""
        page = self._context.new_page()
        page.goto(url, wait_until="load")
        return page

    def wait(self, expression: str) -> None:
        """Wait until that JavaScript is true on the page, whose policy forbids eval."""
        ends_s = time.monotonic() + DEADLINE_MS / 1000
        ready = f"() => {{ try {{ return {expression} }} catch {{ return false }} }}"
        while not self.page.evaluate(ready):
            assert time.monotonic() < ends_s, expression
            self.page.wait_for_timeout(50)

    def shown(self, selector: str, text: str) -> None:
        """Wait until an element holds that text."""
        self.page.locator(selector).filter(has_text=text).first.wait_for()

    def screenshot(self, name: str, *, whole: bool = False) -> None:
        """Keep what is seen, for people, where they asked for it."""
        if SCREENSHOTS:
            self.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=whole)
