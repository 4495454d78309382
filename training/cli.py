"""`maskwatch-train`: the trainer's command line, one command for each section of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from training.detector import commands
from worker import console
from worker.errors import ConfigError

app = typer.Typer(
    name="maskwatch-train",
    help="See the data, reproduce the report, train on own pictures, and ship a model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

SourceOption = Annotated[
    list[Path],
    typer.Option(
        "--data",
        "-d",
        help="Folder of pictures: images/ with annotations/ (VOC) or labels/ (YOLO), or one "
        "folder a class. May be given several times.",
    ),
]
PreparedOption = Annotated[
    list[Path], typer.Option("--data", "-d", help="Folder that prepare made. Several are joined.")
]
NameOption = Annotated[
    list[str] | None,
    typer.Option("--name", help="What a class name means, for example masked=with_mask."),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder that is written.")]
RunArgument = Annotated[Path, typer.Argument(help="Run folder that fit made.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def main() -> None:
    """The entry point of the console script."""
    console.run(app, "maskwatch-train")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass


@app.command()
def explore(data: SourceOption, out: OutOption, name: NameOption = None) -> None:
    """Count classes, faces and sizes, and draw samples (section 2.1)."""
    from training.explore import explore as look
    from training.progress import progress
    from training.sources import read_source
    from worker.evaluation.voc import parse_names

    names = parse_names(name or [])
    with progress("reading") as told:
        document = look([read_source(folder, names) for folder in data], out, told=told)
    typer.echo(json.dumps(document, indent=2))


@app.command()
def prepare(
    data: SourceOption,
    out: OutOption,
    name: NameOption = None,
    form: Annotated[
        str, typer.Option(help="patches (to train from), or report: 224 px crops and a CSV.")
    ] = "patches",
    third: Annotated[
        bool, typer.Option("--third", help="Keep the third class in the report's form.")
    ] = False,
    detector: Annotated[
        str, typer.Option(help="Finds the boxes that the worker will see; none leaves it out.")
    ] = "accurate",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default is one a core.")
    ] = None,
) -> None:
    """Cut the faces out of annotated pictures (section 3.1)."""
    from training.prepare import UNLABELLED, prepare_report
    from training.prepare import prepare as cut_patches
    from training.progress import progress
    from training.sources import read_source
    from worker.evaluation.voc import parse_names

    if form not in {"patches", "report"}:
        raise ConfigError(f"--form {form}: write patches or report")
    if third and form != "report":
        raise ConfigError("--third is for --form report; patches hold all classes")
    sources = [read_source(folder, parse_names(name or [])) for folder in data]
    for source in sources:
        for line in source.report.lines():
            typer.echo(line, err=True)
    with progress("pictures") as told:
        if form == "report":
            if len(sources) != 1:
                raise ConfigError("the report's form takes one --data")
            done = prepare_report(sources[0], out, third=third, workers=workers, told=told)
        else:
            finder = None if detector == "none" else detector
            done = cut_patches(sources, out, detector=finder, workers=workers, told=told)
    if done.skipped[UNLABELLED]:
        typer.echo(
            f"{done.skipped[UNLABELLED]} faces are left out, as nothing says whether they wear a "
            "mask; if all of a folder are alike, prepare it with --name face=without_mask",
            err=True,
        )
    typer.echo(json.dumps({"faces": done.faces, "skipped": done.skipped}, indent=2))


@app.command()
def fit(
    data: PreparedOption,
    out: OutOption,
    preset: Annotated[
        str | None, typer.Option(help="Recipe by name, default shipped; presets lists them.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe as JSON instead, for example of another run.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value of it, for example epochs=10."),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option("--teacher", help="Run whose opinion is learned too. May be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Throw away the run in OUT.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of torch; default is one a core.")
    ] = None,
) -> None:
    """Train a network (sections 3.2 and 3.3); Ctrl-C keeps what is done, --resume goes on."""
    from training import session
    from training.recipe import preset as recipe_of

    if recipe and preset is not None:
        raise ConfigError("--preset and --recipe both name a recipe; give one")
    base = session.read_recipe(recipe) if recipe else recipe_of(preset or "shipped")
    if teacher:
        base = base.model_copy(update={"teachers": tuple(path.resolve() for path in teacher)})
    session.fit(
        session.changed(base, change or []),
        data,
        out,
        mode=session.Mode(resume=resume, overwrite=overwrite, device=device, threads=threads),
    )


@app.command()
def presets() -> None:
    """Print every recipe that has a name, as JSON."""
    from training.recipe import PRESETS

    known = {name: recipe.model_dump(mode="json") for name, recipe in PRESETS.items()}
    typer.echo(json.dumps(known, indent=2))


@app.command()
def evaluate(
    run: Annotated[list[Path], typer.Argument(help="Run folder; the five of a five-fold pool.")],
    note: Annotated[
        list[str] | None, typer.Option("--note", help="A sentence for the model's card.")
    ] = None,
    folds: Annotated[
        Path | None, typer.Option(help="JSON of a pooled five-fold, for the model's card.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file of a pooled five-fold.")
    ] = None,
) -> None:
    """Judge a model on the test part (section 3.2.6): figures, plots, worst mistakes."""
    from training import session

    if len(run) > 1 and (note or folds):
        raise ConfigError("--note and --folds are for the card of one run; evaluate that one alone")
    if len(run) == 1 and out:
        raise ConfigError("--out is for five folds; one run is judged into its own folder")
    if len(run) > 1:
        typer.echo(json.dumps(session.evaluate_folds(run, out), indent=2))
        return
    document = session.evaluate(run[0], notes=note or [], folds=folds)
    typer.echo(json.dumps(_brief(document), indent=2))


@app.command()
def report(
    data: PreparedOption,
    out: OutOption,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Steps of each row; the report has 30.")] = 30,
    split: Annotated[
        str, typer.Option(help="picture, or face as the report did (which flatters).")
    ] = "picture",
    weights: Annotated[
        Path | None,
        typer.Option(help="Pretrained MobileNetV3-small, safetensors; nothing is downloaded."),
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option("--row", help="Only this preset; default is all rows.")
    ] = None,
) -> None:
    """Train and judge every row of the report's refinement table (section 3.3)."""
    from training.report import report as reproduce

    settings: dict[str, Any] = {"epochs": epochs, "split": split}
    typer.echo(reproduce(data, out, settings, weights=weights, rows=row, threads=threads))


@app.command()
def export(
    run: RunArgument,
    out: OutOption,
    name: Annotated[str, typer.Option(help="Of the model, in events.")] = "maskwatch-classifier",
    version: Annotated[str, typer.Option(help="Of the model.")] = "1.0",
) -> None:
    """Write the artifact that `maskwatch run` takes; it has to be evaluated before."""
    from training.export import export as write
    from training.runs import load_run

    artifact = write(load_run(run), out, name=name, version=version)
    typer.echo(json.dumps({"folder": str(out), "digest": artifact.digest}, indent=2))


app.command("label")(commands.label)
app.command("fit-detector")(commands.fit_detector)
app.command("evaluate-detector")(commands.evaluate_detector)
app.command("export-detector")(commands.export_detector)


def _brief(document: dict[str, Any]) -> dict[str, Any]:
    """What fits a screen of an evaluation."""
    keys = ("split", "faces", "threshold", "summary")
    return {key: document[key] for key in keys}


if __name__ == "__main__":
    main()
