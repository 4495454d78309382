"""A data set of generated faces, small enough to train on in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.faces import Faces, load_faces
from training.prepare import prepare
from training.recipe import Recipe
from training.recipe import recipe as checked
from training.sources import read_source
from worker.records import Box, Image

NAMES = ("without_mask", "with_mask", "mask_weared_incorrect")
FACE_PX = 40


def draw_face(image: Image, box: Box, label: int) -> None:
    """A head with eyes and, by its class, a mouth, a mask, or a mask at the chin."""
    x, y, w, h = (int(v) for v in (box.x1, box.y1, box.width, box.height))
    middle = (x + w // 2, y + h // 2)
    cv2.ellipse(image, middle, (w // 2, h // 2), 0, 0, 360, (140, 170, 220), -1)
    for side in (x + w // 3, x + 2 * w // 3):
        cv2.circle(image, (side, y + h // 3), max(1, w // 12), (20, 20, 20), -1)
    if label == 0:
        cv2.line(
            image, (x + w // 3, y + 3 * h // 4), (x + 2 * w // 3, y + 3 * h // 4), (40, 40, 160), 2
        )
    else:
        top = y + (h // 2 if label == 1 else 4 * h // 5)
        cv2.rectangle(image, (x + w // 8, top), (x + 7 * w // 8, y + h), (235, 206, 160), -1)


def annotation(stem: str, faces: list[tuple[Box, str]], size: tuple[int, int]) -> str:
    """A PASCAL VOC file."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box.x1:g}</xmin><ymin>{box.y1:g}</ymin>"
        f"<xmax>{box.x2:g}</xmax><ymax>{box.y2:g}</ymax></bndbox></object>"
        for box, name in faces
    )
    return (
        f"<annotation><filename>{stem}.png</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


def write_voc(folder: Path, pictures: int) -> None:
    """Pictures of two faces each, of all three classes."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    rng = np.random.default_rng(0)
    for number in range(pictures):
        image = rng.integers(60, 120, (100, 160, 3)).astype(np.uint8)
        faces = []
        for place, label in enumerate((number % 3, (number + 1 + number // 3) % 3)):
            x, y = 15 + place * 75 + int(rng.integers(-8, 8)), 30 + int(rng.integers(-8, 8))
            box = Box(x, y, x + FACE_PX, y + FACE_PX + 8)
            draw_face(image, box, label)
            faces.append((box, NAMES[label]))
        stem = f"picture{number}"
        cv2.imwrite(str(folder / "images" / f"{stem}.png"), image)
        (folder / "annotations" / f"{stem}.xml").write_text(annotation(stem, faces, (160, 100)))


@pytest.fixture(scope="session")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PASCAL VOC folder of generated faces; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "generated"
    write_voc(folder, 36)
    return folder


@pytest.fixture(scope="session")
def prepared(voc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared; not to be changed."""
    out = tmp_path_factory.mktemp("prepared") / "faces"
    prepare([read_source(voc)], out, detector=None, workers=1)
    return out


@pytest.fixture(scope="session")
def faces(prepared: Path) -> Faces:
    """The prepared faces."""
    return load_faces(prepared)


@pytest.fixture
def tiny() -> Recipe:
    """A recipe that takes a second."""
    return checked(
        {
            "network": "residual-16",
            "epochs": 3,
            "batch_size": 16,
            "learning_rate": 0.002,
            "augmentation": {"drawn": 0.2, "lowered": 0.2},
            "ema": 0.9,
            "warmup_epochs": 1,
        }
    )
