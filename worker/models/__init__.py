"""The models that maskwatch ships, each a folder with its card; data, no code."""

from __future__ import annotations

from pathlib import Path

CLASSIFIER = "maskwatch-classifier"


def default_classifier() -> Path:
    """The folder of the classifier that is used where none is named."""
    return Path(__file__).parent / CLASSIFIER
