"""Seed 001, mockllm: OpenAI's and Anthropic's chats, letter by letter, with a lag.

Its ``responses.yml`` is read as it is: served, reloaded while the program runs, and checked. Its
log is in JSON; here reloads and errors are told in words so far.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import program
import serve
import sockets
from llmproxy.asked import Asked
from llmproxy.configuration import Configuration
from llmproxy.inquiry import Reader
from llmproxy.interaction import Reply, Request
from llmproxy.keeping import keeper_for
from llmproxy.live import Live
from llmproxy.maker import Maker
from llmproxy.pacing import Pace
from llmproxy.rule_responder import RuleResponder
from llmproxy.sessions import Sessions
from llmproxy.tokens import packaged
from program import Program
from seeds.asking import (
    CHAT,
    JSON,
    KEY,
    anthropic_client,
    asked,
    body_of,
    chunks,
    count,
    curl,
    events,
    offsets,
    openai_client,
    pieces,
    reply_to,
    spoken,
    user,
)
from serve import mocking

SKY = "The sky is blue during a clear day due to a phenomenon called Rayleigh scattering."
OPENAI = {"model": "mock-llm", "messages": user("what colour is the sky?")}
ANTHROPIC = {"model": "claude-3-sonnet-20240229", "messages": user("what colour is the sky?")}
MESSAGES = "/v1/messages"
LETTERS: dict[str, Any] = {"pace__chunk_unit": "char", "mock__text": SKY}

BLUE = "Blue, by day: air turns short waves aside more than long ones. Naïve, 漢字, 🌈."
UNKNOWN = "Nobody wrote an answer to that."
HAIKU = "Seventeen in all,\nfive and seven and then five:\nthat is all there is.\n"
RESPONSES = f"""\
# What is asked, and what is answered.
responses:
  "what colour is the sky?": "{BLUE}"
  "what is 2+2?": "2+2 is 4."
  What is a haiku?: |
    Seventeen in all,
    five and seven and then five:
    that is all there is.

defaults:
  unknown_response: "{UNKNOWN}"

settings:
  lag_enabled: false
  lag_factor: 10
