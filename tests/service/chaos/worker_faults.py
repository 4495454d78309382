"""What happens to the worker's process, and to its disk."""

from __future__ import annotations

import contextlib
import resource
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from service.chaos.fault import NEVER_S, RUNNING, Fault, Inflict, Metric
from service.chaos.rig import CAMERAS, Rig

CAP_S = 15.0
REDIS_CAP_S = 5.0
OUTAGE_S = 1.0
"""Redis is away for so long before the process ends, so that something waits."""


@contextlib.contextmanager
def disk_full(rig: Rig) -> Iterator[None]:
    """No byte is left."""
    rig.disk.fill()
    try:
        yield
    finally:
        rig.disk.clear()


@contextlib.contextmanager
def disk_full_without_redis(rig: Rig) -> Iterator[None]:
    """Events can go neither way."""
    with disk_full(rig), redis_frozen(rig):
        yield


@contextlib.contextmanager
def redis_frozen(rig: Rig) -> Iterator[None]:
    """For as long as something else goes on."""
    rig.store.freeze()
    try:
        yield
    finally:
        rig.store.thaw()


@contextlib.contextmanager
def killed(rig: Rig) -> Iterator[None]:
    """SIGKILL, and the next start."""
    if rig.worker.alive:
        rig.worker.kill()
    yield
    rig.worker.start()


@contextlib.contextmanager
def stopped(rig: Rig) -> Iterator[None]:
    """SIGTERM, and the next start."""
    if rig.worker.alive and (code := rig.worker.stop()):
        raise RuntimeError(f"an ordered stop ended with {code}")
    yield
    rig.worker.start()


@contextlib.contextmanager
def killed_without_redis(rig: Rig) -> Iterator[None]:
    """In an outage, in which it is started again."""
    with redis_frozen(rig):
        time.sleep(OUTAGE_S)
        with killed(rig):
            yield


@contextlib.contextmanager
def stopped_without_redis(rig: Rig) -> Iterator[None]:
    """In an outage, in which it is started again."""
    with redis_frozen(rig):
        time.sleep(OUTAGE_S)
        with stopped(rig):
            yield


@contextlib.contextmanager
def frozen(rig: Rig) -> Iterator[None]:
    """SIGSTOP, then SIGCONT."""
    rig.worker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        rig.worker.send(signal.SIGCONT)


def with_another_camera(rig: Rig) -> str:
    """The configuration and one camera more."""
    return f'{rig.configuration}\n[cameras.extra]\nurl = "{rig.tape}"\nrealtime = true\nloop = true'


def misspelt(rig: Rig) -> str:
    """The configuration with a key that nobody knows."""
    return rig.configuration.replace("analyse_fps", "analyse_fsp")


def configured(change: Callable[[Rig], str]) -> Inflict:
    """The file is changed, and the worker told; and changed back."""

    @contextlib.contextmanager
    def inflict(rig: Rig) -> Iterator[None]:
        rig.write(change(rig))
        rig.worker.send(signal.SIGHUP)
        try:
            yield
        finally:
            rig.write(rig.configuration)
            rig.worker.send(signal.SIGHUP)

    return inflict


@contextlib.contextmanager
def no_descriptors(rig: Rig) -> Iterator[None]:
    """Nothing can be opened any more, and the connections there are break."""
    pid = rig.worker.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    try:
        rig.hall.cut()
        rig.wire.cut()
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


def _gap(*reasons: str) -> dict[str, Any]:
    return {"schema": "maskwatch.gap/1", "camera_id": "tape", "reason": set(reasons)}


