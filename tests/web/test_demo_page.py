"""The pages over a real worker: what the demo shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.worker_process import free_port
from web.browser import Watched, chromium

START_MS = 120_000
STOP_S = 30


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    with (tmp_path / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, "-m", "worker", "demo", "--port", str(port), "--seconds", "200"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        demo.send_signal(signal.SIGTERM)
        try:
            demo.wait(STOP_S)
        finally:
            demo.kill()
            demo.wait()


def test_demo_can_be_watched(address: str) -> None:
    """Cameras come up, faces are counted, pictures load, events and zones are told."""
    with chromium() as browser, Watched(browser) as watched:
        page = watched.page
        watched.wait_for_server(address, START_MS / 1000)
        page.goto(address)
        watched.shown("#seeing", "2 of 2 cameras up")
        watched.wait("document.querySelector('.tile img').naturalWidth === 640")
        watched.wait("Number(document.querySelector('#totals .with_mask dd').textContent) > 0")
        watched.shown("#worker", "Redis takes events")
        watched.screenshot("demo")
        page.goto(f"{address}/camera/entrance")
        watched.shown("#events", "track")
        watched.shown("#changes", "up")
        watched.shown("#configuration", "analyse_fps")
        watched.screenshot("demo-camera", whole=True)
        page.goto(f"{address}/zones")
        watched.shown("#zones h2", "All cameras together")
        watched.screenshot("demo-zones", whole=True)
        assert watched.faults == []