"""
"""A file in the shape that the seed documents, with texts of our own."""
FILE = "responses.yml"
PATIENCE = 20.0
"""Seconds; only a failing test waits so long."""


async def test_001_1_the_documented_openai_request_is_answered() -> None:
    body = {**OPENAI, "temperature": 0.7, "max_tokens": 150, "stream": False}
    found = json.loads((await asked(CHAT, body, mock__text=SKY)).body)
    assert (found["object"], found["model"]) == ("chat.completion", "mock-llm")
    assert found["choices"][0]["message"]["content"] == SKY
    assert found["choices"][0]["finish_reason"] == "stop"
    assert set(found["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}


async def test_001_1_max_tokens_holds() -> None:
    found = json.loads((await asked(CHAT, {**OPENAI, "max_tokens": 5}, mock__text=SKY)).body)
    assert found["choices"][0]["message"]["content"] == "The sky is blue during"
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_001_2_a_lenient_server_needs_no_max_tokens_for_a_message(stream: bool) -> None:
    body = {**ANTHROPIC, "stream": stream}
    answer = await asked(MESSAGES, body, mock__text=SKY, mock__validation="lenient")
    assert answer.status == 200
    if stream:
        deltas = [each["delta"] for each in events(answer.body) if "delta" in each]
        assert "".join(delta.get("text", "") for delta in deltas) == SKY
    else:
        assert json.loads(answer.body)["content"][0]["text"] == SKY
    assert (await asked(MESSAGES, body)).status == 400


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # the seed's model is old
async def test_001_2_the_documented_anthropic_request_is_answered() -> None:
    async with anthropic_client(mock__text=SKY) as client:
        found = await client.messages.create(
            model="claude-3-sonnet-20240229",
            max_tokens=1024,
            messages=[{"role": "user", "content": "what colour is the sky?"}],
        )
    (block,) = found.content
    assert block.type == "text"
    assert block.text == SKY


async def test_001_2_a_temperature_is_taken_as_its_version_of_the_api_has_it() -> None:
    body = {**ANTHROPIC, "max_tokens": 1024, "temperature": 1.0}
    async with mocking() as service:
        answer = await curl(service, MESSAGES, body, "anthropic-version: 2023-06-01")
    assert answer.status == 200


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "mock-llm", "messages": user(text), **more}


def said(answer: sockets.Answer) -> str:
    text: str = json.loads(answer.body)["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("what colour is the sky?", BLUE),
        ("what is 2+2?", "2+2 is 4."),
        ("What is a haiku?", HAIKU),
        ("who are you?", UNKNOWN),
    ],
)
async def test_001_3_the_documented_file_is_read_as_it_is(prompt: str, reply: str) -> None:
    answers = [await asked(CHAT, chat(prompt, stream=s), rules=RESPONSES) for s in (False, True)]
    assert said(answers[0]) == "".join(pieces(answers[1].body)) == reply
    assert {answer.header("x-llmproxy-source") for answer in answers} == {"rule"}


@pytest.mark.parametrize("rest", ["", "defaults: {}", "defaults:\nsettings:"])
async def test_001_3_what_is_not_written_is_as_the_seed_has_it(rest: str) -> None:
    answer = await asked(CHAT, chat("hello"), rules=f"responses: {{hi: ho}}\n{rest}")
    assert said(answer) == "I don't know the answer to that."


SAY_SKY: Any = [{"role": "user", "content": "what colour is the sky?"}]


async def test_001_3_openais_sdk_reads_the_answers() -> None:
    async with openai_client(rules=RESPONSES) as client:
        whole = await client.chat.completions.create(model="mock-llm", messages=SAY_SKY)
        stream = await client.chat.completions.create(
            model="mock-llm", messages=SAY_SKY, stream=True
        )
        letters = [chunk.choices[0].delta.content async for chunk in stream]
    assert whole.choices[0].message.content == BLUE
    assert [letter for letter in letters if letter] == list(BLUE)


async def test_001_3_anthropics_sdk_reads_the_answers() -> None:
    asked_for: Any = {"model": "claude-sonnet-5", "max_tokens": 1024, "messages": SAY_SKY}
    async with anthropic_client(rules=RESPONSES) as client:
        whole = await client.messages.create(**asked_for)
        async with client.messages.stream(**asked_for) as stream:
            letters = [letter async for letter in stream.text_stream]
            gathered = await stream.get_final_message()
    assert whole.content[0].text == gathered.content[0].text == BLUE
    assert letters == list(BLUE)
    assert whole.stop_reason == gathered.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "prompt",
    [
        "What colour is the sky?",
        "what colour is the sky",
        "what colour is the sky? ",
        "\nwhat colour is the sky?",
        "so: what colour is the sky?",
    ],
)
async def test_001_4_another_text_is_unknown_however_near(prompt: str) -> None:
    assert said(await asked(CHAT, chat(prompt), rules=RESPONSES)) == UNKNOWN


async def test_001_4_the_last_text_of_the_user_counts_and_no_other() -> None:
    sky, sum_ = SAY_SKY[0], user("what is 2+2?")[0]
    assistant = {"role": "assistant", "content": "what is 2+2?"}
    system = {"role": "system", "content": "what is 2+2?"}
    async with mocking(rules=RESPONSES) as service:
        for messages, reply in (
            ([sum_, assistant, sky], BLUE),
            ([sky, assistant, sum_], "2+2 is 4."),
            ([system, sky], BLUE),
            ([system, sky, assistant], BLUE),
            ([{"role": "user", "content": [{"type": "text", "text": sky["content"]}]}], BLUE),
        ):
            answer = await curl(service, CHAT, {"model": "m", "messages": messages})
            assert said(answer) == reply


def ask(server: Program, prompt: str) -> str:
    """What the running program answers."""
    body = json.dumps(chat(prompt)).encode()
    answer = asyncio.run(sockets.ask(server.url, CHAT, body, "Content-Type: application/json"))
    assert answer.status == 200
    return said(answer)


def configuration(server: Program) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.url}/_llmproxy/config") as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def by_rename(file: Path, text: str) -> None:
    other = file.with_suffix(".tmp")
    other.write_text(text)
    other.replace(file)


BROKEN = [
    (
        RESPONSES.replace('  "what is 2', '\t"what is 2'),
        "responses.yml:4:1:",
        "a tab in the indentation; write spaces",
    ),
    (
        RESPONSES.replace('"2+2 is 4."', "[2, 2]"),
        'responses.yml:4:19: responses."what is 2+2?":',
        "this list is not text; write the response in quotes",
    ),
    (
        RESPONSES.replace("defaults:", "default:"),
        "responses.yml:10:1: default:",
        "did you mean defaults?",
    ),
    (
        RESPONSES.replace("lag_factor: 10", "lag_factor: fast"),
        "responses.yml:15:15: settings.lag_factor:",
        '"fast" is not a number above 0',
    ),
]
"""A file with a mistake, and where and what is said of it."""


def test_001_5_a_rewritten_file_is_live_and_a_broken_one_leaves_the_last_good(
    tmp_path: Path,
) -> None:
    """The seed answers 500 while its file is broken; here the last good one goes on."""
    file = tmp_path / FILE
    file.write_text(RESPONSES)
    with program.serve("mock", "--rules", FILE) as server:
        assert ask(server, "what is 2+2?") == "2+2 is 4."
        file.write_text(RESPONSES.replace("2+2 is 4", "Four"))
        until(lambda: ask(server, "what is 2+2?") == "Four.")
        for text, place, words in BROKEN:
            by_rename(file, text)
            until(partial(_is_wrong, server, place))
            assert words in _problem(server)
            assert ask(server, "what is 2+2?") == "Four."
            assert ask(server, "what colour is the sky?") == BLUE
        by_rename(file, RESPONSES.replace("2+2 is 4", "4 again"))
        until(lambda: ask(server, "what is 2+2?") == "4 again.")
        found = configuration(server)
        status, _, err = server.stop()
    assert (found["version"], found["problem"]) == (3, None)
    assert found["rules"][1] == {"name": "what is 2+2?", "place": "responses.yml:4"}
    assert status == 0
    _check_log(err)


def _problem(server: Program) -> str:
    problem = configuration(server)["problem"]
    return str(problem["lines"][0]) if problem else ""


def _is_wrong(server: Program, place: str) -> bool:
    return _problem(server).startswith(place)


def _check_log(log: str) -> None:
    """001-13: the log is in JSON, an object a line; it tells reloads and errors."""
    told = [str(json.loads(line)["message"]) for line in log.splitlines()]
    assert sum("responses.yml: 4 rules read again (1 changed)" in each for each in told) == 2
    for _, place, words in BROKEN:
        pattern = f"^{re.escape(place)}.*{re.escape(words)}"
        assert any(re.search(pattern, each, re.MULTILINE) for each in told)
    assert "Traceback" not in log


def test_001_5_requests_under_way_get_the_answer_that_was_in_force(tmp_path: Path) -> None:
    """A stream that began before a save says to its end what it began to say."""
    file, slow = tmp_path / FILE, RESPONSES.replace("lag_enabled: false", "lag_enabled: true")
    file.write_text(slow)
    with program.serve("mock", "--rules", FILE) as server, ThreadPoolExecutor(1) as thread:
        begun, began = threading.Event(), time.monotonic()
        stream = thread.submit(_stream, server.url, begun.set)
        assert begun.wait(PATIENCE)
        file.write_text(RESPONSES.replace(BLUE, "Grey."))
        until(lambda: ask(server, "what colour is the sky?") == "Grey.")
        assert stream.result() == BLUE
        assert time.monotonic() - began >= 0.5 * (len(BLUE) - 1) / 100


def _stream(url: str, begun: Callable[[], object] = lambda: None) -> str:
    """What OpenAI's SDK streams; ``begun`` is told of each letter."""
    text = ""
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        for chunk in client.chat.completions.create(
            model="mock-llm", messages=SAY_SKY, stream=True
        ):
            text += chunk.choices[0].delta.content or ""
            if text:
                begun()
    return text


