"""Nothing secret is left, nothing else changes, and both sides of a match come out the same."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.compression import decode
from llmproxy.errors import SettingsError
from llmproxy.interaction import Headers
from llmproxy.redaction import Redactor, RedactSettings
from made_up_secrets import OPENAI_KEY, SHAPES, mixed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"
PLAIN = Redactor(RedactSettings())
CHAT = b'{"model":"m","messages":[{"role":"user","content":"Tell me about risk."}]}'


def bearer(key: str) -> Headers:
    return (("Authorization", f"Bearer {key}"),)


def body_of(redactor: Redactor, body: bytes, content_type: str, *credentials: str) -> bytes:
    return b"".join(data for _, data in redactor.chunks([(0.0, body)], content_type, credentials))


# what is found, and where


OPAQUE_KEYS = ["0a1b2c3d4e5f6a7b", "correct-horse-battery-staple", mixed(40), "p/a+s9==" + mixed(9)]


@pytest.mark.parametrize("key", OPAQUE_KEYS)
@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_live_key_is_found_everywhere_else(name: str, key: str) -> None:
    value = f"Bearer {key}" if name == "Authorization" else key
    headers = ((name, value), ("X-Note", f"it is {key}!"), ("Accept", "*/*"))
    credentials = PLAIN.credentials(headers, "")
    assert PLAIN.headers(headers, credentials) == (
        (name, "<redacted>"),
        ("X-Note", "it is <redacted>!"),
        ("Accept", "*/*"),
    )
    assert PLAIN.query(f"alt=sse&q={key}", credentials) == "alt=sse&q=<redacted>"
    assert PLAIN.path(f"/v1/{key}/x", credentials) == "/v1/<redacted>/x"
    quoted = b'{"error": {"message": "Wrong key: %b."}}'
    assert PLAIN.request_body(quoted % key.encode(), JSON, credentials) == quoted % b"<redacted>"
    assert body_of(PLAIN, quoted % key.encode(), JSON, *credentials) == quoted % b"<redacted>"
    assert PLAIN.text(f"refused: {key}", credentials) == "refused: <redacted>"


def test_a_key_in_the_query_is_left_out_and_found_in_the_answer() -> None:
    credentials = PLAIN.credentials((), "alt=sse&key=a%2Fb9c8d7e6")
    assert PLAIN.query("alt=sse&key=a%2Fb9c8d7e6", credentials) == "alt=sse"
    answer = b'{"a": "a/b9c8d7e6", "b": "a%2Fb9c8d7e6", "c": "a\\/b9c8d7e6"}'
    redacted = {"a": "<redacted>", "b": "<redacted>", "c": "<redacted>"}
    assert json.loads(body_of(PLAIN, answer, JSON, *credentials)) == redacted


def test_a_password_and_a_cookie_are_found() -> None:
    password, session = "pass:" + mixed(9), mixed(24)
    encoded = base64.b64encode(f"ann:{password}".encode()).decode()
    headers = (("Authorization", f"Basic {encoded}"), ("Cookie", f"a=b; sid={session}"))
    text = PLAIN.text(f"{password} {encoded} {session} ann", PLAIN.credentials(headers, ""))
    assert text == "<redacted> <redacted> <redacted> ann"
    plain = f"wrong password {password}".encode()
    for content_type in ("text/plain", JSON, ""):
        redacted = body_of(PLAIN, plain, content_type, *PLAIN.credentials(headers, ""))
        assert redacted == b"wrong password <redacted>"


def test_secrets_of_the_environment_are_found() -> None:
    redactor = Redactor(RedactSettings(), secrets=(mixed(20), "short"))
    body = json.dumps({"a": f"{mixed(20)} short"}).encode()
    assert redactor.request_body(body, JSON) == b'{"a": "<redacted> short"}'


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES)
def test_a_shape_is_found_in_every_part(secret: str) -> None:
    line = secret.replace("\n", " ")
    assert PLAIN.headers((("X-Note", line), ("X-B", "b"))) == (
        ("X-Note", "<redacted>"),
        ("X-B", "b"),
    )
    assert PLAIN.path(f"/v1/{line}") == "/v1/<redacted>"
    assert PLAIN.query(f"a={line}&b=1") == "a=<redacted>&b=1"
    assert PLAIN.text(f"error: {secret}.") == "error: <redacted>."
    body = json.dumps({"a": secret}).encode()
    for content_type in (JSON, "", "text/plain", "multipart/form-data; boundary=x"):
        assert PLAIN.request_body(body, content_type) == b'{"a": "<redacted>"}'


def test_headers_keep_their_order_and_names() -> None:
    headers = (
        ("Set-Cookie", "__cf_bm=x"),
        ("x-request-id", "req_1"),
        ("x-ratelimit-remaining-tokens", "149"),
        ("Set-Cookie", "b=y"),
        ("openai-organization", "acme"),
        ("Location", "https://example.com/?a=1&sig=" + mixed(20)),
    )
    assert PLAIN.headers(headers) == (
        ("Set-Cookie", "<redacted>"),
        ("x-request-id", "<redacted>"),
        ("x-ratelimit-remaining-tokens", "149"),
        ("Set-Cookie", "<redacted>"),
        ("openai-organization", "<redacted>"),
        ("Location", "https://example.com/?a=1&sig=<redacted>"),
    )


def test_a_secret_with_a_line_break_does_not_mix_up_headers() -> None:
    redactor = Redactor(RedactSettings(patterns=("x\ny",)))
    headers = (("A", "x"), ("B", "y"), ("C", "x\ny"), ("D", ""))
    assert redactor.headers(headers) == (("A", "x"), ("B", "y"), ("C", "<redacted>"), ("D", ""))


def test_the_users_settings_count_everywhere() -> None:
    settings = RedactSettings(
        headers=("X-Tenant",), query=("tenant",), json=("$.tenant.id",), patterns=(r"cust-\d+",)
    )
    redactor = Redactor(settings)
    headers = (("x-tenant", "acme-9f8e7d6c"),)
    credentials = redactor.credentials(headers, "tenant=zeta-1a2b3c4d&a=cust-5")
    assert redactor.headers(headers) == (("x-tenant", "<redacted>"),)
    assert redactor.query("tenant=zeta-1a2b3c4d&a=cust-5") == "a=<redacted>"
    body = b'{"tenant": {"id": 7}, "a": "cust-12 of acme-9f8e7d6c and zeta-1a2b3c4d"}'
    redacted = b'{"tenant": {"id": "<redacted>"}, "a": "<redacted> of <redacted> and <redacted>"}'
    assert redactor.request_body(body, JSON, credentials) == redacted
    assert body_of(redactor, body, JSON, *credentials) == redacted
    assert redactor.request_body(b"tenant=x&b=1", "application/x-www-form-urlencoded") == (
        b"tenant=<redacted>&b=1"
    )


def test_personal_ids_go_from_requests_unless_they_count() -> None:
    body = b'{"user": "ann", "safety_identifier": "ann", "metadata": {"user_id": "ann"}}'
    hidden = body.replace(b'"ann"', b'"<redacted>"')
    counting = Redactor(RedactSettings(), count=frozenset({"user", "metadata"}))
    assert PLAIN.request_body(body, JSON) == hidden
    assert body_of(PLAIN, body, JSON) == body
    assert counting.request_body(body, JSON) == body.replace(
        b'identifier": "ann"', b'identifier": "<redacted>"'
    )


def test_multipart_and_binary_bodies_are_searched_by_value_and_shape_only() -> None:
    body = b'--x\r\n\r\n{"password": "hunter22", "a": "%b", "b": "%b"}\r\n--x--\r\n\xff\xfe'
    key = "0a1b2c3d4e5f6a7b"
    for content_type in (
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "audio/wav",
    ):
        redacted = PLAIN.request_body(
            body % (key.encode(), OPENAI_KEY.encode()), content_type, (key,)
        )
        assert redacted == body % (b"<redacted>", b"<redacted>")


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_compressed_request_is_redacted_once_decoded(coding: str, pack: Any) -> None:
    body = json.dumps({"api_key": "hunter22", "a": OPENAI_KEY}).encode()
    plain = decode(pack(body), coding, 10_000)
    assert PLAIN.request_body(plain, JSON) == b'{"api_key": "<redacted>", "a": "<redacted>"}'


# matching


def test_another_key_or_none_gives_the_same_request() -> None:
    def request(key: str) -> tuple[str, str, bytes]:
        credentials = PLAIN.credentials(bearer(key) if key else (), f"key={key}" if key else "")
        body = json.dumps({"input": "hi", "tools": [{"type": "mcp", "authorization": key}]})
        query = f"alt=sse&key={key}" if key else "alt=sse"
        return (
            PLAIN.path("/v1/responses", credentials),
            PLAIN.query(query, credentials),
            PLAIN.request_body(body.encode(), JSON, credentials),
        )

    keys = (OPENAI_KEY, mixed(30), "test", "dummy-key", "")
    assert len({request(key) for key in keys}) == 1


def test_a_key_said_in_the_prompt_gives_the_same_request_with_another_key() -> None:
    def request(key: str) -> bytes:
        body = json.dumps({"input": f"my key is {key}, keep it"}).encode()
        return PLAIN.request_body(body, JSON, PLAIN.credentials(bearer(key), ""))

    assert request("0a1b2c3d4e5f") == request("f5e4d3c2b1a0f5e4") == request(OPENAI_KEY)


@pytest.mark.parametrize("key", ["test", "anything", "password", "12345678"])
def test_a_dummy_key_punches_no_holes(key: str) -> None:
    body = json.dumps({"input": f"Ask me {key}: test, anything, password, 12345678"}).encode()
    assert PLAIN.request_body(body, JSON, PLAIN.credentials(bearer(key), "")) == body


def test_what_a_replay_gives_and_the_client_sends_back_matches() -> None:
    """The cassette holds the placeholder; the recorded next turn held the secret itself."""
    said = f"the key is {OPENAI_KEY}"
    recorded = PLAIN.request_body(json.dumps({"said": said}).encode(), JSON)
    replayed = body_of(PLAIN, json.dumps({"text": said}).encode(), JSON)
    live = json.dumps({"said": json.loads(replayed)["text"]}).encode()
    assert PLAIN.request_body(live, JSON) == recorded


def test_what_holds_nothing_is_given_back_as_it_is() -> None:
    assert PLAIN.request_body(CHAT, JSON, (OPENAI_KEY,)) is CHAT
    assert PLAIN.request_body(b"", JSON) == b""
    chunks = [(0.5, CHAT[:9]), (0.7, b""), (0.9, CHAT[9:])]
    assert PLAIN.chunks(chunks, JSON, (OPENAI_KEY,)) == chunks
    assert PLAIN.chunks([], SSE) == []


def test_the_key_names_the_settings_that_change_the_outcome() -> None:
    def key(*, count: frozenset[str] = frozenset(), **settings: Any) -> str:
        return Redactor(RedactSettings(**settings), (mixed(20),), count).key

    same = {key(), PLAIN.key, key(environment=False)}
    assert len(same) == 1
    others = {
        key(headers=("x-a",)),
        key(query=("x-a",)),
        key(json=("$.a",)),
        key(patterns=("a",)),
        key(count=frozenset({"user"})),
    }
    assert len(others | same) == 6
    assert key(headers=("X-A", "x_b")) == key(headers=("x-b", "x-a"))


def test_a_path_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match=r"redact\.json\[1\]"):
        Redactor(RedactSettings(json=("$.fine", "not a path")))


# time lines


def cut_at(body: bytes, *places: int) -> list[tuple[float, bytes]]:
    bounds = pairwise((0, *places, len(body)))
    return [(index / 10, body[start:end]) for index, (start, end) in enumerate(bounds)]


SECRET_BODIES = {
    "by value": (JSON, b'{"a": "0a1b2c3d4e5f6a7b", "b": "x"}'),
    "by value, escaped": (JSON, rb'{"a": "0a1b2c3d\u0034e5f6a7b", "b": "x"}'),
    "by shape": (JSON, b'{"a": "%b", "b": "x"}' % OPENAI_KEY.encode()),
    "by name": (JSON, b'{"password": "hunter22", "b": "x"}'),
    "in an event": (SSE, b'data: {"text":"%b"}\n\ndata: {"text":"x"}\n\n' % OPENAI_KEY.encode()),
    "across events": (SSE, b'data: {"text":"0a1b2c3d"}\n\ndata: {"text":"4e5f6a7b"}\n\n'),
    "in text": ("text/plain", b"refused 0a1b2c3d4e5f6a7b, sorry"),
}


@pytest.mark.parametrize(("content_type", "body"), SECRET_BODIES.values(), ids=SECRET_BODIES)
def test_a_secret_is_found_wherever_the_chunks_are_cut(content_type: str, body: bytes) -> None:
    credentials = ("0a1b2c3d4e5f6a7b",)
    whole = body_of(PLAIN, body, content_type, *credentials)
    assert whole != body
    for place in range(len(body) + 1):
        chunks = PLAIN.chunks(cut_at(body, place, place), content_type, credentials)
        assert [offset for offset, _ in chunks] == [0.0, 0.1, 0.2]
        assert b"".join(data for _, data in chunks) == whole
        assert chunks[1][1] == b""


def test_a_boundary_inside_a_secret_moves_behind_its_placeholder() -> None:
    body = b"key=%b&next" % OPENAI_KEY.encode()
    chunks = PLAIN.chunks(cut_at(body, 4, 10, 20, 61), "text/plain")
    assert [data for _, data in chunks] == [b"key=", b"<redacted>", b"", b"&", b"next"]


@pytest.mark.parametrize("secret", ["0a1b2c3d4e5f6a7b", *SHAPES.values()], ids=["value", *SHAPES])
def test_a_stream_says_what_the_whole_text_would(secret: str) -> None:
    text = f"your key is:\n{secret}\nkeep it"
    whole = body_of(PLAIN, json.dumps({"text": text}).encode(), JSON, "0a1b2c3d4e5f6a7b")
    assert json.loads(whole)["text"] == "your key is:\n<redacted>\nkeep it"
    for size in (1, 2, 3, 5, 8, 13):
        pieces = [json.dumps({"text": text[at : at + size]}) for at in range(0, len(text), size)]
        stream = "".join(f"data: {piece}\n\n" for piece in pieces).encode()
        redacted = body_of(PLAIN, stream, SSE, "0a1b2c3d4e5f6a7b")
        said = [json.loads(line[6:])["text"] for line in redacted.splitlines() if line]
        assert "".join(said) == json.loads(whole)["text"], size


# properties


FRAGMENTS = [
    OPENAI_KEY,
    OPENAI_KEY[:30],
    "0a1b2c3d4e5f6a7b",
    "0a1b2c3d",
    "4e5f6a7b",
    'tr"icky\\pa/ss9',
    "nine" + mixed(9),
    "12,34]ab9x",
    SHAPES["jwt"],
    SHAPES["pem"],
    SHAPES["aws"],
    SHAPES["masked"],
    "<redacted>",
    "<redac",
    "ted>",
    "?key=",
    "task-",
    "**",
    "\\",
    '"',
    "\n",
    "/",
    "%",
    "%2F",
    " ",
    "n",
    "é€",
    "cust-123",
]
LITERALS = ("0a1b2c3d4e5f6a7b", 'tr"icky\\pa/ss9', "nine" + mixed(9), "12,34]ab9x")
NAMES = ["a", "password", "user", "metadata", "user_id", "headers", "tools", "signature", "data"]
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join)
TREES = st.dictionaries(
    st.sampled_from(NAMES) | TEXT,
    st.recursive(
        TEXT | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(NAMES) | TEXT, inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)
EAGER = Redactor(
    RedactSettings(json=("$.a.data", "$..user_id[0]"), patterns=(r"cust-\d+", r"\d{7,}")),
    secrets=LITERALS[2:],
)


def texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, child in tree.items():
            yield key
            yield from texts(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from texts(child)


@given(TREES, st.booleans(), st.sampled_from([None, 1]), st.booleans())
def test_valid_json_stays_valid_and_holds_no_secret(
    tree: Any, ascii_only: bool, indent: int | None, slashes: bool
) -> None:
    written = json.dumps(tree, ensure_ascii=ascii_only, indent=indent)
    body = (written.replace("/", r"\/") if slashes else written).encode()
    redacted = EAGER.request_body(body, JSON, LITERALS[:2])
    for text in texts(json.loads(redacted)):
        assert not any(literal in text for literal in LITERALS)
    assert EAGER.request_body(redacted, JSON, LITERALS[:2]) == redacted


@given(TEXT, st.lists(st.integers(1, 9), min_size=1, max_size=9), st.data())
def test_no_secret_that_a_stream_says_in_pieces_is_left(
    text: str, sizes: list[int], data: st.DataObject
) -> None:
    def event(piece: str) -> str:
        return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n"

    pieces: list[str] = []
    rest = text
    while rest:
        size = sizes[len(pieces) % len(sizes)]
        pieces, rest = [*pieces, rest[:size]], rest[size:]
    body = "".join(map(event, pieces)).encode()
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=3).map(sorted))
    chunks = EAGER.chunks(cut_at(body, *places), SSE, LITERALS[:2])
    redacted = b"".join(chunk for _, chunk in chunks)
    said = [json.loads(line[6:]) for line in redacted.decode().split("\n\n") if line]
    assert len(said) == len(pieces)
    said_text = "".join(event["choices"][0]["delta"]["content"] for event in said)
    assert not any(literal in said_text for literal in LITERALS)
    assert EAGER.chunks(chunks, SSE, LITERALS[:2]) == chunks


@given(st.binary(max_size=200) | TEXT.map(str.encode), st.sampled_from([JSON, SSE, "", "a/b"]))
def test_any_bytes_are_redacted_once_for_all(body: bytes, content_type: str) -> None:
    redacted = EAGER.request_body(body, content_type, LITERALS[:2])
    assert EAGER.request_body(redacted, content_type, LITERALS[:2]) == redacted


@given(TEXT)
def test_texts_are_redacted_once_for_all(text: str) -> None:
    for method in (EAGER.text, EAGER.query, EAGER.path):
        redacted = method(text, LITERALS[:2])
        assert not any(literal in redacted for literal in LITERALS)
        assert method(redacted, LITERALS[:2]) == redacted
    headers = (("X-A", text), ("X-B", "b"))
    once = EAGER.headers(headers, LITERALS[:2])
    assert EAGER.headers(once, LITERALS[:2]) == once


# real traffic


def bodies(folder: Path) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Each message of the VCR cassettes, with its name and its body's bytes."""
    for file in sorted(folder.rglob("*.yaml")):
        document = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
        for number, interaction in enumerate(document.get("interactions") or []):
            for side in ("request", "response"):
                message = interaction[side]
                yield f"{file.stem}#{number} {side}", message, body_bytes(message)


