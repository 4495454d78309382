"""Everything that can be set: one TOML file, the environment, and files that hold secrets.

The environment is read here and nowhere else. Every fault becomes a ``ConfigError`` whose
text names the file, the line, the key and the remedy, and never a secret.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]

MAX_CAMERAS = 256


class Section(BaseModel):
    """A table of the file: unknown keys are an error, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def with_credentials(url: str, username: str | None, password: SecretStr | None) -> str:
    """The address with user and password in it. The result is a secret: never log it."""
    if username is None:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = quote(username, safe="")
    secret = f":{quote(password.get_secret_value(), safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{user}{secret}@{host}"))


def public_address(url: str) -> str:
    """The address without user, password, query and fragment, fit for logs and pages."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class Credentials(Section):
    """User and password of something; the password may lie in a file of its own."""

    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = Field(
        None, description="File that holds the password, for example under /run/secrets."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_password_file(cls, values: Any) -> Any:
        """Read the secret at once, so that a missing file is found before anything starts."""
        if not isinstance(values, dict) or not values.get("password_file"):
            return values
        if values.get("password"):
            raise ValueError("password and password_file are both set; keep one of them")
        path = Path(values["password_file"])
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ValueError(
                f"the secret file {path} cannot be read ({why}); create it, or correct the path"
            ) from None
        if not secret:
            raise ValueError(f"the secret file {path} is empty; write the password into it")
        return {**values, "password": secret}


class CameraDefaults(Section):
    """What every camera inherits and may override."""

    analyse_fps: Annotated[float, Field(gt=0, le=60)] = Field(
        5.0, description="Frames a second that are analysed, chosen by time stamps."
    )
    keyframes_only: bool = Field(
        False, description="Decode keyframes only: a fifth of the cost, one look a GOP."
    )
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: Seconds = 10.0
    read_timeout_s: Seconds = Field(10.0, description="Silence after which a camera is down.")
    min_face_px: Annotated[int, Field(ge=6, le=512)] = Field(
        20, description="Smallest face to look for, in pixels of the stream; sets the cost."
    )
    motion: bool = Field(True, description="Skip detection while nothing moves.")
    motion_max_pause_s: Seconds = Field(
        5.0, description="Longest time without detection, however still the view is."
    )
    region: list[Point] | None = Field(
        None, description="Polygon, as shares of width and height, outside which nothing counts."
    )
    active_hours: Annotated[str, Field(pattern=r"^\d\d:\d\d-\d\d:\d\d$")] | None = Field(
        None, description='Local time in which the camera is watched, for example "07:00-19:30".'
    )

    @field_validator("region")
    @classmethod
    def _polygon(cls, region: list[Point] | None) -> list[Point] | None:
        if region is not None and len(region) < 3:
            raise ValueError("a region needs at least three points, each [x, y] from 0 to 1")
        return region

    @field_validator("active_hours")
    @classmethod
    def _hours(cls, hours: str | None) -> str | None:
        if hours is None:
            return None
        for clock in hours.split("-"):
            hour, minute = (int(part) for part in clock.split(":"))
            if hour > 24 or minute > 59 or (hour == 24 and minute):
                raise ValueError(f"{clock} is no time of day; write HH:MM from 00:00 to 24:00")
        return hours


class Camera(CameraDefaults, Credentials):
    """One camera. ``url`` is rtsp(s), http(s), a file, a device (/dev/video0) or demo:NAME."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    realtime: bool = Field(False, description="Play a file at its own pace, as a live camera.")
    loop: bool = Field(False, description="Start a file again at its end.")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(
                f"the address cannot be read ({error}); write rtsp://host/path"
            ) from None
        if "://" in url and not parts.hostname and parts.scheme != "file":
            raise ValueError("the address names no host; write rtsp://host/path")
        return url

    @property
    def scheme(self) -> str:
        """``rtsp``, ``http``, …; ``file`` and ``device`` for what lies on this machine."""
        if "://" in self.url or self.url.startswith("demo:"):
            return urlsplit(self.url).scheme.lower()
        return "device" if self.url.startswith("/dev/") else "file"

    @property
    def live(self) -> bool:
        """Live sources keep the newest frame; files wait until every frame is taken."""
        return self.scheme != "file" or self.realtime

    @property
    def address(self) -> str:
        """The address as anybody may see it."""
        return public_address(self.url)

    def secret_url(self) -> str:
        """The address with user and password. Never log it."""
        return with_credentials(self.url, self.username, self.password)


