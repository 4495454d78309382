"""What several dashboards share: how metrics are asked for, colours, limits."""

from __future__ import annotations

# Told apart by those who see red and green alike (Okabe and Ito 2008).
COLOURS = {
    "with_mask": "#009E73",
    "without_mask": "#D55E00",
    "mask_worn_incorrectly": "#E69F00",
    "unknown": "#999999",
}
STATES = {
    "1": ("up", "green"),
    "2": ("down", "red"),
    "3": ("connecting", "orange"),
    "4": ("off", "#999999"),
    "5": ("ended", "blue"),
}
TAKES = {"0": ("away", "red"), "1": ("takes events", "green")}
GOOD_ABOVE = ((None, "red"), (0.9, "orange"), (1, "green"))
GOOD_AT_0 = ((None, "green"), (1, "red"))
LATE = ((None, "green"), (0.5, "orange"), (1, "red"))

CAMERA = 'camera=~"$camera"'
WORKER = 'instance=~"$worker"'


def of_camera(metric: str, more: str = "") -> str:
    """A metric of the cameras that are chosen."""
    return f"maskwatch_{metric}{{{CAMERA}{more}}}"


def rate(metric: str, by: str = "camera", chosen: str = CAMERA) -> str:
    """A counter's rate, summed over all but one label, or over all."""
    summed = f"sum by ({by}) " if by else "sum "
    return f"{summed}(rate(maskwatch_{metric}{{{chosen}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "", chosen: str = CAMERA) -> str:
    """A quantile of a histogram."""
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(metric + '_bucket', groups, chosen)})"


def state() -> str:
    """The state of each camera as a number, which ``STATES`` says in words."""
    return " + ".join(
        f"{number} * max by (camera) ({of_camera('camera_state', more)})"
        for number, (word, _) in STATES.items()
        for more in (f', state="{word}"',)
    )
