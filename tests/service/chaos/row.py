"""What came of one fault at one time, as a line and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Row:
    """What came of one fault at one time.

    Attributes:
        told_s: from its begin to the first sign of it.
        back_s: from its end until all is well.
        start_s: how long the start took that came after it, where that is in question.
        lost: events lost though they should not be.
        given_up: events lost, and told, as this fault is meant to.
        repeats: entries that de-duplication has to catch.
        duplicates, unexplained: sentences.
        usage: what the worker held when this life was steady, and after this fault.
    """

    fault: str
    cell: str
    told_s: float | None = None
    back_s: float | None = None
    start_s: float | None = None
    lost: int = 0
    given_up: int = 0
    repeats: int = 0
    duplicates: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    usage: str = ""

    @property
    def fine(self) -> bool:
        """True where nothing is wrong."""
        return not (self.lost or self.duplicates or self.unexplained)

    def __str__(self) -> str:
        def shown(value: float | None) -> str:
            return "   -  " if value is None else f"{value:4.1f} s"

        mark = "ok " if self.fine else "BAD"
        told = (
            f"{self.fault:<28} {self.cell:<7} {mark} told {shown(self.told_s)}"
            f"  back {shown(self.back_s)}  repeats {self.repeats}"
        )
        if self.start_s is not None:
            told += f"  started in {self.start_s:.1f} s"
        if self.given_up:
            told += f"  given up and told {self.given_up}"
        for sentence in [*self.duplicates, *self.unexplained]:
            told += f"\n    {sentence}"
        if self.lost:
            told += f"\n    lost {self.lost}"
        return told

    def to_json(self) -> str:
        """For the process that asked."""
        return json.dumps(asdict(self))
