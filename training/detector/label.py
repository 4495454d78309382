"""Label pictures without annotating by hand: where two detectors agree, there is a face.

What only one of them saw becomes ``ignore``: too doubtful to learn, too likely to deny. The
result is a guess; good to learn from, nothing to measure with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from training.disk import writing
from worker.errors import BadDataError, ConfigError
from worker.evaluation.measures import overlaps
from worker.evaluation.pictures import list_pictures, read_picture
from worker.faces.detect import Detector
from worker.records import Box, Detection

AGREE_IOU = 0.45


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of a folder.

    Attributes:
        pictures: that were annotated.
        faces: boxes in them on which both agree.
        ignored: boxes in them that only one saw.
        kept: pictures that had an annotation already, which was left as it is.
        skipped: a sentence for each that could not be read.
    """

    pictures: int
    faces: int
    ignored: int
    kept: int
    skipped: tuple[str, ...]


def label_folder(
    pictures: Path,
    out: Path,
    teachers: tuple[Detector, Detector],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Labelled:
    """Write ``out/images`` (links) and ``out/annotations`` for a folder of pictures.

    Pictures in which the two agree on nothing are left out: they may show what both missed.
    Annotations that are there already, which somebody may have corrected, are left alone.

    Args:
        pictures: a flat folder.
        out: a folder that ``fit-detector`` takes.
        teachers: the detectors; each at its own threshold.
        progress: called after each picture.

    Raises:
        ConfigError: ``out/images`` is the folder of the pictures itself, or holds other pictures.
        WorkError: the disk does not take it.
    """
    if (out / "images").resolve() == pictures.resolve():
        raise ConfigError(
            f"--out {out}: links would take the place of {pictures}; name a new folder"
        )
    paths = list_pictures(pictures)
    with writing(out):
        (out / "images").mkdir(parents=True, exist_ok=True)
        (out / "annotations").mkdir(exist_ok=True)
    skipped: list[str] = []
    labelled = kept = faces = ignored = 0
    for number, path in enumerate(paths, start=1):
        progress(number, len(paths))
        annotation = out / "annotations" / f"{path.stem}.xml"
        if annotation.exists():
            kept += 1
            continue
        try:
            image = read_picture(path)
        except BadDataError as error:
            skipped.append(str(error))
            continue
        agreed, doubtful = agreement(*(teacher.detect(image) for teacher in teachers))
        if agreed:
            with writing(out):
                _link(path, out / "images" / path.name)
                annotation.write_bytes(_annotation(path.name, agreed, doubtful))
            labelled, faces, ignored = labelled + 1, faces + len(agreed), ignored + len(doubtful)
    return Labelled(labelled, faces, ignored, kept, tuple(skipped))


def agreement(
    first: Sequence[Detection], second: Sequence[Detection]
) -> tuple[list[Box], list[Box]]:
    """Boxes that both saw, each the mean of two, and boxes that only one saw."""
    a = np.asarray([d.box for d in first], np.float64).reshape(-1, 4)
    b = np.asarray([d.box for d in second], np.float64).reshape(-1, 4)
    iou, _ = overlaps(a, b)
    pairs: list[tuple[int, int]] = []
    while iou.size and iou.max() >= AGREE_IOU:
        row, column = (int(index) for index in np.unravel_index(iou.argmax(), iou.shape))
        pairs.append((row, column))
        iou[row], iou[:, column] = 0, 0
    agreed = [Box(*((a[i] + b[j]) / 2).tolist()) for i, j in pairs]
    alone = [d.box for i, d in enumerate(first) if i not in {p[0] for p in pairs}]
    alone += [d.box for j, d in enumerate(second) if j not in {p[1] for p in pairs}]
    return agreed, alone


def _annotation(name: str, faces: Sequence[Box], ignored: Sequence[Box]) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = name
    for kind, boxes in (("face", faces), ("ignore", ignored)):
        for box in boxes:
            item = SubElement(root, "object")
            SubElement(item, "name").text = kind
            corners = SubElement(item, "bndbox")
            for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                SubElement(corners, key).text = f"{value:.1f}"
    indent(root)
    text: bytes = tostring(root)
    return text


def _link(path: Path, link: Path) -> None:
    """Refer to the picture; a copy would cost the disk twice."""
    if link.exists() and not link.is_symlink():
        raise ConfigError(f"{link} is a picture of its own; name a new folder by --out")
    link.unlink(missing_ok=True)
    link.symlink_to(path.resolve())