def body_bytes(message: dict[str, Any]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"], ensure_ascii=False).encode()
    body = message.get("body")
    if isinstance(body, dict):
        if "base64_string" in body:
            return base64.b64decode(body["base64_string"])
        body = body.get("string")
    return body if isinstance(body, bytes) else (body or "").encode()


def content_type(message: dict[str, Any]) -> str:
    headers = {name.lower(): value for name, value in (message.get("headers") or {}).items()}
    value = headers.get("content-type", "")
    return str(value[0] if isinstance(value, list) else value)


def test_there_is_no_false_alarm_on_real_traffic(traffic: Path) -> None:
    changed: dict[str, tuple[bytes, bytes]] = {}
    count = 0
    for name, message, body in bodies(traffic):
        count += 1
        sides = (
            PLAIN.request_body(body, content_type(message)),
            body_of(PLAIN, body, content_type(message)),
        )
        redacted = sides[name.endswith("response")]
        if redacted != body:
            changed[name] = (body, redacted)
    assert count > 300
    # a person's id, as the test that was recorded there gave it
    assert list(changed) == ["test_anthropic-test_extra_headers#0 request"]
    before, after = changed.popitem()[1]
    assert after == before.replace(b'{"user_id": "123"}', b'{"user_id": "<redacted>"}')
