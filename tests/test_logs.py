"""The log: what a line says, in which format, and what no line can be made to say."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import program
from llmproxy.entry import Entry, escaped, line
from llmproxy.interaction import Facts
from llmproxy.journal import Gathered
from llmproxy.logs import MOST_WAITING, Human, Json, to_stream
from sockets import ask

CHAT = "/v1/chat/completions"

ENTRY: dict[str, Any] = {
    "method": "POST", "id": "abc-1", "path": CHAT, "session": "default", "dialect": "openai",
    "endpoint": "openai_chat", "facts": Facts("gpt-4o", True, 12, 34), "began": 100.0,
    "first_byte": 100.25, "ended": 101.5, "time": 1_700_000_000.5, "status": 200,
    "source": "replayed", "match": "exact", "interaction": "#3", "number": 7, "received": 10,
    "sent": 20, "late": 0.002,
}  # fmt: skip


def entry(**told: Any) -> Entry:
    return Entry(**{**ENTRY, **told})


def record(message: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("llmproxy.x", level, "", 0, message, arguments, None)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in text.split("\n")]


# what a line says


def test_a_line_for_people_names_model_and_tokens() -> None:
    assert line(entry()) == (
        f"200 POST {CHAT} · replayed exact #3 · 250/1500 ms · gpt-4o · 12+34 tokens"
    )


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"facts": Facts("m")}, " ms · m"),
        ({"facts": Facts(output_tokens=3)}, " ms · ?+3 tokens"),
        ({"facts": Facts("m", input_tokens=0)}, " · m · 0+? tokens"),
        ({"rule": "sky"}, " tokens · rule sky"),
        ({"repeated": True}, " · repeated"),
        ({"session": "checkout"}, " · session checkout"),
        ({"id": "build-7", "named": True}, " · id build-7"),
        ({"limited": "proxy.yml:3"}, " · limited by proxy.yml:3"),
        ({"fault": "busy"}, " · fault busy"),
        ({"miss": "content differs"}, " · MISS: content differs"),
        ({"note": "client left"}, " · client left"),
    ],
)
def test_a_line_for_people_says_what_else_there_is(told: dict[str, Any], end: str) -> None:
    assert line(entry(**told)).endswith(end)


def test_a_line_for_programs_is_one_object() -> None:
    text = Json().format(record("%s", Gathered([entry(), entry(session="s", repeated=True)])))
    first, second = objects(text)
    assert first == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "info",
        "logger": "llmproxy.x",
        "message": f"200 POST {CHAT}",
        "number": 7,
        "id": "abc-1",
        "session": "default",
        "source": "replayed",
        "match": "exact",
        "interaction": "#3",
        "method": "POST",
        "path": CHAT,
        "dialect": "openai",
        "endpoint": "openai_chat",
        "model": "gpt-4o",
        "stream": True,
        "status": 200,
        "first_byte_ms": 250.0,
        "duration_ms": 1_500.0,
        "late_ms": 2.0,
        "input_tokens": 12,
        "output_tokens": 34,
        "received_bytes": 10,
        "sent_bytes": 20,
    }
    assert list(first)[:4] == ["time", "level", "logger", "message"]
    assert (second["session"], second["repeated"]) == ("s", True)


def test_other_records_are_objects_too() -> None:
    (told,) = objects(Json().format(record("not taken:\n%s", "a.yml:3", level=logging.WARNING)))
    assert (told["level"], told["logger"]) == ("warning", "llmproxy.x")
    assert told["message"] == "not taken:\na.yml:3"
    assert told["time"].endswith("Z")


def test_an_exception_is_told_in_both() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        made = record("failed")
        made.exc_info = (type(error), error, None)
    assert "ValueError: odd" in objects(Json().format(made))[0]["exception"]
    assert "ValueError: odd" in Human().format(made)


@pytest.mark.parametrize(
    ("chosen", "terminal", "formatter"),
    [
        ("auto", True, Human), ("auto", False, Json), ("human", False, Human), ("json", True, Json),
    ],
)  # fmt: skip
def test_a_terminal_gets_lines_for_people(
    chosen: Any, terminal: bool, formatter: type[logging.Formatter]
) -> None:
    class Stream(io.StringIO):
        def fileno(self) -> int:
            return 2

        def isatty(self) -> bool:
            return terminal

    assert type(to_stream(Stream(), chosen).formatter) is formatter


# what no line can be made to say


HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(), st.sampled_from("\n\r\x1b\x00\x7f\x85\x9b\u2028\u202e\udc80")
    )
)


@given(HOSTILE, HOSTILE)
def test_no_stranger_begins_a_line_or_commands_a_terminal(text: str, other: str) -> None:
    made = entry(
        path=text, method=other, id=other, named=True, session=text, rule=other, miss=text,
        note=other, limited=text, fault=other, facts=Facts(text, True, 1, 2),
        prompt=(("headers", text), ("body", other)),
    )  # fmt: skip
    gathered = record("%s", Gathered([made]))
    human, machine = Human().format(gathered), Json().format(gathered)
    assert human.isprintable()
    assert machine.isascii()
    assert machine.isprintable()
    told = json.loads(machine)
    assert told.get("path", "") == text
    assert told["request_body"] == other


@given(HOSTILE)
def test_what_is_escaped_is_printable_and_otherwise_the_same(text: str) -> None:
    found = escaped(text)
    assert found.isprintable()
    if text.isprintable():
        assert found == text


def test_a_message_of_several_lines_has_the_time_before_each_and_no_escape() -> None:
    lines = Human().format(record("a\x1b[31m\nb")).split("\n")
    assert [each.partition(" ")[2] for each in lines] == ["a\\x1b[31m", "b"]


# a program


def run(*flags: str, body: bytes, lines: tuple[str, ...] = (), target: str = CHAT) -> str:
    """What a mock writes to stderr, which is no terminal here."""
    with program.serve("mock", *flags) as server:
        asyncio.run(ask(server.url, target, body, "Content-Type: application/json", *lines))
        status, _, err = server.stop()
    assert status == 0
    return err


BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"my diary\\nof k3y-0123456789"}]}'
KEY = "Authorization: Bearer k3y-0123456789"


def test_where_no_terminal_is_the_log_is_json_and_tells_no_prompt() -> None:
    err = run(body=BODY, lines=(KEY, "x-request-id: build-7"), target=f"{CHAT}?x=%0a%1b")
    told = objects(err.strip())[-1]
    assert (told["id"], told["model"], told["endpoint"]) == ("build-7", "gpt-4o", "openai_chat")
    assert told["input_tokens"] > 0
    assert told["output_tokens"] > 0
    assert "diary" not in err
    assert "k3y" not in err


def test_prompts_are_told_where_that_is_wanted_but_no_secret() -> None:
    """000-10: headers and body of every request."""
    err = run("--log-prompts", body=BODY, lines=(KEY,))
    told = objects(err.strip())[-1]
    assert "my diary" in json.loads(told["request_body"])["messages"][0]["content"]
    assert json.loads(told["request_headers"])["Host"] == "test"
    assert "k3y" not in err
    large = run("--log-prompts", body=BODY.replace(b"my diary", b"x" * 200_000), lines=(KEY,))
    assert len(objects(large.strip())[-1]["request_body"]) == 4_096


def test_prompts_for_people_stay_on_the_line() -> None:
    err = run("--log-prompts", "--log-format", "human", body=BODY, lines=(KEY,))
    (said,) = [each for each in err.splitlines() if " POST " in each]
    assert "my diary\\nof" in said
    assert "k3y" not in said


def test_a_log_that_nobody_reads_stops_nobody_and_says_what_was_lost() -> None:
    reads, writes = os.pipe()
    found: list[dict[str, Any]] = []

    def read() -> None:
        with os.fdopen(reads, "rb") as reader:
            found.extend(json.loads(each) for each in reader)

    with os.fdopen(writes, "w") as stream:
        handler = to_stream(stream, "json")
        for number in range(MOST_WAITING + 5000):
            handler.emit(logging.LogRecord("a", 30, "", 0, f"{number} {'x' * 50}", None, None))
        reading = threading.Thread(target=read)
        reading.start()
        handler.close()
    reading.join()
    messages = [each["message"] for each in found]
    assert [message.split()[0] for message in messages[:3]] == ["0", "1", "2"]
    lost = [int(message.split()[0]) for message in messages if "were lost" in message]
    assert lost
    assert sum(lost) + len(messages) - len(lost) == MOST_WAITING + 5000
