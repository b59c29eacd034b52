"""The cassette as a file: what goes in comes out, and what cannot be ours is refused."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import make
from llmproxy import cassette_schema
from llmproxy.cassette import Cassette
from llmproxy.cassette_rows import decode, encode
from llmproxy.cassette_schema import COLUMNS, FINGERPRINTS
from llmproxy.errors import CassetteError, CassetteMissing, CassetteTooNew
from llmproxy.interaction import Facts, Interaction

HEADER = st.tuples(
    st.from_regex(r"[A-Za-z0-9-]{1,12}", fullmatch=True),
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20),
)
CHUNKS = st.lists(st.tuples(st.integers(0, 10**9), st.binary(max_size=30)), max_size=8).map(
    lambda chunks: [
        (micros / 1e6, data)
        for micros, data in zip(sorted(m for m, _ in chunks), [d for _, d in chunks], strict=True)
    ]
)


@given(
    body=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")),
    chunks=CHUNKS,
    headers=st.lists(HEADER, max_size=5).map(tuple),
    query=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
def test_any_interaction_survives_its_row(
    body: bytes,
    chunks: list[tuple[float, bytes]],
    headers: tuple[tuple[str, str], ...],
    query: str,
) -> None:
    before = make.interaction(
        make.request(body, query=query, headers=headers), make.response(chunks, headers=headers)
    )
    row = encode(before, Facts(), make.digests(before.request, date(2026, 1, 1)))
    values = dict(zip(COLUMNS, row, strict=True)) | {"id": 0}
    after = decode(
        tuple(values[name] for name in COLUMNS if name not in FINGERPRINTS), Path("x.db")
    )
    assert after.request == before.request
    assert after.response.body == before.response.body
    sent = [chunk for chunk in before.response.chunks if chunk.data]
    assert [c.data for c in after.response.chunks] == [c.data for c in sent]
    for was, now in zip(sent, after.response.chunks, strict=True):
        assert now.offset == pytest.approx(was.offset, abs=1e-6)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_body_survives_the_file(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / f"{time.monotonic_ns()}.db"
    make.write(path, make.interaction(make.request(body), make.response([(0.1, body)])))
    with contextlib.closing(Cassette(path)) as cassette:
        assert cassette.load(1).request.body == body
        assert cassette.load(1).response.body == body


def test_text_bodies_stand_as_text_for_any_sqlite_browser(tmp_path: Path) -> None:
    text, binary = b'{"caf\xc3\xa9": 1}', b"\x89PNG\0"
    path = make.write(
        tmp_path / "a.db",
        make.interaction(make.request(text)),
        make.interaction(make.request(binary)),
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT typeof(request_body) FROM interactions").fetchall()
    assert rows == [("text",), ("blob",)]


def test_equal_fingerprints_are_found_in_the_order_recorded(tmp_path: Path) -> None:
    same, other = make.request(b"same"), make.request(b"other")
    path = make.write(
        tmp_path / "a.db",
        make.interaction(same),
        make.interaction(other),
        make.interaction(same, session="b"),
    )
    with contextlib.closing(Cassette(path)) as cassette:
        value = make.digests(same, date(2026, 1, 1))["exact"]
        found = cassette.find("exact", value)
        assert (found.ids, found.sessions) == ((1, 3), ("default", "b"))
        assert cassette.find("exact", b"nothing").ids == ()
        assert cassette.count == 3


def test_fingerprints_of_other_settings_are_made_anew_without_touching_the_file(
    tmp_path: Path,
) -> None:
    path = make.write(tmp_path / "a.db", make.interaction(make.request(b"x")), key="old")
    before = path.read_bytes()
    made = dict.fromkeys(FINGERPRINTS, b"new")
    with contextlib.closing(Cassette(path, "new", lambda _request, _day: made)) as cassette:
        assert cassette.rebuilt == 1
        assert cassette.find("loose", b"new").ids == (1,)
        old = make.digests(make.request(b"x"), date(2026, 1, 1))["exact"]
        assert cassette.find("exact", old).ids == ()
    assert path.read_bytes() == before
    with contextlib.closing(Cassette(path, "old", lambda _request, _day: made)) as cassette:
        assert cassette.rebuilt == 0


def test_what_is_recorded_after_opening_is_not_seen(tmp_path: Path) -> None:
    path = make.write(tmp_path / "a.db", make.interaction(make.request(b"x")))
    value = make.digests(make.request(b"x"), date(2026, 1, 1))["exact"]
    with contextlib.closing(Cassette(path)) as cassette:
        make.spoil(
            path,
            "INSERT INTO interactions SELECT 2, "
            + ", ".join(f'"{name}"' for name in COLUMNS if name != "id")
            + " FROM interactions",
        )
        assert cassette.find("exact", value).ids == (1,)


def test_a_cassette_opens_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = make.write(tmp_path / "a.db", make.interaction())
    assert sorted(os.listdir(tmp_path)) == ["a.db"]
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        with contextlib.closing(Cassette(path)) as cassette:
            assert cassette.load(1).response.body == b"{}"
    finally:
        tmp_path.chmod(0o755)


# what is no cassette of ours


def test_a_missing_cassette_names_those_beside_it(tmp_path: Path) -> None:
    make.write(tmp_path / "run1.db")
    with pytest.raises(CassetteMissing, match=r"run2\.db: no such cassette\n  there: run1\.db"):
        Cassette(tmp_path / "run2.db")


def test_a_folder_is_no_cassette(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="is a folder"):
        Cassette(tmp_path)


def test_a_text_file_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("interactions: []\n" * 100)
    with pytest.raises(CassetteError, match="not a SQLite file, so no cassette"):
        Cassette(tmp_path / "a.db")


def test_an_empty_file_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    with pytest.raises(CassetteError, match="not a cassette of llmproxy"):
        Cassette(tmp_path / "a.db")


def test_another_programs_database_is_no_cassette(tmp_path: Path) -> None:
    make.spoil(tmp_path / "a.db", "CREATE TABLE interactions (id)")
    with pytest.raises(CassetteError, match="a SQLite file, but not a cassette of llmproxy"):
        Cassette(tmp_path / "a.db")


def test_a_newer_format_says_to_upgrade(tmp_path: Path) -> None:
    path = make.write(tmp_path / "a.db")
    make.spoil(path, "PRAGMA user_version = 99")
    with pytest.raises(CassetteTooNew, match="has format 99; .* reads up to 1\n  upgrade llmproxy"):
        Cassette(path)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM interactions; END", "trigger"),
        ("CREATE VIEW v AS SELECT 1", "view"),
    ],
)
def test_a_cassette_that_brings_code_is_refused(tmp_path: Path, statement: str, kind: str) -> None:
    path = make.write(tmp_path / "a.db")
    make.spoil(path, statement)
    with pytest.raises(CassetteError, match=f"holds a {kind}"):
        Cassette(path)


def test_a_torn_file_is_said_to_be_corrupt(tmp_path: Path) -> None:
    path = make.write(
        tmp_path / "a.db", *(make.interaction(make.request(b"x" * 9000)) for _ in range(20))
    )
    content = bytearray(path.read_bytes())
    content[8192 : len(content) // 2] = bytes(len(content) // 2 - 8192)
    path.write_bytes(content)
    with pytest.raises(CassetteError, match="corrupt: .*\n  restore it from git"):
        Cassette(path)


def test_a_file_cut_short_is_said_to_be_corrupt(tmp_path: Path) -> None:
    path = make.write(
        tmp_path / "a.db", *(make.interaction(make.request(b"x" * 9000)) for _ in range(20))
    )
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with pytest.raises(CassetteError, match="corrupt"):
        Cassette(path)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("timeline", "[[0, 1]]", "covers 1 bytes of 2"),
        ("timeline", "[[5, 1], [4, 1]]", "run backwards"),
        ("timeline", "[[0, -2], [0, 4]]", "is no number of bytes"),
        ("timeline", '[["x", 2]]', "is no moment"),
        ("timeline", "[" * 100_000, "recursion"),
        ("timeline", "nonsense", "Expecting value"),
        ("status", 7, "status is 7"),
        ("status", 101, "status is 101"),
        ("response_headers", '[["X:Y", "1"]]', "is no header's name"),
        ("response_headers", '[["X", "\\ud800"]]', "surrogates not allowed"),
        ("end", "never", "end is 'never'"),
        ("head_at", -1, "is no moment"),
        ("ended_at", "soon", "is no moment"),
        ("recorded_at", "yesterday", "Invalid isoformat"),
        ("response_headers", '[["X-A", "b\\r\\nSet-Cookie: c"]]', "runs over several lines"),
        ("response_headers", '[["X-A", 1]]', "is no header"),
        ("response_headers", "{", "cannot be read"),
        ("reason", "OK\r\nX-Evil: 1", "runs over several lines"),
        ("response_body", 12, "a body is int"),
    ],
)
def test_a_damaged_row_names_the_file_and_the_interaction(
    tmp_path: Path, column: str, value: object, words: str
) -> None:
    path = make.write(tmp_path / "a.db", make.interaction())
    make.spoil(path, f'UPDATE interactions SET "{column}" = ?', value)
    with (
        contextlib.closing(Cassette(path)) as cassette,
        pytest.raises(CassetteError, match="a.db: .*interaction 1.*" + words),
    ):
        cassette.load(1)


def test_an_id_that_is_not_there_says_how_to_find_those_that_are(tmp_path: Path) -> None:
    path = make.write(tmp_path / "a.db")
    with (
        contextlib.closing(Cassette(path)) as cassette,
        pytest.raises(CassetteError, match="has no interaction 7\n  llmproxy cassette ls"),
    ):
        cassette.load(7)


def test_a_value_above_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make.write(tmp_path / "a.db", make.interaction(make.request(b"x" * 200_000)))
    monkeypatch.setattr(cassette_schema, "MAX_VALUE", 100_000)
    with contextlib.closing(Cassette(path)) as cassette, pytest.raises(CassetteError):
        cassette.load(1)


def test_candidates_for_a_miss_are_those_of_the_path_and_of_similar_size(tmp_path: Path) -> None:
    def sized(path: str, size: int) -> Interaction:
        return make.interaction(make.request(b"x" * size, path=path))

    path = make.write(
        tmp_path / "a.db", sized("/a", 10), sized("/b", 500), sized("/a", 490), sized("/a", 9000)
    )
    with contextlib.closing(Cassette(path)) as cassette:
        assert [each.id for each in cassette.like("/a", 500, 3)] == [3, 1, 4]
