"""Prepared faces: each a patch of its picture with room around the face, all in one file.

Training cuts its crops out of patches, so that the box can be moved and scaled anew at every
look, as a detector would. A prepared folder holds

    patches.npy   uint8, the pixels of all patches one after the other, BGR
    faces.csv     one face a row: where it comes from, its label, its boxes, its pixels' place
    problems.csv  what was skipped, and why
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.disk import writing
from training.split import Part, part_of
from worker.errors import ConfigError
from worker.records import CLASSES, Box, Image

PATCHES = "patches.npy"
FACES = "faces.csv"


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a prepared folder.

    Attributes:
        source: name of the data it comes from.
        picture: stem of its picture.
        label: index in ``CLASSES``.
        face_px: width of the annotated face in its picture.
        box: as annotated, in pixels of the patch.
        detected: as a detector found it, in pixels of the patch; None where it did not.
        offset, height, width: where its patch lies in the file, and its shape.
    """

    source: str
    picture: str
    label: int
    face_px: float
    box: Box
    detected: Box | None
    offset: int
    height: int
    width: int

    def part(self, seed: int = 0) -> Part:
        """The part of the split by picture that it belongs to."""
        return part_of(self.picture, seed)


class Faces(Sequence[Face]):
    """The faces of a prepared folder, with their pixels.

    Args:
        records: the faces, in the order of the file.
        pixels: ``uint8 (total,)``, all patches one after the other; may be a memory map.
    """

    def __init__(self, records: Sequence[Face], pixels: NDArray[np.uint8]) -> None:
        self._records = list(records)
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Face:  # type: ignore[override]
        return self._records[index]

    def __iter__(self) -> Iterator[Face]:
        return iter(self._records)

    def patch(self, index: int) -> Image:
        """The pixels around a face, ``uint8 (H, W, 3) BGR``; a view, not to be written to."""
        face = self._records[index]
        end = face.offset + face.height * face.width * 3
        return self._pixels[face.offset : end].reshape(face.height, face.width, 3)

    @property
    def labels(self) -> NDArray[np.int64]:
        """``int64 (N,)``, indices in ``CLASSES``."""
        return np.array([face.label for face in self._records], np.int64)

    def chosen(self, indices: Iterable[int]) -> Faces:
        """Some of them, over the same pixels."""
        return Faces([self._records[index] for index in indices], self._pixels)

    def of_part(self, part: Part, seed: int = 0) -> Faces:
        """Those whose picture belongs to a part."""
        return Faces([f for f in self._records if f.part(seed) == part], self._pixels)

    def relabelled(self, before: int, after: int, pictures: Mapping[str, Collection[str]]) -> Faces:
        """The same with another label for the faces of one class in some pictures.

        Args:
            before: label that is changed.
            after: label that it becomes.
            pictures: stems by source.
        """
        records = [
            replace(face, label=after)
            if face.label == before and face.picture in pictures.get(face.source, ())
            else face
            for face in self._records
        ]
        return Faces(records, self._pixels)

    def of_classes(self, classes: int) -> Faces:
        """Those of the first so many classes."""
        return Faces([f for f in self._records if f.label < classes], self._pixels)


def load_faces(folder: Path) -> Faces:
    """The faces of a prepared folder; pixels are read as they are needed.

    Raises:
        ConfigError: it is no prepared folder, or a damaged one.
    """
    try:
        pixels = np.load(folder / PATCHES, mmap_mode="r", allow_pickle=False)
        with (folder / FACES).open(newline="", encoding="utf-8") as stream:
            records = [_parsed(row) for row in csv.DictReader(stream)]
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder} is no prepared folder: {error.filename} is missing; run "
            "maskwatch-train prepare first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} is damaged ({error}); prepare it again") from error
    if not records:
        raise ConfigError(f"{folder} holds no face; look into its problems.csv")
    last = records[-1]
    if last.offset + last.height * last.width * 3 != len(pixels):
        raise ConfigError(
            f"{folder} is cut short: {FACES} and {PATCHES} do not end with the same face; prepare "
            "it again"
        )
    return Faces(records, pixels)


def joined(parts: Sequence[Faces]) -> Faces:
    """Several prepared folders as one, in memory."""
    records: list[Face] = []
    buffers: list[NDArray[np.uint8]] = []
    offset = 0
    for part in parts:
        for index, face in enumerate(part):
            pixels = part.patch(index).ravel()
            values = {f.name: getattr(face, f.name) for f in fields(Face)}
            records.append(Face(**{**values, "offset": offset}))
            buffers.append(pixels)
            offset += pixels.size
    return Faces(records, np.concatenate(buffers))


def write_faces(folder: Path, records: Sequence[Face], pixels: Sequence[Image]) -> None:
    """Write a prepared folder's faces; offsets are those of the pixels as given.

    Raises:
        WorkError: the disk does not take them.
    """
    with writing(folder):
        with (folder / PATCHES).open("wb") as stream:
            np.save(stream, np.concatenate([patch.ravel() for patch in pixels]))
        with (folder / FACES).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            writer.writerows(_row(face) for face in records)


_SIDES = ("x1", "y1", "x2", "y2")
_COLUMNS = (
    *("source", "picture", "label", "face_px", "offset", "height", "width"),
    *_SIDES,
    *(f"detected_{side}" for side in _SIDES),
)


def _row(face: Face) -> dict[str, object]:
    detected = face.detected or ("",) * 4
    return {
        "source": face.source,
        "picture": face.picture,
        "label": CLASSES[face.label],
        "face_px": round(face.face_px, 2),
        "offset": face.offset,
        "height": face.height,
        "width": face.width,
        **dict(zip(_SIDES, face.box, strict=True)),
        **dict(zip((f"detected_{side}" for side in _SIDES), detected, strict=True)),
    }


def _parsed(row: dict[str, str]) -> Face:
    detected = [row[f"detected_{side}"] for side in _SIDES]
    return Face(
        source=row["source"],
        picture=row["picture"],
        label=[str(name) for name in CLASSES].index(row["label"]),
        face_px=float(row["face_px"]),
        box=Box(*(float(row[side]) for side in _SIDES)),
        detected=Box(*(float(side) for side in detected)) if detected[0] else None,
        offset=int(row["offset"]),
        height=int(row["height"]),
        width=int(row["width"]),
    )
