"""What FFmpeg is to open for a camera, with which options, and which of it is the video."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from av.container import InputContainer
from av.video.stream import VideoStream

from worker.capture import demo
from worker.config import Camera
from worker.errors import CameraError, ConfigError

PROTOCOLS = {
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "http": "http,https,httpproxy,tcp,tls,crypto",
    "https": "http,https,httpproxy,tcp,tls,crypto",
    "file": "file",
}
"""What a source may lead on to: a playlist from the network never reads a local file."""

MAX_PIXELS = 8_192 * 8_192
"""Twice 8K; what is larger is refused before its pixels take memory."""

BOUNDS = {"max_pixels": str(MAX_PIXELS)}
"""Options of FFmpeg's decoders, also of those that look at the stream while it is opened."""


def target_of(camera: Camera) -> tuple[Any, dict[str, Any]]:
    """What to give to ``av.open``, and its keywords.

    Raises:
        CameraError: the address cannot be opened by any means.
    """
    scheme = camera.scheme
    if scheme == "demo":
        return _demo(camera.url), {"format": demo.FORMAT, "options": demo.OPTIONS}
    if scheme == "device":
        return camera.url, {"format": "v4l2"}
    if scheme not in PROTOCOLS:
        raise CameraError(
            "unsupported",
            f"{camera.address} has the scheme {scheme!r}; use rtsp, rtsps, http, https, "
            "a video file or a device",
        )
    options = {"protocol_whitelist": PROTOCOLS[scheme], **BOUNDS}
    if scheme == "file":
        url = camera.url
        path = unquote(urlsplit(url).path) if "://" in url else url
        # With the prefix a name is a name: "concat:" or "pipe:" in it is no protocol.
        return f"file:{Path(path)}", {"options": options}
    options["timeout"] = str(round(camera.read_timeout_s * 1e6))
    if scheme in {"rtsp", "rtsps"}:
        transport = "tcp" if scheme == "rtsps" else camera.rtsp_transport
        # Without a rate to guess, the first frame comes 0.8 s sooner.
        options |= {
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            "fpsprobesize": "0",
        }
    return camera.secret_url(), {"options": options}


def video_of(container: InputContainer, address: str) -> VideoStream:
    """The first stream with pictures.

    Args:
        container: what was opened.
        address: its address as anybody may see it.

    Raises:
        CameraError: there is none that can be decoded, or its pictures are too large.
    """
    name = container.format.name
    if name == "image2" or name.endswith("_pipe"):
        raise CameraError(
            "unsupported",
            f"{address} is a single picture, not a video; use a video, "
            "or `maskwatch predict` for pictures",
        )
    if not container.streams.video:
        raise CameraError(
            "unsupported",
            f"{address} has no video in it; check that the address leads to the camera's "
            "video stream",
        )
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise CameraError(
            "unsupported",
            f"{address} sends a codec that cannot be decoded here; set the camera to H.264 "
            "or H.265",
        )
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise CameraError(
            "unsupported",
            f"{address} sends pictures of {width}x{height}; at most {MAX_PIXELS >> 20} megapixels "
            "are decoded, so set the camera to a smaller size",
        )
    return stream


def _demo(url: str) -> demo.SceneStream:
    """The synthetic camera; what is wrong with it is this camera's fault alone."""
    try:
        return demo.open_stream(url)
    except ConfigError as error:
        raise CameraError("unsupported", str(error)) from error
