"""Print violations and blind cameras as they come, and whatever is missing.

python consumer.py [redis://127.0.0.1:6379/0]
"""

import signal
import sys

from worker.output.consume import CameraEvent, Consumer, Notice, ViolationEvent


def tell(notice: Notice) -> None:
    print(f"note: {notice}", file=sys.stderr, flush=True)


def main(url: str = "redis://127.0.0.1:6379/0") -> None:
    with Consumer(
        url, group="example-python", name="one", streams=["alerts"], on_notice=tell
    ) as consumer:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: consumer.stop())
        for delivery in consumer:
            match delivery.event:
                case ViolationEvent(phase="start") as event:
                    print(f"{delivery.at:%H:%M:%S} {event.camera_id}: {event.kind}", flush=True)
                case CameraEvent(state="down") as event:
                    print(f"{delivery.at:%H:%M:%S} {event.camera_id} is blind", flush=True)
            delivery.ack()


if __name__ == "__main__":
    main(*sys.argv[1:])
