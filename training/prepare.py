"""From annotated pictures to prepared faces, or to the report's folder of crops."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2

from training.disk import writing
from training.faces import Face, write_faces
from training.patches import detections, largest, patch_of, same_face
from training.plots import save_picture
from training.sources import Source, demand_distinct
from worker.errors import BadDataError, ConfigError, WorkError
from worker.evaluation.pictures import read_picture
from worker.evaluation.voc import AnnotatedPicture
from worker.inference.align import CropRule, cut
from worker.records import CLASSES, Box, Image

SMALLEST_FACE_PX = 3.0

PROBLEMS = "problems.csv"
UNLABELLED = "face_without_label"
REPORT_LABELS = (0, 1, -1)
"""Labels of the original report; the third class is skipped."""
REPORT_RULE = CropRule(224, 0.0, square=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparing came to.

    Attributes:
        faces: by class name.
        skipped: by reason.
    """

    faces: Counter[str]
    skipped: Counter[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """A picture or a face that was left out."""

    picture: str
    reason: str
    detail: str


def prepare(
    sources: Sequence[Source],
    out: Path,
    *,
    detector: str | None = "accurate",
    workers: int | None = None,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> Prepared:
    """Write the patches of all faces of some folders.

    Args:
        sources: the folders as read.
        out: a new or empty folder.
        detector: finds each face's box as the worker will see it; None leaves that out, which
            a folder without boxes cannot.
        workers: processes; default is one a core.
        told: pictures that are done, and how many there are.

    Raises:
        ConfigError: ``out`` holds something, a folder without boxes has no detector, or two
            folders have one name.
        WorkError: the disk does not take it, or not one face is usable.
    """
    _demand_empty(out)
    demand_distinct(sources)
    if detector is None and any(source.form == "folders" for source in sources):
        raise ConfigError("a folder without boxes needs a detector; name one by --detector")
    tasks = [
        (source.name, source.form == "folders", picture)
        for source in sources
        for picture in source.pictures
    ]
    problems = [problem for source in sources for problem in _read_problems(source)]
    records: list[Face] = []
    patches: list[Image] = []
    offset = 0
    for done, (made, bad) in enumerate(_parallel(partial(_faces_of, detector), tasks, workers), 1):
        problems += bad
        for face, patch in made:
            records.append(replace(face, offset=offset))
            patches.append(patch)
            offset += patch.size
        told(done, len(tasks))
    if not records:
        raise WorkError(f"not one usable face was found; {_first(problems)}")
    write_faces(out, records, patches)
    _write_problems(out, problems)
    names: Counter[str] = Counter(CLASSES[face.label] for face in records)
    return Prepared(names, Counter(problem.reason for problem in problems))


def prepare_report(
    source: Source,
    out: Path,
    *,
    third: bool = False,
    workers: int | None = None,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> Prepared:
    """Write ``images/{id}.png`` and ``annotation.csv`` as section 3.1 of the original report.

    Args:
        source: a folder with boxes.
        out: a new or empty folder.
        third: keep the third class, with label 2; the report skips it.
        workers: processes; default is one a core.
        told: pictures that are done, and how many there are.

    Raises:
        ConfigError: ``out`` holds something, or the source has no boxes.
        WorkError: the disk does not take it, or not one face is usable.
    """
    _demand_empty(out)
    if source.form == "folders":
        raise ConfigError(f"{source.folder} has no boxes to crop; the report's form needs them")
    (out / "images").mkdir(parents=True, exist_ok=True)
    problems = _read_problems(source)
    labels: list[int] = []
    counts: Counter[str] = Counter()
    tasks = [(source.name, False, picture) for picture in source.pictures]
    for done, (crops, bad) in enumerate(_parallel(_report_crops, tasks, workers), 1):
        problems += bad
        for label, crop in crops:
            if label == len(REPORT_LABELS) - 1 and not third:
                problems.append(Problem(source.name, "third_class", "the report leaves it out"))
                continue
            counts[CLASSES[label]] += 1
            with writing(out):
                save_picture(out / "images" / f"{len(labels)}.png", crop)
            labels.append(label)
        told(done, len(tasks))
    if not labels:
        raise WorkError(f"not one usable face was found; {_first(problems)}")
    with writing(out), (out / "annotation.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([label] for label in labels)
    _write_problems(out, problems)
    return Prepared(counts, Counter(problem.reason for problem in problems))


Result = TypeVar("Result")
Task = tuple[str, bool, AnnotatedPicture]
Made = tuple[list[tuple[Face, Image]], list[Problem]]
Cropped = tuple[list[tuple[int, Image]], list[Problem]]


def _faces_of(detector: str | None, task: Task) -> Made:
    """The patches of one picture. Runs in a process of its own."""
    source, whole, picture = task
    try:
        image = read_picture(picture.path)
    except BadDataError as error:
        return [], [Problem(str(picture.path), "unusable_picture", str(error))]
    found = detections(image, detector, large=whole)
    made: list[tuple[Face, Image]] = []
    problems = _unlabelled(picture)
    for face in picture.faces:
        if face.label is None:
            continue
        box = largest(found) if whole else face.box
        if box is None:
            problems.append(Problem(str(picture.path), "no_face_found", "by the detector"))
        elif box.face_px < SMALLEST_FACE_PX:
            problems.append(_too_small(picture, box))
        else:
            detected = box if whole else same_face(box, found)
            made.append(
                patch_of(
                    image, box, detected, source=source, picture=picture.stem, label=face.label
                )
            )
    return made, problems


def _report_crops(task: Task) -> Cropped:
    _, _, picture = task
    try:
        image = read_picture(picture.path)
    except BadDataError as error:
        return [], [Problem(str(picture.path), "unusable_picture", str(error))]
    problems = _unlabelled(picture)
    crops: list[tuple[int, Image]] = []
    for face in picture.faces:
        if face.label is None:
            continue
        if face.box.face_px < SMALLEST_FACE_PX:
            problems.append(_too_small(picture, face.box))
        else:
            crops.append((face.label, cut(image, face.box, REPORT_RULE)))
    return crops, problems


def _read_problems(source: Source) -> list[Problem]:
    """What was left out while a folder was read; clipped boxes are kept."""
    return [
        *(Problem(str(s.path), "unusable_file", s.reason) for s in source.report.skipped),
        *(
            Problem(str(fault.path), f"box_{fault.reason}", f"object {fault.number}: {fault.name}")
            for fault in source.report.boxes
            if fault.reason != "clipped"
        ),
    ]


def _too_small(picture: AnnotatedPicture, box: Box) -> Problem:
    return Problem(str(picture.path), "face_too_small", f"{box.face_px:.1f} px")


def _unlabelled(picture: AnnotatedPicture) -> list[Problem]:
    count = sum(face.name == "face" for face in picture.faces)
    detail = "its name tells no class; give --name face=CLASS"
    return [Problem(str(picture.path), UNLABELLED, detail)] * count


def _parallel(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int | None
) -> Iterator[Result]:
    """Do the tasks in order, in several processes where there is more than one core."""
    count = workers or len(os.sched_getaffinity(0))
    if count == 1 or len(tasks) < 8:
        yield from map(work, tasks)
        return
    fresh = get_context("spawn")  # a fork would inherit locks that a detector's threads hold
    with ProcessPoolExecutor(count, fresh, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        try:
            yield from pool.map(work, tasks, chunksize=8)
        except BrokenProcessPool:
            raise WorkError(
                "a process that cuts faces was killed, as it happens where memory is short; take "
                "fewer by --workers"
            ) from None


def _demand_empty(out: Path) -> None:
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        full = any(out.iterdir())
    if full:
        raise ConfigError(f"{out} is not empty; name a new folder, or empty it")


def _first(problems: Sequence[Problem]) -> str:
    return problems[0].detail if problems else "the pictures have no annotated faces"


def _write_problems(out: Path, problems: Sequence[Problem]) -> None:
    with writing(out), (out / PROBLEMS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("picture", "reason", "detail"))
        writer.writerows((p.picture, p.reason, p.detail) for p in problems)
