"""PASCAL VOC annotations: one XML file a picture, in ``images/`` and ``annotations/``.

Faults of a single box or file are reported and skipped. Files belong together by their stem;
the file name inside an annotation is never followed. The ``difficult`` flag is not looked at:
every annotated face counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from worker.errors import BadDataError, ConfigError
from worker.evaluation.pictures import list_pictures, picture_size
from worker.records import CLASSES, Box, ClassName

AnnotationName = ClassName | Literal["face", "ignore"]
"""``face`` is one whose label is not known; ``ignore`` a region that counts neither way."""

BoxReason = Literal[
    "clipped", "outside", "inverted", "empty", "not_a_number", "not_a_box", "unknown_name"
]

MAX_ANNOTATION_BYTES = 4 * 1024 * 1024

NAMES: Mapping[str, AnnotationName] = {
    "without_mask": "without_mask",
    "with_mask": "with_mask",
    "mask_worn_incorrectly": "mask_worn_incorrectly",
    "mask_weared_incorrect": "mask_worn_incorrectly",
    "mask_wearred_incorrect": "mask_worn_incorrectly",
    "face": "face",
    "ignore": "ignore",
}
"""What names in annotations mean; copies of the Kaggle set spell the third class differently."""

TARGETS: tuple[AnnotationName, ...] = (*CLASSES, "face", "ignore")


@dataclass(frozen=True, slots=True)
class AnnotatedFace:
    """One box, in pixels of its picture and inside it."""

    box: Box
    name: AnnotationName

    @property
    def label(self) -> int | None:
        """Index in ``CLASSES``; None where the label is not known."""
        return CLASSES.index(self.name) if self.name in CLASSES else None


@dataclass(frozen=True, slots=True)
class AnnotatedPicture:
    """A picture file and what was annotated in it.

    Attributes:
        width: of the picture, upright, in pixels.
        faces: ``ignore`` regions among them.
    """

    path: Path
    width: int
    height: int
    faces: tuple[AnnotatedFace, ...]

    @property
    def stem(self) -> str:
        """The file name without its ending; names the picture in lists and splits."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class BoxFault:
    """A box that was not taken as it stands.

    ``clipped`` boxes are kept, ``unknown_name`` ones are kept as ``ignore``, others dropped.

    Attributes:
        number: of the object in its file, from 1.
        name: as the file has it.
    """

    path: Path
    number: int
    reason: BoxReason
    name: str


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A picture or annotation that was left out, and a sentence that says why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What did not go smoothly while a folder was read."""

    skipped: tuple[SkippedFile, ...] = ()
    boxes: tuple[BoxFault, ...] = ()

    def unknown_names(self) -> dict[str, int]:
        """Names that no map explains, with the number of their boxes."""
        return dict(Counter(f.name for f in self.boxes if f.reason == "unknown_name"))

    def lines(self) -> list[str]:
        """The report for people: boxes by number and reason, files one a line."""
        counts = Counter(fault.reason for fault in self.boxes)
        lines = [
            f"{count} boxes {reason.replace('_', ' ')}: {'kept' if kept else 'dropped'}, first in "
            f"{next(fault.path for fault in self.boxes if fault.reason == reason)}"
            for reason, count in counts.items()
            if (kept := reason == "clipped") or reason != "unknown_name"
        ]
        if unknown := self.unknown_names():
            lines.append(unknown_sentence(unknown))
        return lines + [skipped.reason for skipped in self.skipped]


@dataclass(frozen=True, slots=True)
class AnnotatedFolder:
    """The usable pictures of a folder, by stem, and what was not usable."""

    pictures: tuple[AnnotatedPicture, ...]
    report: ReadReport


def read_folder(
    folder: Path,
    names: Mapping[str, AnnotationName] | None = None,
    only: Collection[str] | None = None,
) -> AnnotatedFolder:
    """Read ``images/`` and ``annotations/`` of a folder.

    Args:
        folder: holds the two folders.
        names: meaning of further names, over ``NAMES``.
        only: stems of the pictures wanted; default is all. A list may name pictures of other
            folders too.

    Raises:
        ConfigError: a folder is missing, or every wanted picture is.
    """
    skipped: list[SkippedFile] = []
    faults: list[BoxFault] = []
    pictures: list[AnnotatedPicture] = []
    images, annotations = _pairs(folder, skipped)
    if only is not None:
        _demand_some(only, images, folder)
    for stem in sorted(images.keys() | annotations.keys()):
        if only is not None and stem not in only:
            continue
        try:
            pictures.append(_read_pair(stem, images, annotations, names, faults))
        except BadDataError as error:
            skipped.append(
                SkippedFile(images[stem] if stem in images else annotations[stem], str(error))
            )
    return AnnotatedFolder(tuple(pictures), ReadReport(tuple(skipped), tuple(faults)))


def read_annotation(
    path: Path, width: int, height: int, names: Mapping[str, AnnotationName] | None = None
) -> tuple[tuple[AnnotatedFace, ...], tuple[BoxFault, ...]]:
    """The boxes of one annotation file, clipped to the picture, and those that had a fault.

    Args:
        path: the XML file.
        width: of the picture in pixels.
        height: of the picture in pixels.
        names: meaning of further names, over ``NAMES``.

    Raises:
        BadDataError: the file is too large, malformed, or holds entities.
    """
    known = known_names(names)
    faces: list[AnnotatedFace] = []
    faults: list[BoxFault] = []
    for number, element in enumerate(_parse(path).iter("object"), start=1):
        written = (element.findtext("name") or "").strip()
        box, reason = _box(element, width, height)
        name = known.get(plain_name(written))
        if box is not None:
            faces.append(AnnotatedFace(box, name or "ignore"))
        if reason is not None:
            faults.append(BoxFault(path, number, reason, written))
        if name is None and box is not None:
            faults.append(BoxFault(path, number, "unknown_name", written))
    return tuple(faces), tuple(faults)


def known_names(more: Mapping[str, AnnotationName] | None) -> dict[str, AnnotationName]:
    """What names mean, by their ``plain_name``.

    Args:
        more: further names, over ``NAMES``.
    """
    return {**NAMES, **{plain_name(name): target for name, target in (more or {}).items()}}


def parse_names(pairs: Collection[str]) -> dict[str, AnnotationName]:
    """The map of a command line: ``NAME=MEANING``, for example ``masked=with_mask``.

    Raises:
        ConfigError: a pair is not of that form, or means nothing that is known.
    """
    names: dict[str, AnnotationName] = {}
    for pair in pairs:
        name, _, meaning = pair.partition("=")
        target = next((known for known in TARGETS if known == meaning.strip()), None)
        if not name.strip() or target is None:
            raise ConfigError(
                f"--name {pair}: write NAME=MEANING, where MEANING is one of {', '.join(TARGETS)}"
            )
        names[name.strip()] = target
    return names


def unknown_sentence(unknown: Mapping[str, int]) -> str:
    """Lists names that no map explains, with the map to give."""
    listed = ", ".join(f"{name or '(empty)'!s} ({count} boxes)" for name, count in unknown.items())
    example = " ".join(f"--name {name}=MEANING" for name in unknown if name)
    return (
        f"unknown class names, kept as ignore: {listed}; give {example or '--name NAME=MEANING'}, "
        f"where MEANING is one of {', '.join(TARGETS)}"
    )


def _pairs(folder: Path, skipped: list[SkippedFile]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and annotations by stem."""
    for part in ("images", "annotations"):
        if not (folder / part).is_dir():
            raise ConfigError(
                f"{folder} has no folder {part}/; a PASCAL VOC folder holds images/ and "
                "annotations/"
            )
    images: dict[str, Path] = {}
    for path in list_pictures(folder / "images"):
        if path.stem in images:
            first = images[path.stem].name
            reason = f"{path} has the same stem as {first}, which was taken; rename one of them"
            skipped.append(SkippedFile(path, reason))
        else:
            images[path.stem] = path
    return images, {path.stem: path for path in sorted((folder / "annotations").glob("*.xml"))}


