"""The running worker: its threads, its signals, and its ordered end.

capture   one thread a camera    ─► slot: one frame, the newest wins
detect    cores less one         ─► takes the cameras in turn, whichever has a frame
device    one, owns classifying  ─► takes batches, by size or by deadline
publish   one, owns Redis        ─► takes the publisher's queue
spool     one, owns the disk     ─► takes what Redis does not take in time
http      one
main      watches over all of them
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType

import cv2

from worker.camera import CameraRun
from worker.capture.picture import keep_freed_memory, silence_ffmpeg
from worker.config import Settings
from worker.device import DeviceWork, Job
from worker.errors import WorkError
from worker.fleet import Fleet
from worker.inference.batch import Batcher
from worker.inference.classify import Classifier
from worker.inference.engine import open_engine
from worker.loading import load_classifier
from worker.metrics import Metrics
from worker.output.disk.aftermath import Aftermath
from worker.output.event import EventMaker
from worker.output.lease import Lease
from worker.output.publish import Publisher
from worker.output.run import new_run_id
from worker.output.spool import Spool
from worker.output.wire import Model
from worker.pipeline import Pending
from worker.reload import LiveConfiguration, Reload
from worker.rulebook import Rulebook
from worker.state_lock import StateLock
from worker.status import PublishMetrics, WorkerView
from worker.supervisor import Supervisor
from worker.web.server import HttpServer

log = logging.getLogger(__name__)

WATCH_S = 0.25
"""How often the main thread looks at all others."""

ASLEEP_S = 2.0
"""A look that comes so late: the process was stopped, or the machine slept."""

HEARTBEAT_S = 5.0
"""How often each camera's state is renewed in Redis."""

JOIN_S = 2.0
"""All capture threads together get so long to end at a stop; one that blocks is left behind."""

PUBLISH_S = 2.0
"""What an ordered stop leaves of its time for publishing what it has."""

DRAIN_POLL_S = 0.01

MAX_ABANDONED = 4
"""Hung capture threads given up before the process ends, for its supervisor to restart."""

DEVICE_HANG_S = 60.0
"""Time without an answer from the device after which the process ends, for a restart."""