WORKER_FAULTS: tuple[Fault, ...] = (
    Fault(
        name="disk_full",
        part="disk",
        does="the disk is full",
        inflict=disk_full,
        consumer="nothing",
        operator="`…; events wait in memory`, once, where something has to be written",
        worker="publishes as ever, and lets events wait in memory where they have to",
        cap_s=REDIS_CAP_S,
        spares=CAMERAS,
        cells=RUNNING,
    ),
    Fault(
        name="disk_full_without_redis",
        part="disk",
        does="the disk is full while Redis hangs",
        inflict=disk_full_without_redis,
        consumer="nothing for as long; then all of it, in order",
        operator="`…; events wait in memory`, once; then `… takes events again`",
        worker="lets events wait in memory, bounded, until the disk or Redis takes them",
        alert="MaskwatchRedisDown",
        log="events wait in memory",
        metric=Metric(("maskwatch_spool_up",), "falls to 0"),
        cap_s=REDIS_CAP_S,
        spares=CAMERAS,
        shows_after_s=NEVER_S,  # the file may have room in it from earlier outages
        cells=RUNNING,
    ),
    Fault(
        name="worker_killed",
        part="worker",
        does="the worker is killed, and started again",
        inflict=killed,
        consumer="another `run_id`, `gap` of each camera; what was open ends with `restarted`",
        operator="`up` of Prometheus falls to 0; the next life's log tells of it",
        worker="the next life closes what the last one left open",
        alert="MaskwatchWorkerDown",
        event=_gap("killed", "stopped"),
        cap_s=CAP_S,
        new_life=True,
    ),
    Fault(
        name="worker_killed_without_redis",
        part="worker",
        does="the worker is killed while Redis hangs, and started again",
        inflict=killed_without_redis,
        consumer="all that was made before the kill, then another `run_id` and `gap`",
        operator="`up` of Prometheus falls to 0; the next life's log tells of it",
        worker="the next life publishes what the last one left on disk",
        alert="MaskwatchWorkerDown",
        event=_gap("killed"),
        cap_s=CAP_S,
        new_life=True,
        cells=RUNNING,
    ),
    Fault(
        name="worker_stopped",
        part="worker",
        does="the worker is stopped in order, and started again",
        inflict=stopped,
        consumer="what is open ends with `stopped`; another `run_id`, `gap` of each camera",
        operator="`stopping in order`, exit code 0",
        worker="drains, publishes, ends",
        alert="MaskwatchWorkerDown",
        log="stopping in order",
        event=_gap("stopped"),
        cap_s=CAP_S,
        new_life=True,
        cells=RUNNING,
    ),
    Fault(
        name="worker_stopped_without_redis",
        part="worker",
        does="the worker is stopped in order while Redis hangs, and started again",
        inflict=stopped_without_redis,
        consumer="all of it, after the next start",
        operator="`stopping in order`, exit code 0",
        worker="leaves on disk what waits; the next life publishes it",
        alert="MaskwatchWorkerDown",
        log="stopping in order",
        event=_gap("stopped"),
        cap_s=CAP_S,
        new_life=True,
        cells=RUNNING,
    ),
    Fault(
        name="worker_frozen",
        part="worker",
        does="the worker's process is frozen, and thawed",
        inflict=frozen,
        consumer="the hash of each camera runs out; then `gap` of each camera",
        operator="`up` of Prometheus falls to 0",
        worker="goes on where it was; what did not wait for it is connected anew",
        alert="MaskwatchWorkerDown",
        event={"schema": "maskwatch.gap/1", "camera_id": "tape"},
        cap_s=CAP_S,
        shows_after_s=4.0,
        cells=RUNNING,
    ),
    Fault(
        name="worker_without_descriptors",
        part="worker",
        does="the worker may open nothing more, and its connections break",
        inflict=no_descriptors,
        consumer="nothing for as long; then all of it, and `gap` of the camera that broke",
        operator="`Too many open files`; neither metrics nor pages while it lasts",
        worker="goes on with what is open, tries the rest again",
        alert="MaskwatchWorkerDown",
        log="Too many open files",
        cap_s=CAP_S,
        cells=RUNNING,
    ),
    Fault(
        name="configuration_changed",
        part="worker",
        does="a camera is added to the configuration, and later removed (SIGHUP)",
        inflict=configured(with_another_camera),
        consumer="the events of one camera more, for as long; all others as ever",
        operator="`configuration read again`",
        worker="starts and ends that camera, and touches no other",
        log="configuration read again",
        metric=Metric(('maskwatch_config_reloads_total{result="applied"}',), "rises"),
        cap_s=CAP_S,
        spares=CAMERAS,
        cells=RUNNING,
    ),
    Fault(
        name="configuration_broken",
        part="worker",
        does="the configuration becomes invalid (SIGHUP)",
        inflict=configured(misspelt),
        consumer="nothing",
        operator="`configuration refused, nothing changes`, with file, line and remedy",
        worker="goes on with the one that is in force",
        log="configuration refused, nothing changes: .*did you mean analyse_fps",
        metric=Metric(('maskwatch_config_reloads_total{result="refused"}',), "rises"),
        cap_s=CAP_S,
        spares=CAMERAS,
        cells=RUNNING,
    ),
)