async def test_001_6_a_stream_has_an_event_for_each_character() -> None:
    reply = await reply_to(CHAT, {**OPENAI, "stream": True}, **LETTERS)
    assert [text for _, text in spoken(reply)] == list(SKY)
    body = {**ANTHROPIC, "max_tokens": 1024, "stream": True}
    told = events(body_of(await reply_to(MESSAGES, body, **LETTERS)))
    deltas = [event["delta"]["text"] for event in told if event["type"] == "content_block_delta"]
    assert deltas == list(SKY)


async def test_001_7_the_openai_stream_is_role_letters_stop_done() -> None:
    reply = await reply_to(CHAT, {**OPENAI, "stream": True}, **LETTERS)
    first, *letters, last = [chunk["choices"][0] for chunk in chunks(body_of(reply))]
    assert first["delta"]["role"] == "assistant"
    assert [set(letter["delta"]) for letter in letters] == [{"content"}] * len(SKY)
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")


async def test_001_8_the_anthropic_stream_is_the_wire_format_and_not_the_documented_one() -> None:
    """The shape that the document shows is one that no SDK reads."""
    body = {**ANTHROPIC, "max_tokens": 1024, "stream": True}
    answer = await asked(MESSAGES, body, **LETTERS)
    named = re.findall(r"^event: (\w+)$", answer.body.decode(), re.MULTILINE)
    told = events(answer.body)
    assert named == [event["type"] for event in told]
    assert named[0] == "message_start"
    assert named[-2:] == ["message_delta", "message_stop"]


