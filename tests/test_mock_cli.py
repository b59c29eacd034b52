"""Made-up replies as a user of the command line gets them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import make
import program
import serve
from llmproxy import cli
from llmproxy.configuration import Configuration
from llmproxy.errors import SettingsError
from llmproxy.interaction import Headers
from llmproxy.service import Plan, Service, serving
from program import Program
from seeds.asking import CHAT, WEATHER, body_of, chat, pieces, reply_to, spoken
from sockets import Answer, ask

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
EVENTS: Headers = (("Content-Type", "text/event-stream"),)


def post(server: Program, body: dict[str, Any], path: str = CHAT) -> Answer:
    return asyncio.run(ask(server.url, path, json.dumps(body).encode()))


def said(answer: Answer) -> str:
    text: str = json.loads(answer.body)["choices"][0]["message"]["content"]
    return text


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    """One recorded stream of ten tokens, 30 ms after each other from 100 ms on."""
    chunk = b'data: {"id":"chatcmpl-1","model":"m","choices":[{"index":0,"delta":{"content":" a"}}]}\n\n'
    frames = [(0.1 + 0.03 * number, chunk) for number in range(10)]
    frames.append((0.4, b"data: [DONE]\n\n"))
    asked = make.request(json.dumps(chat("hi", model="m", stream=True)).encode())
    return make.write(
        tmp_path / "run1.db", make.interaction(asked, make.response(frames, headers=EVENTS))
    )


def test_mock_says_what_it_does_and_what_to_copy_and_ends_with_a_sum() -> None:
    with program.serve("mock", "--log-format", "human") as server:
        lines = server.banner.splitlines()
        answers = [
            post(server, chat("my diary")),
            post(server, chat(stream=True)),
            post(server, {"max_tokens": 9}, "/v1/messages"),
        ]
        status, out, err = server.stop()
    assert re.fullmatch(r"llmproxy mock on http://127\.0\.0\.1:\d+", lines[0])
    assert lines[1] == "  every reply is made up"
    assert lines[2:6] == [
        f"  export OPENAI_BASE_URL={server.url}/v1",
        f"  export ANTHROPIC_BASE_URL={server.url}",
        f"  export GOOGLE_GEMINI_BASE_URL={server.url}",
        f"  export OLLAMA_HOST={server.url}",
    ]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert {answer.header("x-llmproxy-source") for answer in answers} == {"synthesized"}
    assert (status, out.strip()) == (0, "llmproxy: 3 replies were made up")
    assert re.search(
        r"^\d\d:\d\d:\d\d 200 POST /v1/chat/completions · synthesized ", err, re.MULTILINE
    )
    assert "400 POST /v1/messages · synthesized" in err
    assert "diary" not in out + err


def test_flags_win_over_variables_and_they_over_the_file_and_one_reply_is_singular(
    tmp_path: Path,
) -> None:
    (tmp_path / "proxy.yml").write_text("mock:\n  text: file\npace:\n  ttft: 3s\n")
    variables = {"LLMPROXY_MOCK_TEXT": "variable", "LLMPROXY_PACE_TTFT": "80ms"}
    with program.serve("mock", "--text", "flag", **variables) as server:
        answer = post(server, chat())
        _, out, _ = server.stop()
    assert said(answer) == "flag"
    assert answer.head_at >= 0.07
    assert out.strip() == "llmproxy: 1 reply was made up"


def test_flags_say_how_long_a_seeded_reply_is_and_how_fast() -> None:
    flags = ("--style", "lorem", "--seed", "7", "--tokens-per-second", "100")
    with program.serve(
        "mock", *flags, "--response-length", "12", "--validation", "lenient"
    ) as server:
        whole = post(server, {"messages": chat()["messages"]})
        streamed = post(server, chat(stream=True))
    assert said(whole) == "".join(pieces(streamed.body))
    expected = asyncio.run(
        reply_to(CHAT, chat(), mock__style="lorem", mock__seed=7, mock__response_length=12)
    )
    assert json.loads(whole.body)["choices"] == json.loads(body_of(expected))["choices"]
    assert json.loads(whole.body)["usage"]["completion_tokens"] == 12
    content = [at for at, data in streamed.chunks for _ in range(data.count(b'"content":"'))]
    assert content[-1] >= 0.1
    assert whole.head_at >= 0.1


def test_a_made_up_stream_follows_the_rhythm_of_a_cassette(cassette: Path) -> None:
    with program.serve("mock", "--like", str(cassette), "--text", "a b c d e f") as server:
        answer = post(server, chat(stream=True))
    assert f"every reply is made up, in the rhythm of {cassette.name}" in server.banner
    assert "".join(pieces(answer.body)) == "a b c d e f"
    assert answer.head_at >= 0.04  # half of the first chunk's moment, as recorded
    moments = [at for at, data in answer.chunks if b'"content":" ' in data]
    assert moments[0] >= 0.1
    assert moments[-1] >= 0.1 + 0.03 * 4


async def test_a_cassettes_rhythm_is_followed_exactly(cassette: Path) -> None:
    reply = await reply_to(
        CHAT, chat(stream=True, model="m"), pace__like=str(cassette), mock__text="a b c d e f"
    )
    assert [at for at, _ in spoken(reply)] == pytest.approx([0.1 + 0.03 * n for n in range(6)])


def test_at_a_desk_a_miss_gets_a_made_up_text_and_a_tool_only_where_one_is_forced(
    cassette: Path,
) -> None:
    with program.serve("replay", str(cassette), "--log-format", "human", CI="") as server:
        texts = [post(server, chat(f"{number}?", tools=[TOOL])) for number in range(5)]
        forced = post(server, chat("!", tools=[TOOL], tool_choice="required"))
        replayed = post(server, chat("hi", model="m", stream=True))
        _, out, err = server.stop()
    assert "what matches nothing gets a made-up reply; --on-miss error refuses it" in server.banner
    for answer in (*texts, forced):
        assert answer.status == 200
        assert answer.header("x-llmproxy-source") == "synthesized"
        assert answer.header("x-llmproxy-miss")
    assert all(said(answer) for answer in texts)
    assert all(
        "tool_calls" not in json.loads(answer.body)["choices"][0]["message"] for answer in texts
    )
    assert json.loads(forced.body)["choices"][0]["message"]["tool_calls"]
    assert replayed.header("x-llmproxy-source") == "replayed"
    assert "content" in (texts[0].header("x-llmproxy-miss") or "")
    assert out.strip() == "llmproxy: 1 replayed, 6 missed, 6 replies were made up"
    assert re.search(r"· synthesized .* · MISS: ", err)


@contextlib.asynccontextmanager
async def replaying(cassette: Path, on_miss: str, ci: str) -> AsyncIterator[Service]:
    settings = serve.settings(replay__on_miss=on_miss)
    async with serving(
        Plan("replay", Configuration(settings), (), (cassette,), {"CI": ci})
    ) as service:
        yield service


async def test_where_ci_is_set_a_miss_is_refused(cassette: Path) -> None:
    async with replaying(cassette, "auto", "true") as service:
        answer = await ask(service.url, CHAT, json.dumps(chat("something else")).encode())
    assert "what matches nothing is refused, because CI is set" in service.banner()
    assert answer.status == 400
    assert answer.header("x-llmproxy-source") == "error"
    assert answer.header("x-llmproxy-miss")
    assert service.summary() == "llmproxy: 0 replayed, 1 missed"


@pytest.mark.parametrize(("on_miss", "ci"), [("synthesize", "true"), ("auto", "false")])
async def test_a_miss_is_made_up_where_it_is_asked_for_or_ci_is_no(
    cassette: Path, on_miss: str, ci: str
) -> None:
    async with replaying(cassette, on_miss, ci) as service:
        answer = await ask(service.url, CHAT, json.dumps(chat("something else")).encode())
    assert answer.header("x-llmproxy-source") == "synthesized"
    assert "  what matches nothing gets a made-up reply" in service.banner()
    assert service.summary() == "llmproxy: 0 replayed, 1 missed, 1 reply was made up"


def test_a_rhythm_of_a_cassette_that_is_not_there_is_an_error() -> None:
    done = program.run("mock", "--like", "none.db", "--port", "0")
    assert done.returncode == 2
    assert "pace.like (--like): none.db: no such cassette" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_rhythm_of_an_empty_cassette_is_an_error(tmp_path: Path) -> None:
    make.write(tmp_path / "void.db")
    with pytest.raises(SettingsError, match="void.db holds no reply whose rhythm could be learnt"):
        async with serve.mocking(pace__like="void.db"):
            pass


def ends(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of a command that does not get as far as serving."""
    monkeypatch.setattr(sys, "argv", ["llmproxy", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_help_names_every_option_and_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "mock", "--help") == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    options = (
        "--style --text --response-length --tool-calls --seed --validation --ttft"
        " --tokens-per-second --jitter --like --host --port --config"
    )
    assert all(f"{option} " in text for option in options.split())
    for default in ("pool", "0.75", "strict", "4555"):
        assert f"[default: {default}]" in text
    assert "without cassette, network or key" in text


def test_help_of_replay_says_what_a_miss_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "replay", "--help") == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "--on-miss auto|error|forward|synthesize" in text
    assert "[default: auto]" in text
    assert "error where CI is set, else synthesize" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--style", "funny"), "--style: mock.style"),
        (("--seed", "x"), "--seed: mock.seed"),
        (("--tool-calls", "2"), "--tool-calls: mock.tool_calls"),
        (("--tokens-per-second", "fast"), "--tokens-per-second: pace.tokens_per_second"),
        (("--ttft", "soon"), "--ttft: pace.ttft"),
        (("--response-length", "huge"), "--response-length: mock.response_length"),
        (("--validation", "none"), "--validation: mock.validation"),
        (("--colour",), "--colour"),
    ],
)
def test_a_bad_flag_ends_with_2_and_its_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    assert ends(monkeypatch, "mock", *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_bad_file_and_a_bad_variable_end_with_2_and_their_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "proxy.yml").write_text("mock:\n  tool_calls: 2\npace:\n  ttft: soon\n")
    monkeypatch.setenv("LLMPROXY_MOCK_SEED", "x")
    assert ends(monkeypatch, "mock") == 2
    said = capsys.readouterr().err
    for place in (
        "proxy.yml:2:15: mock.tool_calls",
        "proxy.yml:4:9: pace.ttft",
        "LLMPROXY_MOCK_SEED",
    ):
        assert place in said


async def test_the_banner_tells_the_rhythm_that_is_set() -> None:
    """A proxy.yml in the folder may slow everything down: it must not look like a hang."""
    async with serve.mocking(pace__ttft=0.3, pace__tokens_per_second=40.0) as service:
        said = "  every reply is made up, first token after 300ms, 40 tokens a second"
        assert service.banner().splitlines()[1] == said
