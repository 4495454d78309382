"""A whole dashboard: its variables, and its panels laid out in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parts import SOURCE, Json, Panel

COLUMNS = 24
SCHEMA_VERSION = 39


def source_variable() -> Json:
    """The choice of a Prometheus."""
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }


def label_variable(name: str, title: str, metric: str, label: str) -> Json:
    """The choice of some or all values of a label."""
    return {
        "name": name,
        "label": title,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": name},
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 1,
    }


def dashboard(
    name: str,
    about: str,
    variables: Sequence[Json],
    rows: Mapping[str, Sequence[Panel]],
) -> Json:
    """A whole dashboard; the panels of a row flow from left to right."""
    panels: list[Json] = []
    y = 0
    for title, members in rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in members:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            panels.append(panel.json(len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": f"maskwatch-{name}",
        "title": f"maskwatch {name}",
        "description": about,
        "tags": ["maskwatch"],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "tags": ["maskwatch"],
                "title": "maskwatch",
                "asDropdown": False,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": list(variables)},
        "panels": panels,
    }
