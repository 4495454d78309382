"""The models that a configuration names, loaded and verified."""

from __future__ import annotations

from worker.config import Settings
from worker.errors import ConfigError
from worker.faces.detect import open_detector
from worker.inference.artifact import Artifact, load
from worker.inference.engine import open_engine
from worker.models import default_classifier


def load_classifier(settings: Settings) -> Artifact:
    """The classifier that the configuration names, verified.

    Raises:
        ConfigError: it is missing, corrupt, or not the one whose digest is asked for.
    """
    inference = settings.inference
    artifact = load(inference.model or default_classifier(), kind="classifier")
    if inference.digest is not None and artifact.digest != inference.digest:
        raise ConfigError(
            f"inference.digest: {artifact.folder} has the digest {artifact.digest}, not "
            f"{inference.digest}; put the right model there, or correct the digest"
        )
    return artifact


def check_models(settings: Settings) -> Artifact:
    """Open all models once, without starting anything; the classifier's artifact.

    Raises:
        ConfigError: one of them cannot be had.
    """
    artifact = load_classifier(settings)
    open_engine(artifact, settings.inference.device)
    for size in {camera.min_face_px for camera in settings.cameras.values()}:
        open_detector(
            settings.detection.detector, min_face_px=size, device=settings.inference.device
        )
    return artifact
