"""The synthetic camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from capture.watch import watching

from worker.capture import portraits
from worker.capture.demo import Scene, open_stream
from worker.errors import ConfigError
from worker.records import CLASSES, Box, ClassName

pytest.importorskip("skimage", reason="pip install 'maskwatch[demo]'")


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A small hall with nine people."""
    return Scene(640, 360, fps=10, people=9, seed=3)


def test_the_same_seed_gives_the_same_pictures() -> None:
    """A scene is a function of its arguments; another seed is another scene."""
    one, same, other = (Scene(320, 180, fps=10, people=2, seed=seed) for seed in (3, 3, 4))
    assert (one.render(17) == same.render(17)).all()
    assert one.faces(17) == same.faces(17)
    assert not (one.render(17) == other.render(17)).all()


def test_people_move_and_the_hall_is_quiet(scene: Scene) -> None:
    """Something changes from second to second, and most of the picture does not."""
    before, after = scene.render(0), scene.render(10)
    changed = np.abs(before.astype(int) - after).max(axis=2) > 8
    assert 0.02 < changed.mean() < 0.5


def test_all_classes_are_seen(scene: Scene) -> None:
    """Within a minute every way to wear a mask comes by."""
    assert {label for index in range(0, 600, 20) for _, label in scene.faces(index)} == set(CLASSES)


def test_faces_are_apart_and_large_enough(scene: Scene) -> None:
    """No face hides another, and each has 15 to 65 pixels at 360 lines."""
    for index in range(0, 600, 15):
        boxes = [box for box, _ in scene.faces(index)]
        for number, box in enumerate(boxes):
            whole = box.x1 > 0 and box.x2 < 640
            assert not whole or 15 <= box.width <= 65
            assert all(_apart(box, other) for other in boxes[:number])


def test_a_mask_covers_nose_to_chin() -> None:
    """Worn right it hides the lower half of the face; worn under the nose, less of it."""

    def hidden(label: ClassName) -> float:
        bare, worn = (
            portraits.figure(0, kind, 90, np.random.default_rng(1)) for kind in (bare_label, label)
        )
        face = bare.face
        if worn.face.x1 != face.x1:
            worn = dataclasses.replace(worn, pixels=worn.pixels[:, ::-1])
        area = np.s_[
            round((face.y1 + face.y2) / 2) : round(face.y2), round(face.x1) : round(face.x2)
        ]
        return float((np.abs(worn.pixels[area].astype(int) - bare.pixels[area]) > 40).any(2).mean())

    bare_label: ClassName = "without_mask"
    assert hidden("with_mask") > hidden("mask_worn_incorrectly") + 0.05
    assert hidden("mask_worn_incorrectly") > 0.3


def test_it_is_a_camera_like_any_other() -> None:
    """Encoded, decoded and paced, its frames come through a source."""
    with watching(url="demo:test?width=320&height=180&fps=20&people=2", analyse_fps=10) as watch:
        watch.until(lambda: len(watch.frames) >= 5)
    assert watch.states == ["connecting", "up"]
    assert watch.frames[0].picture.bgr().shape == (180, 320, 3)
    assert watch.received >= 2 * len(watch.frames) - 2


@pytest.mark.parametrize("option", ["speed=3", "fps=fast", "width=0", "people="])
def test_a_wrong_option(option: str) -> None:
    """An address that is not understood takes its camera down with a sentence."""
    with pytest.raises(ConfigError, match="is not understood; write for example"):
        open_stream(f"demo:hall?{option}")
    with watching(url=f"demo:hall?{option}") as watch:
        watch.until(lambda: len(watch.statuses) == 2)
    assert watch.states == ["connecting", "down: unsupported"]


def test_missing_portraits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages that bring the portraits, the remedy is named."""
    gone = tuple(
        dataclasses.replace(portrait, package="no_such_package") for portrait in portraits.PORTRAITS
    )
    monkeypatch.setattr(portraits, "PORTRAITS", gone)
    with pytest.raises(ConfigError, match=r"pip install 'maskwatch\[demo\]'"):
        Scene(320, 180, fps=10)


def _apart(one: Box, other: Box) -> bool:
    return one.x2 <= other.x1 or other.x2 <= one.x1 or one.y2 <= other.y1 or other.y2 <= one.y1
