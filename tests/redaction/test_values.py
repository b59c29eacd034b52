"""A literal is found however it is escaped, and JSON stays JSON."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmproxy.redaction.edits import splice
from llmproxy.redaction.values import Literals, find_values
from made_up_secrets import OPENAI_KEY, mixed


def clean(data: bytes, *secrets: str, in_json: bool = True) -> bytes:
    return splice(data, find_values(data, Literals.of(secrets), in_json=in_json))[0]


SLASHED = "p/a+s9==" + mixed(8)


@pytest.mark.parametrize(
    "escaped",
    [
        SLASHED,
        SLASHED.replace("/", r"\/"),
        SLASHED.replace("/", r"\\\/"),
        "".join(f"\\u{ord(char):04x}" for char in SLASHED),
        "".join(f"\\u{ord(char):04X}" for char in SLASHED),
        "".join(f"\\\\u{ord(char):04x}" for char in SLASHED),
        SLASHED.replace("+", r"\u002B"),
        quote(SLASHED, safe=""),
        quote(SLASHED, safe="").lower(),
        "".join(f"%{ord(char):02x}" for char in SLASHED),
        quote(SLASHED, safe="/").replace("/", r"\/"),
    ],
)
def test_a_literal_is_found_however_it_is_escaped(escaped: str) -> None:
    secret = SLASHED.lower() if escaped == quote(SLASHED, safe="").lower() else SLASHED
    data = f'{{"a": "x {escaped} y", "b": "\\n100% \\u00e9"}}'.encode()
    assert clean(data, secret) == data.replace(escaped.encode(), b"<redacted>")


@pytest.mark.parametrize("secret", ["test", "1234567", ""])
def test_a_literal_shorter_than_eight_characters_is_not_looked_for(secret: str) -> None:
    data = f'{{"a": "this is a {secret}"}}'.encode()
    assert clean(data, secret) == data


def test_a_literal_may_stand_in_bytes_that_are_no_text() -> None:
    assert clean(b"\xff" + OPENAI_KEY.encode() + b"\x00", OPENAI_KEY) == b"\xff<redacted>\x00"


def test_the_letter_of_an_escape_is_no_literals_first() -> None:
    secret = "nine" + mixed(12)
    data = json.dumps({"a": "\n" + secret[1:], "b": secret, "c": "\\" + secret}).encode()
    expected = {"a": "\n" + secret[1:], "b": "<redacted>", "c": "\\<redacted>"}
    assert json.loads(clean(data, secret)) == expected


def test_a_literal_behind_a_percent_sign_is_found() -> None:
    secret = "12" + mixed(12)
    assert clean(b"100%" + secret.encode() + rb" \u0041", secret) == rb"100%<redacted> \u0041"


@pytest.mark.parametrize("ending", ["\\", "\\\\", '\\"', '"\\'])
def test_a_literal_that_ends_in_a_backslash_is_found_at_the_end_of_a_string(ending: str) -> None:
    secret = mixed(12) + ending
    data = json.dumps({"a": secret, "b": [secret, "x"]}).encode()
    assert json.loads(clean(data, secret)) == {"a": "<redacted>", "b": ["<redacted>", "x"]}


def test_a_literal_inside_another_is_one_secret() -> None:
    assert clean(OPENAI_KEY.encode(), OPENAI_KEY, OPENAI_KEY[4:30]) == b"<redacted>"


@pytest.mark.parametrize(
    "secret", ['{"a":"b1","c"', 'x","b":"y1', '1,"c":[2,3', "[2,3],4z", 'u"}}]9xy']
)
def test_json_syntax_that_looks_like_a_literal_stays(secret: str) -> None:
    data = b'{"a":"b1","c":{"a":"x","b":"y1","c":[2,3],"d":"4z","e":[{"f":"u"}}]9xy'
    assert clean(data, secret) == data
    assert clean(secret.encode(), secret, in_json=False) == b"<redacted>"


Secret = st.text(st.characters(codec="utf-8", exclude_characters="<>"), min_size=8, max_size=12)


@given(st.lists(st.text(max_size=6) | st.none(), max_size=5), Secret, st.booleans())
def test_no_literal_is_left_in_json_that_stays_json(
    pieces: list[str | None], secret: str, ascii_only: bool
) -> None:
    assume(all(ord(char) < 0x10000 or not ascii_only for char in secret))
    assume(all(32 <= ord(char) != 127 for char in secret))
    assume("%" not in secret)
    assume(any(char not in '-+.eE0123456789[]{},: "' for char in secret))
    text = "".join(secret if piece is None else piece for piece in pieces)
    data = json.dumps({"a": text, "b": [text]}, ensure_ascii=ascii_only).encode()
    redacted = clean(data, secret)
    values = json.loads(redacted)
    if all(ord(char) < 0x100 for char in secret) or not ascii_only:
        assert secret not in values["a"]
    assert values["b"] == [values["a"]]
    assert clean(redacted, secret) == redacted


@pytest.mark.parametrize("unit", [b"%41", rb"\u0041", b"\\", rb"\/", b'"', OPENAI_KEY.encode()])
def test_hostile_escapes_take_linear_time(unit: bytes) -> None:
    began = time.process_time()
    clean(unit * (200_000 // len(unit)), OPENAI_KEY, SLASHED, 'a"b:c9[]')
    assert time.process_time() - began < 2
