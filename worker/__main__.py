"""The entry point: `maskwatch`, and `python -m worker`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C is quiet from the first moment, imports included."""
    try:
        from worker.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
