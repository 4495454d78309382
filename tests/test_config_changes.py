"""Which cameras a new configuration touches, and what it leaves for a restart."""

from __future__ import annotations

from typing import Any

import pytest

from worker.config import Settings
from worker.config_changes import Changes, changes_between

LEFT = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]]
RIGHT = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0]]
HALL = {"url": "rtsp://hall/x"}
DOOR = {"url": "rtsp://door/x"}
BOTH = {"hall": HALL, "door": DOOR}


def changes(before: dict[str, Any], after: dict[str, Any]) -> Changes:
    return changes_between(Settings.model_validate(before), Settings.model_validate(after))


def touched(before: dict[str, Any], after: dict[str, Any]) -> tuple[set[str], set[str], set[str]]:
    found = changes(before, after)
    return set(found.added), set(found.removed), set(found.changed)


def test_the_same_configuration_touches_nothing() -> None:
    """However its values were written down."""
    found = changes({"cameras": BOTH}, {"cameras": {**BOTH, "hall": {**HALL, "analyse_fps": 5}}})
    assert (found.added, found.removed, found.changed, found.waiting) == ((), (), (), ())
    assert str(found) == "no camera changed"


def test_a_camera_comes_and_another_goes() -> None:
    """Those that stay are not named."""
    after = {"cameras": {"hall": HALL, "gate": DOOR}}
    assert touched({"cameras": BOTH}, after) == ({"gate"}, {"door"}, set())
    assert str(changes({"cameras": BOTH}, after)) == "added gate; removed door"


@pytest.mark.parametrize(
    "key", [{"analyse_fps": 2}, {"url": "rtsp://hall/y"}, {"username": "a", "password": "b"}]
)
def test_a_changed_key_touches_its_camera(key: dict[str, Any]) -> None:
    """Its own, and no other."""
    after = {"cameras": {**BOTH, "hall": {**HALL, **key}}}
    assert touched({"cameras": BOTH}, after) == (set(), set(), {"hall"})


def test_a_changed_password_is_a_change() -> None:
    """Also where it is only read anew from the same file."""
    before = {"cameras": {"hall": {**HALL, "username": "a", "password": "old"}}}
    after = {"cameras": {"hall": {**HALL, "username": "a", "password": "new"}}}
    assert touched(before, after)[2] == {"hall"}


def test_defaults_touch_those_that_inherit_them() -> None:
    """Not those that override them."""
    own = {"hall": HALL, "door": {**DOOR, "analyse_fps": 3}}
    before = {"defaults": {"analyse_fps": 5}, "cameras": own}
    after = {"defaults": {"analyse_fps": 1}, "cameras": own}
    assert touched(before, after) == (set(), set(), {"hall"})
    assert changes(before, after).waiting == ()


def test_a_polygon_touches_the_camera_that_it_lies_on() -> None:
    """A zone over two cameras is moved on one."""
    before = {"cameras": BOTH, "zones": {"till": {"cameras": {"hall": LEFT, "door": LEFT}}}}
    after = {"cameras": BOTH, "zones": {"till": {"cameras": {"hall": RIGHT, "door": LEFT}}}}
    assert touched(before, after)[2] == {"hall"}


def test_a_limit_touches_no_camera() -> None:
    """It judges what was counted, not what is seen."""
    before = {"cameras": BOTH, "zones": {"till": {"cameras": {"hall": LEFT}}}}
    after = {"cameras": BOTH, "zones": {"till": {"cameras": {"hall": LEFT}, "limit": 0.9}}}
    assert touched(before, after) == (set(), set(), set())
    assert changes(before, after).settings.zones["till"].limit == 0.9


def test_the_first_zone_moves_violations_from_everywhere_into_it() -> None:
    """So every camera is another one then, unless the zones of violations are named."""
    after = {"cameras": BOTH, "zones": {"till": {"cameras": {"hall": LEFT}}}}
    assert touched({"cameras": BOTH}, after)[2] == {"hall", "door"}
    named = {"violations": {"zones": ["all"]}}
    assert touched({"cameras": BOTH, **named}, {**after, **named})[2] == {"hall"}


def test_all_else_waits_for_a_restart() -> None:
    """It is named by its key, keeps its old value, and holds no camera up."""
    found = changes(
        {"cameras": {"hall": HALL}, "redis": {"password": "old"}},
        {"cameras": BOTH, "redis": {"password": "new"}, "http": {"port": 1}},
    )
    assert found.waiting == ("redis.password", "http.port")
    assert found.added == ("door",)
    assert found.settings.redis.secret == "old"
    assert found.settings.http.port == 9_464


def test_what_cameras_may_name_holds_at_once() -> None:
    """The schemes are only asked for by the check, which the new configuration passed."""
    demo = {"worker": {"schemes": ["rtsp", "demo"]}, "cameras": {**BOTH, "x": {"url": "demo:x"}}}
    found = changes({"cameras": BOTH}, demo)
    assert found.waiting == ()
    assert found.settings.worker.schemes == ["rtsp", "demo"]
