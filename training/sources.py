"""Annotated pictures from a folder, whatever its form.

    images/ + annotations/*.xml       PASCAL VOC
    images/ + labels/*.txt            YOLO; names in classes.txt, or in data.yaml
    with_mask/, without_mask/, …      one face a picture, labelled by its folder; no boxes

What cannot be used is reported and skipped: a bad picture never ends the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.errors import BadDataError, ConfigError
from worker.evaluation.pictures import list_pictures, picture_size
from worker.evaluation.voc import (
    AnnotatedFace,
    AnnotatedFolder,
    AnnotatedPicture,
    AnnotationName,
    BoxFault,
    ReadReport,
    SkippedFile,
    known_names,
    plain_name,
    read_folder,
)
from worker.records import Box

Form = Literal["voc", "yolo", "folders"]


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of pictures.

    Attributes:
        name: of the data, in tables; the folder's name.
        pictures: with their faces; those of the form ``folders`` have one face without a box,
            given by the whole picture.
    """

    name: str
    folder: Path
    form: Form
    pictures: tuple[AnnotatedPicture, ...]
    report: ReadReport


def read_source(folder: Path, names: Mapping[str, AnnotationName] | None = None) -> Source:
    """Read a folder of pictures in the form that it has.

    Args:
        folder: where it lies.
        names: meaning of further class names, over those that are known.

    Raises:
        ConfigError: it has none of the forms, or not one usable picture.
    """
    form = form_of(folder, names)
    if form == "voc":
        found = read_folder(folder, names)
    elif form == "yolo":
        found = _read_yolo(folder, names)
    else:
        found = _read_folders(folder, names)
    if not found.pictures:
        why = found.report.lines()
        raise ConfigError(
            f"{folder} has no usable picture" + (f"; {why[0]}" if why else "; add pictures")
        )
    return Source(folder.resolve().name, folder, form, found.pictures, found.report)


def demand_distinct(sources: Sequence[Source]) -> None:
    """Figures, weights and splits go by the names of folders, so two must not share one.

    Raises:
        ConfigError: two do.
    """
    for index, source in enumerate(sources):
        for other in sources[:index]:
            if other.name == source.name:
                raise ConfigError(
                    f"{other.folder} and {source.folder} are both named {source.name}; rename one"
                )


def form_of(folder: Path, names: Mapping[str, AnnotationName] | None = None) -> Form:
    """The form of a folder.

    Raises:
        ConfigError: it has none of the known ones.
    """
    if (folder / "annotations").is_dir():
        return "voc"
    if (folder / "labels").is_dir():
        return "yolo"
    if _class_folders(folder, names):
        return "folders"
    raise ConfigError(
        f"{folder} holds no annotated pictures; put them into images/ with annotations/ (PASCAL "
        "VOC) or labels/ (YOLO), or into one folder a class, named with_mask, without_mask and "
        "mask_worn_incorrectly"
    )


def _class_folders(
    folder: Path, names: Mapping[str, AnnotationName] | None
) -> dict[Path, AnnotationName]:
    known = known_names(names)
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; correct the path")
    return {
        path: known[plain_name(path.name)]
        for path in sorted(folder.iterdir())
        if path.is_dir() and plain_name(path.name) in known
    }


def _read_folders(folder: Path, names: Mapping[str, AnnotationName] | None) -> AnnotatedFolder:
    pictures: list[AnnotatedPicture] = []
    skipped: list[SkippedFile] = []
    classes = _class_folders(folder, names)
    others = (path for path in sorted(folder.iterdir()) if path.is_dir() and path not in classes)
    faults = [
        BoxFault(picture, 1, "unknown_name", other.name)
        for other in others
        for picture in list_pictures(other)
    ]
    for place, name in classes.items():
        for path in list_pictures(place):
            try:
                width, height = picture_size(path)
            except BadDataError as error:
                skipped.append(SkippedFile(path, str(error)))
                continue
            whole = AnnotatedFace(Box(0, 0, width, height), name)
            pictures.append(AnnotatedPicture(path, width, height, (whole,)))
    return AnnotatedFolder(tuple(pictures), ReadReport(tuple(skipped), tuple(faults)))


