"""Count the faces of every frame by label, with asyncio.

python async_consumer.py [redis://127.0.0.1:6379/0]
"""

import asyncio
import signal
import sys
from collections import Counter

from worker.output.consume import AsyncConsumer, FrameEvent


async def main(url: str = "redis://127.0.0.1:6379/0") -> None:
    faces: Counter[str] = Counter()
    async with AsyncConsumer(
        url, group="example-async", name="one", streams=["frames"], max_age_s=60
    ) as consumer:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, consumer.stop)
        async for delivery in consumer:
            if isinstance(delivery.event, FrameEvent):
                faces.update(face.label for face in delivery.event.faces)
                print(delivery.event.camera_id, dict(faces), flush=True)
            delivery.ack()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