async def test_001_9_the_message_has_the_documented_members() -> None:
    found = json.loads((await asked(MESSAGES, {**ANTHROPIC, "max_tokens": 1024}, **LETTERS)).body)
    assert (found["type"], found["role"]) == ("message", "assistant")
    assert found["model"] == "claude-3-sonnet-20240229"
    assert found["content"] == [{"type": "text", "text": SKY}]
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)
    assert re.fullmatch(r"msg_01[A-Za-z0-9]{22}", found["id"])
    assert found["usage"]["output_tokens"] == count(SKY, "o200k_base")
    assert found["usage"]["input_tokens"] > 0


def lag(factor: float) -> dict[str, Any]:
    """What ``lag_factor`` says: ten letters a second for each, give or take half."""
    return {**LETTERS, "pace__characters_per_second": factor * 10, "pace__jitter": 0.5}


@pytest.mark.parametrize("factor", [1, 10])
async def test_001_10_a_lagging_letter_takes_a_tenth_of_the_factor_give_or_take_half(
    factor: int,
) -> None:
    moments = [
        at for at, _ in spoken(await reply_to(CHAT, {**OPENAI, "stream": True}, **lag(factor)))
    ]
    mean = 1 / (factor * 10)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(gaps) == len(SKY) - 1
    assert all(0.5 * mean <= gap <= 1.5 * mean for gap in gaps)
    assert max(gaps) - min(gaps) > 0.5 * mean


async def test_001_10_a_whole_reply_lags_as_long_as_its_letters() -> None:
    whole = await reply_to(CHAT, OPENAI, **{**lag(10), "pace__jitter": 0.0})
    (moment,) = offsets(whole)
    assert moment == pytest.approx((len(SKY) - 1) / 100)
    assert whole.head_at == moment


