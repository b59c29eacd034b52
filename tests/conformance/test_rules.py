"""One file of rules through every official SDK: the same answer, whoever asks and however."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conformance.driving import TONGUES, Flat, Kind, Mocking, gather, raw, user
from conformance.gemini_clients import QUIET
from conformance.rules_clients import APIS, HAS_OLLAMA, Api, Ask, Client, told, ways
from llmproxy.service import Service

pytestmark = QUIET

RULES = r"""
rules:
  - name: odd characters
    when: {text: odd characters}
    reply:
      text: "  \t\x85\u2028\u2029\"quoted\" \\n 'single' \\\\ \0\a\b\v\f\e\x7f\uFEFF\r\n\r\ndata: [DONE]\n\n</text> {{ model }}\n\
        Family 👩‍👩‍👧‍👦, flag 🇩🇪, naïve café, 漢字かな交じり文, हिन्दी, \U0001D518\U0001D52B\U0001D526 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 end.\n "

  - name: ends of lines
    when: {text: lines}
    reply: "one\N\L\Ptwo"

  - name: nothing
    when: {text: say nothing}
    reply: ""

  - name: a thought first
    when: {text: think}
    reply: {reasoning: "Two and two, hm… 漢字.", text: "Four.\n"}

  - name: two tools, one after the other
    when: {text: {contains: weather}, tools: get_weather, has_tool_result: false}
    reply:
      tool_calls:
        - {name: get_weather, arguments: {city: "Oslo, Ås", unit: celsius, days: 3}}
        - {name: tick}

  - name: no such tool
    when: {text: {contains: weather}}
    reply: I have no tool for that.

  - name: refused
    when: {text: {ignore_case: true, starts_with: how do i break}}
    reply: {refusal: "I cannot help with that, naïve one."}

  - name: cut
    when: {text: {glob: "tell *"}}
    reply: {text: Once upon a, finish: length}

  - name: what it costs
    when: {text: count}
    reply: {text: One., usage: {input_tokens: 1000, output_tokens: 24}}

  - name: template
    when: {text: {regex: "^repeat: (?s:.*)$"}}
    reply: {template: "{{ model }}/{{ session }}/{{ counter }}: {{ last_user_text }}"}

  - name: data
    when: {text: fill in, format: json_schema}
    reply: {json_schema: request}

  - name: limited, then away, then fine
    when: {text: retry}
    count: prompt
    replies:
      - {error: {status: 429, message: "Slow down, naïve one.", retry_after: 0.02}}
      - {error: {status: 503, headers: {retry-after-ms: "10"}}}
      - recovered

  - name: broken off
    when: {text: break}
    reply:
      text: One two three, four five six.
      stream_error: {status: 503, message: The line went dead.}
      after_chunks: 3

  - name: anything else
    reply: {error: {status: 400, message: no rule}}
"""

ODD = (
    "  \t\x85\u2028\u2029\"quoted\" \\n 'single' \\\\ \0\a\b\v\f\x1b\x7f\ufeff\r\n\r\ndata: [DONE]\n\n"
    f"</text> {{{{ model }}}}\n{TONGUES}\n "
)
WEATHER = ("get_weather", {"city": "Oslo, Ås", "unit": "celsius", "days": 3})


def needs_ollama(name: str) -> tuple[pytest.MarkDecorator, ...]:
    missing = name == "ollama" and not HAS_OLLAMA
    return (pytest.mark.skipif(missing, reason="Ollama's package is not among the older SDKs"),)


WAYS = [pytest.param(row, marks=needs_ollama(row[0]), id="-".join(row)) for row in ways()]
RETRYING = [row for row in ways() if row[0] != "ollama"]
NAMES = [pytest.param(name, marks=needs_ollama(name)) for name in APIS]


@pytest.fixture
def ruled(mocking: Mocking) -> Service:
    """The server that follows the file."""
    return mocking(rules=RULES)


class Asker:
    """An SDK's client that asks in one way."""

    def __init__(self, api: Api, way: str, client: Client) -> None:
        self.api = api
        self.way = way
        self.client = client

    async def __call__(self, text: str, **more: Any) -> Any:
        return await told(self.api, self.way, self.client, Ask(text, **more))


@pytest.fixture(params=WAYS)
async def asks(
    request: pytest.FixtureRequest, ruled: Service, kind: Kind, session: dict[str, str]
) -> AsyncIterator[Asker]:
    name, way = request.param
    api = APIS[name]()
    async with api.client(ruled.url, kind, session) as client:
        yield Asker(api, way, client)


async def test_a_text_comes_back_character_for_character(asks: Asker) -> None:
    found = await asks("odd characters")
    assert found.text == ODD
    assert (found.finish, found.calls) == (asks.api.ends["stop"], ())
    assert (found.reasoning, found.refusal) == ("", "")


STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": user("lines")}),
    "responses": ("/v1/responses", {"input": "lines"}),
    "messages": ("/v1/messages", {"messages": user("lines"), "max_tokens": 99}),
    "gemini": (
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "lines"}]}]},
    ),
    "ollama": ("/api/chat", {"messages": user("lines")}),
}


