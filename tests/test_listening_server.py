"""The server of a listening test: what it stores, what it tells nobody, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listening_material import folder as built
from starlette.testclient import TestClient

from prosody_tts.cli import run
from prosody_tts.listening.exchange import Columns
from prosody_tts.listening.kinds import KINDS, Kind
from prosody_tts.listening.results import of_test
from prosody_tts.listening.server import LARGEST, Serving, application
from prosody_tts.listening.storage import Store
from prosody_tts.listening.test import ListeningTest


@contextmanager
def client(folder: Path, **more: Any) -> Iterator[TestClient]:
    store = Store.of(ListeningTest.read(folder), folder)
    with TestClient(application(Serving(store, folder, **{"open": True, **more}), ["testserver"])) as made:
        yield made


def begun(made: TestClient, participant: str | None = None) -> tuple[dict[str, str], dict[str, Any]]:
    """A listener's header, and what they are told to hear."""
    token = made.post("/api/listeners", json={"participant": participant}).json()["token"]
    head = {"Authorization": f"Bearer {token}"}
    return head, made.post("/api/consent", json={}, headers=head).json()


def answer(kind: Kind, screen: dict[str, Any], number: int = 0) -> dict[str, Any]:
    codes, scale = screen["versions"], KINDS[kind].scale
    body = {"heard": codes, "seconds": 3.5}
    if scale is None:
        return {**body, "choice": [*codes, None][number % 3]}
    low, high, _ = scale
    return {**body, "scores": {code: low + (7 * number + place) % (high - low) for place, code in enumerate(codes)}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_listener_goes_through_a_test_and_comes_back_where_they_were(tmp_path: Path, kind: Kind) -> None:
    systems = ("recording", "camp") if kind == "preference" else ("recording", "baseline", "camp")
    folder = built(tmp_path, kind, systems, each=2, training=1, checks=1, completion="C0FFEE")
    with client(folder) as made:
        told = made.get("/api/test").json()
        assert told["title"] and told["reference"] == KINDS[kind].reference
        head, session = begun(made)
        assert len(session["screens"]) == 4 and session["answered"] == 0 and session["completion"] is None
        for number, screen in enumerate(session["screens"][:2]):
            assert (
                made.put(f"/api/screens/{number}", json=answer(kind, screen, number), headers=head).status_code == 201
            )
    # The program ends and begins again.
    with client(folder) as made:
        again = made.get("/api/session", headers=head).json()
        assert again["answered"] == 2 and again["screens"] == session["screens"]
        assert made.put("/api/finish", json={"device": "x", "remarks": ""}, headers=head).status_code == 409
        for number, screen in enumerate(session["screens"][2:], 2):
            assert (
                made.put(f"/api/screens/{number}", json=answer(kind, screen, number), headers=head).status_code == 201
            )
        end = made.put("/api/finish", json={"device": "headphones", "remarks": "<b>é"}, headers=head).json()
        assert end["finished"] and end["completion"] == "C0FFEE"
    test = ListeningTest.read(folder)
    heard = Store.of(test, folder).heard()
    assert Store.of(test, folder).standing() == (1, 1, 1)
    by_code = {code: (item.id, system) for item in test.items for system, code in item.codes.items()}
    for number, screen in enumerate(session["screens"]):
        given_to = answer(kind, screen, number)
        (item,) = {by_code[code][0] for code in screen["versions"]}
        if kind == "preference":
            assert [one.chosen for one in heard.choices if one.item == item] == [given_to["choice"] or ""]
        else:
            assert {one.system: one.score for one in heard.scores if one.item == item} == given_to["scores"]
    # Of systems, without training.
    named = of_test(test, folder, [], Columns())
    assert len({one.item for one in [*named.scores, *named.choices]}) == 3


def test_nothing_that_the_browser_gets_names_a_system_or_tells_versions_apart(tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra", training=1, checks=2, each=None)
    test = ListeningTest.read(folder)
    with client(folder) as made:
        _, session = begun(made)
        seen = [
            made.get(path).text
            for path in ("/", "/icon.svg", "/app.js", "/player.js", "/transport.js", "/style.css", "/api/test")
        ]
        seen.append(json.dumps(session))
        words = ("baseline", "camp", "anchor35", "anchor70", "kathaka")
        assert not [word for word in words for text in seen if word in text]
        assert "recording" not in seen[-1] and "check" not in json.dumps(session)
        for screen in session["screens"]:
            clips = [made.get(f"/clips/{code}.wav") for code in (*screen["versions"], screen["reference"])]
            assert {clip.status_code for clip in clips} == {200}
            assert len({len(clip.content) for clip in clips}) == 1
            assert all(test.items[0].id not in str(clip.headers) for clip in clips)


def test_groups_are_filled_evenly_whoever_comes_when(tmp_path: Path) -> None:
    folder = built(tmp_path, "mos", each=1, count=3)
    store = Store.of(ListeningTest.read(folder), folder)
    with ThreadPoolExecutor(8) as pool:
        people = [store.listener(token) for _, token in store.invite(12)]
        found = list(pool.map(lambda one: store.begin(one) if one else None, people))
    assert sorted((one.group, one.ordinal) for one in found if one) == [(g, o) for g in range(3) for o in range(4)]
    assert store.begin(found[0]) == found[0]  # type: ignore[arg-type]


HOSTILE: dict[str, tuple[int, Any]] = {
    "not json": (400, b"{"),
    "nan": (400, b'{"scores": NaN}'),
    "deep": (400, b"[" * 30000),
    "a list": (422, []),
    "nothing": (422, {}),
    "more than asked": (422, {"more": 1}),
    "too high": (422, {"scores": 101}),
    "too low": (422, {"scores": -1}),
    "between": (422, {"scores": 50.5}),
    "text": (422, {"scores": "50"}),
    "true": (422, {"scores": True}),
    "null": (422, {"scores": None}),
    "huge": (422, {"scores": 10**400}),
    "not all": (422, {"drop": 1}),
    "foreign": (422, {"foreign": 1}),
    "unheard": (422, {"heard": []}),
    "heard what is not there": (422, {"heard": ["../../key"]}),
    "heard numbers": (422, {"heard": [{}]}),
    "slow": (422, {"seconds": 1e12}),
    "before it began": (422, {"seconds": -1}),
    "large": (413, b"[" + b"0," * LARGEST + b"0]"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_cannot_be_one_is_refused_and_not_stored(tmp_path: Path, name: str) -> None:
    folder = built(tmp_path, "mushra_like", each=None)
    status, change = HOSTILE[name]
    with client(folder) as made:
        head, session = begun(made)
        body = answer("mushra_like", session["screens"][0])
        if isinstance(change, dict) and change:
            first = session["screens"][0]["versions"][0]
            other = session["screens"][1]["versions"][0]
            if "scores" in change:
                body["scores"][first] = change["scores"]
            elif "drop" in change:
                del body["scores"][first]
            elif "foreign" in change:
                body["scores"][other] = body["scores"].pop(first)
            else:
                body |= change
        elif not isinstance(change, bytes):
            body = change
        content = change if isinstance(change, bytes) else json.dumps(body).encode()
        said = made.put("/api/screens/0", content=content, headers={**head, "Content-Type": "application/json"})
        assert said.status_code == status, said.text
        assert "Traceback" not in said.text and said.json()["error"]
        assert made.get("/api/session", headers=head).json()["answered"] == 0
    assert not Store.of(ListeningTest.read(folder), folder).heard().scores


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, TestClient]]:
    folder = built(tmp_path_factory.mktemp("served"), "mushra_like", each=None)
    with client(folder) as made:
        yield folder, made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    body=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["scores", "heard", "seconds", "choice", "x"]), inner, max_size=4)
        ),
    )
)
def test_no_body_whatsoever_is_stored_or_breaks_anything(served: tuple[Path, TestClient], body: Any) -> None:
    _, made = served
    head, _ = begun(made)
    head["Content-Type"], content = "application/json", json.dumps(body).encode()
    for path in ("/api/screens/0", "/api/finish"):
        assert made.put(path, content=content, headers=head).status_code in {409, 422}
    assert made.post("/api/listeners", content=content, headers=head).status_code == 422
    assert made.get("/api/session", headers=head).json()["answered"] == 0