async def ruled(body: dict[str, Any], rules: str, path: str = CHAT) -> Reply:
    """The reply of a file of rules with the moments at which it would leave."""
    settings, sessions = serve.settings(), Sessions()
    live = Live(Configuration(settings, serve.rules_of(rules)))
    keeper = keeper_for(settings, {})

    def nothing(*_: object) -> Any:
        raise AssertionError("there is no cassette and no upstream")

    with ThreadPoolExecutor(1) as aside:
        maker = Maker(packaged(), sessions, aside, lambda: 1, may_call=True)
        reader = Reader(live, sessions, settings.max_request, trusting=False)
        answer = RuleResponder(reader, maker, sessions, None, nothing, nothing, Pace(), lambda: 1)
        request = Request(
            "POST", path, JSON, json.dumps(body).encode(), "default", time.monotonic()
        )
        reply = await answer(Asked(request, keeper.redacting(request, ()), "http://test"))
        answer.close()
    assert reply is not None
    return reply


def lagging(factor: float) -> str:
    text = RESPONSES.replace("lag_enabled: false", "lag_enabled: true")
    return text.replace("lag_factor: 10", f"lag_factor: {factor}")


@pytest.mark.parametrize("factor", [1, 10])
async def test_001_10_the_files_lag_is_that_of_each_letter(factor: int) -> None:
    body = chat("what colour is the sky?", stream=True)
    moments = [at for at, _ in spoken(await ruled(body, lagging(factor)))]
    mean = 1 / (factor * 10)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(gaps) == len(BLUE) - 1
    assert all(0.5 * mean <= gap + 1e-9 and gap - 1e-9 <= 1.5 * mean for gap in gaps)
    assert max(gaps) - min(gaps) > 0.5 * mean


@pytest.mark.parametrize("factor", [1, 10])
async def test_001_10_a_whole_reply_of_the_file_lags_as_long_as_its_letters(factor: int) -> None:
    whole = await ruled(chat("what colour is the sky?"), lagging(factor))
    mean = (len(BLUE) - 1) / (factor * 10)
    assert 0.5 * mean <= whole.head_at <= 1.5 * mean


async def test_001_10_without_lag_all_letters_leave_at_once() -> None:
    reply = await ruled(chat("what colour is the sky?", stream=True), RESPONSES)
    assert [text for _, text in spoken(reply)] == list(BLUE)
    assert set(offsets(reply)) == {0.0}


async def test_001_11_tokens_are_tiktokens_by_the_models_name() -> None:
    """Not its 82 letters by four, nor its 15 words."""
    bodies = [{**OPENAI, "model": model} for model in ("gpt-3.5-turbo", "gpt-4", "gpt-4o")]
    answers = [await asked(CHAT, body, mock__text=SKY) for body in bodies]
    used = [json.loads(answer.body)["usage"] for answer in answers]
    assert [usage["completion_tokens"] for usage in used] == [17, 17, 17]
    assert [usage["prompt_tokens"] for usage in used] == [13, 13, 13]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (CHAT, {"model": "mock-llm"}, 400, "messages is required"),
        (CHAT, {"model": "mock-llm", "messages": []}, 400, "messages is required"),
        (CHAT, {"model": "mock-llm", "messages": "hi"}, 400, "messages"),
        (CHAT, {"model": "mock-llm", "messages": [{"role": "user"}]}, 400, "content"),
        (CHAT, {"model": "mock-llm", "messages": [{"role": "king", "content": ""}]}, 400, "role"),
        (CHAT, {**OPENAI, "temperature": "hot"}, 400, "temperature"),
        (CHAT, {**OPENAI, "stream": "yes"}, 400, "stream"),
        (MESSAGES, {**ANTHROPIC}, 400, "max_tokens: Field required"),
        (MESSAGES, {**ANTHROPIC, "max_tokens": "x"}, 400, "max_tokens"),
        (MESSAGES, {"model": "claude-2", "max_tokens": 5}, 400, "messages"),
    ],
)
@pytest.mark.parametrize("rules", ["", RESPONSES], ids=["made up", "responses"])
async def test_001_12_an_invalid_request_is_a_400_that_names_the_member(
    path: str, body: Any, status: int, words: str, rules: str
) -> None:
    answer = await asked(path, body, rules=rules)
    assert answer.status == status
    assert words in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize("rules", ["", RESPONSES], ids=["made up", "responses"])
