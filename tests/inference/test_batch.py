"""Batches by size or by deadline."""

from __future__ import annotations

import threading

from worker.inference.batch import Batcher


def test_full_batch_leaves_at_once() -> None:
    """As many as fit leave together, without waiting for the deadline; the rest stays."""
    batcher: Batcher[int] = Batcher(4, wait_s=3600)
    batcher.put(range(6))
    assert batcher.take() == [0, 1, 2, 3]
    assert len(batcher) == 2


def test_part_of_a_batch_leaves_at_the_deadline() -> None:
    """A lonely crop waits no longer than it has to."""
    batcher: Batcher[int] = Batcher(4, wait_s=0.01)
    batcher.put([7])
    assert batcher.take() == [7]


def test_take_waits_for_the_first_item() -> None:
    """A device that has nothing to do sleeps until there is something."""
    batcher: Batcher[int] = Batcher(2, wait_s=3600)
    taken: list[list[int]] = []
    thread = threading.Thread(target=lambda: taken.append(batcher.take()))
    thread.start()
    batcher.put([1])
    batcher.put([2])
    thread.join(10)
    assert taken == [[1, 2]]


def test_close_drains_and_then_ends() -> None:
    """What waits at the end leaves at once; after it the batch is empty."""
    batcher: Batcher[int] = Batcher(4, wait_s=3600)
    batcher.put([1, 2])
    batcher.close()
    assert batcher.take() == [1, 2]
    assert batcher.take() == []


def test_nothing_is_lost_between_many_threads() -> None:
    """Every item that goes in comes out once, whoever puts it in."""
    batcher: Batcher[int] = Batcher(8, wait_s=0.001)
    taken: list[int] = []

    def consume() -> None:
        while batch := batcher.take():
            assert len(batch) <= 8
            taken.extend(batch)

    consumer = threading.Thread(target=consume)
    consumer.start()
    producers = [
        threading.Thread(target=lambda n=n: [batcher.put([n * 1000 + i]) for i in range(200)])
        for n in range(4)
    ]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    batcher.close()
    consumer.join(10)
    assert sorted(taken) == sorted(n * 1000 + i for n in range(4) for i in range(200))
