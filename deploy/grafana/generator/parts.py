"""The parts of a Grafana dashboard, as its classic JSON has them; nothing of maskwatch in here."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel.

    Attributes:
        legend: how a series is called, with ``{{label}}``.
        column: how its values are called in a table.
        buckets: the series are the buckets of a histogram.
    """

    expr: str
    legend: str = ""
    column: str = ""
    buckets: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; ``steps`` are thresholds as pairs of a lower bound and a colour."""

    kind: str
    title: str
    about: str
    queries: Sequence[Query]
    width: int
    height: int
    unit: str
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    transformations: Sequence[Json] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        """As a dashboard holds it, at its place on the grid."""
        thresholds = [{"color": colour, "value": value} for value, colour in self.steps]
        panel: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "datasource": SOURCE,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    **self.defaults,
                    "thresholds": {"mode": "absolute", "steps": thresholds},
                    "custom": dict(self.custom),
                },
                "overrides": list(self.overrides),
            },
            "options": dict(self.options),
            "targets": [
                _target(query, letter, self.kind)
                for query, letter in zip(self.queries, string.ascii_uppercase, strict=False)
            ],
        }
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel


def _target(query: Query, letter: str, kind: str) -> Json:
    at_once = kind in {"table", "bargauge"} and not query.buckets
    return {
        "datasource": SOURCE,
        "refId": letter,
        "expr": " ".join(query.expr.split()),
        "legendFormat": query.legend,
        "format": "table" if kind == "table" else "heatmap" if query.buckets else "time_series",
        "instant": at_once,
        "range": not at_once,
    }


def stat(
    title: str,
    about: str,
    expr: str,
    unit: str = "short",
    *,
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),),
    words: Mapping[str, tuple[str, str]] | None = None,
    legend: str = "",
    width: int = 4,
    **defaults: Any,
) -> Panel:
    """One number, large; ``words`` say something else in its place, in a colour."""
    return Panel(
        "stat",
        title,
        about,
        [Query(expr, legend)],
        width,
        4,
        unit,
        steps,
        {"color": {"mode": "thresholds"}, "mappings": mappings(words or {}), **defaults},
        options={
            "reduceOptions": LAST,
            "colorMode": "value",
            "graphMode": "none" if words else "area",
            "textMode": "value_and_name" if legend else "auto",
            "justifyMode": "auto",
            "orientation": "auto",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        },
    )


def lines(
    title: str,
    about: str,
    queries: Sequence[Query],
    unit: str = "short",
    *,
    width: int = 12,
    steps: Sequence[tuple[float | None, str]] | None = None,
    colours: Mapping[str, str] | None = None,
    stacked: str = "none",
    **defaults: Any,
) -> Panel:
    """Lines over time; ``steps`` draw the limits, ``stacked`` is none, normal or percent."""
    return Panel(
        "timeseries",
        title,
        about,
        queries,
        width,
        8,
        unit,
        steps or ((None, "text"),),
        {"color": {"mode": "palette-classic"}, "min": 0, **defaults},
        {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 10 if stacked == "none" else 60,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": stacked, "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if steps else "off"},
        },
        {
            "legend": LEGEND,
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        overrides=[
            _override(name, "color", {"mode": "fixed", "fixedColor": colour})
            for name, colour in (colours or {}).items()
        ],
    )


def bands(
    title: str,
    about: str,
    query: Query,
    words: Mapping[str, tuple[str, str]],
    *,
    width: int = 24,
) -> Panel:
    """A band a series over time, coloured and named by its value."""
    return Panel(
        "state-timeline",
        title,
        about,
        [query],
        width,
        8,
        "short",
        defaults={"color": {"mode": "thresholds"}, "mappings": mappings(words)},
        custom={"lineWidth": 0, "fillOpacity": 70},
        options={
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.8,
            "legend": LEGEND,
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def bars(title: str, about: str, query: Query, unit: str = "short", *, width: int = 12) -> Panel:
    """A bar a series, or a bucket, as they stand now."""
    return Panel(
        "bargauge",
        title,
        about,
        [query],
        width,
        8,
        unit,
        defaults={"color": {"mode": "thresholds"}, "min": 0},
        steps=((None, "blue"),),
        options={
            "reduceOptions": LAST,
            "displayMode": "basic",
            "valueMode": "color",
            "namePlacement": "auto",
            "sizing": "auto",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 300,
            "orientation": "horizontal",
            "showUnfilled": True,
            "legend": {**LEGEND, "showLegend": False},
        },
    )


def table(
    title: str,
    about: str,
    queries: Sequence[Query],
    *,
    hidden: Iterable[str] = (),
    units: Mapping[str, str] | None = None,
    words: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
    width: int = 24,
    height: int = 8,
) -> Panel:
    """A row a series as it stands now, a column a query; a query without a column has no value.

    Labels that are ``hidden`` are not shown; ``units`` and ``words``, which stand in place of
    numbers, go by the names of columns.
    """
    single = len(queries) == 1
    names = {
        "Value" if single else f"Value #{letter}": query.column
        for query, letter in zip(queries, string.ascii_uppercase, strict=False)
    }
    left_out = ["Time", "__name__", "job", *hidden]
    left_out += [value for value, column in names.items() if not column]
    overrides = [_override(name, "unit", unit) for name, unit in (units or {}).items()]
    for name, said in (words or {}).items():
        coloured = _override(name, "mappings", mappings(said))
        coloured["properties"].append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
        overrides.append(coloured)
    return Panel(
        "table",
        title,
        about,
        queries,
        width,
        height,
        "short",
        defaults={"decimals": 1},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        options={"showHeader": True, "cellHeight": "sm", "frameIndex": 0},
        overrides=overrides,
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": dict.fromkeys(left_out, True),
                    "indexByName": {},
                    "renameByName": {value: column for value, column in names.items() if column},
                },
            },
        ],
    )


def mappings(words: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Words and colours in place of values."""
    if not words:
        return []
    said = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": said}]


def _override(name: str, key: str, value: Any) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value}],
    }