def _read_yolo(folder: Path, names: Mapping[str, AnnotationName] | None) -> AnnotatedFolder:
    known = known_names(names)
    written = _yolo_names(folder)
    pictures: list[AnnotatedPicture] = []
    skipped: list[SkippedFile] = []
    faults: list[BoxFault] = []
    labelled = {path.stem for path in (folder / "labels").glob("*.txt")} - {"classes"}
    for path in list_pictures(folder / "images"):
        file = folder / "labels" / f"{path.stem}.txt"
        try:
            width, height = picture_size(path)
            faces = _yolo_faces(file, width, height, (written, known), faults)
            pictures.append(AnnotatedPicture(path, width, height, faces))
        except BadDataError as error:
            skipped.append(SkippedFile(path, str(error)))
        labelled.discard(path.stem)
    skipped += [
        SkippedFile(file, f"{file} has no picture; add images/{stem}.png")
        for stem in sorted(labelled)
        for file in (folder / "labels" / f"{stem}.txt",)
    ]
    return AnnotatedFolder(tuple(pictures), ReadReport(tuple(skipped), tuple(faults)))


def _yolo_faces(
    file: Path,
    width: int,
    height: int,
    names: tuple[list[str], Mapping[str, AnnotationName]],
    faults: list[BoxFault],
) -> tuple[AnnotatedFace, ...]:
    """The boxes of one file: ``class centre_x centre_y width height``, shares of the picture."""
    written, known = names
    faces: list[AnnotatedFace] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadDataError(f"a picture has no annotation; add {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"{file} cannot be read as text ({error}); correct it") from error
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        try:
            which, x, y, w, h, *more = (float(part) for part in line.split())
        except ValueError:
            faults.append(BoxFault(file, number, "not_a_number", line.strip()))
            continue
        if len(more) > 1 or which not in range(len(written)):  # a polygon has more numbers
            faults.append(BoxFault(file, number, "not_a_box", line.strip()[:80]))
            continue
        name = written[int(which)]
        box = Box(
            (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
        )
        inside = box.clipped(width, height)
        if not (w > 0 and h > 0):
            faults.append(BoxFault(file, number, "empty", name))
        elif not (inside.width > 0 and inside.height > 0):
            faults.append(BoxFault(file, number, "outside", name))
        else:
            meaning = known.get(plain_name(name))
            if meaning is None:
                faults.append(BoxFault(file, number, "unknown_name", name))
            faces.append(AnnotatedFace(inside, meaning or "ignore"))
    return tuple(faces)


def _yolo_names(folder: Path) -> list[str]:
    """Class names by number; ``data.yaml`` is read line by line, which is all that it needs."""
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return [line.strip() for line in _text(file).splitlines() if line.strip()]
    file = folder / "data.yaml"
    if file.is_file():
        text = re.sub(r"(^|\s)#.*$", "", _text(file), flags=re.MULTILINE)
        flow = re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        if flow:
            return [name.strip(" '\"\n") for name in flow[1].split(",")]
        block = re.search(r"^names:\s*\n((?:[ \t]+.*\n?|-.*\n?|\s*\n)+)", text, re.MULTILINE)
        if block:
            rows = [row.strip() for row in block[1].splitlines() if row.strip()]
            numbered = [re.fullmatch(r"(\d+):\s*(.*)", row) for row in rows]
            names = {int(row[1]): row[2] for row in numbered if row}
            if not names:
                names = dict(enumerate(row.removeprefix("-").strip() for row in rows))
            return [names.get(n, "").strip(" '\"") for n in range(max(names) + 1)]
    raise ConfigError(
        f"{folder} does not name its classes; add classes.txt with one name a line, in the order "
        "of their numbers"
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as text ({error}); save it as UTF-8") from error
