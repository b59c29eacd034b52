"""Which recorded request is nearest, how the difference reads, and what would accept it."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import time
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.interaction import RecordedRequest
from llmproxy.matching.canonical import Canonicaliser, MatchSettings, Pattern
from llmproxy.matching.differences import Difference
from llmproxy.matching.ranking import Candidate, describe, rank, summary_line

DAY = date(2026, 11, 20)
TODAY = date(2027, 3, 5)
ONE = "550e8400-e29b-41d4-a716-446655440000"
TWO = "6fa459ea-ee8a-4ca4-894e-db77e160355e"

CHAT: dict[str, Any] = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "You are a guide. Today is 2026-11-20."},
        {"role": "user", "content": "What is the weather in paris today, my friend?"},
        {"role": "assistant", "content": "Sunny and warm."},
        {"role": "user", "content": "And what should I wear for a walk?"},
    ],
}


def request(body: object, **changes: Any) -> RecordedRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = RecordedRequest("openai", "POST", "/v1/chat/completions", "", (), raw)
    return dataclasses.replace(made, **changes)


def variant(**fields: Any) -> dict[str, Any]:
    body = copy.deepcopy(CHAT)
    for name, value in fields.items():
        if name.startswith("m") and name[1:].isdigit():
            body["messages"][int(name[1:])]["content"] = value
        else:
            body[name] = value
    return body


def nearest(
    recorded: object, live: object, settings: MatchSettings | None = None, **kwargs: Any
) -> Candidate:
    old = recorded if isinstance(recorded, RecordedRequest) else request(recorded)
    new = live if isinstance(live, RecordedRequest) else request(live)
    canonicaliser = Canonicaliser(settings or MatchSettings())
    (found,) = rank(new, [(7, "a.db", old, DAY)], canonicaliser, TODAY, **kwargs)
    return found


def told(recorded: object, live: object, settings: MatchSettings | None = None) -> list[str]:
    """The lines of differences, as a person reads them."""
    text = describe([nearest(recorded, live, settings)])
    return [line[2:] for line in text.split("\n")[1:] if line[:3] != "   " and "accept" not in line]


def accepted(settings: MatchSettings, lines: str) -> MatchSettings:
    """The settings with the lines of a candidate put into ``proxy.yml``."""
    (section,) = yaml.safe_load(lines).items()
    assert section[0] == "match"
    values: dict[str, Any] = {}
    for name, value in section[1].items():
        if name == "patterns":
            values[name] = tuple(Pattern(**each) for each in value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(settings, **values)


def match(recorded: RecordedRequest, live: RecordedRequest, settings: MatchSettings) -> bool:
    canonicaliser = Canonicaliser(settings)
    a, b = canonicaliser.fingerprints(recorded, DAY), canonicaliser.fingerprints(live, TODAY)
    if settings.level == "exact":
        return a.exact == b.exact
    kinds = ["canonical", "loose"] + ["transcript"] * (settings.level == "transcript")
    return any(getattr(a, kind) == getattr(b, kind) for kind in kinds)


def accept(recorded: object, live: object, settings: MatchSettings | None = None) -> str:
    """What would accept the pair; tried out through YAML and settings before it is given."""
    old = recorded if isinstance(recorded, RecordedRequest) else request(recorded)
    new = live if isinstance(live, RecordedRequest) else request(live)
    settings = settings or MatchSettings()
    lines = nearest(old, new, settings).accept
    if lines:
        assert match(old, new, accepted(settings, lines))
    return lines


# --- differences ---


def test_a_changed_word_is_shown_with_what_stands_around_it() -> None:
    live = variant(m1="What is the weather in london today, my friend?")
    assert told(CHAT, live) == [
        'messages[0].content: "…Today is <date:1>." → "…Today is 2026-11-20."',
        'messages[1].content: "…the weather in paris today, my…" → "…the weather in london today, my…"',
    ]


def test_noise_is_not_shown() -> None:
    recorded = variant(m1=f"run {ONE}", user="a", temperature=0)
    live = variant(m0="You are a guide. Today is 2027-03-05.", m1=f"walk {TWO}", temperature=0.0)
    assert told(recorded, live) == ['messages[1].content: "run <uuid:1>" → "walk <uuid:1>"']


def test_a_changed_scalar_is_shown_with_both_values() -> None:
    assert told({"temperature": 0.2, "n": "1"}, {"temperature": 0.9, "n": 1}) == [
        'n: "1" → 1',
        "temperature: 0.2 → 0.9",
    ]


def test_a_true_is_not_a_one() -> None:
    assert told({"a": True}, {"a": 1}) == ["a: true → 1"]


def test_an_inserted_message_is_one_difference() -> None:
    live = copy.deepcopy(CHAT)
    live["messages"].insert(1, {"role": "user", "content": "Hello"})
    assert told(CHAT, live)[1:] == ["messages[1] (user): only live"]
    assert told(live, CHAT)[1:] == ["messages[1] (user): only recorded"]


def test_later_turns_are_one_difference() -> None:
    live = variant(m0="You are a guide. Today is 2027-03-05.")
    live["messages"] += [
        {"role": "assistant", "content": "A coat."},
        {"role": "user", "content": "Ok"},
    ]
    assert told(CHAT, live) == ["messages[4..5] (2 items): only live"]


def test_reversed_messages_are_in_another_order() -> None:
    body = variant(m0="You are a guide.")
    live = {**body, "messages": body["messages"][::-1]}
    (difference,) = nearest(body, live).differences
    assert difference == Difference("messages", "", "", "reordered")
    assert told(body, live) == ["messages: in another order"]


def test_a_moved_message_beside_another_change_is_in_another_order() -> None:
    body = variant(m0="You are a guide.")
    first, *rest = body["messages"]
    live = {**body, "messages": [*rest, first, {"role": "user", "content": "Something else"}]}
    kinds = {(each.kind, each.path) for each in nearest(body, live).differences}
    assert ("reordered", "messages[3]") in kinds
    assert ("added", "messages[4]") in kinds


def test_a_changed_role_is_a_changed_role() -> None:
    live = variant(m0="You are a guide. Today is 2027-03-05.")
    live["messages"][1]["role"] = "developer"
    assert told(CHAT, live) == ['messages[1].role: "user" → "developer"']


def test_tools_are_aligned_by_what_they_are() -> None:
    def tool(name: str, text: str = "does things") -> object:
        schema = {"type": "object", "properties": {"x": {"type": "string", "description": text}}}
        return {"type": "function", "function": {"name": name, "parameters": schema}}

    recorded = {"tools": [tool("read"), tool("write"), tool("list")]}
    live = {"tools": [tool("new"), tool("read"), tool("write", "does other things"), tool("list")]}
    assert [line.partition(": ")[0] for line in told(recorded, live)] == [
        "tools[2].function.parameters.properties.x.description",
        "tools[0]",
    ]


def test_differences_outside_the_body_are_told() -> None:
    settings = MatchSettings(headers=("X-Team",))
    recorded = request(
        CHAT, path="/v1/chat/completions", query="a=1&b=2", headers=(("x-team", "red"),)
    )
    live = dataclasses.replace(
        recorded,
        upstream="groq",
        method="PUT",
        path="/chat/completions",
        query="b=3&c=4",
        headers=(("X-Team", "blue"), ("X-Other", "1")),
    )
    lines = told(recorded, live, settings)
    assert lines[:7] == [
        'upstream: "openai" → "groq"',
        'method: "POST" → "PUT"',
        'path: "/v1/chat/completions" → "/chat/completions" (only /v1 differs: compare the base URLs)',
        "query.a: only recorded",
        'query.b: "2" → "3"',
        "query.c: only live",
        'headers.x-team: "red" → "blue"',
    ]


def test_bodies_that_are_not_json_are_compared_as_texts_or_sizes() -> None:
    assert told(b"one two", b"one three") == ['body: "one two" → "one three"']
    assert told(b"\xff\xfe", b"\xff") == ["body: 2 bytes → 1 bytes"]
    assert told(b'{"a":1}', b"\xff") == ['body: "{\\"a\\":1}" → 1 bytes']
    kind = (("content-type", "multipart/form-data; boundary=B1"),)
    form = request(b"--B1\r\nx", headers=kind)
    assert told(form, dataclasses.replace(form, body=b"--B1\r\ny"))[0].startswith("body: ")


def test_excerpts_are_short_and_printable() -> None:
    recorded = variant(m1="a\n" * 4000 + "\x1b[31mred\u202e" + "b" * 5000)
    live = variant(m1="a\n" * 4000 + "\ud800blue" + "b" * 5000, x={"long": ["value"] * 5000})
    found = nearest(recorded, live)
    for difference in found.differences:
        for side in (difference.recorded, difference.live, difference.path):
            assert side.isprintable()
            assert len(side) <= 110
    assert describe([found]).replace("\n", "").isprintable()


def test_odd_keys_are_quoted() -> None:
    assert told({"a": {"x y": 1}}, {"a": {"x y": 2}}) == ["a['x y']: 1 → 2"]
    (line,) = told({"a\nb'": 1}, {"a\nb'": 2})
    assert line == "['a\\\\nb\\'']: 1 → 2"


def test_at_most_eight_differences_are_told() -> None:
    found = nearest({}, {f"field_{n}": n for n in range(30)})
    assert len(found.differences) == 8
    assert found.more == 22
    assert "  and 22 more" in describe([found]).split("\n")


def test_a_miss_at_the_exact_level_says_that_only_the_form_differs() -> None:
    settings = MatchSettings(level="exact")
    assert told({"a": 1}, b'{"a": 1 }', settings) == ["equal in canonical form"]
    assert accept({"a": 1}, request(b'{"a": 1 }'), settings) == "match:\n  level: canonical"


# --- what would accept it ---


def test_an_ignored_field_would_accept_another_temperature() -> None:
    body = variant(m0="Hi")
    assert accept(body, {**body, "temperature": 0.9}) == 'match:\n  ignore: ["$.temperature"]'


def test_old_settings_stay_in_the_lines() -> None:
    settings = MatchSettings(ignore=("$.seed",), ignore_query=("v",))
    old, new = request({"seed": 1, "a": 1}, query="v=1&w=1"), request({"seed": 2}, query="w=2")
    assert accept(old, new, settings) == (
        'match:\n  ignore: ["$.seed", "$.a"]\n  ignore_query: ["v", "w"]'
    )


def test_old_patterns_of_any_spelling_stay_in_the_lines() -> None:
    old = Pattern("a.b", '(?x) it\'s  # \\d\n \t["x"]')
    settings = MatchSettings(patterns=(old,))
    lines = accept(variant(m0="order-48213"), variant(m0="order-90411"), settings)
    assert accepted(settings, lines).patterns[0] == old
    assert len(accepted(settings, lines).patterns) == 2


def test_a_parameter_of_the_query_can_be_ignored() -> None:
    old, new = request({}, query="api%2Dversion=1"), request({}, query="api%2Dversion=2")
    assert accept(old, new) == 'match:\n  ignore_query: ["api-version"]'


def test_a_header_that_counts_can_be_let_go() -> None:
    settings = MatchSettings(headers=("X-A", "X-B"))
    old, new = (request({}, headers=(("x-a", value), ("x-b", "1"))) for value in "12")
    assert accept(old, new, settings) == 'match:\n  headers: ["X-B"]'


@pytest.mark.parametrize(
    ("old", "new", "regex"),
    [
        ("see order-48213 please", "see order-90411 please", r"(?<![\w-])order-[0-9]{5}(?![\w-])"),
        ("Order 48213", "Order 904112", r"(?<=Order )[0-9]+(?![\w-])"),
        ("trace: 9f8e7d6c5b", "trace: 0a1b2c3d4e", r"(?<=trace: )[0-9a-f]{10}(?![\w-])"),
        ("req_aB3xY9 ok", "req_Zq8w7e ok", r"(?<![\w-])req_[0-9A-Za-z]{6}(?![\w-])"),
        ("9f8e7d6c5b", "0a1b2c3d4e", r"(?<![\w-])[0-9a-f]{10}(?![\w-])"),
    ],
)
def test_a_pattern_would_accept_what_looks_generated(old: str, new: str, regex: str) -> None:
    lines = accept(variant(m0=old), variant(m0=new))
    (pattern,) = yaml.safe_load(lines)["match"]["patterns"]
    assert pattern["regex"] == regex


def test_one_pattern_serves_several_places() -> None:
    old = variant(m0="order-48213", m1="again order-48213 and order-55555")
    new = variant(m0="order-90411", m1="again order-90411 and order-66666")
    assert accept(old, new).count("regex") == 1
    crossed = variant(m0="order-90411", m1="again order-66666 and order-90411")
    assert "patterns" not in accept(old, crossed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("in paris", "in london"),
        ("list 2 items", "list 3 items"),
        ("the year 2024", "the year 2025"),
        ("order-48213", "order-48213 please"),
        ("order-48213", "order cancelled"),
    ],
)
def test_another_prompt_would_be_accepted_only_with_a_caution(old: str, new: str) -> None:
    assert accept(variant(m0="Hi", m1=old), variant(m0="Hi", m1=new)) == (
        'match:\n  ignore: ["$.messages[1].content"]  # whatever is said there, this answer follows'
    )


def test_nothing_but_recording_anew_would_accept_these() -> None:
    body = variant(m0="Hi")
    base = request(body)
    for live in (
        {**body, "model": "gpt-5"},
        {**body, "stream": True},
        {**body, "previous_response_id": "resp_1"},
        {**body, "messages": body["messages"][:2]},
        {**body, "messages": body["messages"][::-1]},
        {**body, "system": "Be brief."},
        {**body, "model": "gpt-4o-20240806", "temperature": 1},
        {**body, "messages": [*body["messages"][:3], {"role": "tool", "content": "x"}]},
        dataclasses.replace(base, method="PUT"),
        dataclasses.replace(base, path="/v1/responses"),
        dataclasses.replace(base, upstream="groq"),
        dataclasses.replace(base, query="alt=sse"),
        dataclasses.replace(base, body=b"\xff"),
    ):
        assert accept(base, live) == ""


def test_the_transcript_level_would_accept_other_results_of_tools() -> None:
    def turn(result: str) -> object:
        call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
        return {
            "messages": [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": result},
            ]
        }

    assert accept(turn("took 1 s"), turn("took 2 s")) == "match:\n  level: transcript"
    assert (
        nearest(turn("took 1 s"), turn("took 2 s"), MatchSettings(level="transcript")).differences
        == ()
    )


def test_an_ambiguous_miss_shows_the_values_and_how_to_take_them_in_order() -> None:
    old, new = variant(m0=f"run {ONE}"), variant(m0=f"run {TWO}")
    found = nearest(old, new)
    assert [each.path for each in found.differences] == ["messages[0].content"]
    assert found.score > 0.99
    assert accept(old, new) == "match:\n  ambiguous: in_order"
    in_order = MatchSettings(ambiguous="in_order")
    assert nearest(old, new, in_order).accept == ""


def test_an_equal_request_has_nothing_to_accept() -> None:
    body = variant(m0="Hi")
    found = nearest(body, request(json.dumps(body, indent=1).encode()))
    assert (found.differences, found.accept, found.score) == ((), "", 1.0)
    assert describe([found]) == "#7 in a.db (100 % alike):\n  equal in canonical form"


# --- ranking ---


def test_the_nearest_comes_first() -> None:
    kept = [
        (1, "a.db", request({"model": "m", "input": "something else entirely"}), DAY),
        (2, "a.db", request(variant(m3="Other words at the very end of it")), DAY),
        (3, "a.db", request(variant(temperature=0.3)), DAY),
        (4, "a.db", request(b"\x00\x01"), DAY),
        (5, "b.db", request(variant(temperature=0.3), path="/v1/elsewhere"), DAY),
    ]
    live = request(variant(m0="You are a guide. Today is 2027-03-05."))
    found = rank(live, kept, Canonicaliser(MatchSettings()), TODAY, limit=4)
    assert [each.interaction for each in found] == [3, 2, 5, 1]
    assert found[0].score > found[1].score > found[2].score > found[3].score


def test_among_equals_the_first_kept_comes_first() -> None:
    kept = [(number, "a.db", request(variant(temperature=1)), DAY) for number in range(20)]
    found = rank(request(CHAT), kept, Canonicaliser(MatchSettings()), TODAY)
    assert [each.interaction for each in found] == [0, 1, 2]


def test_nothing_kept_has_no_candidates() -> None:
    assert rank(request(CHAT), [], Canonicaliser(MatchSettings()), TODAY) == ()
    assert describe([]) == ""
    assert summary_line([]) == ""


def test_one_message_in_a_long_conversation_is_found_among_many_alike() -> None:
    chance = random.Random(1)
    words = [f"word{n}" for n in range(300)]

    def long(last: str) -> dict[str, Any]:
        prose = " ".join(chance.choices(words, k=2000)) if not made else made[0]
        made.append(prose)
        return {
            "messages": [{"role": "system", "content": prose}, {"role": "user", "content": last}],
            "tools": [{"name": "f", "description": prose}],
        }

    made: list[str] = []
    texts = [" ".join(chance.choices(words, k=20)) for _ in range(300)]
    kept = [(n, "a.db", request(long(text)), DAY) for n, text in enumerate(texts)]
    live = request(long(texts[123].replace(" ", " now ", 1)))
    assert rank(live, kept, Canonicaliser(MatchSettings()), TODAY)[0].interaction == 123


def _big(size: int, chance: random.Random) -> dict[str, Any]:
    words = [f"w{n}" for n in range(500)]
    messages = [
        {"role": ("user", "assistant")[n % 2], "content": " ".join(chance.choices(words, k=60))}
        for n in range(size // 320)
    ]
    return {"model": "m", "messages": messages, "temperature": 0.5}


def test_three_hundred_recordings_of_30_kb_are_ranked_quickly() -> None:
    chance = random.Random(2)
    bodies = [_big(30_000, chance) for _ in range(300)]
    kept = [(n, "a.db", request(body), DAY) for n, body in enumerate(bodies)]
    live = request({**bodies[77], "temperature": 0.7})
    started = time.perf_counter()
    found = rank(live, kept, Canonicaliser(MatchSettings()), TODAY)
    spent = time.perf_counter() - started
    assert found[0].interaction == 77
    assert found[0].accept == 'match:\n  ignore: ["$.temperature"]'
    assert spent < 1.5  # ten times what it takes, for slow machines


@pytest.mark.parametrize(
    ("recorded", "live"),
    [
        ({"input": ["a b " * 500_000]}, {"input": ["a c " * 500_000]}),
        ({"input": list(range(50_000))}, {"input": list(range(1, 50_001))}),
        ({"input": [{"x": n} for n in range(1500)]}, {"input": [{"x": -n} for n in range(1500)]}),
        ({"input": [{"x": n} for n in range(9000)]}, {"input": [{"y": n} for n in range(9000)]}),
        (b"[" * 150 + b"1" + b"]" * 150, b"[" * 150 + b"2" + b"]" * 150),
        (b"[" * 100_000, b"{" * 100_000),
        (b'["x",' * 150 + b"1" + b"]" * 150, b'["x",' * 150 + b"2" + b"]" * 150),
        (
            b'["x",' * 100 + b'"' + b"a" * 2_000_000 + b'"' + b"]" * 100,
            b'["y",' * 100 + b'"' + b"b" * 2_000_000 + b'"' + b"]" * 100,
        ),
        ({f"k{n}": n for n in range(20_000)}, {f"l{n}": n for n in range(20_000)}),
        (b"\xff" * 3_000_000, b"\xfe" * 3_000_000),
        ({"input": "x" * 2_000_000}, {"input": "x" * 1_000_000 + "y" + "x" * 999_999}),
    ],
)
def test_hostile_bodies_are_compared_in_bounded_time(recorded: object, live: object) -> None:
    started = time.perf_counter()
    found = nearest(recorded, live)
    assert found.differences
    assert len(describe([found])) < 4000
    assert time.perf_counter() - started < 5


def test_only_the_first_recordings_are_looked_at() -> None:
    taken = []

    def kept() -> Any:
        for number in range(100_000):
            taken.append(number)
            yield number, "a.db", request(b"{}"), DAY

    rank(request(b"[]"), kept(), Canonicaliser(MatchSettings()), TODAY)
    assert len(taken) == 2000


# --- telling ---


def test_the_description_holds_the_lines_that_would_accept() -> None:
    body = variant(m0="Hi")
    assert describe([nearest(body, {**body, "temperature": 0.9})]) == (
        "#7 in a.db (99 % alike):\n"
        "  temperature: 0.2 → 0.9\n"
        "  to accept it, in proxy.yml:\n"
        "    match:\n"
        '      ignore: ["$.temperature"]'
    )


def test_the_summary_has_paths_and_no_content() -> None:
    line = summary_line(
        [nearest(CHAT, variant(m1="What is the weather in london?", temperature=1))]
    )
    assert line == (
        "nearest is #7 in a.db, differs in messages[0].content, messages[1].content, temperature"
    )


def test_the_summary_is_one_short_ascii_line_whatever_the_names_are() -> None:
    live = {f"größe\n{'x' * 90}{n}": n for n in range(20)}
    found = dataclasses.replace(nearest({}, live), cassette="kassé\r\nX: y.db")
    line = summary_line([found])
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 300
    assert "more" in line


def test_candidates_become_json() -> None:
    found = nearest(CHAT, variant(m1="Other", tools=[]))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["interaction"] == 7


# --- properties ---

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.text(max_size=6)
    | st.sampled_from([ONE, TWO, "order-48213", "order-90411", "2026-11-20", "2027-03-05"]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "x", "y z", "'"]), children, max_size=3
        )
    ),
    max_leaves=12,
)
BODIES = st.dictionaries(
    st.sampled_from(["messages", "input", "temperature", "tools", "model", "a b", "é"]),
    VALUES,
    max_size=5,
)
QUERIES = st.sampled_from(["", "a=1", "a=2", "a=1&b=2", "a%20b=1", "b"])


@settings(deadline=None)
@given(BODIES, BODIES, QUERIES, QUERIES, st.sampled_from(["exact", "canonical", "transcript"]))
def test_what_is_said_to_accept_does(old: Any, new: Any, a: str, b: str, level: Any) -> None:
    recorded, live = request(old, query=a), request(new, query=b)
    settings = MatchSettings(level=level)
    found = nearest(recorded, live, settings)
    if found.accept:
        assert match(recorded, live, accepted(settings, found.accept))
        assert not match(recorded, live, settings) or "in_order" in found.accept
    if found.differences == ():
        assert match(recorded, live, dataclasses.replace(settings, level="transcript"))
    assert 0 <= found.score <= 1
    assert describe([found]).replace("\n", "").isprintable()


@settings(deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_two_bodies_can_be_compared(old: bytes, new: bytes) -> None:
    found = nearest(old, new)
    assert (found.differences == ()) == match(request(old), request(new), MatchSettings())
