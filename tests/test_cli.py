"""The command line as a user runs it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import program
import sockets
from serve import recording
from sockets import Seen, ask, free_port, upstream

HEAVY = ("aiohttp", "pydantic", "sqlite_utils", "tiktoken", "yaml", "rich", "sqlite3")


def chat(text: str) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()


async def stream(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.head())
    for text in ("Hel", "lo", "!"):
        writer.write(
            sockets.chunk(b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode())
        )
        await writer.drain()
        await asyncio.sleep(0.03)
    writer.write(sockets.chunk(b"data: [DONE]\n\n") + sockets.chunk(b""))


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    """One recorded stream."""

    async def record() -> None:
        async with upstream(stream) as up, recording(f"up={up.url}", tmp_path / "a.db") as service:
            await ask(service.url, body=chat("hi"))

    asyncio.run(record())
    return tmp_path / "a.db"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from llmproxy.cli import cli\n"
        "try: cli(['replay', '--help'], prog_name='llmproxy')\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=program.environment(),
    )
    assert "LOADED []" in done.stdout
    assert "--on-miss" in done.stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "record",
            "--upstream --cassette --mode --keep-transient --on-disconnect --host --port --config",
        ),
        (
            "replay",
            "--on-miss --pace --max-pause --repeat --match --host --port --config",
        ),
        ("explain", "--last --cassette --config"),
    ],
)
def test_help_names_every_option_and_its_default(command: str, options: str) -> None:
    text = program.run(command, "--help").stdout
    for option in options.split():
        assert option in text
    if command != "explain":
        assert "[default: 4555]" in re.sub(r"\s+", " ", text)


def test_record_says_first_what_runs_where_and_what_to_copy(tmp_path: Path) -> None:
    with program.serve(
        "record", "--upstream", "openai", "--upstream", "gw=https://gw.example/api"
    ) as server:
        lines = server.banner.splitlines()
        out = server.stop()[1]
    assert re.fullmatch(r"llmproxy record on http://127\.0\.0\.1:\d+", lines[0])
    assert "openai (https://api.openai.com/v1), gw (https://gw.example/api)" in lines[1]
    assert lines[1].endswith("cassettes/run1.db")
    assert f"  export OPENAI_BASE_URL={server.url}/v1" in lines
    assert out.strip() == "llmproxy: 0 recorded"
    assert (tmp_path / "cassettes" / "run1.db").exists()


def test_record_takes_the_next_free_number(tmp_path: Path) -> None:
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "run7.db").touch()
    with program.serve("record", "--upstream", "openai") as server:
        assert "cassettes/run8.db" in server.banner


def test_replay_says_how_many_interactions_and_ends_with_a_summary(cassette: Path) -> None:
    with program.serve("replay", str(cassette), "--log-format", "human") as server:
        assert "a.db: 1 interaction\n" in server.banner
        answer = asyncio.run(ask(server.url, body=chat("hi")))
        missed = asyncio.run(ask(server.url, body=chat("ho")))
        status, out, err = server.stop()
    assert (answer.status, missed.status, status) == (200, 400, 0)
    assert out.strip() == "llmproxy: 1 replayed, 1 missed"
    assert "200 POST /v1/chat/completions · replayed exact #1 · " in err
    assert "MISS" in err


def test_the_log_names_no_prompt_text(cassette: Path) -> None:
    with program.serve("replay", str(cassette)) as server:
        asyncio.run(ask(server.url, "/v1/chat/completions?key=sesame12345", chat("my diary")))
        _, out, err = server.stop()
    assert "diary" not in out + err
    assert "sesame" not in out + err


def test_ls_lists_a_line_each(cassette: Path) -> None:
    done = program.run("cassette", "ls", str(cassette))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{cassette}: 1 interaction"
    assert re.search(r"1\s+POST /v1/chat/completions\s+gpt-4o\s+200 .* stream", lines[2])


def test_show_draws_the_rhythm_and_prints_both_sides(cassette: Path) -> None:
    done = program.run("cassette", "show", str(cassette), "1")
    assert "POST /v1/chat/completions" in done.stdout
    assert '"content": "hi"' in done.stdout
    assert 'data: {"choices"' in done.stdout
    assert re.search(r"▕[ ▁▂▃▄▅▆▇█]+▏", done.stdout)
    assert re.search(r"[34] chunks, \d+ B, head after \d+ ms, gaps of \d+ ms", done.stdout)


def test_show_without_an_id_draws_each_rhythm(cassette: Path) -> None:
    done = program.run("cassette", "show", str(cassette))
    assert "#1  POST /v1/chat/completions" in done.stdout
    assert "▕" in done.stdout


def test_a_strangers_cassette_cannot_steer_the_terminal(tmp_path: Path) -> None:
    import make

    evil = b"\x1b]0;owned\x07 \x1b[2J \xe2\x80\xae"
    path = make.write(
        tmp_path / "a.db",
        make.interaction(make.request(evil, path="/\x1b[31m"), make.response([(0.1, evil)])),
    )
    for arguments in (("show", str(path), "1"), ("show", str(path)), ("ls", str(path))):
        out = program.run("cassette", *arguments).stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(out)


def test_explain_last_says_why_the_last_request_missed(cassette: Path) -> None:
    with program.serve("replay", str(cassette)) as server:
        asyncio.run(ask(server.url, body=chat("ho")))
        server.stop()
    done = program.run("explain", "--last")
    assert done.returncode == 0
    assert "messages[0].content" in done.stdout
    assert "a.db" in done.stdout


def test_explain_last_sees_that_the_offered_lines_accept_it(cassette: Path, tmp_path: Path) -> None:
    with program.serve("replay", str(cassette)) as server:
        asyncio.run(ask(server.url, body=chat("hi").replace(b"}]}", b'}], "temperature": 1}')))
        server.stop()
    assert "temperature" in program.run("explain", "--last").stdout
    (tmp_path / "proxy.yml").write_text('match:\n  ignore: ["$.temperature"]\n')
    assert "matches a.db #1 (canonical" in program.run("explain", "--last").stdout


def test_explain_compares_a_request_body_with_a_cassette(cassette: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_bytes(chat("hi"))
    done = program.run("explain", "request.json", "--cassette", str(cassette))
    assert "matches a.db #1 (exact" in done.stdout
    request.write_bytes(chat("ho"))
    done = program.run("explain", "request.json", "--cassette", str(cassette))
    assert "messages[0].content" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("record", "--upstream", "opnai"), 2, "openai"),
        (("record",), 2, "--upstream"),
        (("record", "--upstream", "ftp://x"), 2, "http"),
        (("replay",), 2, "CASSETTES"),
        (("replay", "none.db"), 1, "none.db: no such cassette"),
        (("replay", "none.db", "--pace", "fast"), 2, "recorded, instant"),
        (("replay", "none.db", "--on-miss", "guess"), 2, "--on-miss"),
        (("replay", "none.db", "--port", "70000"), 2, "--port"),
        (("replay", "none.db", "--config", "none.yml"), 2, "none.yml"),
        (("explain", "--last"), 1, "no missed request is remembered"),
        (("explain",), 2, "--last"),
        (("explain", "none.json", "--cassette", "x.db"), 1, "none.json: cannot be read"),
        (("cassette", "ls", "none.db"), 1, "no such cassette"),
        (("cassette", "show", "."), 1, "is a folder"),
    ],
)
def test_a_mistake_ends_with_a_status_and_one_clear_message(
    arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = program.run(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_an_error_that_says_the_mend(cassette: Path) -> None:
    with program.serve("replay", str(cassette)) as server:
        port = server.url.rpartition(":")[2]
        done = program.run("replay", str(cassette), "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_all_mistakes_of_file_environment_and_flags_come_at_once(
    cassette: Path, tmp_path: Path
) -> None:
    (tmp_path / "proxy.yml").write_text("replay:\n  pcae: instant\n")
    done = program.run("replay", str(cassette), "--repeat", "twice", LLMPROXY_PORT="99999")
    assert done.returncode == 2
    assert "proxy.yml:2:3: replay.pcae" in done.stderr
    assert "LLMPROXY_PORT" in done.stderr
    assert "--repeat" in done.stderr


def test_the_environment_and_the_file_set_what_flags_do_not(cassette: Path, tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text("replay:\n  pace: instant\n  repeat: miss\n")
    with program.serve("replay", str(cassette), LLMPROXY_REPLAY_REPEAT="last") as server:
        for _ in range(2):
            assert asyncio.run(ask(server.url, body=chat("hi"))).status == 200


def test_python_m_llmproxy_tells_its_version() -> None:
    assert re.fullmatch(r"llmproxy, version \d+\.\d+\.\d+\n", program.run("--version").stdout)


def test_a_free_port_is_picked_for_0_and_said(cassette: Path) -> None:
    with program.serve("replay", str(cassette)) as server:
        assert 0 < int(server.url.rpartition(":")[2]) != free_port()
