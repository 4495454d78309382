"""One network on two engines, and pictures of several threads looked at together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
from service.worker_process import wait_for

from worker.errors import ConfigError, ModelError, WorkError
from worker.faces import maps as engines
from worker.faces.detect import open_detector
from worker.faces.heatmap import FAST
from worker.faces.maps import FaceMaps, OnnxMaps, TorchMaps, read_onnx
from worker.inference.artifact import CENTER_POINT, CENTER_POINT_SLIM, WEIGHTS
from worker.records import Image

FOLDER = Path(str(files("worker.models") / FAST))


@pytest.fixture(scope="module")
def together() -> TorchMaps:
    return TorchMaps(CENTER_POINT_SLIM, FOLDER / WEIGHTS, "cpu")


def pictures(count: int, height: int = 64, width: int = 96) -> list[Image]:
    rng = np.random.default_rng(0)
    return [
        cv2.resize(
            rng.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8), (width, height)
        )
        for _ in range(count)
    ]


def in_threads(engine: TorchMaps, given: Sequence[Image]) -> list[FaceMaps | Exception]:
    """Each picture on a thread of its own, all of them while the device is busy."""
    answers: dict[int, FaceMaps | Exception] = {}

    def ask(number: int) -> None:
        try:
            answers[number] = engine.run(given[number])
        except Exception as error:  # noqa: BLE001 (what the thread got is looked at)
            answers[number] = error

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(given))]
    engine._busy = True
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(map(len, engine._waiting.values())) == len(given))
    with engine._changed:
        engine._busy = False
        engine._changed.notify_all()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(given))]


def same(one: FaceMaps | Exception, other: FaceMaps) -> bool:
    return isinstance(one, FaceMaps) and all(
        np.allclose(a, b, atol=2e-3) for a, b in zip(one, other, strict=True)
    )


def test_both_engines_compute_the_same(together: TorchMaps) -> None:
    """The weights under torch give what the graph gives under onnxruntime."""
    onnx = OnnxMaps(read_onnx(FOLDER / "model.onnx"))
    for picture in pictures(3):
        assert same(together.run(picture), onnx.run(picture))


def test_pictures_that_wait_are_looked_at_together(
    together: TorchMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch for each size, and everybody gets the maps of the own picture."""
    batches: list[tuple[int, int]] = []
    compute = TorchMaps._maps

    def noted(self: TorchMaps, some: Sequence[Image]) -> list[FaceMaps]:
        batches.append((len(some), some[0].shape[1]))
        return compute(self, some)

    given = [*pictures(5), *pictures(3, width=128)]
    alone = [together.run(picture) for picture in given]
    monkeypatch.setattr(TorchMaps, "_maps", noted)
    answers = in_threads(together, given)
    assert sorted(batches) == [(3, 128), (5, 96)]
    assert all(same(answer, expected) for answer, expected in zip(answers, alone, strict=True))


def test_a_batch_is_bounded(together: TorchMaps, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit waits for the next one."""
    monkeypatch.setattr(engines, "MAX_BATCH_PX", 2 * 64 * 96)
    given = pictures(5)
    alone = [together.run(picture) for picture in given]
    answers = in_threads(together, given)
    assert all(same(answer, expected) for answer, expected in zip(answers, alone, strict=True))
    assert not together._waiting


def test_want_of_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is answered all the same, and what did not fit is not tried again."""
    engine = TorchMaps(CENTER_POINT_SLIM, FOLDER / WEIGHTS, "cpu")
    compute = TorchMaps._maps
    tried: list[int] = []

    def short(self: TorchMaps, some: Sequence[Image]) -> list[FaceMaps]:
        tried.append(len(some))
        if len(some) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")
        return compute(self, some)

    given = pictures(8)
    alone = [engine.run(picture) for picture in given]
    monkeypatch.setattr(TorchMaps, "_maps", short)
    for _ in range(2):
        answers = in_threads(engine, given)
        assert all(same(answer, expected) for answer, expected in zip(answers, alone, strict=True))
    assert tried == [8, 4, *[2] * 8]


def test_a_batch_that_fails_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts it was tried in: memory that is gone for a moment is no dead device."""
    engine = TorchMaps(CENTER_POINT_SLIM, FOLDER / WEIGHTS, "cpu")
    with monkeypatch.context() as patch:

        def short(_self: TorchMaps, _some: Sequence[Image]) -> list[FaceMaps]:
            raise RuntimeError("CUDA out of memory")

        patch.setattr(TorchMaps, "_maps", short)
        answers = in_threads(engine, pictures(4))
    assert [type(answer) for answer in answers] == [RuntimeError] * 4
    assert engine._failed == 1
    assert isinstance(engine.run(pictures(1)[0]), FaceMaps)
    assert engine._failed == 0


def test_a_device_that_is_gone_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batches cost their pictures; the third says that it is the device."""
    engine = TorchMaps(CENTER_POINT_SLIM, FOLDER / WEIGHTS, "cpu")

    def gone(_self: TorchMaps, _some: Sequence[Image]) -> list[FaceMaps]:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with monkeypatch.context() as patch:
        patch.setattr(TorchMaps, "_maps", gone)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="failed on a batch"):
                engine.run(pictures(1)[0])
        with pytest.raises(WorkError, match=r"3 batches of pictures in a row.*see to the device"):
            engine.run(pictures(1)[0])
    assert isinstance(engine.run(pictures(1)[0]), FaceMaps)


def test_weights_of_another_network_are_refused() -> None:
    """The sentence names the file and the network."""
    with pytest.raises(ModelError, match="does not fit the network center-point"):
        TorchMaps(CENTER_POINT, FOLDER / WEIGHTS, "cpu")


def test_cuda_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same sentence as for the classifier."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"inference\.device is .cuda., but"):
        open_detector("fast", min_face_px=20, device="cuda")


def test_on_cuda_all_cameras_share_one_network(
    together: TorchMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what shares it can be looked at together, whatever size of face is wanted."""
    opened: list[str] = []

    def fake(network: str, _weights: Path, device: str) -> TorchMaps:
        opened.append(f"{network} {device}")
        return together

    monkeypatch.setattr("worker.faces.heatmap.takes_cuda", lambda _device: True)
    monkeypatch.setattr(engines, "TorchMaps", fake)
    engines.cuda_maps.cache_clear()
    try:
        detectors = [open_detector("fast", min_face_px=px, device="auto") for px in (20, 40)]
        assert opened == ["center-point-slim cuda"]
        assert detectors[0]._engine is detectors[1]._engine  # type: ignore[attr-defined]
    finally:
        engines.cuda_maps.cache_clear()
