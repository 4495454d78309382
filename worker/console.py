"""How both command lines end: an error is a sentence, and the exit code says whose it is."""

from __future__ import annotations

import os
import sys

import typer

from worker.errors import ConfigError, MaskwatchError


def run(app: typer.Typer, name: str) -> None:
    """Run a command line to its end and leave the process.

    0: done. 1: failed at work. 2: wrong usage or configuration. 130: interrupted.
    With ``--debug`` an error shows its traceback.
    """
    _fill_standard_streams()
    try:
        app()
    except MaskwatchError as error:
        if "--debug" in sys.argv:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output has gone (as in `| head`): nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fill_standard_streams() -> None:
    """Put /dev/null where a stream was closed, else the next socket or file takes its place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