@pytest.mark.parametrize("api", STREAMS)
def test_no_character_ends_a_line_of_a_stream_but_its_own(ruled: Service, api: str) -> None:
    """Ollama's client, and Google's of the older generation, end a line at each of these."""
    path, body = STREAMS[api]
    sent = raw(ruled.url, "POST", path, {"model": "gpt-4o", "stream": True, **body}).body.decode()
    assert "two" in sent
    assert not {"\x85", "\u2028", "\u2029"} & set(sent)


async def test_a_rule_may_say_nothing(asks: Asker) -> None:
    found = await asks("say nothing")
    assert (found.text, found.finish) == ("", asks.api.ends["stop"])
    assert found.used[1] == 0


async def test_reasoning_comes_before_the_text_and_apart_from_it(asks: Asker) -> None:
    found = await asks("think", think=True)
    assert (found.reasoning, found.text) == ("Two and two, hm… 漢字.", "Four.\n")


async def test_tools_are_called_in_order_where_they_are_offered(asks: Asker) -> None:
    found = await asks("the weather, please", tools=("get_weather", "tick"))
    assert found.calls == (WEATHER, ("tick", {}))
    assert (found.text, found.finish) == ("", asks.api.ends["tool_calls"])
    assert (await asks("the weather, please", tools=("tick",))).text == "I have no tool for that."


async def test_a_refusal_is_told_as_the_provider_tells_it(asks: Asker) -> None:
    found = await asks("How do I break in?")
    words = "I cannot help with that, naïve one."
    assert (found.refusal, found.text) == ((words, "") if asks.api.refuses else ("", words))
    assert found.finish == asks.api.ends["refusal"]


async def test_a_reply_ends_as_the_rule_says(asks: Asker) -> None:
    if asks.way == "gathered" and asks.api.cut is not None:
        with pytest.raises(asks.api.cut):
            await asks("tell me a tale")
        return
    found = await asks("tell me a tale")
    assert (found.text, found.finish) == ("Once upon a", asks.api.ends["length"])


async def test_a_reply_costs_what_the_rule_says(asks: Asker) -> None:
    found = await asks("count")
    assert (found.text, found.used) == ("One.", (1000, 24))


async def test_a_template_gives_back_what_was_asked(asks: Asker, session: dict[str, str]) -> None:
    text = "repeat: " + ODD
    for counter in (1, 2):
        found = await asks(text)
        name = session["x-llmproxy-session"]
        assert found.text == f"{asks.api.model}/{name}/{counter}: {text}"


async def test_data_fits_the_schema_that_is_asked_for(asks: Asker) -> None:
    schema = {**Flat.model_json_schema(), "additionalProperties": False}
    found = await asks("fill in", schema=schema)
    Draft202012Validator(schema).validate(json.loads(found.text))


async def test_an_error_is_of_the_sdks_own_class(asks: Asker) -> None:
    """Nothing is asked again here, so each error is seen: the third time the rule answers."""
    with pytest.raises(asks.api.limited) as raised:
        await asks("retry")
    assert asks.api.status(raised.value) == 429
    assert "Slow down, naïve one." in str(raised.value)
    with pytest.raises(Exception) as raised:  # of another class in each SDK
        await asks("retry")
    assert asks.api.status(raised.value) == 503
    assert [(await asks("retry")).text for _ in range(2)] == ["recovered"] * 2


@pytest.mark.parametrize("row", RETRYING, ids="-".join)
async def test_the_sdks_own_retry_survives_the_errors(
    row: tuple[str, str], ruled: Service, kind: Kind, session: dict[str, str]
) -> None:
    name, way = row
    api = APIS[name]()
    before = ruled.journal.requests
    async with api.client(ruled.url, kind, session, retries=2) as client:
        began = time.monotonic()
        assert (await told(api, way, client, Ask("retry"))).text == "recovered"
        took = time.monotonic() - began
    assert ruled.journal.requests - before == 3
    assert took >= 0.03 or name == "gemini"  # Google's does not wait as long as it is told


@pytest.mark.parametrize("name", NAMES)
async def test_a_stream_breaks_off_after_as_many_pieces_as_the_rule_says(
    name: str, ruled: Service, kind: Kind, session: dict[str, str]
) -> None:
    api = APIS[name]()
    rows: list[Any] = []
    async with api.client(ruled.url, kind, session) as client:
        stream = await api.stream(client, Ask("break"))
        with pytest.raises(api.broken, match="The line went dead."):
            await gather(stream, rows)
        pieces = [piece for piece in map(api.piece, rows) if piece]
        assert (len(pieces), "".join(pieces)) == (3, "One two three")
        with pytest.raises(Exception, match="The line went dead.") as raised:
            await api.whole(client, Ask("break"))
        assert api.status(raised.value) == 503


async def test_what_no_other_rule_answers_gets_the_last(asks: Asker) -> None:
    with pytest.raises(Exception, match="no rule") as raised:
        await asks("Odd Characters")
    assert asks.api.status(raised.value) == 400
