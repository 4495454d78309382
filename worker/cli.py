"""`maskwatch`: the worker's command line."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from worker import __version__, console

app = typer.Typer(
    name="maskwatch",
    help="Watch cameras for faces with and without masks, and tell Redis and Prometheus.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", help="The TOML file; deploy/maskwatch.example.toml shows all."),
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="Artifact folder of a classifier.")
]
DetectorOption = Annotated[
    str | None, typer.Option("--detector", help="Name of a detector; default: as shipped.")
]
MinFaceOption = Annotated[
    int, typer.Option("--min-face-px", min=4, max=512, help="Smallest face to look for, in pixels.")
]


STILL_FACE_PX = 8
"""In a still picture, which has no next frame in which a face is larger."""


def main() -> None:
    """The entry point of the console script."""
    console.run(app, "maskwatch")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maskwatch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def run(config: ConfigOption) -> None:
    """Run the worker until it is told to stop (SIGTERM or Ctrl-C).

    SIGHUP has it read its configuration again.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it asks for is about to be done
    from worker import log
    from worker.config_file import load
    from worker.reload import Reload
    from worker.service import Service
    from worker.supervisor import Supervisor

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump holds pictures and passwords
    faulthandler.enable()  # so that a crash in a library names the line that it was called from
    reload = Reload(lambda: load(config, os.environ), config)
    signal.signal(signal.SIGHUP, lambda _number, _frame: reload.request())
    settings = reload.read()
    log.setup(settings.worker.log_level)
    service = Service(settings, reload=reload, supervisor=Supervisor(os.environ))
    service.obey_signals()
    service.run()


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, help="Stop by itself after so long.")
    ] = None,
    cameras: Annotated[
        int, typer.Option("--cameras", min=1, max=16, help="How many synthetic cameras.")
    ] = 2,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of the live page; 0 takes a free one.")
    ] = 9_464,
    redis_port: Annotated[
        int, typer.Option("--redis-port", min=0, max=65_535, help="0 takes a free one.")
    ] = 0,
) -> None:
    """Show the whole worker on synthetic cameras and an embedded Redis."""
    from worker import log
    from worker.demo import run_demo

    log.setup("WARNING")
    totals = run_demo(seconds=seconds, cameras=cameras, port=port, redis_port=redis_port, say=_say)
    _say("seen: " + ", ".join(f"{count} {label}" for label, count in totals.items()))


@app.command()
def check(config: ConfigOption) -> None:
    """Check a configuration whole, without connecting to anything."""
    from worker.config_file import load
    from worker.loading import check_models

    settings = load(config, os.environ)
    artifact = check_models(settings)
    for name, camera in settings.cameras.items():
        _say(f"camera {name}: {camera.address}, {camera.analyse_fps:g} frames/s")
    for name, zone in settings.zones.items():
        told = ", violations" if name in settings.violation_zones else ""
        seen_by = ", ".join(zone.cameras)
        _say(f"zone {name}: on {seen_by}, by the {zone.anchor} from {zone.min_dwell_s:g} s{told}")
    _say(f"redis {settings.redis.address}, keys {settings.redis.prefix}:…")
    _say(f"model {artifact.name} {artifact.version}, digest {artifact.digest}")
    _say(f"{config}: all right, cameras: {len(settings.cameras)}")


