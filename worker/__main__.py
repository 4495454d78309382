"""`python -m worker` is `maskwatch`."""

from worker.cli import main

main()
