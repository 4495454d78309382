"""The model card: what a model is, what it learned from, what it is worth, where it fails."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from training.recipe import PRESETS
from training.runs import Run, load_run
from worker.inference.artifact import Manifest
from worker.records import CLASSES

BENCHMARK = {"f1": 0.80, "specificity": 0.60, "npv": 0.60}
"""Section 2.3 of the original report."""

DATA: dict[str, str] = {
    "face-mask-detection": (
        "Face Mask Detection (andrewmvd, Kaggle; CC0 1.0), boxes and labels of its authors"
    ),
    "faces-close-up": (
        "pictures with one near face (chandrikadeb7/Face-Mask-Detection; MIT; collected from the "
        "web by its authors), labels by folder, boxes by a detector"
    ),
    "people-at-work": (
        "people on construction sites and in halls (the public safety-helmet set as re-published "
        "in TigerandRosa/paper_code, Apache-2.0); boxes where two detectors agree, taken as bare"
    ),
}
"""Where known sources come from, and their licences."""

MADE = (
    "- Made while training: masks drawn on bare faces, prints on masks, heads and things "
    "before bare faces, masks pulled below the nose (drawn, or taken from another face), "
    "small, blurred, noisy, dark and strongly compressed crops.",
)
"""What the presets' augmentation makes."""


def card(run: Run, manifest: Manifest, evaluation: dict[str, Any]) -> str:
    """The card as Markdown."""
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"Classifies one face crop as {_listed(manifest.classes)}. Network `{manifest.network}`, "
        f"{run.recipe.rule.size_px} px crops, BGR; normalisation and calibration are in the graph.",
        "Made by `maskwatch-train`; `manifest.json` says how crops are cut.",
        "",
        "## Data",
        "",
        *(f"- {DATA.get(source, source)}." for source in evaluation["sources"]),
        *(MADE if run.recipe.augmentation is not None else ()),
        *_learned_from(run),
        "",
        f"Split {evaluation['split']}. Faces: "
        + ", ".join(f"{count} {part}" for part, count in evaluation["faces"].items())
        + f". `test-pictures.txt` names the pictures of {next(iter(evaluation['sources']))} that "
        "training never saw; those of other sources follow from the hash in training/split.py.",
        "",
        "## Figures",
        "",
        "On the test part, with 95 % intervals by bootstrap over pictures. Positive is "
        "`with_mask`; two-class figures compare p(with) and p(without).",
        "",
    ]
    for source, found in evaluation["sources"].items():
        lines += [f"### {source}, annotated boxes", "", *tables(found), ""]
    for source, found in evaluation["by_detector"].items():
        lines += [f"### {source}, the detector's boxes", "", *tables(found), ""]
    if "pooled" in evaluation:
        lines += _pooled(evaluation["pooled"])
    lines += [
        f"Threshold {manifest.threshold:g} on p(with) against p(without), chosen "
        f"{evaluation['threshold_chosen']}.",
        "",
        *_notes(evaluation),
        "## Cost",
        "",
        *_cost(evaluation["cost"]),
        "",
        "## Limits",
        "",
        "- Learned from web pictures of few regions and years; nothing is known about how well "
        "it does for ages, skin tones or kinds of masks that are rare there.",
        "- Scarves and beards are rare in the data; hands, telephones and heads before the mouth "
        "are mostly drawn.",
        "- Below 12 px a face has too little in it; the worker says `too_small` by default.",
        "- It tells whether a mask is seen, not whether it protects, and no identity.",
        "",
        "## How to make it again",
        "",
        "```",
        *_commands(run, evaluation["sources"]),
        "```",
        "",
    ]
    return "\n".join(lines)


def findings(evaluation: dict[str, Any]) -> str:
    """What ``evaluate`` found, as Markdown for the run folder."""
    lines = ["# Evaluation", "", f"Split {evaluation['split']}.", ""]
    for source, found in evaluation["sources"].items():
        two = found["two_classes"]
        met = all((two[name] or 0) >= least for name, least in BENCHMARK.items())
        lines += [f"## {source}", "", *tables(found), ""]
        lines += [
            "The original report's benchmark (F1 80 %, specificity and negative predictive value "
            f"60 %) is {'met' if met else 'missed'}.",
            "",
        ]
    lines += [
        f"Threshold {evaluation['threshold']:g}, chosen {evaluation['threshold_chosen']}.",
        "",
        *_cost(evaluation["cost"]),
    ]
    return "\n".join(lines) + "\n"


