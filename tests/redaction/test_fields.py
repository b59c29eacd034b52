"""JSON fields that hold secrets lose their strings; all else stays byte for byte."""

from __future__ import annotations

import json
import time

import pytest

from llmproxy.jsonpath import parse_json_path
from llmproxy.redaction.edits import splice
from llmproxy.redaction.fields import PERSONAL, FieldFinder, FieldNames


def clean(
    data: str | bytes,
    *paths: str,
    personal: frozenset[str] = frozenset(),
    events: bool = False,
) -> str:
    raw = data.encode() if isinstance(data, str) else data
    finder = FieldFinder(FieldNames(personal, tuple(map(parse_json_path, paths))))
    redacted, _ = splice(raw, finder.find(raw, events=events))
    assert finder.find(redacted, events=events) == []
    return redacted.decode("utf-8", "surrogateescape")


NAMES = [
    "api_key",
    "apikey",
    "api-key",
    "apiKey",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "authorization_token",
    "client_secret",
    "private_key",
    "password",
    "Password",
    "authorization",
]


@pytest.mark.parametrize(
    "body",
    [
        '{{"{}": "{}"}}',
        '{{ "a" : [ {{ "{}" :\n\t"{}" , "b" : 1 }} ] }}',
        '"broken": [1, "{}": "{}", }}}} and so on',
        '{{"a": 1}}\n{{"{}": "{}"}}\n',
        'event: x\ndata: {{"{}":"{}"}}\n\n',
    ],
)
def test_a_secret_field_loses_its_value(body: str) -> None:
    for name in NAMES:
        assert clean(body.format(name, r"a \"b\" \\")) == body.format(name, "<redacted>")
        assert clean(body.format(name, "")) == body.format(name, "<redacted>")


def test_a_secret_field_that_breaks_off_loses_what_there_is() -> None:
    assert clean('{"a": {"password": "hunt') == '{"a": {"password": "<redacted>'


@pytest.mark.parametrize(
    "body",
    [
        '{"type": "object", "properties": {"password": {"type": "string"}, "api_key": {}}}',
        '{"required": ["password", "api_key"]}',
        '{"password": null, "api_key": false, "access_token": 5, "authorization": ["a"]}',
        '{"content": [{"token": "Hi", "logprob": -0.1}], "max_tokens": "5", "tokens": "x"}',
        r'{"text": "the \"password\": \"hunter22\" is said"}',
        r'{"a\"api_key": "x"}',
        '{"my_api_key_name": "x", "key": "x", "secret": "x"}',
        '{"headers": {"a": "b"}, "tools": [{"parameters": {"headers": {"a": "b"}}}]}',
        '{"role": "user", "content": "user: x"}',
    ],
)
def test_what_is_no_secret_field_stays(body: str) -> None:
    assert clean(body, personal=PERSONAL) == body


def test_personal_ids_go_only_at_the_top_of_a_request() -> None:
    inner = '"user": "ann", "safety_identifier": "ann", "metadata": {"user_id": "ann", "n": "1"}'
    body = f'{{"a": {{{inner}}}, {inner}, "b": [{{{inner}}}]}}'
    expected = inner.replace('"ann"', '"<redacted>"')
    assert clean(body) == body
    assert clean(body, personal=PERSONAL) == f'{{"a": {{{inner}}}, {expected}, "b": [{{{inner}}}]}}'
    assert clean(body, personal=frozenset({"user"})) == (
        f'{{"a": {{{inner}}}, {inner.replace("ann", "<redacted>", 1)}, "b": [{{{inner}}}]}}'
    )


def test_metadata_loses_its_user_id_and_nothing_deeper() -> None:
    body = (
        '{"metadata": {"a": {"user_id": "x"}, "user_id": {"user_id": "x"}}, "m": {"user_id": "x"}}'
    )
    assert clean(body, personal=PERSONAL) == body


@pytest.mark.parametrize(
    "body",
    [
        '{{"tools": [{{"type": "mcp", "headers": {{"X-A": "{0}", "B": "{0}", "n": 1}}}}]}}',
        '{{"mcp_servers": [{{"name": "x", "headers": {{"X-A": "{0}"}}}}]}}',
        '{{"tools": [{{"mcpServers": [{{"streamableHttpTransport": {{"headers": {{"A": "{0}"}}}}}}]}}]}}',
        '{{"mcpServers": {{"git": {{"headers": {{"A": "{0}"}}}}}}}}',
        '{{"response": {{"tools": [{{"headers": {{"A": "{0}"}}}}]}}}}',
    ],
)
def test_the_headers_of_mcp_servers_lose_their_values(body: str) -> None:
    assert clean(body.format("abc")) == body.format("<redacted>")


def test_a_users_path_takes_out_any_value_but_null() -> None:
    body = '{"a": {"b": [%s], "c": %s}, "b": "x"}'
    values = '"s", 12, {"deep": [1]}, [2], true, null'
    redacted = ", ".join(['"<redacted>"'] * 5 + ["null"])
    assert clean(body % (values, "1.5"), "$.a.b[*]", "$..c") == body % (redacted, '"<redacted>"')


@pytest.mark.parametrize("path", ["$", "$[0]", "$['é']", "$.*", "$['a\"b']", "$['a/b']"])
def test_a_path_is_followed_whatever_its_name(path: str) -> None:
    body = {"$[0]": ["x"]}.get(path, {"é": "x", 'a"b': "x", "a/b": "x"})
    redacted = clean(json.dumps(body).replace("/", r"\/"), path)
    assert "<redacted>" in redacted
    json.loads(redacted)


def test_a_path_counts_in_every_event_and_document() -> None:
    events = 'event: a\ndata: {"x": {"id": %s}}\n\ndata: {"id": 1,\r\ndata: "x": {"id": %s}}\r\n\r\n: c\n'
    assert clean(events % (5, '"a"'), "$.x.id", events=True) == events % (('"<redacted>"',) * 2)
    lines = '{"id": %s}\n{"x": 1}\n{"id": %s}'
    assert clean(lines % (5, '"a"'), "$.id") == lines % (('"<redacted>"',) * 2)


def test_an_event_that_breaks_off_does_not_hide_the_next() -> None:
    events = 'data: {"x": {"y": [\n\ndata: {"id": "%s"}\n\n'
    assert clean(events % "a", "$.id", events=True) == events % "<redacted>"


def test_bytes_that_are_no_text_stay() -> None:
    assert (
        clean(b'{"a": "\xff", "password": "\xfe"}') == '{"a": "\udcff", "password": "<redacted>"}'
    )


@pytest.mark.parametrize(
    "unit", ['{"user":', '{"metadata":{', '"metadata":{}}', '{"headers":{"a":', '{"x":', ":", '"']
)
def test_hostile_bodies_take_linear_time(unit: str) -> None:
    body = '{"mcp_servers":' + unit * (200_000 // len(unit))
    began = time.process_time()
    clean(body, "$..x", personal=PERSONAL)
    assert time.process_time() - began < 3