def _demand_some(only: Collection[str], images: Mapping[str, Path], folder: Path) -> None:
    if not images.keys() & set(only):
        raise ConfigError(
            f"none of the {len(set(only))} pictures asked for is in {folder / 'images'}, for "
            f"example {min(only, default='')}; correct the list or the folder"
        )


def _read_pair(
    stem: str,
    images: Mapping[str, Path],
    annotations: Mapping[str, Path],
    names: Mapping[str, AnnotationName] | None,
    faults: list[BoxFault],
) -> AnnotatedPicture:
    if stem not in annotations:
        raise BadDataError(f"{images[stem]} has no annotation; add annotations/{stem}.xml")
    if stem not in images:
        raise BadDataError(f"{annotations[stem]} has no picture; add images/{stem}.png")
    width, height = picture_size(images[stem])
    faces, found = read_annotation(annotations[stem], width, height, names)
    faults.extend(found)
    return AnnotatedPicture(images[stem], width, height, faces)


def _parse(path: Path) -> Element:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_ANNOTATION_BYTES + 1)
    except OSError as error:
        raise BadDataError(f"{path} cannot be read ({error.strerror}); correct the path") from error
    if len(content) > MAX_ANNOTATION_BYTES:
        raise BadDataError(
            f"{path} has more than {MAX_ANNOTATION_BYTES} bytes, too many for one picture's "
            "annotation; split it"
        )
    try:
        root: Element = ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadDataError(
            f"{path} declares a document type or entities, which could be an entity bomb; remove "
            "the declaration"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise BadDataError(f"{path} is malformed XML ({error}); correct it") from error
    if root.tag != "annotation":
        raise BadDataError(
            f"{path} is no PASCAL VOC annotation: its root is <{root.tag}>, not <annotation>"
        )
    return root


def _box(element: Element, width: int, height: int) -> tuple[Box | None, BoxReason | None]:
    """The box inside the picture, or None; and what was wrong with it, if anything."""
    try:
        raw = Box(*_corners(element))
    except ValueError:
        return None, "not_a_number"
    if raw.x2 < raw.x1 or raw.y2 < raw.y1:
        return None, "inverted"
    if raw.x2 == raw.x1 or raw.y2 == raw.y1:
        return None, "empty"
    box = raw.clipped(width, height)
    if box.width <= 0 or box.height <= 0:
        return None, "outside"
    return box, None if box == raw else "clipped"


def _corners(element: Element) -> Iterator[float]:
    for key in ("xmin", "ymin", "xmax", "ymax"):
        value = float(element.findtext(f"bndbox/{key}") or "nan")
        if not math.isfinite(value):
            raise ValueError(key)
        yield value


def plain_name(name: str) -> str:
    """A name without differences of case, blanks and hyphens."""
    return "_".join(name.strip().lower().replace("-", " ").split())
