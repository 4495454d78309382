"""Folders of pictures with face boxes, as a detector learns from them.

A folder holds ``images/`` and ``annotations/`` (PASCAL VOC). Every box is a face, masked or not,
but those named ``ignore``, or by a name that nothing explains: what stands there is neither
learned nor counted. A folder of pictures without ``annotations/`` shows no face anywhere.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.split import Part, part_of
from worker.errors import ConfigError
from worker.evaluation.pictures import list_pictures, read_picture
from worker.evaluation.voc import (
    AnnotatedPicture,
    AnnotationName,
    read_folder,
    unknown_sentence,
)
from worker.records import Image

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

PICTURES_MB = 2_048
"""Memory for decoded pictures: 2,500 of 640x426, 340 of 1920x1080."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and what is known of it.

    Attributes:
        faces: ``(N, 4) xyxy`` in pixels.
        ignored: ``(M, 4) xyxy``; perhaps faces.
    """

    path: Path
    faces: Floats
    ignored: Floats


@dataclass(frozen=True, slots=True)
class Source:
    """A folder and its share of the crops that are drawn in training."""

    name: str
    weight: float
    samples: Sequence[Sample]

    @property
    def faces(self) -> int:
        """Number of faces; 0 where the folder shows none anywhere."""
        return sum(len(sample.faces) for sample in self.samples)


def parse_folder(text: str) -> tuple[Path, float]:
    """``FOLDER`` or ``FOLDER=WEIGHT`` of the command line as a path and a weight.

    Raises:
        ConfigError: no such folder, or the weight is no positive number.
    """
    path, weight = _weighted("--data", text)
    if not path.is_dir():
        raise ConfigError(f"--data {text}: there is no folder {path}; correct the path")
    return path, weight


def parse_start(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE=PART`` of the command line as a path and its part in the mean.

    Raises:
        ConfigError: no such file, or the part is no positive number.
    """
    path, part = _weighted("--start", text)
    if not path.is_file():
        raise ConfigError(f"--start {text}: there is no file {path}; correct the path")
    return path, part


class Pictures:
    """Decoded pictures, those used last in memory. For one thread.

    Args:
        limit_mb: of memory that they may take.
    """

    def __init__(self, limit_mb: int = PICTURES_MB) -> None:
        self._left = limit_mb * 2**20
        self._held: OrderedDict[Path, Image] = OrderedDict()

    def read(self, path: Path) -> Image:
        """A picture, ``uint8 (H, W, 3) BGR``.

        Raises:
            BadDataError: it cannot be read.
        """
        picture = self._held.pop(path, None)
        if picture is None:
            picture = read_picture(path)
            self._left -= picture.nbytes
        self._held[path] = picture
        while self._left < 0 and len(self._held) > 1:
            self._left += self._held.popitem(last=False)[1].nbytes
        return picture


def read_parts(
    folder: Path,
    weight: float,
    parts: Sequence[Part],
    names: Mapping[str, AnnotationName] | None = None,
) -> list[Source]:
    """The pictures of a folder by part; what is unusable is logged once, and left out.

    Args:
        folder: see the module.
        weight: share of the crops, relative to the other folders.
        parts: wanted; a picture's is decided by the hash of its file's name.
        names: meaning of further names of boxes, over those that are known.

    Raises:
        ConfigError: the folder holds no picture of a part, or boxes but no face.
    """
    samples = _samples(folder, names)
    if not samples:
        raise ConfigError(
            f"{folder} holds no picture that can be used; it needs images/ and, where there are "
            "faces, annotations/ beside it"
        )
    sources = []
    for part in parts:
        own = [sample for sample in samples if part_of(sample.path.stem) == part]
        if not own:
            raise ConfigError(
                f"none of the {len(samples)} pictures of {folder} falls into the {part} part, "
                "which the hash of a file's name decides; add pictures"
            )
        sources.append(Source(folder.name, weight, own))
    return sources


def _samples(folder: Path, names: Mapping[str, AnnotationName] | None) -> list[Sample]:
    if not (folder / "annotations").is_dir():
        paths = list_pictures(folder / "images" if (folder / "images").is_dir() else folder)
        return [Sample(path, _rows([]), _rows([])) for path in paths]
    annotated = read_folder(folder, names)
    for line in annotated.report.lines():
        log.warning("%s", line)
    unknown = annotated.report.unknown_names()
    if unknown and not any(f.name != "ignore" for p in annotated.pictures for f in p.faces):
        raise ConfigError(f"{folder} has no face: {unknown_sentence(unknown)}")
    return [_sample(picture) for picture in annotated.pictures]


def _weighted(option: str, text: str) -> tuple[Path, float]:
    name, _, weight = text.rpartition("=") if "=" in text else (text, "", "1")
    try:
        value = float(weight)
    except ValueError:
        value = 0.0
    if not 0 < value < np.inf:
        raise ConfigError(
            f"{option} {text}: {weight!r} is no weight; write PATH=WEIGHT with a positive number"
        )
    return Path(name), value


def _sample(picture: AnnotatedPicture) -> Sample:
    return Sample(
        picture.path,
        _rows([face.box for face in picture.faces if face.name != "ignore"]),
        _rows([face.box for face in picture.faces if face.name == "ignore"]),
    )


def _rows(boxes: Sequence[Sequence[float]]) -> Floats:
    return np.asarray(boxes, np.float32).reshape(-1, 4)
