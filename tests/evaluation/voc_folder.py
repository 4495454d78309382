"""Writes small PASCAL VOC folders for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from worker.records import Image

Object = tuple[str, tuple[object, object, object, object]]


def annotation(objects: Sequence[Object], width: int = 100, height: int = 80) -> str:
    """The XML of one picture."""
    parts = [
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in objects
    ]
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(parts)}</annotation>"


def write_picture(path: Path, image: Image | None = None) -> Path:
    """A PNG; ``image`` is BGR, by default 100x80 pixels of grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.full((80, 100, 3), 120, np.uint8) if image is None else image
    Pillow.fromarray(np.ascontiguousarray(bgr[..., ::-1])).save(path)
    return path


def add(folder: Path, stem: str, objects: Sequence[Object], image: Image | None = None) -> None:
    """One picture with its annotation."""
    write_picture(folder / "images" / f"{stem}.png", image)
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"{stem}.xml").write_text(annotation(objects))