class Service:
    """One worker, from its configuration to its end.

    Args:
        settings: checked configuration.
        reload: where to read it again from; none: never.
        supervisor: told of the life of this worker.
        on_started: called once everything runs, with the address of the HTTP side.

    Raises:
        ConfigError: a model, a detector or the HTTP port cannot be had; nothing was started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reload: Reload | None = None,
        supervisor: Supervisor | None = None,
        on_started: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.run_id = new_run_id()
        self._state_lock = StateLock(settings.worker.state_folder, self.run_id)
        self.configuration = LiveConfiguration(settings, reload, self.metrics)
        self._supervisor = supervisor or Supervisor({})
        self._on_started = on_started
        self._signal: signal.Signals | None = None
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._beat_s = 0.0

        artifact = load_classifier(settings)
        engine = open_engine(artifact, settings.inference.device)
        self.device = engine.device
        self._classifier = Classifier(engine, artifact.rule.size_px)
        self._batcher: Batcher[Job] = Batcher(
            settings.inference.batch_size, settings.inference.batch_wait_ms / 1000
        )
        self._turns: queue.SimpleQueue[CameraRun | None] = queue.SimpleQueue()
        self._looking_since_s: dict[str, float] = {}
        self._woke_s = 0.0
        listener = PublishMetrics(self.metrics, self)
        self._spool = Spool(
            settings.worker.state_folder,
            settings.spool.max_mb,
            run_id=self.run_id,
            listener=listener,
        )
        self._publisher = Publisher(
            settings.redis,
            worker_id=settings.worker.identity,
            run_id=self.run_id,
            listener=listener,
            spool=self._spool,
            lease=Lease(
                settings.redis,
                worker_id=settings.worker.identity,
                run_id=self.run_id,
                former=self._state_lock.former,
            ),
            replay_per_s=settings.spool.replay_per_s,
        )
        self._maker = EventMaker(
            worker_id=settings.worker.identity,
            run_id=self.run_id,
            model=Model(name=artifact.name, version=artifact.version, digest=artifact.digest),
            sink=self._publisher.put,
        )
        self._aftermath = Aftermath(self._spool.former, self._maker)
        self.rules = Rulebook(settings, self._maker, self.metrics, time.monotonic(), time.time())
        self._fleet = Fleet(
            settings,
            artifact,
            maker=self._maker,
            rules=self.rules,
            metrics=self.metrics,
            on_ready=self._turns.put,
            on_gone=self._publisher.forget_state,
        )
        self._device = DeviceWork(
            self._classifier,
            self._batcher,
            settings.inference.batch_size,
            metrics=self.metrics,
            complete=self._complete,
        )
        self._http = HttpServer(
            WorkerView(self, self._publisher, artifact, engine.device), settings.http
        )
        self._threads = self._make_threads()
        self.metrics.watch_depth("detect", self._turns.qsize)
        self.metrics.watch_depth("classify", lambda: len(self._batcher))
        self.metrics.watch_depth("publish", lambda: self._publisher.depth)
        self.metrics.watch_spool(self._publisher, self._spool)
        self.metrics.queue_limit.labels("publish").set(settings.redis.queue_events)
        self.metrics.model_info.labels(
            "classifier", artifact.name, artifact.version, artifact.digest, engine.device
        ).set(1)

    @property
    def cameras(self) -> Mapping[str, CameraRun]:
        """The cameras by id."""
        return self._fleet.runs

    # -- life

    def run(self) -> None:
        """Work until a signal, a failure, or the end of the last file. Blocks.

        Raises:
            WorkError: a stage died; says which and why.
        """
        cv2.setNumThreads(1)  # the threads of this process are counted here
        keep_freed_memory()
        silence_ffmpeg()
        self._start()
        self._guarded("main", self._watch_over)
        self._stop()
        if self._failure:
            raise WorkError(self._failure)

    def stop(self) -> None:
        """Begin the ordered end. From any thread; idempotent."""
        self._stopping.set()

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT stop in order, the second one at once.

        Main thread only. The handler only takes note: what the main thread was doing may hold
        the very lock that it would need.
        """

        def on_stop(number: int, _frame: FrameType | None) -> None:
            if self._signal is not None:
                os._exit(128 + number)
            self._signal = signal.Signals(number)

        signal.signal(signal.SIGTERM, on_stop)
        signal.signal(signal.SIGINT, on_stop)

    def beating(self) -> bool:
        """True while the main thread turns."""
        return time.monotonic() - self._beat_s < 20 * WATCH_S

    def dead_threads(self) -> list[str]:
        """Names of stage threads that should run and do not."""
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def _start(self) -> None:
        self._classifier.warm_up(self.settings.inference.batch_size)
        self._beat_s = time.monotonic()
        self._aftermath.begin(self.cameras, time.time())
        for thread in self._threads:
            thread.start()
        for run in self.cameras.values():
            run.start()
        self._http.start()
        log.info(
            "run %s: %d cameras, classifying on %s, live page %s",
            self.run_id,
            len(self.cameras),
            self._classifier.device,
            self._http.address,
        )
        self._supervisor.ready()
        if self._on_started:
            self._on_started(self._http.address)

    def _stop(self) -> None:
        """The ordered end: each step lets the next one finish what is on its way."""
        self._supervisor.stopping(self._failure or "stopping in order")
        deadline = time.monotonic() + self.settings.worker.stop_timeout_s
        for run in self.cameras.values():
            run.stop()  # nothing new comes in
        joined_by = min(time.monotonic() + JOIN_S, deadline)
        for run in self.cameras.values():  # those that block in a library are daemons
            run.join(max(0.0, joined_by - time.monotonic()))
        *detecting, device, publishing, spooling = self._threads
        self._drain(deadline - PUBLISH_S)
        for _ in detecting:
            self._turns.put(None)
        for thread in detecting:
            thread.join(max(0.1, deadline - time.monotonic()))
        self._batcher.close()  # what waits leaves at once
        device.join(max(0.1, deadline - time.monotonic()))
        for run in self.cameras.values():
            run.tell_changes()
            run.close()
        self.rules.stop(
            time.monotonic(), time.time()
        )  # with the persons that were there to the end
        self._publisher.close(max(0.5, deadline - time.monotonic()))
        publishing.join(max(0.5, deadline - time.monotonic()))
        spooling.join(max(0.5, deadline - time.monotonic()))
        self._http.stop()  # last, so that the end can be watched
        self._state_lock.release()
        log.info("run %s: stopped", self.run_id)

    def _drain(self, deadline: float) -> None:
        """Wait for every frame that waits or is in flight; a dead stage would never bring it."""
        while time.monotonic() < deadline and not self.dead_threads():
            if all(run.idle() for run in self.cameras.values()):
                return
            time.sleep(DRAIN_POLL_S)

    # -- the threads

    def _make_threads(self) -> list[threading.Thread]:
        detecting = [(f"detect-{n}", self._detect) for n in range(max(1, usable_cores() - 1))]
        others = [("device", self._device.run), ("publish", self._publish)]
        others.append(("spool", self._spool.run))
        return [
            threading.Thread(target=self._guarded, args=(name, loop), name=name, daemon=True)
            for name, loop in (*detecting, *others)
        ]

    def _guarded(self, name: str, loop: Callable[[], None]) -> None:
        """A stage that dies ends the worker with its reason, rather than running half."""
        try:
            loop()
        except WorkError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the thread %s died", name)
            self._fail(f"the thread {name} died: {type(error).__name__}: {error}")

    def _detect(self) -> None:
        """Take the cameras in turn: a frame each, from its slot to its crops."""
        thread = threading.current_thread().name
        while (run := self._turns.get()) is not None:
            self._looking_since_s[thread] = time.monotonic()
            pending = run.begin()
            del self._looking_since_s[thread]
            if pending is None:
                run.rest()
            elif pending.missing:
                self._batcher.put([(run, pending, crop) for crop in pending.crops])
            else:
                self._complete(run, pending)

    def _publish(self) -> None:
        self._publisher.run(self._maker)

    def _complete(self, run: CameraRun, pending: Pending) -> None:
        run.finish(pending)
        run.rest()

    # -- what the main thread watches over

    def _watch_over(self) -> None:
        while not self._stopping.wait(WATCH_S):
            if self._signal is not None:
                log.info("%s: stopping in order; once more ends at once", self._signal.name)
                self.stop()
                return
            self._watch()

    def _watch(self) -> None:
        now_s = time.monotonic()
        if now_s - self._beat_s > ASLEEP_S:
            self._device.forgive(now_s)
            self._woke_s = now_s
            for run in self.cameras.values():
                run.forgive()
        beat_due = now_s // HEARTBEAT_S != self._beat_s // HEARTBEAT_S
        self._beat_s = now_s
        changes = self.configuration.poll(now_s, self._fleet.open_detectors)
        if changes is not None:
            self._supervisor.reloading()
            self.rules.change(changes.settings, now_s, time.time())
            self._fleet.change(changes, now_s)
            self._supervisor.ready()
        self._fleet.tend(now_s)
        for run in self.cameras.values():
            if run.hung(now_s) and not run.retired:
                run.restart()
            if run.tell_changes() or beat_due:
                self._publisher.put_state(run.condition, fps=run.fps(now_s))
        if not self.dead_threads():
            seeing = sum(run.condition.state == "up" for run in self.cameras.values())
            self._supervisor.alive(f"{seeing} of {len(self.cameras)} cameras see", now_s)
        self.rules.tick(now_s, time.time())
        conditions = {name: run.condition for name, run in self.cameras.items()}
        self._aftermath.tick(conditions, self._publisher.first_frame, time.time())
        self._watch_for_hangs(now_s)
        if all(run.done() for run in self.cameras.values()):
            log.info("every source has ended")
            self.stop()

    def _watch_for_hangs(self, now_s: float) -> None:
        if self._device.busy_s(now_s) > DEVICE_HANG_S:
            self._fail(f"{self.device} has not answered for {DEVICE_HANG_S:.0f} s")
        oldest_s = min(self._looking_since_s.copy().values(), default=now_s)
        if now_s - max(oldest_s, self._woke_s) > DEVICE_HANG_S:
            self._fail(f"looking for faces in one picture has taken {DEVICE_HANG_S:.0f} s")
        hanging = self._fleet.hanging(now_s)
        if hanging > MAX_ABANDONED:
            self._fail(f"{hanging} capture threads hang in a library and were given up")

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self.stop()


def usable_cores() -> int:
    """Cores that this process may use: by affinity, and by the quota of its cgroup."""
    cores = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123
            quota, period = file.read().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2: the affinity is all there is to know
    return cores
