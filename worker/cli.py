"""`maskwatch`: the worker's command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from worker import __version__, console

app = typer.Typer(
    name="maskwatch",
    help="Watches cameras for faces with and without masks, and tells Redis and Prometheus.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The TOML file; see deploy/maskwatch.example.toml.")
]


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
    """Run the worker until it is told to stop (SIGTERM or Ctrl-C)."""
    from worker import log
    from worker.config_file import load
    from worker.service import Service

    settings = load(config, os.environ)
    log.setup(settings.worker.log_level)
    service = Service(settings)
    service.obey_signals()
    service.run()


@app.command()
def check(config: ConfigOption) -> None:
    """Check a configuration whole, without connecting to anything."""
    from worker.config_file import load
    from worker.faces.detect import open_detector
    from worker.inference import artifact
    from worker.models import default_classifier
    from worker.service import demand_digest

    settings = load(config, os.environ)
    model = artifact.load(settings.inference.model or default_classifier(), kind="classifier")
    demand_digest(model, settings.inference.digest)
    for size in {camera.min_face_px for camera in settings.cameras.values()}:
        open_detector(settings.detection.detector, min_face_px=size)
    for name, camera in settings.cameras.items():
        typer.echo(f"camera {name}: {camera.address}, {camera.analyse_fps:g} frames/s")
    typer.echo(f"model {model.name} {model.version}, digest {model.digest}")
    typer.echo(f"{config}: all right, {len(settings.cameras)} cameras")