@app.command()
def probe(
    url: Annotated[
        str | None, typer.Argument(help="rtsp(s)://, http(s)://, a file, a device or demo:NAME.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Probe the cameras of this configuration."),
    ] = None,
    camera: Annotated[
        str | None, typer.Option("--camera", help="Only this one of the configuration.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=2, max=600, help="How long each is watched.")
    ] = 10.0,
    username: Annotated[
        str | None, typer.Option("--username", help="User to log in as, for a URL.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="File that holds the password.")
    ] = None,
    udp: Annotated[bool, typer.Option("--udp", help="RTSP over UDP, for a URL.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Write the picture with the most faces, annotated."),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Leave the picture's pixels as they are.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a camera.")] = False,
) -> None:
    """Say whether a camera's view can do the job, and what to change.

    Ends with 0 where it can, with 1 where it cannot, could not be opened, or showed nobody.
    """
    from worker.config_file import load
    from worker.errors import ConfigError
    from worker.probe.command import Wishes, plan_for_settings, plan_for_url, probe_all

    if (url is None) == (config is None):
        raise ConfigError("name either a URL or --config FILE")
    if config is not None:
        if username or password_file or udp:
            raise ConfigError(
                "--username, --password-file and --udp go with a URL; the configuration has its own"
            )
        plan = plan_for_settings(load(config, os.environ), camera)
    else:
        if camera is not None:
            raise ConfigError("--camera goes with --config")
        transport = "udp" if udp else "tcp"
        plan = plan_for_url(
            url or "", username=username, password_file=password_file, rtsp_transport=transport
        )
    if not probe_all(plan, Wishes(seconds, picture, clear, as_json), _say):
        raise typer.Exit(1)


@app.command()
def tail(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Takes the Redis of this worker.")
    ] = None,
    url: Annotated[
        str, typer.Option("--redis", help="Address of a Redis, where no --config is given.")
    ] = "redis://127.0.0.1:6379/0",
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", help="With --redis rediss://…: who may have signed, as PEM."),
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Only this camera.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The documents as they are.")] = False,
) -> None:
    """Follow the events of a worker as they come."""
    from worker import log
    from worker.config_file import load
    from worker.output.broker import settings_of
    from worker.output.tail import follow, print_events

    log.setup("WARNING")
    redis = load(config, os.environ).redis if config else settings_of(url, ca_file=ca_file)
    events = follow(redis.secret_url(), prefix=redis.prefix, camera=camera, ca_file=redis.ca_file)
    print_events(events, sys.stdout, as_json=as_json)


@app.command()
def simulate(
    cameras: Annotated[int, typer.Option("--cameras", min=1, max=256, help="How many.")] = 2,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0.1, max=100_000, help="Frame events a second, of all cameras."),
    ] = 20.0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="Stop by itself after so long.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same one brings the same people.")] = 1,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help="What goes wrong every few seconds; repeat: hole, duplicate, late, loss, newer, "
            "broken, down, restart, or all.",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Publish to a Redis that comes and goes with this.")
    ] = False,
    redis_port: Annotated[
        int, typer.Option("--redis-port", min=0, max=65_535, help="Of --embedded; 0: a free one.")
    ] = 0,
    url: Annotated[
        str, typer.Option("--redis", help="Address of a Redis, where it is not --embedded.")
    ] = "redis://127.0.0.1:6379/0",
    prefix: Annotated[str, typer.Option("--prefix", help="First part of every key.")] = "maskwatch",
) -> None:
    """Publish the events of a synthetic crowd, for those who build consumers.

    Needs no camera, no model and no GPU. A Redis that real workers publish to needs another
    --prefix.
    """
    from contextlib import ExitStack

    from worker import log
    from worker.output.broker import settings_of
    from worker.output.embedded import embedded_redis
    from worker.simulate import Plan, faults_named, run_simulation

    log.setup("WARNING")
    plan = Plan(cameras, rate, seconds, seed, faults_named(fault or ()))
    with ExitStack() as stack:
        if embedded:
            url = stack.enter_context(embedded_redis(port=redis_port)).url
        run_simulation(plan, settings_of(url, prefix), _say)


@app.command()
def predict(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the annotated pictures.")],
    model: ModelOption = None,
    detector: DetectorOption = None,
    min_face_px: MinFaceOption = STILL_FACE_PX,
) -> None:
    """Draw the faces of pictures: green with a mask, red without, orange incorrectly.

    Prints one line of JSON a picture.
    """
    from worker.evaluation.commands import Choice, predict_pictures

    if predict_pictures(Choice(model, detector, min_face_px), pictures, out):
        raise typer.Exit(1)


@app.command()
def evaluate(
    data: Annotated[
        Path, typer.Option("--data", help="PASCAL VOC: a folder with images/ and annotations/.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here as JSON.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Only these: a file with the name of one a line."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="NAME=MEANING of a class name that is not known; repeat."),
    ] = None,
    model: ModelOption = None,
    detector: DetectorOption = None,
    min_face_px: MinFaceOption = STILL_FACE_PX,
) -> None:
    """Measure finding and classifying on annotated pictures."""
    from worker.evaluation.commands import Choice, evaluate_folder

    choice = Choice(model, detector, min_face_px)
    evaluate_folder(choice, data, json_out=json_file, pictures=pictures, names=names or ())


@app.command()
def bench(
    clip: Annotated[
        Path | None,
        typer.Option("--clip", help="Video to play; default: a seeded one of moving faces."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=2, help="How long each run is measured.")
    ] = 20.0,
    cameras: Annotated[int, typer.Option("--cameras", min=1, help="Cameras at once.")] = 1,
    fps: Annotated[
        float, typer.Option("--fps", min=0.1, max=60, help="Analysed frames a second.")
    ] = 5.0,
    min_face_px: MinFaceOption = 30,
    detector: DetectorOption = None,
    report_loop: Annotated[
        bool,
        typer.Option("--report-loop", help="Also the original report's loop (needs torch)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Measure what a camera costs, as a multiple of what decoding it costs."""
    from worker.bench import Load, run_bench

    load = Load(clip, seconds, cameras, fps, min_face_px=min_face_px, detector=detector)
    run_bench(load, report_loop=report_loop, as_json=as_json)


def _say(text: str) -> None:
    print(text, flush=True)
