"""One fault at one time: done, undone, and everything proved afterwards."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

from service.chaos.clips import FPS
from service.chaos.fault import Cell, Fault
from service.chaos.ledger import Ledger
from service.chaos.rig import CAMERAS, PASSWORD, Rig, down, total
from service.chaos.row import Row
from service.chaos.signs import Signs
from service.chaos.worker_life import Usage

from worker.errors import WorkError

HELD_S: Mapping[Cell, float] = {"start": 4.0, "middle": 8.0, "twice": 4.0, "2s": 2.0, "60s": 60.0}
PAUSE_S = 1.0
"""Between the two of ``twice``."""

SLACK_S = 5.0
"""On top of the longest back-off: until the worker is well again."""

PATIENCE_S = 60.0
"""So long the next fault waits for a rig that is not well yet."""

STEADY_S = 20.0
"""Age of a life from which on its memory, threads and descriptors have to stay as they are."""

TELL_S = 7.0
"""A loss that goes on is told every five seconds."""

BLIND_LIMIT_S = 3.0
"""A camera without a frame for longer than this was blind, and a gap has to tell of it."""

BLIND_SLACK_S = 1.5


@dataclass(frozen=True, slots=True)
class Mark:
    """How much had come at a moment: alerts, events told to be lost, repetitions."""

    alerts: int
    lost: int
    repeats: int


class Prover:
    """Runs faults on a rig, one after the other, and proves after each that all is well."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.ledger = Ledger()
        self._steady: tuple[int, Usage] | None = None
        self._complained: set[str] = set()
        self._well_s = 0.0

    def begin(self) -> None:
        """Start the worker, and wait until all is well."""
        self.rig.worker.start()
        trouble = self.await_well(time.time(), 30.0)
        if trouble:
            raise RuntimeError(f"the rig does not come up: {trouble}")

    def run(self, fault: Fault, cell: Cell, *, rested: bool = True) -> Row:
        """Do it, undo it, prove; ``rested`` False: without the pause before some faults."""
        rig, row = self.rig, Row(fault.name, cell)
        if cell == "start" and rig.worker.alive:
            rig.worker.stop()
        if rested and cell != "start":
            time.sleep(max(0.0, self._well_s + fault.rest_s - time.monotonic()))
        before, signs = self.mark(), Signs(fault, rig.worker)
        try:
            self._do(fault, cell, signs, row)
            self.prove(row, fault, before)
            if HELD_S[cell] >= fault.shows_after_s:
                row.unexplained += signs.missed(self.ledger.since(before.alerts))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is to be told in the row)
            row.unexplained.append(f"{type(error).__name__}: {error}")
            self._revive()
        return row

    def finish(self) -> list[str]:
        """An ordered end of it all; what is wrong then."""
        rig = self.rig
        wrong = []
        if rig.worker.alive and (code := rig.worker.stop()):
            wrong.append(f"the ordered stop ended with {code}")
        self.ledger.read(rig.store.admin)
        wrong += self.ledger.open_ends()
        wrong += self._news(self.ledger.missing())
        said = rig.worker.said()
        wrong += [f"the log shows a {word}" for word in (PASSWORD, "w%40rd") if word in said]
        if broken := [line for line in said.splitlines() if "Traceback" in line]:
            wrong.append(f"the log shows {len(broken)} tracebacks, such as {broken[0][:600]}")
        return wrong

    # -- doing it

    def _do(self, fault: Fault, cell: Cell, signs: Signs, row: Row) -> None:
        with signs:
            self._inflict(fault, cell)
            ended_s, ended = time.monotonic(), time.time()
            trouble = self.await_well(ended, fault.cap_s + SLACK_S)
        row.told_s = signs.shown_after_s
        if not trouble:
            row.back_s = self._well_s - ended_s
            return
        row.unexplained.append(f"{fault.cap_s + SLACK_S:g} s after its end: {trouble}")
        self.await_well(ended, PATIENCE_S)

    def _inflict(self, fault: Fault, cell: Cell) -> None:
        rig, held_s = self.rig, HELD_S[cell]
        if cell == "start":
            if fault.new_life:
                rig.worker.launch()
                time.sleep(0.7)
            with fault.inflict(rig):
                if not fault.new_life:
                    rig.worker.start()
                time.sleep(held_s)
            return
        for turn in range(2 if cell == "twice" else 1):
            if turn:
                time.sleep(PAUSE_S)
            with fault.inflict(rig):
                time.sleep(held_s)

    def _revive(self) -> None:
        """After something unforeseen: the next fault finds a rig that is well, if it can be."""
        self.rig.wire.heal()
        self.rig.hall.heal()
        with contextlib.suppress(RuntimeError, WorkError):
            self.rig.store.revive()
            if not self.rig.worker.alive:
                self.rig.worker.start()
            self.await_well(time.time(), PATIENCE_S)

    def await_well(self, since: float, limit_s: float) -> str:
        """Wait until all is well; what is not after the limit, or nothing."""
        ends_s = time.monotonic() + limit_s
        while trouble := self._trouble(since):
            if time.monotonic() > ends_s:
                return trouble
            time.sleep(0.1)
        self._well_s = time.monotonic()
        return ""

    def _trouble(self, since: float) -> str:
        """What is not well yet; nothing where every camera has published since then."""
        metrics = self.rig.worker.metrics()
        if not metrics:
            return "the worker does not answer"
        if blind := down(metrics):
            return f"{', '.join(blind)}: not up"
        if not total(metrics, "maskwatch_redis_up"):
            return "Redis takes no events"
        if spooled := total(metrics, "maskwatch_events_spooled"):
            return f"{spooled:.0f} events wait on disk"
        seen = "maskwatch_camera_last_frame_timestamp_seconds"
        late = [c for c in CAMERAS if total(metrics, seen, f'camera="{c}"') <= since]
        return f"{', '.join(late)}: no frame yet" if late else ""

    # -- the proof

    def mark(self) -> Mark:
        """What has come so far, for ``prove`` to compare with."""
        self.ledger.read(self.rig.store.admin)
        return Mark(len(self.ledger.alerts), self._lost(), self.ledger.repeats)

    def prove(self, row: Row, fault: Fault | None, before: Mark) -> None:
        """Enter into the row whatever is wrong with what came since then."""
        ledger = self.ledger
        row.unexplained += self._unbalanced()
        unaccounted = self._unaccounted()
        row.repeats = ledger.repeats - before.repeats
        row.duplicates += self._news(ledger.duplicates)
        row.unexplained += self._news([*unaccounted, *ledger.disorder, *ledger.contradicted()])
        if fault and row.cell != "start":
            row.unexplained += self._disturbed(fault, before)
        given_up = self._lost() - before.lost
        if fault and fault.loses:
            row.given_up = given_up
        else:
            row.lost = given_up
        row.unexplained += self._grown(row)

    def _disturbed(self, fault: Fault, before: Mark) -> list[str]:
        """Events on cameras that have nothing to do with the fault."""
        return [
            f"{event['camera_id']} was disturbed: {event['schema']} {event['reason']}"
            for event in self.ledger.since(before.alerts)
            if event["camera_id"] in fault.spares
            and event["schema"] in {"maskwatch.camera/1", "maskwatch.gap/1"}
            and event["reason"]
        ]

    def _unaccounted(self) -> list[str]:
        """Holes and blind times that nothing explains; both are told a little later."""
        ends_s = time.monotonic() + TELL_S
        while True:
            self.ledger.read(self.rig.store.admin)
            blind = (
                self.ledger.unwatched(
                    camera, limit_s=BLIND_LIMIT_S, slack_s=BLIND_SLACK_S, frame_s=1 / FPS
                )
                for camera in CAMERAS
            )
            found = self._fresh([*self.ledger.missing(), *itertools.chain(*blind)])
            if not found or time.monotonic() > ends_s:
                return found
            time.sleep(0.3)

    def _lost(self) -> int:
        return sum(self.ledger.lost.values())

    def _news(self, sentences: list[str]) -> list[str]:
        """Those that were not told of an earlier fault."""
        fresh = self._fresh(sentences)
        self._complained |= set(fresh)
        return fresh

    def _fresh(self, sentences: list[str]) -> list[str]:
        return [sentence for sentence in sentences if sentence not in self._complained]

    def _unbalanced(self) -> list[str]:
        """What the worker counts must add up, and agree with what Redis holds."""
        worker, run_id = self.rig.worker, str(self.rig.worker.state().get("run_id"))
        said = ""
        for _ in range(20):
            first = worker.metrics()
            self.ledger.read(self.rig.store.admin)
            made = total(first, "maskwatch_events_created_total")
            found = total(first, "maskwatch_events_recovered_total")
            sent = total(first, "maskwatch_events_published_total")
            gone = total(first, "maskwatch_events_lost_total")
            spooled = total(first, "maskwatch_events_spooled")
            waiting = total(first, "maskwatch_queue_depth", 'stage="publish"')
            there = self.ledger.unique(run_id)
            since = total(worker.metrics(), "maskwatch_events_created_total")
            adds_up = made + found == sent + gone + spooled + waiting
            # more may have been made and published between the looks
            if adds_up and made - gone - spooled - waiting <= there <= since - gone:
                return []
            said = (
                f"created {made:.0f}, of earlier runs {found:.0f}, published {sent:.0f}, "
                f"lost {gone:.0f}, on disk {spooled:.0f}, in memory {waiting:.0f}; "
                f"of this run in Redis {there}"
            )
            time.sleep(0.05)
        return [said]

    def _grown(self, row: Row) -> list[str]:
        """Memory, threads and descriptors, against those of the same life when it was steady."""
        worker = self.rig.worker
        if not worker.alive:
            return ["the worker is gone"]
        pid, ends_s = worker.pid, time.monotonic() + SLACK_S
        if self._steady is None or self._steady[0] != pid:
            if time.monotonic() - worker.started_s > STEADY_S:
                self._steady = (pid, worker.usage())
            return []
        before = self._steady[1]
        while grown := (now := worker.usage()).growth(before):
            if time.monotonic() > ends_s:
                return [f"grown: {grown}, from {before} to {now}"]
            time.sleep(0.2)
        row.usage = f"{before} -> {now}"
        return []
