"""Each condition: a request for which it holds, another, and why it does not hold for that."""

from __future__ import annotations

from typing import Any

from conditions.subjects import Asked, chat
from llmproxy.answer import ToolCall
from llmproxy.prompt import Format, Message, Tool, ToolChoice

USER = Message("user", "hello")
CALL = Message("assistant", calls=(ToolCall("get_weather", "{}"),))
RESULT = Message("tool", "sunny")


def talk(*messages: Message, **members: Any) -> Asked:
    return chat(messages=messages, **members)


def asked(body: Any, **members: Any) -> Asked:
    return Asked(body=body, **members)


HEADERS = (("Accept", "*/*"), ("X-Team", "search"), ("x-team", "ads"))

TABLE: list[tuple[object, Asked, Asked, str]] = [
    ({"method": "post"}, Asked(), Asked(method="GET"), 'method: "GET" is not "post"'),
    ({"method": "P*"}, Asked(method="put"), Asked(method="GET"), 'method: "GET" does not fit P*'),
    (
        {"path": "/v1/*"},
        Asked(),
        Asked(path="/v2/x"),
        'path: "/v2/x" does not fit /v1/*',
    ),
    (
        {"session": "checkout"},
        Asked(session="checkout"),
        Asked(),
        'session: "default" is not "checkout"',
    ),
    (
        {"headers": {"x-TEAM": "ads"}},
        Asked(headers=HEADERS),
        Asked(headers=HEADERS[:2]),
        'headers.x-TEAM: "search" is not "ads"',
    ),
    (
        {"headers": {"x-team": "ads"}},
        Asked(headers=HEADERS),
        Asked(),
        "headers.x-team: is not there",
    ),
    (
        {"headers": {"x-team": {"present": False}}},
        Asked(),
        Asked(headers=HEADERS),
        "headers.x-team: is there",
    ),
    (
        {"headers": {"authorization": {"starts_with": "Basic"}}},
        Asked(headers=(("Authorization", "Basic made-up"),)),
        Asked(headers=(("Authorization", "Bearer made-up"),)),
        "headers.authorization: its value does not fit; it may be a credential and is not shown",
    ),
    (
        {"query": {"api key": {"contains": "ü"}}},
        Asked(query="x=1&api+key=%C3%BC"),
        Asked(query="api+key=a&api%20key="),
        'query.api key: none of 2 contains "ü"',
    ),
    (
        {"query": {"key": "a"}},
        Asked(query="key=a"),
        Asked(query="key=made-up"),
        "query.key: its value does not fit; it may be a credential and is not shown",
    ),
    (
        {"dialect": "openai"},
        Asked(),
        Asked(dialect="gemini", operation="gemini_generate"),
        'dialect: none of 2 is "openai"',
    ),
    (
        {"dialect": ["openai_chat", "anthropic*"]},
        Asked(dialect="anthropic", operation="anthropic_messages"),
        Asked(operation=""),
        'dialect: "openai" is not "openai_chat" and does not fit anthropic*',
    ),
    (
        {"dialect": {"not": "openai"}},
        Asked(dialect="", operation=""),
        Asked(),
        'dialect: "openai" is "openai"',
    ),
    ({"model": "gpt-4*"}, chat(model="gpt-4o"), chat(), 'model: "gpt-5" does not fit gpt-4*'),
    ({"model": "embed"}, asked({"model": "embed"}), asked([]), "model: is not there"),
    ({"stream": False}, chat(), chat(stream=True), "stream: true is not false"),
    ({"stream": True}, asked({"stream": True}), asked({"stream": 1}), "stream: false is not true"),
    (
        {"json": {"$.temperature": {"lt": 0.5}}},
        asked({"temperature": 0}),
        asked({"temperature": 0.7}),
        "json.$.temperature: 0.7 is not below 0.5",
    ),
    (
        {"json": {"$.n": 1}},
        asked({"n": 1.0}),
        asked({"n": True}),
        "json.$.n: true is not 1",
    ),
    ({"json": {"$.user": None}}, asked({"user": None}), asked({}), "json.$.user: is not there"),
    (
        {"json": {"$.stop": {"equals": ["a", {"b": 1}]}}},
        asked({"stop": ["a", {"b": 1.0}]}),
        asked({"stop": ["a"]}),
        'json.$.stop: this list is not ["a",{"b":1}]',
    ),
    (
        {"json": {"$..role": {"not": "system"}}},
        asked({"messages": [{"role": "user"}]}),
        asked({"messages": [{"role": "user"}, {"role": "system"}]}),
        'json.$..role: "system" is "system"',
    ),
    (
        {"json": {"$.store": {"present": False}}},
        asked({}),
        asked({"store": None}),
        "json.$.store: is there",
    ),
    (
        {"text": "what colour is the sky?"},
        chat("what colour is the sky?"),
        chat(),
        'text: "hello there" is not "what colour is the sky?"',
    ),
    (
        {"text": {"contains": "SKY", "ignore_case": True}},
        chat("the Sky"),
        chat(),
        'text: "hello there" does not contain "SKY"',
    ),
    (
        {"text": {"regex": r"\bsk(y|ies)\b"}},
        chat("skies"),
        chat("x" * 70),
        f'text: "{"x" * 57}…" does not match the regex \\bsk(y|ies)\\b',
    ),
    ({"text": "hi"}, chat("hi"), Asked(), "text: the request asks for no text"),
    (
        {"text": "hi"},
        chat("hi"),
        Asked(refused="no model"),
        'text: the request is refused: "no model"',
    ),
    (
        {"system": {"contains": "b\nc"}},
        talk(Message("system", "ab"), USER, Message("system", "cd")),
        talk(USER),
        'system: "" does not contain "b\\nc"',
    ),
    (
        {"message": {"starts_with": "sun"}},
        talk(USER, CALL, RESULT),
        talk(USER, CALL),
        'message: none of 2 starts with "sun"',
    ),
    (
        {"tools": "get_*"},
        chat(tools=(Tool("search"), Tool("get_weather"))),
        chat(),
        "tools: is not there",
    ),
    (
        {"tools": {"not": "search"}},
        chat(tools=(Tool("get_weather"),)),
        chat(tools=(Tool("get_weather"), Tool("search"))),
        'tools: "search" is "search"',
    ),
    ({"called": "get_weather"}, talk(USER, CALL, RESULT), talk(CALL, USER), "called: is not there"),
    (
        {"tool_choice": "required"},
        chat(choice=ToolChoice("required")),
        chat(),
        'tool_choice: "auto" is not "required"',
    ),
    ({"turn": {"ge": 2}}, talk(USER, CALL, RESULT, USER), chat(), "turn: 1 is not at least 2"),
    ({"messages": 2}, talk(USER, CALL), chat(), "messages: 1 is not 2"),
    ({"has_tool_result": True}, talk(USER, RESULT), chat(), "has_tool_result: false is not true"),
    (
        {"tool_result": {"ends_with": "y"}},
        talk(USER, CALL, RESULT),
        talk(USER, Message("tool", "rain"), CALL),
        'tool_result: "rain" does not end with "y"',
    ),
    ({"format": "json"}, chat(format=Format()), chat(), 'format: "text" is not "json"'),
    (
        {"format": ["text", "json"]},
        chat(),
        chat(format=Format({})),
        'format: "json_schema" is not "text" and is not "json"',
    ),
    ({"reasoning": True}, chat(reasoning=True), chat(), "reasoning: false is not true"),
    ({"media": {"gt": 1}}, talk(Message("user", media=2)), chat(), "media: 0 is not above 1"),
    ({"max_tokens": {"le": 5}}, chat(max_tokens=5), chat(), "max_tokens: is not there"),
    ({"max_tokens": {"present": False}}, chat(), chat(max_tokens=5), "max_tokens: is there"),
    ({"n": 2}, chat(count=2), chat(), "n: 1 is not 2"),
    (
        {"all": [{"text": "hi"}, {"model": "gpt*"}]},
        chat("hi"),
        chat(model="o1"),
        'model: "o1" does not fit gpt*',
    ),
    (
        {"any": [{"text": "hi"}, {"turn": 2}]},
        chat("hi"),
        chat(),
        'none of 2 holds: text: "hello there" is not "hi"',
    ),
    (
        {"not": {"text": {"contains": "hell"}, "model": "gpt*"}},
        chat("hi"),
        chat(),
        "not: {model: gpt*, text: {contains: hell}} holds",
    ),
]
