"""`maskwatch simulate`: the events of a synthetic crowd, for those who build consumers.

They are made, numbered and published as the worker does it; only what they tell of is made up.
"""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

from worker.config import Redis as RedisSettings
from worker.crowd import HEIGHT, WIDTH, Crowd
from worker.errors import ConfigError, WorkError
from worker.faulty import FAULTS, Fault, FaultySink
from worker.output.event import Event, EventMaker, TrackSummary
from worker.output.publish import Publisher
from worker.output.rules.compliance import Compliance
from worker.output.rules.violations import Change, EndReason, ViolationWatch
from worker.output.run import new_run_id
from worker.output.wire import Model
from worker.records import CameraState, CameraStatus, Frame
from worker.venue import EVERYWHERE, Violations
from worker.venue import Compliance as ComplianceRules

WORKER_ID = "simulated"
NO_PICTURE: Any = SimpleNamespace(width=WIDTH, height=HEIGHT)
EVERYWHERE_ONLY = frozenset({EVERYWHERE})
MODEL = Model(name="simulated", version="1", digest="0" * 64)

LATE_S = 2.0
DOWN_S = 2.0
HEARTBEAT_S = 5.0
TICK_S = 0.01
DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated.

    Attributes:
        cameras: how many.
        rate: frame events a second, of all cameras together.
        seconds: for how long; None: until told to stop.
        seed: of chance: the same one brings the same people, and faults at the same places.
        faults: which kinds happen.
        fault_every_s: least and most time between two of a kind.
    """

    cameras: int = 2
    rate: float = 20.0
    seconds: float | None = None
    seed: int = 1
    faults: Collection[Fault] = ()
    fault_every_s: tuple[float, float] = (2.0, 5.0)


class Totals:
    """What came of it: the publisher's listener."""

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = 0.0
        self.sent: Counter[str] = Counter()
        self.gone: Counter[str] = Counter()
        self.faults: Counter[Fault] = Counter()

    def created(self, event: Event) -> None:
        """An event was made."""

    def published(self, event: Event, latency_s: float | None) -> None:  # noqa: ARG002
        """Redis has it."""
        self.sent[event.type] += 1

    def lost(self, kind: str, reason: str, count: int) -> None:  # noqa: ARG002
        """Redis was away for too long."""
        self.gone[kind] += count

    def broker(self, up: bool, reason: str) -> None:
        """Redis goes or comes."""

    def __str__(self) -> str:
        total = sum(self.sent.values())
        rate = total / self.seconds if self.seconds else 0.0
        told = [f"published {total} events in {self.seconds:.1f} s, {rate:.0f} a second"]
        told += [", ".join(f"{count} {kind}" for kind, count in self.sent.most_common())]
        if self.faults:
            told += ["faults " + ", ".join(f"{n} {name}" for name, n in self.faults.items())]
        return "\n".join(told)


@dataclass(slots=True)
class _Camera:
    camera_id: str
    crowd: Crowd
    watch: ViolationWatch
    since: float
    down_until_s: float | None = None
    late_until_s: float | None = None


@dataclass(slots=True)
class _Life:
    """One run of the simulated worker: makes events and publishes them."""

    settings: RedisSettings
    totals: Totals
    publisher: Publisher = field(init=False)
    sink: FaultySink = field(init=False)
    make: EventMaker = field(init=False)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        run_id = new_run_id()
        self.publisher = Publisher(
            self.settings,
            worker_id=WORKER_ID,
            run_id=run_id,
            listener=self.totals,
            may_repeat=True,
        )
        self.sink = FaultySink(self.publisher.put)
        self.make = EventMaker(worker_id=WORKER_ID, run_id=run_id, model=MODEL, sink=self.sink)
        self.thread = threading.Thread(
            target=self.publisher.run, args=(self.make,), name="publish", daemon=True
        )
        self.thread.start()

    def end(self) -> None:
        """Publish what waits."""
        self.publisher.close(DRAIN_S)
        self.thread.join(DRAIN_S)


