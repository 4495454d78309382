"""A real RTSP server for tests: GStreamer's, in a process of its own.

Imported by tests, it starts the server; run by ``/usr/bin/python3`` (which has GStreamer's
bindings, the tests' Python has not), it is the server. Clips are sent as they are, without
encoding, in real time, over and over.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
APT_PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi"
)
READY_S = 20.0
PAYLOADS = {
    "h264": ("video/x-h264,stream-format=byte-stream,alignment=au", "h264parse ! rtph264pay"),
    "hevc": ("video/x-h265,stream-format=byte-stream,alignment=au", "h265parse ! rtph265pay"),
    "mjpeg": ("image/jpeg,framerate=25/1", "jpegparse ! rtpjpegpay"),
}
ANNEXB = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


def missing() -> str | None:
    """What to install when the server cannot be run here; None when it can."""
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "assert all(Gst.ElementFactory.find(n) for n in ('rtph264pay', 'h264parse', 'appsrc'))"
    )
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False)
    except OSError:
        return f"apt install {APT_PACKAGES}"
    return None if found.returncode == 0 else f"apt install {APT_PACKAGES}"


def require_rtsp_server() -> None:
    """Skip the test, naming the packages, where GStreamer is missing; fail it with CI=true."""
    import pytest

    remedy = missing()
    if remedy and os.environ.get("CI") == "true":
        pytest.fail(f"no RTSP server for this test: {remedy}")
    if remedy:
        pytest.skip(f"no RTSP server for this test: {remedy}")


class RtspServer:
    """The server as a test sees it; ``port`` stays the same over ``kill`` and ``start``."""

    def __init__(self, plan: Mapping[str, Any], folder: Path) -> None:
        self._plan = dict(plan)
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.port = int(plan["port"])
        self.start()

    def url(self, path: str) -> str:
        """The address of a clip, without credentials."""
        return f"rtsp://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def secret_url(self, path: str) -> str:
        """The address of a clip, with user and password where the server wants them."""
        if not self._plan["user"]:
            return self.url(path)
        user, password = (quote(self._plan[key], safe="") for key in ("user", "password"))
        return self.url(path).replace("://", f"://{user}:{password}@")

    def start(self) -> None:
        """Start; returns when the server listens."""
        plan = self._folder / "plan.json"
        plan.write_text(json.dumps({**self._plan, "port": self.port}), encoding="utf-8")
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, __file__, str(plan)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], READY_S)
        line = self._process.stdout.readline() if readable else ""
        if not line.startswith("ready "):
            self.kill()
            raise RuntimeError("the RTSP server did not start; its own words are above")
        self.port = int(line.split()[1])

    def kill(self) -> None:
        """End it at once, as a power cut would; idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def freeze(self) -> None:
        """Stop sending, with all connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on sending."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def rtsp_server(
    clips: Mapping[str, Path], user: str | None = None, password: str | None = None, port: int = 0
) -> Iterator[RtspServer]:
    """A running server on loopback.

    Args:
        clips: path on the server to a clip in H.264, H.265 or MJPEG.
        user: with it, digest authentication is asked for.
        password: of the user.
        port: 0 takes a free one.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mounts = {
            f"/{path.strip('/')}": _access_units(clip, folder / f"{number}.units")
            for number, (path, clip) in enumerate(clips.items())
        }
        plan = {"mounts": mounts, "user": user, "password": password, "port": port}
        server = RtspServer(plan, folder)
        try:
            yield server
        finally:
            server.kill()


def _access_units(clip: Path, units: Path) -> dict[str, Any]:
    """Split a clip into access units; what the server needs to know to send them."""
    import av
    from av.bitstream import BitStreamFilterContext

    with av.open(str(clip)) as container, units.open("wb") as out:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        fps = float(stream.average_rate or 25)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if codec in ANNEXB and container.format.name != codec:
            bitstream = BitStreamFilterContext(ANNEXB[codec], stream)
            packets = [done for packet in packets for done in bitstream.filter(packet)]
        start = min(packet.pts for packet in packets)
        index = []
        for packet in packets:
            pts = int((packet.pts - start) * packet.time_base * 1_000_000_000)
            index.append((out.tell(), packet.size, pts))
            out.write(bytes(packet))
    return {"codec": codec, "fps": fps, "units": str(units), "index": index}


def _serve(plan: Mapping[str, Any]) -> None:
    """Run as the server, until killed or until the parent dies."""
    import gi

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no server outlives its test
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(plan["port"]))
    permissions = GstRtspServer.RTSPPermissions()
    if plan["user"]:
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_digest(plan["user"], plan["password"], token)
        server.set_auth(auth)
        permissions.add_role("viewer")
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("viewer", right, True)
    mounts = server.get_mount_points()
    for path, clip in plan["mounts"].items():
        caps, payload = PAYLOADS[clip["codec"]]
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f"( appsrc name=source is-live=true format=time caps={caps} ! {payload} name=pay0 )"
        )
        factory.set_shared(True)
        factory.connect("media-configure", _on_media, Gst, clip)
        if plan["user"]:
            factory.set_permissions(permissions)
        mounts.add_factory(path, factory)
    server.attach(None)
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


def _on_media(_factory: Any, media: Any, gst: Any, clip: Mapping[str, Any]) -> None:
    """Start sending a clip as soon as somebody wants it."""
    source = media.get_element().get_by_name_recurse_up("source")
    started = threading.Event()

    def need(*_args: Any) -> None:
        if not started.is_set():
            started.set()
            threading.Thread(target=_send, args=(source, gst, clip), daemon=True).start()

    source.connect("need-data", need)


def _send(source: Any, gst: Any, clip: Mapping[str, Any]) -> None:
    """Push access units in real time, round and round, until nobody takes them."""
    data = Path(clip["units"]).read_bytes()
    frame_ns = round(1e9 / clip["fps"])
    begin, sent = time.monotonic(), 0
    loop_ns = len(clip["index"]) * frame_ns
    while True:
        for offset, size, pts in clip["index"]:
            buffer = gst.Buffer.new_wrapped(data[offset : offset + size])
            buffer.pts = sent // len(clip["index"]) * loop_ns + pts
            buffer.dts = sent * frame_ns
            buffer.duration = frame_ns
            if source.emit("push-buffer", buffer) != gst.FlowReturn.OK:
                return
            sent += 1
            time.sleep(max(0.0, begin + sent * frame_ns / 1e9 - time.monotonic()))


if __name__ == "__main__":
    _serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
