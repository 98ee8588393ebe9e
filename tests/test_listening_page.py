"""The page of a listening test in a real browser: by mouse, by keyboard, closed half-way, from a disk, by a phone."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from listening_material import folder as built

from prosody_tts.cli import run
from prosody_tts.listening.kinds import KINDS, Kind
from prosody_tts.listening.server import Serving, application
from prosody_tts.listening.storage import Store
from prosody_tts.listening.test import ListeningTest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        # Sound starts when a listener presses a button, and there may be no sound card here.
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[str]:
    store = Store.of(ListeningTest.read(folder), folder)
    config = uvicorn.Config(application(Serving(store, folder, **{"open": True, **more})), log_level="error")
    server = uvicorn.Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def visitor(browser: Browser, **more: Any) -> Iterator[tuple[BrowserContext, Page]]:
    context = browser.new_context(**more)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield context, page
    context.close()
    assert not problems, problems


def agree(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("I agree to take part").check()
    page.get_by_role("button", name="Begin").click()


def start(page: Page, address: str) -> None:
    """Agree, and hear the loudness well."""
    agree(page, address)
    page.get_by_role("button", name="I hear it well").click()


def heard(page: Page, name: str) -> None:
    """Play a version with the mouse until the page says that it has been heard."""
    page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("button", name=f"{name}, heard", exact=True).wait_for(timeout=20000)


def numbers_on(page: Page) -> int:
    return page.locator(".version").count()


def rate_by_mouse(page: Page, kind: Kind, number: int) -> dict[str, float]:
    """Answer a screen; what each place got."""
    given: dict[str, float] = {}
    for place in range(numbers_on(page)):
        heard(page, f"Version {place + 1}")
        if kind == "mos":
            grade = ("excellent", "good", "fair", "poor", "bad")[(number + place) % 5]
            page.locator(".version").nth(place).get_by_label(grade).check()
            given[str(place)] = 5 - (number + place) % 5
        elif KINDS[kind].scale is not None:
            slider = page.get_by_role("slider", name=f"Version {place + 1}: rating")
            box = slider.bounding_box()
            assert box is not None
            page.mouse.click(
                box["x"] + box["width"] * (0.15 + 0.2 * ((number + place) % 4)), box["y"] + box["height"] / 2
            )
            given[str(place)] = float(slider.input_value())
    if kind == "preference":
        wanted = ("Version 1", "Version 2", "No preference")[number % 3]
        page.get_by_role("radio", name=wanted).check()
        given = {str(number % 3): 1.0} if number % 3 < 2 else {}
    page.get_by_role("button", name="Next").click()
    return given


def finish(page: Page) -> None:
    page.get_by_label("Headphones").check()
    page.get_by_label("Is there anything").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("heading", name="Thank you").wait_for()


def stored(folder: Path, listener: int = 1) -> list[dict[str, float]]:
    """What a listener's screens got, by place."""
    test = ListeningTest.read(folder)
    store = Store.of(test, folder)
    found = store._listener(store._connect(), "number = ?", listener)
    assert found is not None
    return [
        {str(screen.codes.index(code)): score for code, score in store._scores(store._connect(), found, place).items()}
        for place, screen in enumerate(store.screens(found))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_listener_completes_a_test_with_the_mouse(browser: Browser, tmp_path: Path, kind: Kind) -> None:
    systems = (
        ("recording", "camp") if kind == "preference" else ("recording", "camp", "baseline")[: 2 + (kind != "mushra")]
    )
    folder = built(
        tmp_path, kind, systems, each=None, count=1 + (kind == "preference"), completion="C0FFEE", training=1
    )
    with serving(folder) as address, visitor(browser) as (_, page):
        start(page, address)
        given = []
        for number in range(len(ListeningTest.read(folder).items)):
            assert (page.get_by_text("Practice").count() == 1) == (number == 0)
            given.append(rate_by_mouse(page, kind, number))
            if number + 1 < len(ListeningTest.read(folder).items):
                page.get_by_text(f"{number + 2} of", exact=False).wait_for()
        finish(page)
        assert page.get_by_text("C0FFEE").is_visible()
    assert stored(folder) == given and Store.of(ListeningTest.read(folder), folder).standing() == (1, 1, 1)


def test_another_completes_it_with_the_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra", ("recording", "camp"), each=None, count=1)
    with serving(folder) as address, visitor(browser) as (_, page):
        page.goto(address)
        page.get_by_role("heading", name="How natural").wait_for()

        def reach(name: str, most: int = 40) -> None:
            """Press Tab until what has the focus is of this name."""
            for _ in range(most):
                page.keyboard.press("Tab")
                label = "e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText"
                if page.evaluate(f"({label})(document.activeElement)").strip().startswith(name):
                    return
            raise AssertionError(f"{name} cannot be reached")

        reach("I agree")
        page.keyboard.press("Space")
        reach("Begin")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Loudness").wait_for()
        reach("Play a sound")
        page.keyboard.press("Space")
        reach("I hear it well")
        page.keyboard.press("Enter")
        page.get_by_text("1 of 1").wait_for()
        given = {}
        for place in range(4):
            page.keyboard.press(str(place + 1))
            page.get_by_role("button", name=f"Version {place + 1}, heard", exact=True).wait_for(timeout=20000)
            assert page.locator("#said").inner_text() == f"Version {place + 1} plays"
        for place in range(4):
            reach(f"Version {place + 1}: rating")
            page.keyboard.press("Home")
            for _ in range(7 * place + 3):
                page.keyboard.press("ArrowRight")
            given[str(place)] = float(7 * place + 3)
            focused = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
            assert focused == f"{7 * place + 3}, {'bad' if 7 * place + 3 < 20 else 'poor'}"
        page.keyboard.press("Space")
        assert page.get_by_role("button", name="Play", exact=True).is_visible()
        reach("Next")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Two last questions").wait_for()
        reach("Headphones")
        page.keyboard.press("Space")
        reach("Finish")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Thank you").wait_for()
    assert stored(folder) == [given]


def test_one_closes_the_browser_and_goes_on_where_they_were(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", ("recording", "camp"), each=None, count=2)
    with serving(folder) as address, visitor(browser) as (context, page):
        start(page, address)
        first = rate_by_mouse(page, "mushra_like", 0)
        page.get_by_text("2 of 2").wait_for()
        heard(page, "Version 1")
        page.get_by_role("slider", name="Version 1: rating").press("End")
        page.close()
        page = context.new_page()
        page.goto(address)
        page.get_by_text("1 of 2 are done").wait_for()
        page.get_by_role("button", name="I hear it well").click()
        # What had been moved and heard on the screen that was left is as it was.
        assert page.get_by_role("slider", name="Version 1: rating").input_value() == "100"
        assert page.get_by_role("button", name="Version 1, heard", exact=True).is_visible()
        heard(page, "Version 2")
        page.get_by_role("slider", name="Version 2: rating").press("Home")
        page.get_by_role("button", name="Next").click()
        finish(page)
    assert stored(folder) == [first, {"0": 100.0, "1": 0.0}]


def test_nobody_goes_on_before_everything_is_heard_and_rated(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", ("recording", "camp"), each=None, count=1)
    with serving(folder) as address, visitor(browser) as (_, page):
        page.goto(address)
        page.get_by_role("button", name="Begin").click()
        assert "Tick the box" in page.get_by_role("alert").inner_text()
        start(page, address)
        page.get_by_role("button", name="Next").click()
        said = page.get_by_role("alert").inner_text()
        assert "Version 1, Version 2: not heard to the end" in said and "Version 1, Version 2: not rated" in said
        heard(page, "Version 1")
        page.get_by_role("slider", name="Version 1: rating").press("End")
        page.get_by_role("button", name="Next").click()
        assert page.get_by_role("alert").inner_text() == "Version 2: not heard to the end. Version 2: not rated."
    assert stored(folder) == [{}]


def test_an_answer_waits_for_a_server_that_is_away(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", ("recording", "camp"), each=None, count=1)
    context = browser.new_context()
    with serving(folder) as address:
        page = context.new_page()
        start(page, address)
        context.set_offline(True)
        given = rate_by_mouse(page, "mushra_like", 1)
        page.get_by_text("is sent as soon as that works").wait_for()
        context.set_offline(False)
        page.get_by_role("heading", name="Two last questions").wait_for(timeout=20000)
    context.close()
    assert stored(folder) == [given]


def test_versions_are_switched_at_the_same_sample(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", ("recording", "camp"), each=None, count=1)
    with serving(folder) as address, visitor(browser) as (_, page):
        start(page, address)
        heard(page, "Version 1")
        before = page.evaluate("[player.began, [...player.tracks.values()].map(t => t.buffer.length)]")
        page.get_by_role("button", name="Version 2", exact=True).click()
        page.get_by_role("button", name="Version 2, heard", exact=True).wait_for()
        after = page.evaluate("[player.began, [...player.tracks.values()].map(t => t.buffer.length)]")
        # All run from one start, of one length: what is switched is how loud each is.
        assert before == after and len(set(before[1])) == 1
        assert page.evaluate("[...player.tracks.values()].map(t => Math.round(t.gain.gain.value))") == [0, 1]


def test_a_test_from_a_disk_is_answered_and_sent_back(browser: Browser, tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", ("recording", "camp"), each=None, count=2, training=1, checks=1)
    out = tmp_path / "files"
    assert run(["listen", "export", str(folder), "--listeners", "3", "--out", str(out)]) == 0
    assert run(["listen", "export", str(folder), "--out", str(out)]) == 2
    assert not [path for path in out.rglob("*.js") for word in ("baseline", "camp") if word in path.read_text()[:20000]]
    with visitor(browser, accept_downloads=True) as (context, page):
        page.goto((out / "index.html").as_uri())
        page.get_by_label("The number you were given").fill("2")
        page.get_by_label("I agree to take part").check()
        page.get_by_role("button", name="Begin").click()
        page.get_by_role("button", name="I hear it well").click()
        given = [rate_by_mouse(page, "mushra_like", 0)]
        page.get_by_text("2 of 4").wait_for()
        page.close()
        page = context.new_page()
        page.goto((out / "index.html").as_uri() + "?listener=2")
        page.get_by_role("button", name="I hear it well").click()
        for number in range(1, 4):
            page.get_by_text(f"{number + 1} of 4").wait_for()
            given.append(rate_by_mouse(page, "mushra_like", number))
        page.get_by_label("Loudspeakers").check()
        page.get_by_role("button", name="Finish").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Save ratings-2.json").click()
        download.value.save_as(tmp_path / "ratings-2.json")
    sent = json.loads((tmp_path / "ratings-2.json").read_text())
    assert [list(answer["scores"].values()) for answer in sent["answers"]] == [list(one.values()) for one in given]
    results = [str(tmp_path / "ratings-2.json"), "--test", str(folder), "--out", str(tmp_path / "out"), "--keep-all"]
    assert run(["listen", "analyse", *results]) == 0
    (scores,) = (
        grid
        for grid in json.loads((tmp_path / "out" / "analysis.json").read_text())["tables"]
        if grid["title"] == "Scores"
    )
    assert {line[0]: line[3] for line in scores["lines"]} == {"recording": "2", "camp": "2"}


def test_axe_finds_nothing_serious_on_any_page_wide_or_narrow_light_or_dark(browser: Browser, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found: list[str] = []

    def look(page: Page, name: str) -> None:
        for violation in axe.run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                found.append(f"{name}: {violation['id']}: {[node['html'] for node in violation['nodes']]}")
        words = page.locator("body").inner_text().split()
        assert not {"null", "undefined", "NaN"} & set(words), name
        # Nothing is wider than the window, so that nobody scrolls sideways (WCAG 1.4.10).
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name

    for kind in ("mushra", "mos", "preference"):
        (tmp_path / kind).mkdir()
        folder = built(tmp_path / kind, kind, ("recording", "camp"), each=None, count=1, training=1)  # type: ignore[arg-type]
        for scheme, width in (("light", 1280), ("dark", 320)):
            sizes = {"viewport": {"width": width, "height": 700}, "color_scheme": scheme}
            # The page's own policy lets no tool in that is not a file of it.
            with serving(folder) as address, visitor(browser, bypass_csp=True, **sizes) as (_, page):
                page.goto(address)
                page.get_by_role("heading", name="How natural").wait_for()
                look(page, f"{kind} consent {scheme}")
                agree(page, address)
                page.get_by_role("heading", name="Loudness").wait_for()
                look(page, f"{kind} loudness {scheme}")
                page.get_by_role("button", name="I hear it well").click()
                page.get_by_text("1 of 2").wait_for()
                look(page, f"{kind} screen {scheme}")
                heard(page, "Version 1")
                page.get_by_role("button", name="Next").click()
                look(page, f"{kind} problem {scheme}")
    assert not found, found
    # Pages after the last screen are looked at without going through another test.
    with serving(folder) as address, visitor(browser, bypass_csp=True) as (_, page):
        agree(page, address)
        for name in ("questions()", "session.completion = 'C0FFEE'; done()"):
            page.evaluate(name)
            look(page, name)
    assert not found, found
