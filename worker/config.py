"""Everything that can be set: sections, keys, their bounds and their defaults.

``config_file.load`` makes ``Settings`` of a TOML file and the environment. No fault told here
repeats a value that may hold a secret: an address, a user, a password.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from worker.credentials import check_authorities, public_address, with_credentials
from worker.process import SCHEMES, Spool, Worker
from worker.section import (
    DIGEST,
    HOURS,
    PREFIX,
    Credentials,
    Name,
    Seconds,
    SecondsOrNever,
    Section,
    Share,
    faults,
    lay_in_secret,
)
from worker.venue import (
    EVERYWHERE,
    RESERVED,
    Compliance,
    Violations,
    Zone,
    choice,
    polygon_fault,
    zone_faults,
)

Point = tuple[Share, Share]

MAX_CAMERAS = 256
NO_CAMERAS = "no camera is named; add a table [cameras.NAME] with a url"


class CameraDefaults(Section):
    """What every camera inherits and may override."""

    analyse_fps: Annotated[float, Field(gt=0, le=60)] = Field(
        5.0, description="Frames a second that are analysed, chosen by time stamps."
    )
    keyframes_only: bool = Field(
        False, description="Decode keyframes only: a fifth of the cost, one look a GOP."
    )
    rtsp_transport: Literal["tcp", "udp"] = Field(
        "tcp", description="How RTSP streams come; UDP loses packets, but never stalls for one."
    )
    open_timeout_s: Seconds = Field(
        10.0, description="Longest wait for a connection and its first packet."
    )
    read_timeout_s: Seconds = Field(10.0, description="Silence after which a camera is down.")
    min_face_px: Annotated[int, Field(ge=6, le=512)] = Field(
        30, description="Smallest face to look for, in pixels of the stream; sets the cost."
    )
    motion: bool = Field(True, description="Detect where something moves; not while nothing does.")
    motion_max_pause_s: Seconds = Field(
        5.0, description="Longest time without detection, however still the view is."
    )
    frozen_after_s: SecondsOrNever = Field(
        120.0, description="Time without any change of the picture, not one bit; 0: never frozen."
    )
    covered_after_s: SecondsOrNever = Field(
        10.0, description="Time of black, white or no texture at all; 0: never covered."
    )
    region: list[Point] | None = Field(
        None, description="Polygon, as shares of width and height, outside which nothing counts."
    )
    active_hours: Annotated[str, Field(pattern=HOURS)] | None = Field(
        None, description='Local time in which the camera is watched, for example "07:00-19:30".'
    )

    @field_validator("region")
    @classmethod
    def _polygon(cls, region: list[Point] | None) -> list[Point] | None:
        if region is not None and (text := polygon_fault(region)):
            raise ValueError(text)
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

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        repr=False,
        description="rtsp(s)://, http(s)://, a file, a device (/dev/video0) or demo:NAME.",
    )
    realtime: bool = Field(False, description="Play a file at its own pace, as a live camera.")
    loop: bool = Field(False, description="Start a file again at its end.")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ValueError(
                "the address cannot be read; write rtsp://host:port/path, and a password with "
                "one of / ? # @ : [ ] in it as password or password_file"
            ) from None
        if "://" in url and not parts.hostname and parts.scheme != "file":
            raise ValueError("the address names no host; write rtsp://host/path")
        if "://" in url and parts.scheme not in SCHEMES:
            raise ValueError(
                f"the scheme {parts.scheme!r} is not known; known are {', '.join(SCHEMES)}"
            )
        return url

    @model_validator(mode="after")
    def _whose_password(self) -> Self:
        if self.password and self.username is None and "@" not in self.url:
            raise faults((("username",), "a password is given, but no user; add username"))
        return self

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
        return with_credentials(self.url, self.username, self.secret)


class Redis(Credentials):
    """Where events go."""

    url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="redis://, rediss:// (TLS) or unix://; without the password.",
    )
    ca_file: Path | None = Field(
        None,
        description="With rediss://: certificates of the authorities that may have signed the "
        "server's; default: the system's.",
    )
    prefix: Annotated[str, Field(pattern=PREFIX)] = Field(
        "maskwatch", description="First part of the name of every key."
    )
    frames_keep_s: Seconds = Field(3_600.0, description="Age at which frame events are trimmed.")
    alerts_keep_s: Seconds = Field(7 * 86_400.0, description="Age at which alerts are trimmed.")
    compliance_keep_s: Seconds = Field(
        90 * 86_400.0, description="Age at which summaries are trimmed."
    )
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        2.0, description="Longest wait for a connection and for an answer."
    )
    queue_events: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        50_000, description="Events kept in memory where the disk does not take them either."
    )

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ValueError(
                "the address cannot be read; write redis://host:port/0, and the password as "
                "password or password_file"
            ) from None
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("the Redis address starts with redis://, rediss:// or unix://")
        database = parts.path.strip("/")
        if parts.scheme != "unix" and database and not database.isdecimal():
            raise ValueError("the database is a number; write redis://host:port/0")
        return url

    @field_validator("ca_file")
    @classmethod
    def _authorities(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and not info.data.get("url", "rediss:").startswith("rediss:"):
            raise ValueError("only a rediss:// address asks for certificates; correct redis.url")
        if path is not None:
            check_authorities(path)
        return path

    @property
    def address(self) -> str:
        """The address as anybody may see it."""
        return public_address(self.url)

    def secret_url(self) -> str:
        """The address with user and password. Never log it."""
        return with_credentials(self.url, self.username, self.secret)


class Http(Section):
    """Metrics, health and the live page."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on; any but loopback needs a token."
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        9_464, description="Port to listen on; 0 takes a free one."
    )
    token: SecretStr | None = Field(
        None, description="Asked for by the live page; needed when host is not loopback."
    )
    token_file: Path | None = Field(
        None, description="File that holds the token, for example under /run/secrets."
    )
    faces: Literal["pixelated", "clear"] = Field(
        "pixelated", description="How the live page shows faces."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_token_file(cls, values: Any) -> Any:
        return lay_in_secret(values, "token")

    @property
    def loopback(self) -> bool:
        """True where only this machine can ask."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @field_validator("token")
    @classmethod
    def _of_ascii(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[ -~]+", token.get_secret_value()):
            raise ValueError("a browser carries letters, digits and signs of ASCII only")
        return token

    @model_validator(mode="after")
    def _token_where_others_see(self) -> Self:
        if not self.loopback and self.token is None:
            text = (
                f"{self.host} can be reached by others, so the live page needs a token; "
                "set http.token or http.token_file, or host to 127.0.0.1"
            )
            raise faults((("host",), text))
        return self


class Detection(Section):
    """How faces are found."""

    detector: str = Field(
        "accurate", description="fast, accurate, centerface, haar, or a detector's folder."
    )
    min_score: Share | None = Field(None, description="Default: the detector's own threshold.")


class Tracking(Section):
    """How a face is followed over frames."""

    min_iou: Share = Field(
        0.2, description="Least overlap of a face with itself in the next frame."
    )
    min_hits: Annotated[int, Field(ge=1, le=100)] = Field(
        2, description="Detections before a track gets its id."
    )
    max_gap_s: Seconds = Field(2.0, description="Time without detection after which a track ends.")


class Inference(Section):
    """How faces are classified."""

    model: Path | None = Field(None, description="Artifact folder; default: the one shipped.")
    digest: Annotated[str, Field(pattern=DIGEST)] | None = Field(
        None, description="Refuse to start with a model of another digest."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Where faces are found and classified; auto takes a GPU if it can.",
    )
    batch_size: Annotated[int, Field(ge=1, le=512)] = Field(
        32, description="Crops of all cameras that are classified at once, at most."
    )
    batch_wait_ms: Annotated[float, Field(ge=0, le=1_000)] = Field(
        10.0, description="Longest wait for a batch to fill."
    )


class Deciding(Section):
    """When a face gets a label, and when it stays unknown."""

    min_face_px: Annotated[int, Field(ge=4, le=512)] = Field(
        10, description="Faces narrower than this are unknown: too_small."
    )
    min_sharpness: Annotated[float, Field(ge=0, le=100_000)] = Field(
        2.2, description="Detail, in levels of grey, under which a face is unknown: blurred."
    )
    enter: Share = Field(0.65, description="Share of the evidence a new label needs.")
    leave: Share = Field(0.45, description="Share under which a label is given up.")
    memory_s: Seconds = Field(3.0, description="Time in which old evidence loses 63 % weight.")


class Settings(Section):
    """The whole configuration."""

    worker: Worker = Worker()
    defaults: CameraDefaults = CameraDefaults()
    cameras: dict[Name, Camera]
    zones: dict[Name, Zone] = Field({})
    violations: Violations = Violations()
    compliance: Compliance = Compliance()
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    inference: Inference = Inference()
    deciding: Deciding = Deciding()
    redis: Redis = Redis()
    spool: Spool = Spool()
    http: Http = Http()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        """Lay each camera over the defaults; what the defaults get wrong is told once."""
        cameras, defaults = values.get("cameras"), values.get("defaults")
        if isinstance(defaults, CameraDefaults):
            defaults = defaults.model_dump(exclude_unset=True)
        if isinstance(cameras, dict) and isinstance(defaults, dict):
            known = {k: v for k, v in defaults.items() if k in CameraDefaults.model_fields}
            cameras = {
                name: {**known, **camera} if isinstance(camera, dict) else camera
                for name, camera in cameras.items()
            }
            return {**values, "cameras": cameras}
        return values

    @field_validator("cameras")
    @classmethod
    def _usable(cls, cameras: dict[str, Camera], info: ValidationInfo) -> dict[str, Camera]:
        if not cameras:
            raise ValueError(NO_CAMERAS)
        if len(cameras) > MAX_CAMERAS:
            raise ValueError(f"{len(cameras)} cameras; one worker takes {MAX_CAMERAS}: split them")
        worker = info.data.get("worker")
        allowed = worker.schemes if worker else SCHEMES
        found: list[tuple[tuple[str, ...], str]] = [
            (
                (name, "url"),
                f"the scheme {camera.scheme!r} is not allowed; allowed are "
                f"{', '.join(allowed)} (worker.schemes)",
            )
            for name, camera in cameras.items()
            if camera.scheme not in allowed
        ]
        if EVERYWHERE in cameras:
            found.append(((EVERYWHERE,), RESERVED))
        if found:
            raise faults(*found)
        return cameras

    @field_validator("zones")
    @classmethod
    def _seen(cls, zones: dict[str, Zone], info: ValidationInfo) -> dict[str, Zone]:
        cameras = info.data.get("cameras")
        found = zone_faults(zones, cameras) if cameras is not None else []
        if found:
            raise faults(*found)
        return zones

    @field_validator("violations")
    @classmethod
    def _watched(cls, violations: Violations, info: ValidationInfo) -> Violations:
        known = info.data.get("zones")
        for zone in violations.zones or ():
            if known is not None and zone not in {*known, EVERYWHERE}:
                text = f"there is no zone {zone!r}; {choice(zone, [*known, EVERYWHERE])}"
                raise faults((("zones",), text))
        return violations

    @property
    def violation_zones(self) -> tuple[str, ...]:
        """The zones in which violations are told of."""
        if self.violations.zones is not None:
            return tuple(self.violations.zones)
        return tuple(self.zones) or (EVERYWHERE,)
