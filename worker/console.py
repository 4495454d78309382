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
