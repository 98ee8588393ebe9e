"""Files are whole or absent, and identities depend on content alone."""

from __future__ import annotations

import hashlib
import random
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prosody_tts.files import atomic, digest, file_digest, read_json, write_json, write_text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_and_the_result_is_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with atomic(path) as temporary:
        assert temporary.suffix == ".wav" and temporary.parent == tmp_path
        temporary.write_bytes(b"x")
    assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044


@given(PLAIN)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "value.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


@given(st.dictionaries(st.text(), PLAIN, max_size=5), st.randoms())
def test_identity_does_not_depend_on_the_order_of_keys(value: dict[str, object], shuffle: random.Random) -> None:
    keys = list(value)
    shuffle.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@given(PLAIN, PLAIN)
def test_different_values_have_different_identities(one: object, other: object) -> None:
    # 1, 1.0 and True are equal in Python and written differently; only what is unequal must differ.
    assert one == other or digest(one) != digest(other)


def test_file_digest_is_sha256_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"prosody" * 10_000)
    assert file_digest(path) == hashlib.sha256(b"prosody" * 10_000).hexdigest()[:16]