class Redis(Credentials):
    """Where events go."""

    url: str = "redis://127.0.0.1:6379/0"
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "maskwatch"
    frames_keep_s: Seconds = Field(3_600.0, description="Age at which frame events are trimmed.")
    alerts_keep_s: Seconds = 7 * 86_400.0
    compliance_keep_s: Seconds = 90 * 86_400.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    queue_events: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        50_000, description="Events kept in memory while Redis is away."
    )

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("the Redis address starts with redis://, rediss:// or unix://")
        return url

    @property
    def address(self) -> str:
        """The address as anybody may see it."""
        return public_address(self.url)

    def secret_url(self) -> str:
        """The address with user and password. Never log it."""
        return with_credentials(self.url, self.username, self.password)


class Http(Section):
    """Metrics, health and the live page."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9_464
    token: SecretStr | None = Field(
        None, description="Asked for by the live page; needed when host is not loopback."
    )
    faces: Literal["pixelated", "clear"] = "pixelated"

    @property
    def loopback(self) -> bool:
        """True where only this machine can ask."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @model_validator(mode="after")
    def _token_where_others_see(self) -> Self:
        if not self.loopback and self.token is None:
            raise ValueError(
                f"host {self.host} can be reached by others, so the live page needs a token; "
                "set http.token (MASKWATCH_HTTP__TOKEN), or host to 127.0.0.1"
            )
        return self


class Detection(Section):
    """How faces are found."""

    detector: str = Field("centerface", description="centerface or haar.")
    min_score: Share | None = Field(None, description="Default: the detector's own threshold.")


class Tracking(Section):
    """How a face is followed over frames."""

    min_iou: Share = 0.2
    min_hits: Annotated[int, Field(ge=1, le=100)] = Field(
        2, description="Detections before a track gets its id."
    )
    max_gap_s: Seconds = Field(2.0, description="Time without detection after which a track ends.")


class Inference(Section):
    """How faces are classified."""

    model: Path | None = Field(None, description="Artifact folder; default: the one shipped.")
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Refuse to start with a model of another digest."
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=512)] = 32
    batch_wait_ms: Annotated[float, Field(ge=0, le=1_000)] = 10.0


class Deciding(Section):
    """When a face gets a label, and when it stays unknown."""

    min_face_px: Annotated[int, Field(ge=4, le=512)] = Field(
        12, description="Faces narrower than this are unknown: too_small."
    )
    min_sharpness: Annotated[float, Field(ge=0)] = Field(
        12.0, description="Variance of the Laplacian under which a face is unknown: blurred."
    )
    enter: Share = Field(0.65, description="Share of the evidence a new label needs.")
    leave: Share = Field(0.45, description="Share under which a label is given up.")
    memory_s: Seconds = Field(3.0, description="Time in which old evidence loses 63 % weight.")


class Worker(Section):
    """The process itself."""

    worker_id: Name | None = Field(None, description="Default: the host's name.")
    stop_timeout_s: Seconds = Field(10.0, description="Longest ordered stop.")
    schemes: list[Literal["rtsp", "rtsps", "http", "https", "file", "device", "demo"]] = Field(
        ["rtsp", "rtsps", "http", "https", "file", "device"],
        description="Kinds of sources that cameras may name.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def identity(self) -> str:
        """The id in events: as set, else made of the host's name."""
        if self.worker_id:
            return self.worker_id
        cleaned = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower()).strip("-_")
        return cleaned[:63] or "worker"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="MASKWATCH_",
        env_nested_delimiter="__",
        hide_input_in_errors=True,
    )

    worker: Worker = Worker()
    defaults: CameraDefaults = CameraDefaults()
    cameras: dict[Name, Camera]
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    inference: Inference = Inference()
    deciding: Deciding = Deciding()
    redis: Redis = Redis()
    http: Http = Http()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        """Lay each camera over the defaults; what the defaults get wrong is told once."""
        cameras, defaults = values.get("cameras"), values.get("defaults")
        if isinstance(cameras, dict) and isinstance(defaults, dict):
            known = {k: v for k, v in defaults.items() if k in CameraDefaults.model_fields}
            cameras = {
                name: {**known, **camera} if isinstance(camera, dict) else camera
                for name, camera in cameras.items()
            }
            return {**values, "cameras": cameras}
        return values

    @model_validator(mode="after")
    def _cameras_are_usable(self) -> Self:
        if not self.cameras:
            raise ValueError("no camera is named; add a table [cameras.NAME] with a url")
        if len(self.cameras) > MAX_CAMERAS:
            raise ValueError(f"{len(self.cameras)} cameras; one worker takes {MAX_CAMERAS}: split")
        for name, camera in self.cameras.items():
            if camera.scheme not in self.worker.schemes:
                raise ValueError(
                    f"cameras.{name}.url: the scheme {camera.scheme!r} is not allowed; "
                    f"allowed are {', '.join(self.worker.schemes)} (worker.schemes)"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic-settings passes by name)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (which comes as init); no .env is read."""
        return env_settings, init_settings
