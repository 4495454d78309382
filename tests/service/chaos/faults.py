"""Every fault there is: what the matrix runs, and what ``docs/reference/faults.md`` is made of."""

from __future__ import annotations

from service.chaos.camera_faults import CAMERA_FAULTS
from service.chaos.fault import Fault
from service.chaos.redis_faults import REDIS_FAULTS
from service.chaos.worker_faults import WORKER_FAULTS

FAULTS: tuple[Fault, ...] = (*CAMERA_FAULTS, *REDIS_FAULTS, *WORKER_FAULTS)
BY_NAME = {fault.name: fault for fault in FAULTS}
