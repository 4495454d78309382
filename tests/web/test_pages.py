"""The pages in a real Chromium: what an operator sees in each state of the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fakes import ArrayPicture
from web.browser import Watched, chromium, serving
from web.fake_view import FakeView, camera, face, scene, violation, zone

from worker.web.view import Look

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
TILL = {"hall": [[0.1, 0.35], [0.6, 0.3], [0.7, 0.9], [0.15, 0.95]]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def look(seed: int = 0) -> Look:
    """What a camera saw: four faces, one of each label."""
    labels = ("without_mask", "with_mask", "mask_worn_incorrectly", "unknown")
    faces = [face(n, label, 40 + 150 * n) for n, label in enumerate(labels)]
    return Look(time.time(), ArrayPicture(scene(seed)), faces)


def venue() -> FakeView:
    """A worker with a camera in each state, and zones."""
    view = FakeView(
        camera("hall"),
        camera("lobby", "connecting"),
        camera("gate", "down", "unauthorised", looked_at=time.time() - 90),
        camera("yard", "off"),
        camera("clip", "ended"),
    )
    view.looks = {"hall": look(1), "gate": look(2)}
    view.zones = [
        zone("all", violations=[violation(3, "hall", "mask_worn_incorrectly")]),
        zone("till", TILL, limit=0.9, low=True, low_since=time.time() - 400,
             violations=[violation(1, "hall"), violation(2, "hall", "mask_worn_incorrectly")]),
    ]  # fmt: skip
    return view


def test_every_state_says_what_and_why(browser: Browser) -> None:
    """Each tile has the state in words, a sentence for what is wrong, and its own look."""
    with serving(venue()) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.shown("#link", "Live")
        watched.shown(".tile", "up")
        for id_, words in {
            "hall": "up",
            "lobby": "connecting",
            "gate": "down, unauthorised",
            "yard": "off",
            "clip": "ended",
        }.items():
            tile = page.locator(".tile", has=page.get_by_role("link", name=id_, exact=True))
            assert words in tile.locator(".state").inner_text()
        watched.shown(".tile .why", "User or password is wrong. Last picture")
        watched.shown(".tile .why", "Outside its active hours")
        watched.shown("#seeing", "1 of 3 cameras up, 2 off or ended")
        watched.shown("#blind", "gate unauthorised for 12 min")
        watched.wait("document.querySelector('.tile img').naturalWidth === 640")
        watched.wait("document.querySelector('.tile .bar')?.getAttribute('d')?.length > 100")
        watched.screenshot("states")
    assert watched.faults == []


def test_zones_lie_over_the_picture(browser: Browser) -> None:
    """The polygon is drawn where it is configured, and says its name."""
    with serving(venue()) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.shown(".zone-name", "till")
        points = page.locator(".tile .zones polygon").first.get_attribute("points")
        assert points == "0.1,0.35 0.6,0.3 0.7,0.9 0.15,0.95"


def test_worker_without_a_camera_that_saw_anything(browser: Browser) -> None:
    """Right after the start there is no picture and no number, and the page says so."""
    view = FakeView(camera("hall", "connecting", looked_at=None))
    with serving(view) as server, Watched(browser, color_scheme="dark") as watched:
        watched.open(server.address)
        watched.shown("#seeing", "0 of 1 camera up")
        watched.shown(".tile .why", "Connecting.")
        watched.shown(".tile .rate", "no frames now")
        watched.screenshot("nothing-yet")
    assert watched.faults == []


def test_fifty_cameras(browser: Browser) -> None:
    """All are there; only those in view load their pictures."""
    view = FakeView(
        *(camera(f"camera-{n:02}", *(("down", "timeout") if n % 9 == 8 else ())) for n in range(50))
    )
    view.looks = {c["camera_id"]: look(n) for n, c in enumerate(view.cameras)}
    with serving(view) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.wait("document.querySelectorAll('.tile').length === 50")
        watched.wait("document.querySelectorAll('.tile img:not([hidden])').length >= 6")
        loaded = page.locator(".tile img:not([hidden])").count()
        assert loaded < 40
        watched.screenshot("fifty")
        page.get_by_label("Tiles").select_option("small")
        watched.wait("document.querySelectorAll('.tile img:not([hidden])').length >= 12")
        watched.screenshot("fifty-small")
    assert watched.faults == []


def test_filter_by_name_and_state_stays_in_the_address(browser: Browser) -> None:
    """What is typed narrows the tiles, is said, and can be kept as a bookmark."""
    with serving(venue()) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.wait("document.querySelectorAll('.tile').length === 5")
        page.get_by_label("State").select_option("blind")
        watched.wait("document.querySelectorAll('.tile:not([hidden])').length === 4")
        page.get_by_label("Name").fill("ga")
        watched.shown("#shown", "1 of 5 shown")
        assert page.url.endswith("?name=ga&state=blind")
        page.get_by_label("Name").fill("nowhere")
        watched.shown("#none", "No camera fits the filter.")
        page.goto(f"{server.address}/?state=down")
        watched.wait("document.querySelectorAll('.tile:not([hidden])').length === 1")


def test_all_of_it_works_by_keyboard(browser: Browser) -> None:
    """The first key leads past the header; focus can be seen; a tile is a link away."""
    with serving(venue()) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.wait("document.querySelectorAll('.tile').length === 5")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        page.keyboard.press("Enter")
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim()"))
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width == "3px"
        assert "hall" in reached
        while page.evaluate("document.activeElement.textContent.trim()") != "hall":
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/camera/hall")


def test_focus_survives_the_updates(browser: Browser) -> None:
    """When its reason changes, the focused link is still focused."""
    view = venue()
    with serving(view) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        link = page.locator("#blind").get_by_role("link", name="gate")
        link.focus()
        view.cameras[2] = camera("gate", "down", "refused")
        watched.shown("#blind", "gate refused")
        assert link.evaluate("node => node === document.activeElement")


def test_phone_has_one_column_and_no_sideways_scrolling(browser: Browser) -> None:
    """On a narrow screen nothing sticks out."""
    with serving(venue()) as server, Watched(browser, color_scheme="dark", **PHONE) as watched:
        page = watched.open(server.address)
        for path in ("/", "/camera/hall", "/zones"):
            page.goto(server.address + path)
            watched.shown("#link", "Live")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, path
            if path != "/zones":
                watched.wait("document.querySelector('.picture img').naturalWidth > 0")
            watched.screenshot(f"phone{path.replace('/', '-')}", whole=True)
    assert watched.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(browser: Browser, scheme: Any) -> None:
    """Every text has the contrast that WCAG asks for, 4.5 to 1."""
    with serving(venue()) as server, Watched(browser, color_scheme=scheme) as watched:
        page = watched.open(server.address)
        watched.wait("document.querySelectorAll('.tile').length === 5")
        assert page.evaluate(LOW_CONTRAST) == []
        page.goto(f"{server.address}/zones")
        watched.shown(".verdict", "limit")
        assert page.evaluate(LOW_CONTRAST) == []


def test_theme_is_chosen_and_remembered(browser: Browser) -> None:
    """The button goes round; the choice holds on the next page."""
    with serving(venue()) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        page.get_by_role("button", name="Theme").click()
        page.get_by_role("button", name="Theme: light").click()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(21, 24, 28)"
        page.goto(f"{server.address}/zones")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_camera_page_shows_events_changes_and_configuration(browser: Browser) -> None:
    """What happened, in words; what is set; nothing that is secret."""
    view = venue()
    now = time.time()
    view.details = {
        "detail": "it fell silent for 10 s",
        "changes": [
            {"state": "up", "reason": None, "since": now - 30, "until": None},
            {"state": "down", "reason": "stalled", "since": now - 95, "until": now - 30},
        ],
        "events": EVENTS,
    }
    with serving(view) as server, Watched(browser) as watched:
        page = watched.open(f"{server.address}/camera/hall")
        watched.shown("#changes", "1 min")
        watched.shown("#events", "2 faces")
        watched.shown("#events", "violation v1 begins in till")
        watched.shown("#events", "not watched for 1 min (stalled)")
        watched.shown("#configuration", "active_hours")
        watched.wait("document.querySelector('#tile img').naturalWidth === 640")
        page.get_by_text("The same as a table").click()
        watched.wait("document.querySelectorAll('#minutes tbody tr').length === 60")
        page.get_by_text("The same as a table").click()
        watched.screenshot("camera", whole=True)
    assert watched.faults == []


def test_events_of_a_kind_that_is_not_known_are_shown_as_they_are(browser: Browser) -> None:
    """A page that is older than the worker does not break; text stays text."""
    view = venue()
    note = "<img src=x onerror=alert(1)>"
    view.details = {"events": [{"schema": "maskwatch.new/1", "occurred_at": AT, "note": note}]}
    with serving(view) as server, Watched(browser) as watched:
        watched.open(f"{server.address}/camera/hall")
        watched.shown("#events", "<img src=x")
    assert watched.faults == []


def test_zones_page_says_rate_with_its_basis(browser: Browser) -> None:
    """A rate comes with who was judged, who was not, and how much was not seen."""
    view = venue()
    view.zones[1]["last"] = {**view.zones[1]["last"], "blind": {"hall": 12.5}, "coverage": 0.79}
    view.zones.append(zone("door", {"lobby": TILL["hall"]}, last=None))
    with serving(view) as server, Watched(browser) as watched:
        page = watched.open(f"{server.address}/zones")
        till = page.get_by_role("region", name="till")
        till.get_by_text("75 % with a mask").wait_for()
        text = till.inner_text()
        assert "of 8 persons judged; 2 more unknown" in text
        assert "Only 79 % of the time was seen; blind: hall 12 s." in text
        assert "Too few wear a mask, for 6 min. The limit is 90 %." in text
        assert till.locator(".violations li").count() == 2
        watched.wait("document.querySelector('.rate-marks').getAttribute('d').length > 100")
        till.locator(".areas li").scroll_into_view_if_needed()
        watched.wait("document.querySelector('.areas img').naturalWidth === 640")
        watched.screenshot("zones", whole=True)
    assert watched.faults == []


def test_stuck_worker_is_told(browser: Browser) -> None:
    """Where the HTTP side lives and the worker does not, the page says so at once."""
    view = venue()
    with serving(view) as server, Watched(browser) as watched:
        watched.open(server.address)
        watched.shown("#link", "Live")
        view.turning = False
        view.worker = {"failed": ["device"], "redis_up": False, "waiting": 12}
        watched.shown("#trouble", "The worker is stuck")
        watched.shown("#trouble", "device died")
        watched.shown("#trouble", "12 events wait")
        watched.screenshot("stuck")


def test_dead_worker_behind_the_page_is_told_and_its_return_too(browser: Browser) -> None:
    """When nobody answers any more, what is shown is marked as old; then it goes on by itself."""
    with Watched(browser) as watched:
        with serving(venue()) as server:
            watched.open(server.address)
            watched.shown("#link", "Live")
        watched.shown("#link", "No answer from the worker")
        watched.wait("document.body.classList.contains('stale')")
        watched.screenshot("dead")
        port = int(server.address.rpartition(":")[2])
        with serving(venue(), port=port):
            watched.shown("#link", "Live")
            watched.wait("!document.body.classList.contains('stale')")


def test_wrong_token_is_asked_for_again(browser: Browser) -> None:
    """Without the token there is a form; with it the page opens, and the address forgets it."""
    with serving(venue(), token="s3cret") as server, Watched(browser) as watched:
        page = watched.open(f"{server.address}/?token=wrong")
        watched.shown("main", "This page needs its token")
        watched.screenshot("token")
        page.get_by_label("Token").fill("s3cret")
        page.keyboard.press("Enter")
        watched.shown("#link", "Live")
        assert "s3cret" not in page.url
        assert page.evaluate("document.cookie") == ""
        watched.wait("document.querySelector('.tile img').naturalWidth === 640")


def test_token_that_changed_is_told_on_an_open_page(browser: Browser) -> None:
    """A worker that came back with another token: the page says what to do."""
    with Watched(browser) as watched:
        with serving(venue(), token="old") as server:
            watched.open(f"{server.address}/?token=old")
            watched.shown("#link", "Live")
        port = int(server.address.rpartition(":")[2])
        with serving(venue(), port=port, token="new"):
            watched.shown("#link", "asks for its token anew")


def test_page_too_many_asks_slowly_and_says_why(browser: Browser) -> None:
    """Where no stream is free, the page is told so, and shows the cameras all the same."""
    with serving(venue()) as server, Watched(browser) as watched:
        server._hub._max_streams = 0
        page = watched.open(server.address)
        watched.shown("#link", "As many pages follow this worker live as may")
        watched.wait("document.querySelectorAll('.tile').length === 5")
        watched.wait("document.querySelector('.tile .bar')?.getAttribute('d')?.length > 100")
        assert page.locator("body.stale").count() == 0
        watched.screenshot("slow")


def test_many_windows_of_one_browser_all_show_the_page(browser: Browser) -> None:
    """A browser has six connections to a worker; streams leave some of them to the others."""
    with serving(venue()) as server, Watched(browser) as watched:
        watched.open(server.address)
        watched.shown("#link", "Live")
        more = [watched.another(server.address) for _ in range(6)]
        for page in more:
            page.locator(".tile").first.wait_for()
        more[-1].locator("#link").filter(has_text="3 other windows of this browser").wait_for()
        assert server._hub.streams < 6
    assert watched.faults == []


def test_hidden_page_costs_nothing(browser: Browser) -> None:
    """A tab in the background gives its stream back; in front again, it goes on."""
    view = venue()
    with serving(view) as server, Watched(browser) as watched:
        page = watched.open(server.address)
        watched.shown("#link", "Live")
        page.evaluate(HIDE, True)
        quiet = threading.Event()
        deadline = time.monotonic() + 15
        asked = -1
        while asked != view.asked["state"] and time.monotonic() < deadline:
            asked = view.asked["state"]
            quiet.wait(2.5)
        assert asked == view.asked["state"]
        page.evaluate(HIDE, False)
        while view.asked["state"] == asked and time.monotonic() < deadline + 15:
            quiet.wait(0.1)
        assert view.asked["state"] > asked


HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

LOW_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] > 120) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *:not(svg *)")) {
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!text || !node.checkVisibility() || node.closest(".hidden, .skip, template")) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push([node.textContent.trim().slice(0, 40), contrast.toFixed(1)]);
  }
  return poor;
}"""

AT = "2026-11-24T12:30:05.120Z"
EVENTS = [
    {"schema": "maskwatch.frame/1", "captured_at": AT, "detection": "ran",
     "faces": [{"label": "with_mask", "score": 0.98, "reason": None},
               {"label": "unknown", "score": 0.4, "reason": "blurred"}]},
    {"schema": "maskwatch.frame/1", "captured_at": AT, "detection": "unchanged", "faces": []},
    {"schema": "maskwatch.track/1", "occurred_at": AT, "phase": "end", "track_id": "r-7",
     "duration_s": 12.2, "label": "without_mask", "score": 0.91, "reason": None},
    {"schema": "maskwatch.violation/1", "occurred_at": AT, "phase": "start", "zone": "till",
     "violation_id": "r-v1", "kind": "without_mask", "duration_s": 2.0, "score": 0.93},
    {"schema": "maskwatch.camera/1", "occurred_at": AT, "state": "down", "reason": "stalled"},
    {"schema": "maskwatch.gap/1", "occurred_at": AT, "duration_s": 65.0, "reason": "stalled"},
    {"schema": "maskwatch.loss/1", "occurred_at": AT, "count": 3, "stream": "frames",
     "reason": "queue_full"},
]  # fmt: skip