async def test_001_12_broken_json_is_a_400_that_says_where(rules: str) -> None:
    async with mocking(rules=rules) as service:
        for path in (CHAT, MESSAGES):
            answer = await sockets.ask(service.url, path, b'{"model": "x", }')
            assert answer.status == 400
            assert "line 1 column" in json.loads(answer.body)["error"]["message"]


async def test_001_12_a_request_without_a_user_is_one_that_the_provider_takes() -> None:
    """The seed refuses it, OpenAI does not: nobody asked anything, so the answer is unknown."""
    body = {"model": "mock-llm", "messages": [{"role": "system", "content": "Be brief."}]}
    assert said(await asked(CHAT, body, rules=RESPONSES)) == UNKNOWN


def test_001_14_the_program_serves_a_file_that_a_flag_or_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(RESPONSES)
    with program.serve("mock", "--rules", FILE, "--host", "127.0.0.1") as server:
        assert "4 rules first (responses.yml)" in server.banner
        assert _stream(server.url) == BLUE
        with anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0) as client:
            found = client.messages.create(model="claude-sonnet-5", max_tokens=99, messages=SAY_SKY)
        _, out, _ = server.stop()
    assert [block.text for block in found.content if block.type == "text"] == [BLUE]
    assert out.strip() == "llmproxy: 0 replies were made up, 2 answered by rules"
    with program.serve("mock", LLMPROXY_RULES=f'["{FILE}"]') as server:
        assert ask(server, "what is 2+2?") == "2+2 is 4."


def test_001_14_the_settings_may_name_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(RESPONSES)
    (tmp_path / "proxy.yml").write_text(f"rules: {FILE}\n")
    done = program.run("check")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["proxy.yml: no rules, no problem", "responses.yml: 4 rules, no problem"],
    )


def test_001_14_a_file_is_validated_without_serving_it(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_text(RESPONSES)
    done = program.run("check", FILE)
    assert (done.returncode, done.stdout) == (0, "responses.yml: 4 rules, no problem\n")
    text, place, words = BROKEN[1]
    file.write_text(text.replace("defaults:", "default:"))
    done = program.run("check", FILE)
    first, second = done.stdout.splitlines()
    assert done.returncode == 2
    assert first.startswith(place)
    assert words in first
    assert second.startswith("responses.yml:10:1: default:")


@pytest.mark.parametrize(
    ("path", "body", "reads"),
    [
        ("/v1/responses", {"model": "m", "input": "what is 2+2?"}, "output/0/content/0/text"),
        ("/api/chat", {"model": "m", "messages": user("what is 2+2?"), "stream": False},
         "message/content"),
        ("/v1beta/models/m:generateContent",
         {"contents": [{"role": "user", "parts": [{"text": "what is 2+2?"}]}]},
         "candidates/0/content/parts/0/text"),
    ],
)  # fmt: skip
async def test_001_15_the_file_answers_every_other_provider_too(
    path: str, body: Any, reads: str
) -> None:
    found = json.loads((await asked(path, body, rules=RESPONSES)).body)
    for step in reads.split("/"):
        found = found[int(step) if step.isdecimal() else step]
    assert found == "2+2 is 4."


async def test_001_15_a_path_of_two_providers_is_answered_in_the_shape_of_the_one_who_is_asked() -> (
    None
):
    async with mocking() as service:
        one = await curl(service, "/v1/models")
        two = await curl(service, "/v1/models", None, "anthropic-version: 2023-06-01")
    assert json.loads(one.body)["object"] == "list"
    assert {model["type"] for model in json.loads(two.body)["data"]} == {"model"}


async def test_001_15_any_model_name_is_served() -> None:
    async with openai_client(mock__text="Yes.") as client:
        found = await client.chat.completions.create(
            model="example-custom/any-1", messages=[{"role": "user", "content": "?"}]
        )
    assert found.model == "example-custom/any-1"