def test_only_a_listener_gets_in_and_only_to_their_own_answers(tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra_like", each=None)
    with client(folder) as made:
        one, session = begun(made, "worker-1")
        other, _ = begun(made, "worker-2")
        first = answer("mushra_like", session["screens"][0])
        assert made.put("/api/screens/0", json=first, headers=one).status_code == 201
        assert made.get("/api/session", headers=other).json()["answered"] == 0
        for head in (
            {},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer ' OR 1=1 --"},
            {"Authorization": "Basic eA=="},
            {"Authorization": f"Bearer {'x' * 10000}"},
        ):
            for method, path in (
                ("GET", "/api/session"),
                ("PUT", "/api/screens/0"),
                ("PUT", "/api/finish"),
                ("POST", "/api/consent"),
            ):
                said = made.request(method, path, json=first if method != "GET" else None, headers=head)
                assert said.status_code == 401
        # The same again is one answer; another one is none; neither is the one after the next.
        assert made.put("/api/screens/0", json=first, headers=one).status_code == 200
        assert (
            made.put("/api/screens/0", json=answer("mushra_like", session["screens"][0], 5), headers=one).status_code
            == 409
        )
        assert (
            made.put("/api/screens/2", json=answer("mushra_like", session["screens"][2]), headers=one).status_code
            == 409
        )
        assert made.put("/api/screens/99", json=first, headers=one).status_code == 404
        assert made.put("/api/screens/-1", json=first, headers=one).status_code in {404, 405}
        # Nobody is let in under a name that is taken, and no name is anything but one.
        assert made.post("/api/listeners", json={"participant": "worker-1"}).status_code == 409
        for name in ("<script>alert(1)</script>", "", "a b", "x" * 65, 5, ["a"], "é"):
            assert made.post("/api/listeners", json={"participant": name}).status_code == 422
        assert made.post("/api/listeners", content="participant=x").status_code == 415
        # What was refused has changed nothing.
        assert made.get("/api/session", headers=one).json()["answered"] == 1
    assert len(Store.of(ListeningTest.read(folder), folder).heard().scores) == len(first["scores"])


NOWHERE = """
/clips/../key.json /clips/..%2f..%2fkey.json.wav /clips/%2e%2e/%2e%2e/ratings.db.wav /key.json /ratings.db /../key.json
/clips/key.wav /clips/.wav /clips/%00.wav /page/app.js /static.js //etc/passwd
""".split()


@pytest.mark.parametrize("path", NOWHERE)
def test_nothing_but_the_page_and_its_clips_can_be_fetched(served: tuple[Path, TestClient], path: str) -> None:
    _, made = served
    assert made.get(path).status_code == 404


def test_a_browser_is_kept_within_the_page(served: tuple[Path, TestClient]) -> None:
    _, made = served
    for path in ("/", "/api/test", "/app.js", "/nowhere"):
        head = made.get(path).headers
        policy = head["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert head["x-content-type-options"] == "nosniff" and head["referrer-policy"] == "no-referrer"
    page = made.get("/").text
    assert "<script>" not in page and "onclick" not in page and "style=" not in page and "//" not in page
    # Another name that leads to this machine is somebody else's.
    assert made.get("/api/test", headers={"Host": "evil.example"}).status_code == 400
    assert made.delete("/api/session").status_code == 405


def test_those_who_were_not_invited_and_those_too_many_are_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = built(tmp_path, "mos", each=None)
    with client(folder, open=False) as made:
        said = made.post("/api/listeners", json={"participant": None})
        assert said.status_code == 403 and "invited" in said.json()["error"]
        assert run(["listen", "invite", str(folder), "--count", "2", "--url", "http://lab.example/test"]) == 0
        links = capsys.readouterr().out.split()[1::2]
        token = links[0].partition("#")[2]
        assert made.get("/api/session", headers={"Authorization": f"Bearer {token}"}).json() == {"begun": False}
        # What is stored lets nobody in.
        assert token.encode() not in (folder / "ratings.db").read_bytes()
    out = tmp_path / "links.csv"
    assert run(["listen", "invite", str(folder), "--out", str(out)]) == 0
    assert run(["listen", "invite", str(folder), "--out", str(out)]) == 2 and len(out.read_text().splitlines()) == 2
    with client(folder, most=4) as made:
        assert made.post("/api/listeners", json={"participant": None}).status_code == 201
        assert made.post("/api/listeners", json={"participant": None}).status_code == 409


def test_a_preview_stores_nothing(tmp_path: Path) -> None:
    folder = built(tmp_path, "mos", each=None)
    test = ListeningTest.read(folder)
    with TestClient(application(Serving(Store(test, ":memory:"), folder, True, None, True))) as made:
        head, session = begun(made)
        assert made.put("/api/screens/0", json=answer("mos", session["screens"][0]), headers=head).status_code == 201
    assert not (folder / "ratings.db").exists()
    assert run(["listen", "analyse", "--test", str(folder), "--out", str(tmp_path / "out")]) == 2


def test_what_cannot_be_served_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["listen", "serve", str(tmp_path)]) == 2
    folder = built(tmp_path, "mos")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["listen", "serve", str(folder), "--port", str(taken.getsockname()[1])]) == 2
    assert run(["listen", "serve", str(folder), "--host", "300.1.1.1"]) == 2
    (folder / "ratings.db").write_bytes(b"no database at all" * 100)
    assert run(["listen", "serve", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.count("prosody-tts:") == 4 and "Traceback" not in said and "move it away" in "".join(said.splitlines())


@contextmanager
def program(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The server as a program of its own, once it answers."""
    command = [sys.executable, "-m", "prosody_tts.cli", "listen", "serve", str(folder), "--open", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and "serving" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_hundred_listeners_at_once_are_stored_once_though_the_server_is_killed(tmp_path: Path) -> None:
    folder = built(tmp_path, "mushra", each=2, count=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, kills, sent = f"http://127.0.0.1:{port}", 3, []
    halfway, up, lock = threading.Event(), threading.Event(), threading.Lock()

    def ask(http: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
        """Until there is an answer: as the page does, and as whoever loses one must."""
        while True:
            assert up.wait(60)
            with suppress(httpx.TransportError):
                return http.request(method, path, **more)

    def listen(number: int) -> list[tuple[str, dict[str, float]]]:
        with httpx.Client(base_url=address, timeout=60) as http:
            # A reply that got lost may have made a listener who never begins.
            token = ask(http, "POST", "/api/listeners", json={"participant": None}).json()["token"]
            head = {"Authorization": f"Bearer {token}"}
            session = ask(http, "POST", "/api/consent", json={}, headers=head).json()
            own = []
            for place, screen in enumerate(session["screens"]):
                body = answer("mushra", screen, number)
                said = ask(http, "PUT", f"/api/screens/{place}", json=body, headers=head)
                assert said.status_code in {200, 201}, said.text
                own.append((f"{number}", body["scores"]))
                with lock:
                    sent.append(number)
                    if len(sent) >= 40:
                        halfway.set()
            said = ask(http, "PUT", "/api/finish", json={"device": "headphones", "remarks": ""}, headers=head)
            assert said.json()["finished"]
            return own

    with ThreadPoolExecutor(100) as pool:
        for attempt in range(kills + 1):
            with program(folder, port) as process:
                up.set()
                if attempt == 0:
                    futures = [pool.submit(listen, number) for number in range(100)]
                if attempt < kills:
                    halfway.wait(60)
                    up.clear()
                    os.kill(process.pid, signal.SIGKILL)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(10)
                else:
                    given_to = [future.result(120) for future in futures]
    heard = Store.of(ListeningTest.read(folder), folder).heard()
    expected = sorted((code, score) for own in given_to for _, scores in own for code, score in scores.items())
    assert len(expected) == 100 * 2 * 5
    assert sorted((one.system, one.score) for one in heard.scores) == expected
    assert Store.of(ListeningTest.read(folder), folder).standing()[2] == 100