def tables(found: dict[str, Any]) -> list[str]:
    """Figures of one set of faces as Markdown tables."""
    two, small = found["two_classes"], found["below_20px"]
    lines = [
        f"{found['faces']} faces in {found['pictures']} pictures.",
        "",
        "| two classes | all | below 20 px |",
        "|---|---|---|",
    ]
    for name, title in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("specificity", "specificity"),
        ("npv", "negative predictive value"),
        ("f1", "F1"),
    ):
        lines.append(f"| {title} | {_figure(two, name)} | {_figure(small, name)} |")
    decided = found["decided"]
    lines += [
        "",
        "At one look as the worker goes by it, a label from a probability of "
        f"{decided['enter']:g} on: {_percent(decided['unknown'])} unknown, "
        f"{_percent(decided['called_third'])} `mask_worn_incorrectly`; of the rest specificity "
        f"{_figure(decided, 'specificity')}, negative predictive value "
        f"{_figure(decided, 'npv')}, F1 {_figure(decided, 'f1')}.",
    ]
    lines += ["", "| width | faces | F1 | specificity |", "|---|---|---|---|"]
    for size in found["by_size"]:
        count = sum(size["confusion"].values())
        below = f" to {size['below_px']}" if size["below_px"] else " and more"
        lines.append(
            f"| {size['from_px']}{below} px | {count} | {_figure(size, 'f1')} | "
            f"{_figure(size, 'specificity')} |"
        )
    three = found.get("three_classes")
    if three is not None and three["recall"][2] is not None:
        lines += ["", "| three classes | |", "|---|---|"]
        for name, title in (
            ("recall_of_third", "recall of the third class"),
            ("macro_f1", "macro F1"),
            ("accuracy", "accuracy"),
            ("ece", "calibration error (ECE)"),
        ):
            lines.append(f"| {title} | {_figure(three, name)} |")
        lines += ["", "| is \\ said | " + " | ".join(CLASSES) + " |", "|---|---|---|---|"]
        for name, row in zip(CLASSES, three["confusion"], strict=True):
            lines.append(f"| {name} | " + " | ".join(str(count) for count in row) + " |")
    return lines


def _pooled(pooled: dict[str, Any]) -> list[str]:
    """The figures of the five-fold, which has more faces of the third class than a test part."""
    lines = [
        "### The recipe by a grouped five-fold, pooled",
        "",
        f"Five models of this recipe, trained for {pooled['epochs']} epochs, each judged on the "
        "pictures that it did not see.",
        "",
    ]
    for source, found in pooled["sources"].items():
        lines += [f"#### {source}, annotated boxes", "", *tables(found), ""]
    for source, found in pooled.get("by_detector", {}).items():  # older files have none
        lines += [f"#### {source}, the detector's boxes", "", *tables(found), ""]
    return lines


def _cost(cost: dict[str, Any]) -> list[str]:
    return [
        f"{cost['ms_a_crop']:.3f} ms of CPU a crop at a batch of {cost['batch']}, one thread of "
        f"onnxruntime; the original report's 3-layer network at 224 px takes "
        f"{cost['report_ms_a_crop']:.3f} ms in the same run: {cost['ratio']:.2f} of it."
    ]


def _notes(evaluation: dict[str, Any]) -> list[str]:
    notes = evaluation.get("notes", [])
    return [*(f"- {note}" for note in notes), ""] if notes else []


def _figure(measures: dict[str, Any], name: str) -> str:
    value = measures[name]
    if value is None:
        return "n/a"
    interval = measures.get("intervals", {}).get(name)
    if not interval or interval[0] is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" or `{names[-1]}`"


def _commands(run: Run, sources: Collection[str]) -> list[str]:
    """The command lines that lead from the data to this model."""
    prepared = [folder.name for folder in run.data]
    folders = " ".join(f"-d {source}" for source in sources)
    bare = " --name face=without_mask" if "people-at-work" in sources else ""
    name = run.folder.path.name
    return [
        *(
            [f"maskwatch-train prepare {folders}{bare} -o {prepared[0]}"]
            if len(prepared) == 1
            else []
        ),
        *(_fitting(load_run(path)) for path in run.recipe.teachers),
        _fitting(run),
        f"maskwatch-train evaluate runs/{name}",
        f"maskwatch-train export runs/{name} -o DIR",
    ]


def _fitting(run: Run) -> str:
    """The command line that trains a run."""
    alone = run.recipe.model_copy(update={"teachers": ()})
    named = next((name for name, recipe in PRESETS.items() if recipe == alone), None)
    parts = [
        *(f"-d {folder.name}" for folder in run.data),
        f"--preset {named}" if named else "--recipe recipe.json",
        *(f"--teacher runs/{path.name}" for path in run.recipe.teachers),
        f"--threads 1 -o runs/{run.folder.path.name}",
    ]
    return "maskwatch-train fit " + " ".join(parts)


def _learned_from(run: Run) -> list[str]:
    """What else than labels it learned from."""
    teachers = [load_run(path).recipe for path in run.recipe.teachers]
    if not teachers:
        return []
    networks = ", ".join(
        f"`{teacher.network}`" + (f" from `{teacher.start_from}`" if teacher.start_from else "")
        for teacher in teachers
    )
    return [
        f"- The opinion of {len(teachers)} network{'s' * (len(teachers) > 1)} trained on the same "
        "part of these pictures "
        f"({networks}), beside the labels: {run.recipe.distil:.0%} of the loss."
    ]
