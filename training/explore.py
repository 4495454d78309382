"""What is in the data: counts, sizes and samples, as in section 2.1 of the original report."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import plots
from training.disk import writing
from training.sources import Source, demand_distinct
from worker.errors import BadDataError
from worker.evaluation.pictures import read_picture
from worker.records import CLASSES

SAMPLES = 8
REPORT = {"pictures": 853, "with_mask": 3_232, "without_mask": 717, "mask_worn_incorrectly": 123}
"""What the original report counts in the whole Kaggle set."""

CHARTS = (
    ("classes.png", "Faces by class"),
    ("sizes.png", "Width of a face"),
    ("crowds.png", "Faces in a picture"),
)


def explore(
    sources: Sequence[Source], out: Path, told: Callable[[int, int], None] = lambda _done, _of: None
) -> dict[str, Any]:
    """Write charts, samples, ``explore.json`` and a page that shows them all.

    Args:
        sources: the folders as read.
        out: the folder that is written.
        told: samples that are drawn, and how many there are.

    Returns:
        What was counted; the content of the JSON.

    Raises:
        ConfigError: two folders have one name.
        WorkError: the disk does not take it.
    """
    demand_distinct(sources)
    document = {
        "sources": {source.name: _counts(source) for source in sources},
        "original_report": REPORT,
    }
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        _charts(sources, out)
        samples = _samples(sources, out, told)
        (out / "explore.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (out / "index.html").write_text(_page(document, samples), encoding="utf-8")
    return document


def _counts(source: Source) -> dict[str, Any]:
    counts = Counter(face.name for picture in source.pictures for face in picture.faces)
    known = sum(counts[name] for name in CLASSES)
    widths = _widths(source)
    return {
        "pictures": len(source.pictures),
        "faces": known,
        "classes": {
            name: {
                "faces": counts[name],
                "share": round(counts[name] / known, 4) if known else None,
            }
            for name in CLASSES
        },
        "faces_a_picture": {
            "median": float(np.median(_crowds(source))),
            "most": int(max(_crowds(source))),
        },
        "width_px": {
            f"p{q}": round(float(np.percentile(widths, q)), 1) for q in (5, 25, 50, 75, 95)
        }
        if widths
        else None,
        "skipped": source.report.lines(),
    }


def _widths(source: Source) -> list[float]:
    """Widths of faces; a folder without boxes has none."""
    if source.form == "folders":
        return []
    return [face.box.width for p in source.pictures for face in p.faces if face.label is not None]


def _crowds(source: Source) -> list[int]:
    return [sum(face.label is not None for face in p.faces) for p in source.pictures]


def _charts(sources: Sequence[Source], out: Path) -> None:
    counts = Counter(f.name for s in sources for p in s.pictures for f in p.faces)
    plots.save_shares(out / "classes.png", {name: counts[name] for name in CLASSES})
    widths = [width for source in sources for width in _widths(source)]
    edges = np.geomspace(4, max([*widths, 8.0]) + 1, 30).tolist()
    plots.save_histogram(out / "sizes.png", widths, "width of a face, px", edges)
    crowds = [count for source in sources for count in _crowds(source)]
    most = max(crowds) + 2
    ranges = range(0, most, max(1, most // 40))
    plots.save_histogram(out / "crowds.png", crowds, "faces in a picture", ranges)


def _samples(
    sources: Sequence[Source], out: Path, told: Callable[[int, int], None]
) -> list[tuple[str, str]]:
    """Pictures with their faces framed, those with the most classes first."""
    written: list[tuple[str, str]] = []
    for source in sources:
        richest = sorted(
            source.pictures,
            key=lambda p: (-len({face.name for face in p.faces}), len(p.faces), p.stem),
        )[:SAMPLES]
        for picture in richest:
            try:
                image = read_picture(picture.path)
            except BadDataError:
                continue  # the counts name it already, or it became bad just now
            faces = [(face.box, face.name) for face in picture.faces if face.name in CLASSES]
            name = f"sample-{source.name}-{picture.stem}.png"
            plots.save_picture(out / name, plots.annotated(image, faces))
            written.append((name, f"{source.name}: {picture.stem}"))
            told(len(written), SAMPLES * len(sources))
    return written


def _page(document: dict[str, Any], samples: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{found['pictures']}</td><td>{found['faces']}</td>"
        + "".join(
            f"<td>{found['classes'][c]['faces']} ({found['classes'][c]['share'] or 0:.1%})</td>"
            for c in CLASSES
        )
        + "</tr>"
        for name, found in document["sources"].items()
    )
    head = "".join(f"<th>{c}</th>" for c in ("source", "pictures", "faces", *CLASSES))
    charts = "".join(
        f'<figure><img src="{name}" alt="{title}"><figcaption>{title}</figcaption></figure>'
        for name, title in CHARTS
    )
    shown = "".join(
        f'<figure><img src="{html.escape(name)}" alt="{html.escape(title)}">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for name, title in samples
    )
    told = html.escape(json.dumps(document, indent=2))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The data</title><style>'
        "body{font:16px/1.5 system-ui;margin:2rem;max-width:80rem}"
        "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3rem .6rem}"
        "figure{display:inline-block;margin:.5rem;vertical-align:top}img{max-width:26rem}"
        "</style><h1>The data</h1>"
        f"<table><tr>{head}</tr>{rows}</table>"
        "<p>The original report counts 853 pictures and 4,072 faces in the whole Kaggle set: "
        "3,232 with, 717 without, 123 incorrectly worn.</p>"
        f"{charts}<h2>Samples</h2><p>Green with a mask, red without, orange worn incorrectly.</p>"
        f"{shown}<h2>All figures</h2><pre>{told}</pre></html>\n"
    )
