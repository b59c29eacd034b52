"""Which requests are equal, in which form, and which must never be."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.errors import SettingsError
from llmproxy.interaction import RecordedRequest
from llmproxy.matching.canonical import Canonicaliser, Fingerprints, MatchSettings, Pattern

DAY = date(2026, 11, 20)
"""When the recorded side was recorded."""
TODAY = date(2027, 3, 5)
"""Now, on the live side."""

DEFAULT = Canonicaliser(MatchSettings())
TRANSCRIPT = Canonicaliser(MatchSettings(level="transcript"))
ONE = "550e8400-e29b-41d4-a716-446655440000"
TWO = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


def request(body: object, **changes: Any) -> RecordedRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = RecordedRequest("openai", "POST", "/v1/chat/completions", "", (), raw)
    return replace(made, **changes)


def level(recorded: object, live: object, canonicaliser: Canonicaliser = DEFAULT) -> str:
    """The strictest form in which a recorded and a live request are equal."""
    old = recorded if isinstance(recorded, RecordedRequest) else request(recorded)
    new = live if isinstance(live, RecordedRequest) else request(live)
    a, b = canonicaliser.fingerprints(old, DAY), canonicaliser.fingerprints(new, TODAY)
    for name in ("exact", "canonical", "loose", "transcript"):
        if getattr(a, name) == getattr(b, name):
            return name
    return "different"


def chat(*messages: object, **fields: object) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": list(messages), **fields}


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


SYSTEM = {"role": "system", "content": "Be brief."}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CHAT = chat(
    SYSTEM,
    user("Weather in Paris?"),
    {"role": "assistant", "content": "Sunny."},
    user("And tomorrow?"),
    temperature=0.2,
    stop=["END"],
    tools=[TOOL],
)


def changed(body: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    change(body)
    return body


# --- what must differ ---

DIFFERENT: dict[str, Callable[[dict[str, Any]], object]] = {
    "another system prompt": lambda b: b["messages"][0].update(content="Be long."),
    "another temperature": lambda b: b.update(temperature=0.3),
    "no temperature": lambda b: b.pop("temperature"),
    "another model": lambda b: b.update(model="gpt-4o-mini"),
    "another tool schema": lambda b: b["tools"][0]["function"]["parameters"].update(required=[]),
    "another tool name": lambda b: b["tools"][0]["function"].update(name="climate"),
    "a later turn": lambda b: b["messages"].append(user("Thanks")),
    "an earlier turn": lambda b: b["messages"].pop(),
    "reversed messages": lambda b: b["messages"].reverse(),
    "another last message": lambda b: b["messages"][-1].update(content="And today?"),
    "another first message": lambda b: b["messages"][1].update(content="Weather in Rome?"),
    "another role": lambda b: b["messages"][0].update(role="developer"),
    "an extra stop sequence": lambda b: b["stop"].append("STOP"),
    "streaming": lambda b: b.update(stream=True),
    "a previous response": lambda b: b.update(previous_response_id="resp_1"),
    "a conversation": lambda b: b.update(conversation={"id": "conv_1"}),
    "an unknown field": lambda b: b.update(x_new=0),
    "a seed as text": lambda b: b.update(temperature="0.2"),
    "two parts instead of one": lambda b: b["messages"][1].update(
        content=[{"type": "text", "text": "Weather "}, {"type": "text", "text": "in Paris?"}]
    ),
    "a part that says more": lambda b: b["messages"][1].update(
        content=[{"type": "text", "text": "Weather in Paris?", "x": 1}]
    ),
    "nested metadata": lambda b: b["messages"][1].update(metadata={"a": 1}),
    "a true where there was nothing": lambda b: b.update(parallel_tool_calls=True),
    "stream: false inside a message": lambda b: b["messages"][1].update(stream=False),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_request_with_this_is_another_request(name: str) -> None:
    live = changed(CHAT, DIFFERENT[name])
    assert level(CHAT, live) == "different"
    assert level(CHAT, live, TRANSCRIPT) == "different"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_2"}),
        ({"previous_response_id": ONE}, {"previous_response_id": TWO}),
        ({"conversation": {"id": ONE}}, {"conversation": {"id": TWO}}),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, {"input": [{"type": "item_reference", "id": "msg_2"}]}),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, {"input": [{"type": "reasoning", "id": "rs_2", "summary": []}]}),
        ({"file_ids": [ONE]}, {"file_ids": [TWO]}),
        ({"messages": [user([{"type": "file", "file_id": ONE}])]}, {"messages": [user([{"type": "file", "file_id": TWO}])]}),
        ({"container": ONE}, {"container": TWO}),
        ({"cachedContent": f"cachedContents/{ONE}"}, {"cachedContent": f"cachedContents/{TWO}"}),
        ({"prompt": {"id": ONE}}, {"prompt": {"id": TWO}}),
        ({"model": ONE}, {"model": TWO}),
        ({"image_url": {"url": f"https://x/{ONE}"}}, {"image_url": {"url": f"https://x/{TWO}"}}),
        ({"signature": ONE}, {"signature": TWO}),
        ({"encrypted_content": ONE}, {"encrypted_content": TWO}),
        ({"thoughtSignature": ONE}, {"thoughtSignature": TWO}),
        ({"source": {"type": "base64", "data": "aGk="}}, {"source": {"type": "base64", "data": "aGo="}}),
        ({"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "x"}]}, {"messages": [{"role": "tool", "tool_call_id": "call_2", "content": "x"}]}),
        ({"n": True}, {"n": 1}),
        ({"n": "1"}, {"n": 1}),
        ({"n": []}, {"n": {}}),
        ({"n": []}, {}),
        ({"n": 9007199254740993}, {"n": 9007199254740992}),
        ({"n": 1e308}, {"n": 1.5e308}),
        ({"stop": [None]}, {"stop": []}),
        ({"key": "Z"}, {"kez": "Z"}),
        ({"content": ["x"]}, {"content": "x"}),
        ({"messages": ["a", "bc"]}, {"messages": ["ab", "c"]}),
    ],
)  # fmt: skip
def test_these_never_match_each_other(one: object, other: object) -> None:
    assert level(one, other) == "different"
    assert level(one, other, TRANSCRIPT) == "different"


def test_a_schema_is_opaque() -> None:
    def schema(value: object) -> object:
        return {"tools": [{"function": {"name": "f", "parameters": value}}]}

    assert level(schema({"const": None}), schema({})) == "different"
    assert level(schema({"cache_control": 1}), schema({})) == "different"
    assert level(schema({"default": ONE}), schema({"default": TWO})) == "different"
    assert level(schema({"default": str(DAY)}), schema({"default": str(TODAY)})) == "different"
    assert level(schema({"a": 1.0, "b": 2}), schema({"b": 2, "a": 1})) == "canonical"


@pytest.mark.parametrize(
    "place",
    [
        "parameters",
        "input_schema",
        "schema",
        "responseSchema",
        "responseJsonSchema",
        "input",
        "args",
    ],
)
def test_nothing_is_dropped_from_schemas_and_arguments(place: str) -> None:
    assert level({"a": {place: {"x": None}}}, {"a": {place: {}}}) == "different"
    assert (
        level({"a": {place: {"user": "u", "cache_control": 1}}}, {"a": {place: {}}}) == "different"
    )
    text_part = {"content": [{"type": "text", "text": "x"}]}
    assert level({"a": {place: text_part}}, {"a": {place: {"content": "x"}}}) == "different"


def test_address_counts() -> None:
    there = request(CHAT)
    for change in (
        {"upstream": "groq"},
        {"method": "PUT"},
        {"path": "/v1/responses"},
        {"path": f"/v1/files/{ONE}"},
        {"query": "a=1"},
    ):
        assert level(there, replace(there, **change)) == "different"  # type: ignore[arg-type]
    assert level(request({}, path=f"/{ONE}"), request({}, path=f"/{TWO}")) == "different"


def test_parts_of_the_address_do_not_run_into_each_other() -> None:
    a = request(b"x", method="POST", path="/ab", query="c")
    b = request(b"x", method="POST", path="/a", query="bc")
    c = request(b"cx", method="POST", path="/ab", query="")
    assert len({DEFAULT.exact(each) for each in (a, b, c)}) == 3
    assert len({DEFAULT.fingerprints(each, DAY).canonical for each in (a, b, c)}) == 3


# --- what is equal in canonical form ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}),
        ({"a": 1, "seed": None}, {"a": 1}),
        ({"messages": [{"role": "user", "content": "x", "name": None}]}, {"messages": [user("x")]}),
        ({"a": 1, "stream": False}, {"a": 1}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 0}, {"temperature": -0.0}),
        ({"max_tokens": 10**20}, {"max_tokens": 1e20}),
        ({"messages": [user("x")]}, {"messages": [user([{"type": "text", "text": "x"}])]}),
        ({"input": [user("x")]}, {"input": [user([{"type": "input_text", "text": "x"}])]}),
        ({"input": "x"}, {"input": [user("x")]}),
        ({"input": "x"}, {"input": [user([{"type": "input_text", "text": "x"}])]}),
        ({"system": "x"}, {"system": [{"type": "text", "text": "x"}]}),
        ({"messages": [user("")]}, {"messages": [user([{"type": "text", "text": ""}])]}),
        ({"instructions": "x"}, {"instructions": [{"type": "input_text", "text": "x"}]}),
        (
            {"system": "x"},
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        ),
        ({"tools": [{"name": "f", "cache_control": {}}]}, {"tools": [{"name": "f"}]}),
        ({"systemInstruction": {"parts": [], "role": "user"}}, {"systemInstruction": {"parts": []}}),
        ({"a": 1, "stream_options": {"include_obfuscation": False}}, {"a": 1}),
        ({"a": 1, "stream_options": {}}, {"a": 1}),
        ({"a": "é"}, b'{"a": "\xc3\xa9"}'),
        ({"a": 1}, b'\xef\xbb\xbf {\n "a" : 1.0 }\r\n'),
        ({"a": {"arguments": '{"b": 1, "a": 2.0}'}}, {"a": {"arguments": '{"a":2,"b":1}'}}),
        ({"a": {"arguments": '"\\u00e9"'}}, {"a": {"arguments": '"é"'}}),
    ],
)  # fmt: skip
def test_these_are_equal_in_canonical_form(one: object, other: object) -> None:
    assert level(one, other) == "canonical"
    assert level(other, one) == "canonical"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user", "ann"),
        ("metadata", {"run": ONE}),
        ("safety_identifier", "s"),
        ("prompt_cache_key", "k"),
        ("store", True),
    ],
)
def test_a_field_that_shapes_no_answer_counts_only_on_demand(name: str, value: object) -> None:
    assert level(CHAT, {**CHAT, name: value}) == "canonical"
    counting = Canonicaliser(MatchSettings(count=(name,)))  # type: ignore[arg-type]
    assert level(CHAT, {**CHAT, name: value}, counting) == "different"
    assert counting.key != DEFAULT.key


def test_cache_control_and_obfuscation_count_on_demand() -> None:
    counting = Canonicaliser(MatchSettings(count=("cache_control", "include_obfuscation")))
    plain = {"system": [{"type": "text", "text": "x"}]}
    cached = {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}
    assert level(plain, cached, counting) == "different"
    padded = {**plain, "stream_options": {"include_obfuscation": True}}
    assert level(plain, padded, counting) == "different"


def test_other_stream_options_count() -> None:
    usage = {"include_usage": True}
    assert level(CHAT, {**CHAT, "stream_options": usage}) == "different"
    padded = {**usage, "include_obfuscation": False}
    assert (
        level({**CHAT, "stream_options": usage}, {**CHAT, "stream_options": padded}) == "canonical"
    )


def test_ollama_streams_unless_told_so_false_counts_there() -> None:
    silent, told = request({"model": "m"}, path="/api/chat"), {"model": "m", "stream": False}
    assert level(silent, request(told, path="/api/chat")) == "different"
    assert level(request({}, path="/x"), request({"stream": False}, path="/x")) == "canonical"


def test_ollamas_schema_is_opaque_and_a_text_format_is_not() -> None:
    assert level({"format": {"const": None}}, {"format": {}}) == "different"
    assert level({"text": {"format": {"name": None}}}, {"text": {"format": {}}}) == "canonical"


def test_claude_codes_billing_line_does_not_count() -> None:
    def system(*texts: str) -> object:
        return {"system": [{"type": "text", "text": text} for text in texts]}

    line = "x-anthropic-billing-header: cc_version=2.1.37.0d9; cc_entrypoint=cli; cch={};"
    assert (
        level(system(line.format("fa690"), "A", "B"), system(line.format("0aaa9"), "A", "B"))
        == "canonical"
    )
    assert level(system(line.format("fa690"), "A"), {"system": "A"}) == "canonical"
    assert level(system(line.format("fa690")), {}) == "canonical"
    assert (
        level(system(line.format("1") + "\nA"), {"system": line.format("2") + "\nA"}) == "canonical"
    )
    assert level(system(line.format("1") + "\nA"), system(line.format("2") + "\nB")) == "different"
    assert level(system(f"see {line}", "A"), system("A")) == "different"
    assert level(chat(user(line.format("1"))), chat(user(line.format("2")))) == "different"
    without = Canonicaliser(MatchSettings(presets=("codex", "paths")))
    assert (
        level(system(line.format("1"), "A"), system(line.format("2"), "A"), without) == "different"
    )


def test_codexs_client_metadata_does_not_count() -> None:
    ids = {"x-codex-installation-id": ONE}
    assert level(CHAT, {**CHAT, "client_metadata": ids}) == "canonical"
    without = Canonicaliser(MatchSettings(presets=()))
    assert level(CHAT, {**CHAT, "client_metadata": ids}, without) == "different"


def test_the_query_counts_sorted_without_beta_and_what_is_ignored() -> None:
    def at(query: str) -> RecordedRequest:
        return request(CHAT, query=query)

    assert level(at("a=1&b=2"), at("a=1&b=2")) == "exact"
    assert level(at("a=1&b=2"), at("b=2&a=1")) == "canonical"
    assert level(at("beta=true"), at("")) == "canonical"
    assert level(at("a=1&a=2"), at("a=2&a=1")) == "different"
    assert level(at("a=1"), at("a=2")) == "different"
    ignoring = Canonicaliser(MatchSettings(ignore_query=("api-version", "x y")))
    assert level(at("a=1&api-version=1&x+y=1"), at("api-version=2&a=1"), ignoring) == "canonical"


def test_headers_count_only_where_they_are_named() -> None:
    one = request(CHAT, headers=(("Anthropic-Beta", "a"), ("X", "1")))
    other = request(CHAT, headers=(("anthropic-beta", "b"), ("X", "2")))
    assert level(one, other) == "exact"
    counting = Canonicaliser(MatchSettings(headers=("ANTHROPIC-beta",)))
    assert level(one, other, counting) == "different"
    same = request(CHAT, headers=(("anthropic-beta", "a"),))
    assert level(one, same, counting) == "exact"
    assert level(one, request(CHAT), counting) == "different"


def test_what_is_ignored_is_gone_before_anything_else() -> None:
    ignoring = Canonicaliser(
        MatchSettings(ignore=("$.temperature", "$.messages[*].name", "$..trace"))
    )
    other = changed(CHAT, lambda b: b.update(temperature=0.9, trace={"a": 1}))
    other["messages"][1].update(
        name="ann", content=[{"type": "text", "text": "Weather in Paris?", "trace": 7}]
    )
    assert level(CHAT, other, ignoring) == "canonical"
    assert level(CHAT, other) == "different"


# --- bodies that are not JSON, or none that can be read without loss ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1,"a":2}', b'{ "a":1,"a":2}'),
        (b'{"a":1e999}', b'{"a":1e998}'),
        (b'{"a":NaN}', b'{"a":Infinity}'),
        (b'{"a":NaN}', b'{"a":"NaN"}'),
        (b'{"a":1e-400}', b'{"a":0}'),
        (b'{"a":1.00000000000000000000001}', b'{"a":1}'),
        (b'{"a":"\xff"}', b'{"a":"\xfe"}'),
        (b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}', b'{"a":"\xf0\x9f\x98\x80"}'),
        (b'{"a":1', b'{"a": 1'),
        (b"[" * 300 + b"]" * 300, b"[ " + b"[" * 299 + b"]" * 300),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"a":' * 5000 + b"2" + b"}" * 5000),
        (b"", b" "),
        (b"1", b"1.0"),
        (b'{"a":' + b"1" * 5000 + b"}", b'{"a": ' + b"1" * 5000 + b"}"),
    ],
)
def test_what_cannot_be_read_without_loss_counts_by_its_bytes(one: bytes, other: bytes) -> None:
    assert level(one, one) == "exact"
    assert level(one, other) == "different"
    assert DEFAULT.tree(request(one), DAY, ordinals=True) is None


def test_deep_but_not_too_deep_json_is_still_compared_parsed() -> None:
    deep = b'{"a":' * 150 + b"1" + b"}" * 150
    assert level(deep, deep.replace(b":", b": ")) == "canonical"
    wide = b"[" + b",".join([b"{}"] * 1000) + b"]"
    assert level(wide, wide.replace(b",", b", ")) == "canonical"


def test_braces_in_texts_do_not_make_a_body_deep() -> None:
    body = chat(user("{[" * 5000), user("]" * 5000))
    assert level(body, {"messages": body["messages"], "model": "gpt-4o"}) == "canonical"


def test_lone_surrogates_are_told_apart() -> None:
    assert level(b'{"a":"\\ud800"}', b'{ "a":"\\ud800"}') == "canonical"
    assert level(b'{"a":"\\ud800"}', b'{"a":"\\ud801"}') == "different"
    assert level(b'{"arguments":"{\\"a\\":\\"\\\\ud800\\"}"}', b'{"arguments":"{}"}') == "different"


def _multipart(boundary: str, text: str = "hello", quote: str = "") -> RecordedRequest:
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="f"',
        "",
        text,
        f"--{boundary}--",
        "",
    ]
    kind = f"multipart/form-data; boundary={quote}{boundary}{quote}"
    return request("\r\n".join(lines).encode(), headers=(("Content-Type", kind),))


def test_the_boundary_of_a_form_does_not_count() -> None:
    assert level(_multipart("----aB1"), _multipart("xyz")) == "canonical"
    assert level(_multipart("----aB1"), _multipart("x'y", quote='"')) == "canonical"
    assert level(_multipart("----aB1"), _multipart("xyz", "bye")) == "different"
    counting = Canonicaliser(MatchSettings(headers=("content-type",)))
    assert level(_multipart("----aB1"), _multipart("xyz"), counting) == "canonical"


def test_a_url_encoded_form_counts_in_its_order() -> None:
    form = (("content-type", "application/x-www-form-urlencoded"),)
    assert (
        level(request(b"a=1&b=2", headers=form), request(b"b=2&a=1", headers=form)) == "different"
    )


# --- ordinals ---


def test_a_fresh_uuid_matches_and_its_absence_does_not() -> None:
    assert level(chat(user(f"run {ONE}")), chat(user(f"run {TWO}"))) == "loose"
    assert level(chat(user(f"run {ONE}")), chat(user("run "))) == "different"


def test_who_refers_to_whom_is_kept() -> None:
    a, b = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-000000000000"
    assert level(chat(user(f"{ONE} {TWO} {ONE}")), chat(user(f"{a} {b} {a}"))) == "loose"
    assert level(chat(user(f"{ONE} {TWO} {ONE}")), chat(user(f"{a} {b} {b}"))) == "different"
    assert level(chat(user(ONE), user(ONE)), chat(user(a), user(b))) == "different"


def test_ordinals_do_not_depend_on_the_order_of_keys() -> None:
    one = {"b": ONE, "a": TWO, "c": ONE}
    other = {"c": TWO, "b": TWO, "a": ONE}
    assert level(one, other) == "loose"


def test_todays_date_in_a_prompt_matches_on_any_day() -> None:
    assert (
        level(
            chat(user("Today's date: 2026-11-20. Hi")), chat(user("Today's date: 2027-03-05. Hi"))
        )
        == "loose"
    )
    assert (
        level(
            chat(user("It is Friday, November 20, 2026")), chat(user("It is Friday, March 5, 2027"))
        )
        == "loose"
    )


def test_a_date_that_is_content_counts() -> None:
    assert level(chat(user("Invoice 2024-01-06")), chat(user("Invoice 2024-01-07"))) == "different"
    assert level(chat(user("Due 2026-11-20")), chat(user("Due 2024-01-07"))) == "different"


def test_full_date_times_match() -> None:
    old, new = "2026-11-20T10:11:12Z", "2027-03-05T01:02:03Z"
    assert level(chat(user(f"at {old}")), chat(user(f"at {new}"))) == "loose"


def test_ordinals_reach_arguments_and_results_of_tools() -> None:
    def turn(value: str) -> object:
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": json.dumps({"run": value})},
        }
        return chat(
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": f"done {value}"},
        )

    def use(value: str) -> object:
        return chat(
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"run": value}}],
            }
        )

    def part(value: str) -> object:
        return {
            "contents": [{"parts": [{"functionCall": {"name": "f", "args": {"run": [value]}}}]}]
        }

    def answer(value: str) -> object:
        return {
            "contents": [
                {"parts": [{"functionResponse": {"name": "f", "response": {"run": value}}}]}
            ]
        }

    for make in (turn, use, part, answer):
        assert level(make(ONE), make(TWO)) == "loose"


def test_a_response_schema_of_a_gemini_function_is_a_schema() -> None:
    def declaration(value: str) -> object:
        return {
            "tools": [{"functionDeclarations": [{"name": "f", "response": {"default": value}}]}]
        }

    assert level(declaration(ONE), declaration(TWO)) == "different"


def test_a_users_pattern_becomes_an_ordinal_everywhere_but_in_schemas() -> None:
    own = Canonicaliser(MatchSettings(patterns=(Pattern("order", r"order-\d+"),)))
    assert level(chat(user("order-1 order-2")), chat(user("order-8 order-9")), own) == "loose"
    assert level(chat(user("order-1 order-1")), chat(user("order-8 order-9")), own) == "different"
    one, other = {"x": {"schema": {"a": "order-1"}}}, {"x": {"schema": {"a": "order-2"}}}
    assert level(one, other, own) == "different"
    assert own.paired(request(chat(user("order-1")))) == own.paired(request(chat(user("order-8"))))


# --- ids that pair ---


def openai_turn(one: str, two: str, *, crossed: bool = False) -> object:
    calls = [
        {"id": each, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for each, name in ((one, "f"), (two, "g"))
    ]
    first, second = (two, one) if crossed else (one, two)
    return chat(
        user("go"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": first, "content": "1"},
        {"role": "tool", "tool_call_id": second, "content": "2"},
    )


def anthropic_turn(one: str, two: str, *, crossed: bool = False) -> object:
    first, second = (two, one) if crossed else (one, two)
    return chat(
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": one, "name": "f", "input": {}},
                {"type": "tool_use", "id": two, "name": "g", "input": {}},
            ],
        },
        user(
            [
                {"type": "tool_result", "tool_use_id": first, "content": "1"},
                {"type": "tool_result", "tool_use_id": second, "content": "2"},
            ]
        ),
    )


def responses_turn(one: str, two: str, *, crossed: bool = False) -> object:
    first, second = (two, one) if crossed else (one, two)
    return {
        "input": [
            {"type": "function_call", "id": f"fc_{one}", "call_id": one, "name": "f", "arguments": ""},
            {"type": "function_call", "id": f"fc_{two}", "call_id": two, "name": "g", "arguments": ""},
            {"type": "function_call_output", "call_id": first, "output": "1"},
            {"type": "function_call_output", "call_id": second, "output": "2"},
        ]
    }  # fmt: skip


def gemini_turn(one: str, two: str, *, crossed: bool = False) -> object:
    first, second = (two, one) if crossed else (one, two)
    return {
        "contents": [
            {"parts": [{"functionCall": {"id": one, "name": "f", "args": {}}}]},
            {"parts": [{"functionCall": {"id": two, "name": "f", "args": {}}}]},
            {"parts": [{"functionResponse": {"id": first, "name": "f", "response": {"r": 1}}}]},
            {"parts": [{"functionResponse": {"id": second, "name": "f", "response": {"r": 2}}}]},
        ]
    }


TURNS = [openai_turn, anthropic_turn, responses_turn, gemini_turn]


@pytest.mark.parametrize("turn", TURNS)
def test_fresh_ids_of_tool_calls_match_if_their_pairing_is_kept(
    turn: Callable[..., object],
) -> None:
    assert level(turn("call_a", "call_b"), turn("call_x", "call_y")) == "loose"
    crossed = turn("call_x", "call_y", crossed=True)
    assert level(turn("call_a", "call_b"), crossed) == "different"
    assert level(turn("call_a", "call_b"), turn("call_x", "call_x")) == "different"


@pytest.mark.parametrize("turn", TURNS)
def test_pairing_ids_alone_never_make_ambiguity(turn: Callable[..., object]) -> None:
    one, other = request(turn("call_a", "call_b")), request(turn("call_x", "call_y"))
    assert DEFAULT.paired(one) == DEFAULT.paired(other)


def test_uuids_and_dates_make_ambiguity() -> None:
    for one, other in ((ONE, TWO), ("2026-11-20", "2027-03-05")):
        old, new = chat(user(f"about {one}")), chat(user(f"about {other}"))
        assert level(old, new) == "loose"
        assert DEFAULT.paired(request(old)) != DEFAULT.paired(request(new))
        assert DEFAULT.paired(request(old)) == DEFAULT.paired(request({**old, "user": "x"}))


def test_a_result_of_a_call_that_is_not_in_the_request_counts_by_its_id() -> None:
    def output(call: str) -> object:
        return {
            "previous_response_id": "resp_1",
            "input": [{"type": "function_call_output", "call_id": call, "output": "1"}],
        }

    assert level(output("call_a"), output("call_b")) == "different"


def test_ids_of_items_echoed_whole_do_not_count() -> None:
    def items(tag: str) -> object:
        text = [{"type": "output_text", "text": "Hi", "annotations": []}]
        return {
            "input": [
                {"type": "reasoning", "id": f"rs_{tag}", "summary": [], "encrypted_content": "xyz"},
                {"type": "message", "id": f"msg_{tag}", "role": "assistant", "content": text},
                {"id": f"msg2_{tag}", "role": "assistant", "content": text},
                user("Next"),
            ]
        }

    assert level(items("a"), items("b")) == "loose"


def test_a_web_search_item_is_known_to_the_upstream_only_by_its_id() -> None:
    def items(tag: str) -> object:
        return {"input": [{"type": "web_search_call", "id": f"ws_{tag}", "status": "completed"}]}

    assert level(items("a"), items("b")) == "different"


def test_server_tool_use_pairs_with_its_result() -> None:
    def turn(one: str) -> object:
        return chat(
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": one, "name": "web_search", "input": {}},
                    {"type": "web_search_tool_result", "tool_use_id": one, "content": []},
                ],
            }
        )

    assert level(turn("srvtoolu_1"), turn("srvtoolu_2")) == "loose"


# --- directories ---


def in_folder(path: str, home: str) -> object:
    return chat(
        {"role": "system", "content": f"Env:\nWorking directory: {path}\nPlatform: linux"},
        user(f"Read {path}/a.py and {home}/.config, not /tmp/a.txt"),
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {"name": "read", "arguments": json.dumps({"path": f"{path}/a.py"})}}],
        },
    )  # fmt: skip


def test_a_declared_working_directory_does_not_count() -> None:
    here, there = (
        in_folder("/home/ann/app", "/home/ann"),
        in_folder("/Users/bob/src/x", "/Users/bob"),
    )
    assert level(here, there) == "loose"
    assert level(here, there, Canonicaliser(MatchSettings(presets=("claude_code",)))) == "different"


def test_a_path_that_is_content_counts() -> None:
    assert level(chat(user("Read /tmp/a.txt")), chat(user("Read /tmp/b.txt"))) == "different"
    assert level(chat(user("/home/ann/x")), chat(user("/home/bob/x"))) == "different"
    one = chat(user("cwd: /srv/app\nRead /tmp/a.txt"))
    other = chat(user("cwd: /srv/web\nRead /tmp/b.txt"))
    assert level(one, other) == "different"


def test_codex_alone_reads_only_its_own_tag() -> None:
    codex = Canonicaliser(MatchSettings(presets=("codex",)))
    tagged = [
        chat(user(f"<environment_context><cwd>{p}</cwd></environment_context>"))
        for p in ("/a/b", "/c/d")
    ]
    labelled = [chat(user(f"cwd: {p}")) for p in ("/a/b", "/c/d")]
    assert level(tagged[0], tagged[1], codex) == "loose"
    assert level(labelled[0], labelled[1], codex) == "different"


def test_what_a_tool_prints_declares_no_directory() -> None:
    def turn(path: str) -> object:
        return chat(
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": f"cwd: {path}"},
        )  # fmt: skip

    assert level(turn("/srv/a"), turn("/srv/b")) == "different"


def test_temporary_names_match() -> None:
    one, other = "/tmp/tmpa1b2c3d4/x", "/tmp/tmpz9y8x7w6/x"
    assert level(chat(user(one)), chat(user(other))) == "loose"


# --- transcripts ---


def results(text: str, failed: bool = False) -> list[object]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return [
        chat({"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": text}),
        chat(
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            user([{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": text}, {"type": "text", "text": "x"}], "is_error": failed}]),
        ),
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}, {"type": "function_call_output", "call_id": "c", "output": text}]},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": {}}}]}, {"parts": [{"functionResponse": {"name": "f", "response": {"r": text}}}]}]},
        chat({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, {"role": "function", "name": "f", "content": text}),
    ]  # fmt: skip


def test_results_of_recorded_calls_may_differ_in_a_transcript() -> None:
    for one, other in zip(results("took 0.31 s"), results(f"took 2 s, pid 71, {ONE}"), strict=True):
        assert level(one, other, TRANSCRIPT) == "transcript"
        assert level(one, other) == "different"


def test_a_failed_result_is_not_a_result_that_worked() -> None:
    worked, failed = results("x")[1], results("x", failed=True)[1]
    assert level(worked, failed, TRANSCRIPT) == "different"


def test_a_result_without_its_call_counts_in_a_transcript() -> None:
    for one, other in (
        (chat({"role": "tool", "tool_call_id": "c", "content": "1"}), chat({"role": "tool", "tool_call_id": "c", "content": "2"})),
        (chat(user([{"type": "tool_result", "tool_use_id": "c", "content": "1"}])), chat(user([{"type": "tool_result", "tool_use_id": "c", "content": "2"}]))),
    ):  # fmt: skip
        assert level(one, other, TRANSCRIPT) == "different"


def test_uuids_in_results_do_not_shift_the_ordinals_of_a_transcript() -> None:
    def turn(result: str, after: str) -> object:
        first = results(result)[0]
        assert isinstance(first, dict)
        return chat(*first["messages"], user(f"now {after}"))

    assert level(turn(f"{ONE}", ONE), turn("nothing", TWO), TRANSCRIPT) == "transcript"


def test_the_transcript_is_worked_out_only_on_demand() -> None:
    one, other = (request(results(text)[0]) for text in ("a", "b"))
    prints = DEFAULT.fingerprints(one, DAY)
    assert prints.transcript == prints.loose
    assert TRANSCRIPT.key != DEFAULT.key
    assert (
        TRANSCRIPT.fingerprints(one, DAY).transcript
        == TRANSCRIPT.fingerprints(other, DAY).transcript
    )


# --- settings ---


def test_the_key_changes_with_every_setting_that_changes_a_fingerprint() -> None:
    keys = {
        Canonicaliser(settings).key
        for settings in (
            MatchSettings(),
            MatchSettings(ignore=("$.a",)),
            MatchSettings(ignore_query=("a",)),
            MatchSettings(headers=("a",)),
            MatchSettings(count=("user",)),
            MatchSettings(presets=()),
            MatchSettings(patterns=(Pattern("a", "b"),)),
            MatchSettings(patterns=(Pattern("a", "c"),)),
        )
    }
    assert len(keys) == 8
    same = MatchSettings(level="exact", ambiguous="in_order")
    assert Canonicaliser(same).key == DEFAULT.key
    one, other = MatchSettings(headers=("A", "b")), MatchSettings(headers=("B", "a"))
    assert Canonicaliser(one).key == Canonicaliser(other).key


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (MatchSettings(ignore=("model",)), "match.ignore"),
        (MatchSettings(patterns=(Pattern("x", "("),)), "match.patterns"),
        (MatchSettings(patterns=(Pattern("a b", "x"),)), "match.patterns"),
        (MatchSettings(patterns=(Pattern("", "x"),)), "match.patterns"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(settings: MatchSettings, place: str) -> None:
    with pytest.raises(SettingsError, match=place) as caught:
        Canonicaliser(settings)
    assert caught.value.hint


# --- properties ---

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([ONE, "2026-11-20", "call_1", "x-anthropic-billing-header: a"])
)
KEYS = st.sampled_from(
    [
        *(
            "messages",
            "content",
            "role",
            "type",
            "text",
            "id",
            "tool_calls",
            "tool_call_id",
            "input",
        ),
        *(
            "system",
            "parameters",
            "arguments",
            "args",
            "functionCall",
            "functionResponse",
            "response",
        ),
        *(
            "name",
            "call_id",
            "stream",
            "format",
            "stream_options",
            "systemInstruction",
            "call",
            "x",
        ),
    ]
) | st.text(max_size=3)
TREES = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=20,
)
BODIES = st.dictionaries(KEYS, TREES, max_size=5)


def prints(body: object) -> Fingerprints:
    return DEFAULT.fingerprints(request(body), DAY)


def respelt(node: Any, chance: random.Random, *, opaque: bool = False) -> Any:
    """The same JSON with keys in another order and, outside opaque subtrees, nulls added."""
    if isinstance(node, list):
        return [respelt(item, chance, opaque=opaque) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"parameters", "args", "response", "input", "arguments", "format"}
    items = [(k, respelt(v, chance, opaque=opaque or k in closed)) for k, v in node.items()]
    if not opaque:
        items.append(("added", None))
    chance.shuffle(items)
    return dict(items)


@settings(deadline=None)
@given(BODIES, st.randoms(use_true_random=False))
def test_order_of_keys_white_space_and_nulls_never_count(body: Any, chance: random.Random) -> None:
    other = json.dumps(respelt(body, chance), indent=2, ensure_ascii=False)
    raw = other.encode("utf-8", "surrogatepass")
    made = prints(raw if _is_utf8(raw) else json.dumps(json.loads(other)).encode())
    assert replace(made, exact=b"") == replace(prints(body), exact=b"")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _scalars(node: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [path for k, v in node.items() for path in _scalars(v, (*keys, k))]
    if isinstance(node, list):
        return [path for i, v in enumerate(node) for path in _scalars(v, (*keys, i))]
    return [keys]


@settings(deadline=None)
@given(BODIES, st.data())
def test_a_change_of_any_scalar_makes_another_request(body: Any, data: st.DataObject) -> None:
    body["model"] = "m"
    path = data.draw(st.sampled_from(_scalars(body)))
    other = copy.deepcopy(body)
    holder = other
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    new = data.draw(SCALARS.filter(lambda value: value not in (None, False)))
    holder[path[-1]] = new
    if type(old) in (int, float, type(None)) and type(new) in (int, float):
        same = old is not None and old == new
    else:
        same = type(old) is type(new) and old == new
    if not (same or _is_noise(path, old, new)):
        assert prints(body).canonical != prints(other).canonical


def _is_noise(path: tuple[Any, ...], old: Any, new: Any) -> bool:
    """Changes that are meant to be equal: a role that is dropped, a billing line, arguments."""
    if "systemInstruction" in path[:-1] and path[-1] == "role":
        return True
    if "arguments" in path and isinstance(old, str) and isinstance(new, str):
        return True
    return "x-anthropic-billing-header: a" in (old, new)


@settings(deadline=None)
@given(st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_fingerprints_never_fail(body: bytes) -> None:
    made = request(body, headers=(("content-type", "multipart/form-data; boundary=a"),))
    for canonicaliser in (DEFAULT, TRANSCRIPT):
        result = canonicaliser.fingerprints(made, DAY)
        assert {len(each) for each in (result.exact, result.canonical, result.loose)} == {16}
        assert canonicaliser.paired(made)
        canonicaliser.tree(made, DAY, ordinals=True)


@settings(deadline=None)
@given(BODIES)
def test_ordinals_done_twice_change_nothing_more(body: Any) -> None:
    tree = DEFAULT.tree(request(body), DAY, ordinals=True)
    again = DEFAULT.tree(request(json.dumps(tree).encode()), DAY, ordinals=True)
    assert json.dumps(again, sort_keys=True) == json.dumps(tree, sort_keys=True)


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_address_has_a_fingerprint(path: str, query: str) -> None:
    made = request(b"{}", path=path, query=query)
    assert DEFAULT.fingerprints(made, DAY).exact == DEFAULT.exact(made)


# --- real traffic ---


def test_real_requests_equal_only_themselves_and_those_with_other_ids(traffic: Path) -> None:
    groups: dict[bytes, set[str]] = {}
    count = 0
    for file in sorted(traffic.glob("*/*.yaml")):
        for each in yaml.load(file.read_bytes(), yaml.CSafeLoader)["interactions"]:
            body = each["request"].get("parsed_body")
            if not isinstance(body, dict):
                continue
            count += 1
            text = json.dumps(body, sort_keys=True)
            made = request(body, path=each["request"]["uri"])
            loose = DEFAULT.fingerprints(made, DAY).loose
            same = DEFAULT.fingerprints(
                replace(made, body=json.dumps(body, indent=1).encode()), DAY
            )
            assert same.loose == loose
            without_ids = re.sub(r"\b(call|toolu|msg|fc|rs)_\w+", "ID", text)
            groups.setdefault(loose, set()).add(without_ids)
    assert count > 100
    assert [group for group in groups.values() if len(group) > 1] == []
