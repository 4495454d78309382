"""The detector's commands, which the trainer's command line registers."""

# ruff: noqa: PLC0415, PLR0917 (a command imports what it needs, so that --help is quick)

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from training.progress import progress
from worker.errors import ConfigError

Weighted = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        help="FOLDER or FOLDER=WEIGHT: images/ with annotations/ (VOC; boxes named ignore count "
        "neither way), or pictures without faces. May be given several times.",
    ),
]

NameOption = Annotated[
    list[str] | None,
    typer.Option("--name", help="What a name of boxes means, for example head=face."),
]


def fit_detector(
    data: Weighted,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder.")],
    preset: Annotated[
        str, typer.Option(help="Recipe by name: tuned, venue, slim or venue-fast.")
    ] = "tuned",
    start: Annotated[
        list[str] | None,
        typer.Option(
            help="FILE or FILE=PART: weights to begin with, safetensors or CenterFace's ONNX "
            "file; of several the mean. Default: the preset's."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Weights of a network to agree with besides. Default: the preset's.",
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value of the recipe, for example steps=500."),
    ] = None,
    name: NameOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 500,
) -> None:
    """Tune a face detector on annotated pictures; a kill loses minutes, --resume goes on."""
    from training.detector import session
    from training.detector.presets import detector_preset
    from worker.evaluation.voc import parse_names

    pairs = [text.partition("=") for text in change or []]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise ConfigError(f"--set {wrong[0]}: write KEY=VALUE, for example --set steps=500")
    chosen = detector_preset(preset)
    recipe = chosen.recipe({key: value for key, _, value in pairs})
    with progress("steps") as told:
        found = session.fit(
            recipe,
            data,
            out,
            start=start or [str(chosen.start_path)],
            teacher=teacher or chosen.teacher_path,
            names=parse_names(name or []),
            resume=resume,
            threads=threads,
            validate_every=validate_every,
            told=told,
        )
    typer.echo(json.dumps({"run": str(out), "validation": found}, indent=2))


def evaluate_detector(
    run: Annotated[Path, typer.Argument(help="Run folder that fit-detector made.")],
    data: Annotated[
        list[str],
        typer.Option(
            "--data", "-d", help="FOLDER=PX: pictures, and the smallest face to look for in them."
        ),
    ],
    beside: Annotated[
        list[str] | None,
        typer.Option(
            help="Detector to compare with, by name, or a YuNet ONNX file; none leaves it out."
        ),
    ] = None,
    smallest_px: Annotated[
        float,
        typer.Option(
            min=4,
            max=48,
            help="Size to which the smallest face is scaled; its square is the cost. The export "
            "keeps it.",
        ),
    ] = 12,
    name: NameOption = None,
) -> None:
    """Measure a detector on pictures that training never saw, by face size, with its cost."""
    from training.detector import session
    from worker.evaluation.voc import parse_names

    names = [name for name in beside or ["centerface"] if name != "none"]
    with progress("folders") as told:
        document = session.evaluate(
            run, data, names, told, names=parse_names(name or []), smallest_px=smallest_px
        )
    document.pop("test_pictures")
    typer.echo(json.dumps(document, indent=2))


def export_detector(
    run: Annotated[Path, typer.Argument(help="Run folder, evaluated.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the artifact.")],
    name: Annotated[str, typer.Option(help="Of the detector.")] = "face-detector",
    version: Annotated[str, typer.Option(help="Of the detector.")] = "1.0",
) -> None:
    """Write the detector as an artifact that `maskwatch run` takes."""
    from training.detector import session

    artifact = session.export(run, out, name=name, version=version)
    typer.echo(json.dumps({"folder": str(out), "digest": artifact.digest}, indent=2))


def label(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that fit-detector takes.")],
    teacher: Annotated[
        list[str],
        typer.Option(help="Name of a detector, or a YuNet ONNX file; give two of them."),
    ],
    min_face_px: Annotated[int, typer.Option(min=6, help="Smallest face to look for.")] = 12,
) -> None:
    """Annotate pictures by two detectors: faces where they agree, ignore where only one sees."""
    from training.detector.label import label_folder
    from training.detector.teachers import open_teacher

    if len(teacher) != 2 or len(set(teacher)) != 2:
        raise ConfigError(f"--teacher {', '.join(teacher)}: name two different ones")
    first, second = (open_teacher(name, min_face_px) for name in teacher)
    with progress("pictures") as told:
        done = label_folder(pictures, out, (first, second), told)
    for sentence in done.skipped:
        typer.echo(sentence, err=True)
    if done.kept:
        typer.echo(
            f"{done.kept} pictures have annotations already, which are left as they are; remove "
            "those that are to be made anew",
            err=True,
        )
    typer.echo(
        json.dumps(
            {
                "pictures": done.pictures,
                "faces": done.faces,
                "ignored": done.ignored,
                "kept": done.kept,
                "skipped": len(done.skipped),
            }
        )
    )