class Simulation:
    """A worker without cameras, model and GPU.

    Args:
        plan: what is simulated.
        settings: where the events go.
    """

    def __init__(self, plan: Plan, settings: RedisSettings) -> None:
        self.totals = Totals()
        self._plan = plan
        self._settings = settings
        self._chance = random.Random(plan.seed)  # noqa: S311 (no secret)
        tracks, violations = itertools.count(1), itertools.count(1)
        names = [f"simulated-{n + 1}" for n in range(plan.cameras)]
        now = time.time()
        self._cameras = [
            _Camera(
                name,
                Crowd(f"{plan.seed} {name}", tracks),
                ViolationWatch(Violations(), (EVERYWHERE,), violations),
                now,
            )
            for name in names
        ]
        rules = ComplianceRules()
        self._compliance = Compliance(
            {EVERYWHERE: names},
            period_s=rules.period_s,
            min_persons=rules.min_persons,
            now_s=0.0,
            now=now,
        )
        self._next_fault_s = {
            fault: self._chance.uniform(*plan.fault_every_s) / 2 for fault in plan.faults
        }
        self._beat_s = self._ticked_s = -HEARTBEAT_S
        self._life: _Life

    def run(self, stop: threading.Event) -> Totals:
        """Publish until ``stop``, or until the plan's time is over; then drain."""
        plan = self._plan
        self._life = _Life(self._settings, self.totals)
        begin_s = time.monotonic()
        try:
            for camera in self._cameras:
                self._show(camera, "up", 0.0)
            while not stop.is_set():
                now_s = time.monotonic() - begin_s
                if plan.seconds is not None and now_s >= plan.seconds:
                    break
                due = int(now_s * plan.rate) - self.totals.frames
                for _ in range(min(due, 1 + int(plan.rate / 10))):
                    self._frame(self._cameras[self.totals.frames % plan.cameras])
                    self.totals.frames += 1
                self._tick(now_s)
                if due <= plan.rate * TICK_S:
                    stop.wait(TICK_S)
            self._close_tracks("stopped", self.totals.frames / plan.rate)
        finally:
            self._life.end()
            self.totals.seconds = time.monotonic() - begin_s
        return self.totals

    # One frame.

    def _frame(self, camera: _Camera) -> None:
        now_s, now = self.totals.frames / self._plan.rate, time.time()
        if camera.down_until_s is not None:
            if now_s < camera.down_until_s:
                return
            camera.down_until_s = None
            self._life.make.gap(camera.camera_id, camera.since, now, "timeout")
            self._show(camera, "up", now_s)
        if camera.late_until_s is not None and now_s >= camera.late_until_s:
            camera.late_until_s = None
            self._life.sink.release(camera.camera_id)
        view = camera.crowd.step(now_s, now)
        inside = {f.track.number: EVERYWHERE_ONLY for f in view.faces if f.track.confirmed}
        make = self._life.make
        for track in view.began:
            make.track(camera.camera_id, "start", track)
        make.frame(Frame(camera.camera_id, now, time.monotonic(), NO_PICTURE), view.faces, "ran")
        if inside:
            self._tell(camera, camera.watch.watch(view.faces, inside, now_s, now))
            self._compliance.saw(view.faces, inside)
        if view.ended:
            self._end(camera, view.ended, "gone", now_s)
        if self._plan.faults:
            self._have_faults(camera, now_s)

    def _have_faults(self, camera: _Camera, now_s: float) -> None:
        for loss in self._life.sink.losses():
            self._life.make.loss(loss)
        for fault in self._plan.faults:
            if now_s >= self._next_fault_s[fault]:
                self._next_fault_s[fault] = now_s + self._chance.uniform(*self._plan.fault_every_s)
                self.totals.faults[fault] += 1
                self._go_wrong(fault, camera, now_s)

    def _end(
        self, camera: _Camera, tracks: Collection[TrackSummary], reason: EndReason, now_s: float
    ) -> None:
        numbers = [track.number for track in tracks]
        self._tell(camera, camera.watch.end(numbers, reason, now_s))
        self._compliance.ended(numbers)
        for track in tracks:
            self._life.make.track(camera.camera_id, "end", track, end_reason=reason)

    def _tell(self, camera: _Camera, changes: Collection[Change]) -> None:
        for change in changes:
            self._life.make.violation(
                camera.camera_id, change.phase, change.violation, end_reason=change.end_reason
            )

    def _show(self, camera: _Camera, state: Literal["up", "down"], now_s: float) -> None:
        camera.since = time.time()
        self._life.make.camera(self._status(camera))
        self._compliance.camera(camera.camera_id, state, now_s)
        self._life.publisher.put_state(self._status(camera))

    def _status(self, camera: _Camera) -> CameraStatus:
        down = camera.down_until_s is not None
        state: CameraState = "down" if down else "up"
        return CameraStatus(camera.camera_id, state, camera.since, "timeout" if down else None)

    def _tick(self, now_s: float) -> None:
        """What the clock asks for: signs of life, and the summaries of a period."""
        if now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = now_s
            for camera in self._cameras:
                fps = self._plan.rate / self._plan.cameras
                self._life.publisher.put_state(self._status(camera), fps=fps)
        if now_s - self._ticked_s >= 1.0:
            self._ticked_s = now_s
            for period in self._compliance.tick(now_s, time.time()):
                self._life.make.compliance(period)

    # What goes wrong.

    def _go_wrong(self, fault: Fault, camera: _Camera, now_s: float) -> None:
        sink = self._life.sink
        match fault:
            case "hole":
                sink.vanish(camera.camera_id)
            case "loss":
                sink.lose(camera.camera_id)
            case "duplicate":
                sink.repeat(camera.camera_id)
            case "late":
                camera.late_until_s = now_s + LATE_S
                sink.hold(camera.camera_id)
            case "newer" | "broken":
                sink.spoil(fault)
                self._life.make.camera(self._status(camera))
            case "down":
                self._end(camera, camera.crowd.leave(now_s), "camera_down", now_s)
                camera.down_until_s = now_s + DOWN_S
                self._show(camera, "down", now_s)
            case "restart":
                self._start_anew(now_s)

    def _start_anew(self, now_s: float) -> None:
        """The worker stops in order, and another run begins."""
        stopped = time.time()
        self._close_tracks("stopped", now_s)
        self._life.end()
        self._life = _Life(self._settings, self.totals)
        for camera in self._cameras:
            self._life.make.gap(camera.camera_id, stopped, time.time(), "stopped")
            self._show(camera, "down" if camera.down_until_s else "up", now_s)

    def _close_tracks(self, reason: EndReason, now_s: float) -> None:
        for camera in self._cameras:
            camera.late_until_s = None
            self._life.sink.release(camera.camera_id)
            self._end(camera, camera.crowd.leave(now_s), reason, now_s)
        for loss in self._life.sink.losses():
            self._life.make.loss(loss)


def faults_named(names: Iterable[str]) -> tuple[Fault, ...]:
    """The faults of these names; ``all`` is every one.

    Raises:
        ConfigError: there is no such fault.
    """
    wanted = set(names)
    unknown = sorted(wanted - {*FAULTS, "all"})
    if unknown:
        raise ConfigError(
            f"--fault: there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}, and all"
        )
    return tuple(fault for fault in FAULTS if "all" in wanted or fault in wanted)


def run_simulation(plan: Plan, settings: RedisSettings, say: Callable[[str], None]) -> Totals:
    """Run to the end of the plan's time, or until Ctrl-C or SIGTERM, and say what came of it.

    Raises:
        ConfigError: the address cannot be used.
        WorkError: Redis did not take everything.
    """
    simulation, stop = Simulation(plan, settings), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    say(
        f"{plan.cameras} cameras, {plan.rate:g} frame events a second to {settings.address}, "
        f"keys {settings.prefix}:…; Ctrl-C stops"
    )
    totals = simulation.run(stop)
    say(str(totals))
    if totals.gone:
        raise WorkError(
            f"{sum(totals.gone.values())} events were lost, since Redis at {settings.address} did "
            "not take them; is it running?"
        )
    return totals
