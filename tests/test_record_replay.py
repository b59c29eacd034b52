"""The main job: record a run, replay it; modes, sessions, sequences, addressing, labels."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
from pathlib import Path

import pytest

import sockets
from llmproxy.cassette import Cassette
from llmproxy.errors import CassetteLocked, CassetteMissing, SettingsError
from llmproxy.matching.canonical import Pattern
from llmproxy.service import serving
from serve import recording, replay_plan, replaying
from sockets import Answer, Seen, ask, upstream


def chat(text: str, **more: object) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    ).encode()


class Counting:
    """An upstream handler that numbers its replies."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        writer.write(sockets.reply(b'{"n":%d}' % self.count))


def number(answer: Answer) -> int:
    assert answer.status == 200, answer.body
    return int(json.loads(answer.body)["n"])


async def record(path: Path, *bodies: bytes, session: str = "") -> None:
    async with upstream(Counting()) as up, recording(f"up={up.url}", path) as service:
        for body in bodies:
            headers = [f"x-llmproxy-session: {session}"] if session else []
            await ask(service.url, "/v1/chat/completions", body, *headers)


async def test_equal_requests_are_a_sequence_first_in_first_out(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"), chat("x"), chat("x"))
    async with replaying(path) as service:
        answers = [await ask(service.url, body=chat("x")) for _ in range(4)]
    assert [number(answer) for answer in answers] == [1, 2, 3, 3]
    assert [answer.header("x-llmproxy-turn") for answer in answers] == [None, None, None, "4/3"]
    assert {answer.header("x-llmproxy-source") for answer in answers} == {"replayed"}
    assert {answer.header("x-llmproxy-match") for answer in answers} == {"exact"}
    assert answers[1].header("x-llmproxy-interaction") == "a.db/2"
    assert "4 replayed, 1 of them repeated, 0 missed" in service.summary()


async def test_parallel_equal_requests_get_each_reply_once(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, *[chat("x")] * 20)
    async with replaying(path) as service:
        answers = await asyncio.gather(*(ask(service.url, body=chat("x")) for _ in range(20)))
    assert sorted(map(number, answers)) == list(range(1, 21))


async def test_large_parallel_requests_keep_the_order_of_arrival(tmp_path: Path) -> None:
    """Above 64 KB the redaction leaves the loop; the sequence must not notice."""
    path = tmp_path / "a.db"
    large = chat("x" * 200_000)
    await record(path, *[large] * 5)
    async with replaying(path) as service, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(sockets.Client(service.url)) for _ in range(5)]
        for client in clients:
            client.send("/v1/chat/completions", large)
            await client.writer.drain()
        answers = [await client.answer() for client in clients]
    assert sorted(map(number, answers)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("repeat", "numbers"), [("last", [1, 2, 2]), ("cycle", [1, 2, 1])])
async def test_repeat_says_what_follows_a_used_up_sequence(
    tmp_path: Path, repeat: str, numbers: list[int]
) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"), chat("x"))
    async with replaying(path, replay__repeat=repeat) as service:
        assert [number(await ask(service.url, body=chat("x"))) for _ in range(3)] == numbers


async def test_repeat_miss_says_that_the_sequence_is_used_up(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"))
    async with replaying(path, replay__repeat="miss") as service:
        number(await ask(service.url, body=chat("x")))
        answer = await ask(service.url, body=chat("x"))
    assert answer.status == 400
    assert "used up" in (answer.header("x-llmproxy-miss") or "")


async def test_an_unused_canonical_recording_does_not_stand_in_for_a_used_up_exact_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    spaced = json.dumps(json.loads(chat("x")), indent=1).encode()
    await record(path, chat("x"), spaced)
    async with replaying(path) as service:
        numbers = [number(await ask(service.url, body=chat("x"))) for _ in range(2)]
    assert numbers == [1, 1]


async def test_a_canonical_match_says_so_and_uses_what_is_unused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"), chat("x"))
    async with replaying(path) as service:
        first = await ask(service.url, body=chat("x"))
        other_order = json.dumps(dict(reversed(json.loads(chat("x")).items()))).encode()
        second = await ask(service.url, body=other_order)
    assert (number(first), number(second)) == (1, 2)
    assert second.header("x-llmproxy-match") == "canonical"


# sessions


async def test_two_sessions_walk_the_same_recording_each_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"), chat("x"))
    async with replaying(path) as service:
        one = [
            number(await ask(service.url, "/s/one/v1/chat/completions", chat("x"))) for _ in "ab"
        ]
        header = [
            number(
                await ask(service.url, "/v1/chat/completions", chat("x"), "x-llmproxy-session: two")
            )
            for _ in "ab"
        ]
        plain = [number(await ask(service.url, body=chat("x"))) for _ in "ab"]
    assert one == header == plain == [1, 2]


async def test_sessions_in_parallel_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, *[chat("x")] * 5)

    async def walk(name: str, url: str) -> list[int]:
        return [
            number(await ask(url, f"/s/{name}/v1/chat/completions", chat("x"))) for _ in range(5)
        ]

    async with replaying(path) as service:
        walks = await asyncio.gather(*(walk(f"s{n}", service.url) for n in range(8)))
    assert walks == [[1, 2, 3, 4, 5]] * 8


async def test_a_reset_starts_one_session_over(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"), chat("x"))
    async with replaying(path) as service:
        for name in ("one", "two"):
            await ask(service.url, f"/s/{name}/v1/chat/completions", chat("x"))
        reset = await ask(service.url, "/_llmproxy/sessions/one/reset", b"")
        one = await ask(service.url, "/s/one/v1/chat/completions", chat("x"))
        two = await ask(service.url, "/s/two/v1/chat/completions", chat("x"))
        everything = await ask(service.url, "/_llmproxy/sessions/reset", b"")
        again = await ask(service.url, "/s/two/v1/chat/completions", chat("x"))
    assert json.loads(reset.body) == {"session": "one", "reset": 1}
    assert (number(one), number(two)) == (1, 2)
    assert json.loads(everything.body)["reset"] == 2
    assert number(again) == 1


async def test_a_session_is_replayed_from_its_own_recording_where_there_is_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with upstream(Counting()) as up, recording(up.url, path) as service:
        for name in ("one", "two"):
            await ask(service.url, f"/s/{name}/v1/x", chat("x"))
    async with replaying(path) as service:
        two = await ask(service.url, "/s/two/v1/x", chat("x"))
        three = await ask(service.url, "/s/three/v1/x", chat("x"))
    assert (number(two), number(three)) == (2, 1)


# modes


async def test_new_episodes_replays_what_was_there_and_records_what_is_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    counting = Counting()
    async with upstream(counting) as up:
        async with recording(f"up={up.url}", path) as service:
            await ask(service.url, body=chat("x"))
        async with recording(f"up={up.url}", path) as service:
            assert "1 already there will be replayed; --mode all records anew" in service.banner()
            held = await ask(service.url, body=chat("x"))
            used_up = await ask(service.url, body=chat("x"))
            new = await ask(service.url, body=chat("y"))
            new_again = await ask(service.url, body=chat("y"))
    sources = [a.header("x-llmproxy-source") for a in (held, used_up, new, new_again)]
    assert sources == ["replayed", "recorded", "recorded", "recorded"]
    assert counting.count == 4
    assert service.summary() == "llmproxy: 3 recorded, 1 replayed"
    with contextlib.closing(Cassette(path)) as cassette:
        assert [(each.id, each.run) for each in cassette.entries()] == [
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 2),
        ]


async def test_new_episodes_does_not_take_a_fresh_uuid_for_the_old_one(tmp_path: Path) -> None:
    """While recording the provider can be asked, so nothing generated is waved through."""
    path = tmp_path / "a.db"
    ids = ("9f3c1f9e-8a53-4b41-9a0e-0d5a5f1c7b11", "1b671a64-40d5-491e-99b0-da01ff1f3341")
    counting = Counting()
    async with upstream(counting) as up:
        for each in ids:
            async with recording(f"up={up.url}", path) as service:
                await ask(service.url, body=chat(f"run {each}"))
    assert counting.count == 2


async def test_all_records_anew_and_takes_the_old_files_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("old"))
    async with upstream(Counting()) as up:
        async with recording(up.url, path, record__mode="all") as service:
            await ask(service.url, body=chat("new"))
            with contextlib.closing(Cassette(path)) as cassette:
                assert b"old" in cassette.load(1).request.body, "the old one is whole until the end"
    with contextlib.closing(Cassette(path)) as cassette:
        assert [b"new" in each.request.body for each in cassette.interactions()] == [True]
    assert os.listdir(tmp_path) == ["a.db"]


async def test_all_that_recorded_nothing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("old"))
    async with upstream(Counting()) as up, recording(up.url, path, record__mode="all"):
        pass
    with contextlib.closing(Cassette(path)) as cassette:
        assert cassette.count == 1
    assert os.listdir(tmp_path) == ["a.db"]


async def test_once_records_a_new_cassette_and_never_touches_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    counting = Counting()
    async with upstream(counting) as up:
        async with recording(up.url, path, record__mode="once") as service:
            await ask(service.url, body=chat("x"))
        before = path.read_bytes()
        async with recording(up.url, path, record__mode="once") as service:
            held = await ask(service.url, body=chat("x"))
            missed = await ask(service.url, body=chat("y"))
    assert held.header("x-llmproxy-source") == "replayed"
    assert (missed.status, counting.count) == (400, 1)
    assert path.read_bytes() == before


async def test_on_miss_forward_asks_the_upstream_and_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"))
    before = path.read_bytes()
    async with (
        upstream(Counting()) as up,
        replaying(path, upstreams=[up.url], replay__on_miss="forward") as service,
    ):
        held = await ask(service.url, body=chat("x"))
        forwarded = await ask(service.url, body=chat("y"))
    assert held.header("x-llmproxy-source") == "replayed"
    assert forwarded.header("x-llmproxy-source") == "forwarded"
    assert service.summary() == "llmproxy: 1 replayed, 1 missed, 1 forwarded"
    assert path.read_bytes() == before


async def test_forwarding_a_miss_wants_to_know_where_to(tmp_path: Path) -> None:
    await record(tmp_path / "a.db", chat("x"))
    with pytest.raises(SettingsError, match="where to\n  add --upstream"):
        async with replaying(tmp_path / "a.db", replay__on_miss="forward"):
            pass


@pytest.mark.parametrize(
    ("variable", "source"),
    [
        ("true", "error"),
        ("1", "error"),
        ("", "synthesized"),
        ("false", "synthesized"),
        ("0", "synthesized"),
    ],
)
async def test_by_itself_a_miss_is_an_error_where_ci_is_set_and_else_made_up(
    tmp_path: Path, variable: str, source: str
) -> None:
    await record(tmp_path / "a.db", chat("x"))
    plan = replay_plan(tmp_path / "a.db", replay__on_miss="auto", state_folder=tmp_path)
    async with serving(dataclasses.replace(plan, environment={"CI": variable})) as service:
        missed = await ask(service.url, body=chat("y"))
        assert missed.header("x-llmproxy-source") == source
        assert ("because CI is set" in service.banner()) == (source == "error")
        assert ("made-up reply" in service.banner()) == (source == "synthesized")


async def test_replay_of_a_missing_cassette_says_so(tmp_path: Path) -> None:
    with pytest.raises(CassetteMissing):
        async with replaying(tmp_path / "none.db"):
            pass


async def test_a_second_recorder_on_the_same_file_is_refused(tmp_path: Path) -> None:
    async with upstream(Counting()) as up, recording(up.url, tmp_path / "a.db"):
        with pytest.raises(CassetteLocked, match="another llmproxy record writes to it"):
            async with recording(up.url, tmp_path / "a.db"):
                pass


async def test_a_port_in_use_says_how_to_take_another(tmp_path: Path) -> None:
    await record(tmp_path / "a.db", chat("x"))
    async with replaying(tmp_path / "a.db") as service:
        with pytest.raises(SettingsError, match=r"another program has it: .* --port"):
            async with replaying(tmp_path / "a.db", port=service.listener.port):
                pass


async def test_a_recording_leaves_one_file(tmp_path: Path) -> None:
    async with upstream(Counting()) as up, recording(up.url, tmp_path / "a.db") as service:
        await ask(service.url, body=chat("x"))
    assert os.listdir(tmp_path) == ["a.db"]
    assert (tmp_path / "a.db").read_bytes()[18:20] == b"\x01\x01", "no WAL mode in the header"


async def test_replaying_changes_no_byte_of_a_cassette(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"))
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    async with replaying(path, match__ignore=("$.model",)) as service:
        assert number(await ask(service.url, body=chat("x").replace(b'"m"', b'"n"'))) == 1
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


# settings of matching


async def test_a_pattern_of_the_user_lets_what_it_matches_change(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("deploy build-17 now"))
    pattern = Pattern("build", r"build-[0-9]+")
    async with replaying(path) as service:
        assert (await ask(service.url, body=chat("deploy build-18 now"))).status == 400
    async with replaying(path, match__patterns=(pattern,)) as service:
        answer = await ask(service.url, body=chat("deploy build-18 now"))
        assert (number(answer), answer.header("x-llmproxy-match")) == (1, "canonical")
        assert (await ask(service.url, body=chat("deploy build-18 later"))).status == 400


async def test_a_header_that_counts_tells_requests_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with upstream(Counting()) as up, recording(f"up={up.url}", path) as service:
        for tenant in "ab":
            await ask(service.url, "/v1/chat/completions", chat("x"), f"X-Tenant: {tenant}")
    async with replaying(path, match__headers=("x-tenant",), replay__repeat="miss") as service:
        for tenant, expected in (("b", 2), ("a", 1)):
            answer = await ask(
                service.url, "/v1/chat/completions", chat("x"), f"x-tenant: {tenant}"
            )
            assert number(answer) == expected
        other = await ask(service.url, "/v1/chat/completions", chat("x"), "x-tenant: c")
    assert other.status == 400
    assert "x-tenant" in json.loads(other.body)["error"]["message"]


async def test_the_level_exact_takes_nothing_but_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await record(path, chat("x"))
    async with replaying(path, match__level="exact") as service:
        number(await ask(service.url, body=chat("x")))
        spaced = await ask(service.url, body=json.dumps(json.loads(chat("x")), indent=1).encode())
    assert spaced.status == 400


async def test_the_level_transcript_lets_what_tools_returned_change(tmp_path: Path) -> None:
    def agent(result: str) -> bytes:
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ]
        return json.dumps({"model": "m", "messages": messages}).encode()

    path = tmp_path / "a.db"
    await record(path, agent("took 12 ms"))
    async with replaying(path) as service:
        assert (await ask(service.url, body=agent("took 13 ms"))).status == 400
    async with replaying(path, match__level="transcript") as service:
        answer = await ask(service.url, body=agent("took 13 ms"))
    assert answer.header("x-llmproxy-match") == "transcript"


async def test_a_match_in_spite_of_generated_values_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ids = ("9f3c1f9e-8a53-4b41-9a0e-0d5a5f1c7b11", "1b671a64-40d5-491e-99b0-da01ff1f3341")
    await record(path, chat(f"run {ids[0]}"))
    async with replaying(path) as service:
        same = await ask(service.url, body=chat(f"run {ids[0]}"))
        fresh = await ask(service.url, body=chat(f"run {ids[1]}"))
    assert same.header("x-llmproxy-differs") is None
    assert fresh.header("x-llmproxy-match") == "canonical"
    assert fresh.header("x-llmproxy-differs") == "generated-values"


async def test_a_request_for_a_part_is_no_request_for_another_part(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with upstream(Counting()) as up, recording(f"up={up.url}", path) as service:
        for part in ("bytes=0-1", "bytes=2-3"):
            await ask(service.url, "/v1/files/f/content", b"", f"Range: {part}", method="GET")
        await ask(service.url, "/v1/files/f/content", b"", method="GET")
    async with replaying(path, replay__repeat="miss") as service:
        for header, expected in (("range: bytes=2-3", 2), ("Range: bytes=0-1", 1), ("X: y", 3)):
            answer = await ask(service.url, "/v1/files/f/content", b"", header, method="GET")
            assert number(answer) == expected
        other = await ask(service.url, "/v1/files/f/content", b"", "Range: bytes=9-", method="GET")
    assert other.status == 400


async def test_metadata_counts_where_no_model_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with upstream(Counting()) as up, recording(f"up={up.url}", path) as service:
        for topic in "ab":
            body = json.dumps({"metadata": {"topic": topic}}).encode()
            await ask(service.url, "/v1/conversations", body)
    async with replaying(path) as service:
        spaced = await ask(service.url, "/v1/conversations", b'{ "metadata": {"topic": "b"} }')
        other = await ask(service.url, "/v1/conversations", b'{"metadata": {"topic": "c"}}')
    assert (number(spaced), other.status) == (2, 400)


async def test_recording_through_a_link_writes_the_file_behind_it(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("real.db")
    await record(tmp_path / "link.db", chat("old"))
    async with upstream(Counting()) as up:
        async with recording(up.url, tmp_path / "link.db", record__mode="all") as service:
            await ask(service.url, body=chat("new"))
    assert (tmp_path / "link.db").is_symlink()
    with contextlib.closing(Cassette(tmp_path / "real.db")) as cassette:
        assert [b"new" in each.request.body for each in cassette.interactions()] == [True]


async def test_an_empty_file_is_taken_for_a_new_cassette(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    await record(tmp_path / "a.db", chat("x"))
    async with replaying(tmp_path / "a.db") as service:
        assert number(await ask(service.url, body=chat("x"))) == 1


# addressing


async def test_several_upstreams_are_told_apart_by_prefix_and_by_whose_request_it_is(
    tmp_path: Path,
) -> None:
    async def named(name: bytes) -> sockets.Handler:
        async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
            path = seen.line.split(" ")[1].encode()
            writer.write(sockets.reply(b'{"at":"' + name + b'","path":"' + path + b'"}'))

        return handler

    path = tmp_path / "a.db"
    asks: list[tuple[str, tuple[str, ...], str, str]] = [
        ("/gw/v1/chat/completions", (), "gw", "/v1/chat/completions"),
        ("/v1/chat/completions", (), "openai", "/v1/chat/completions"),
        ("/chat/completions", (), "openai", "/chat/completions"),
        ("/v1/messages", ("anthropic-version: 1",), "anthropic", "/v1/messages"),
        ("/s/t/gw/v1/x", (), "gw", "/v1/x"),
        ("/unknown/path", (), "openai", "/unknown/path"),
    ]

    def check(answer: Answer, name: str, at: str) -> None:
        assert json.loads(answer.body) == {"at": name, "path": at}

    async with (
        upstream(await named(b"openai")) as one,
        upstream(await named(b"anthropic")) as two,
        upstream(await named(b"gw")) as three,
    ):
        urls = (f"openai={one.url}", f"anthropic={two.url}", f"gw={three.url}")
        async with recording(urls, path) as service:
            for target, headers, name, at in asks:
                check(await ask(service.url, target, chat("x"), *headers), name, at)
    async with replaying(path) as service:
        for target, headers, name, at in asks:
            check(await ask(service.url, target, chat("x"), *headers), name, at)


async def test_a_path_of_three_providers_is_told_apart_by_its_headers_every_time(
    tmp_path: Path,
) -> None:
    async def named(name: bytes) -> sockets.Handler:
        async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(sockets.reply(b'{"at":"' + name + b'"}'))

        return handler

    path = tmp_path / "a.db"
    marks = {"openai": (), "anthropic": ("anthropic-version: 1",), "gemini": ("x-goog-api-key: k",)}

    async def everyone(url: str) -> None:
        for _ in range(2):
            for name, headers in marks.items():
                answer = await ask(url, "/v1/models", b"", *headers, method="GET")
                assert json.loads(answer.body) == {"at": name}

    async with (
        upstream(await named(b"openai")) as one,
        upstream(await named(b"anthropic")) as two,
        upstream(await named(b"gemini")) as three,
    ):
        urls = (f"openai={one.url}", f"anthropic={two.url}", f"gemini={three.url}")
        async with recording(urls, path) as service:
            await everyone(service.url)
    async with replaying(path) as service:
        await everyone(service.url)


async def test_exact_in_a_later_cassette_beats_canonical_in_an_earlier_one(
    tmp_path: Path,
) -> None:
    spaced = json.dumps(json.loads(chat("x")), indent=1).encode()
    counting = Counting()
    async with upstream(counting) as up:
        for name, body in (("a", chat("x")), ("b", spaced), ("c", spaced)):
            async with recording(f"up={up.url}", tmp_path / f"{name}.db") as service:
                await ask(service.url, body=body)
    paths = [tmp_path / f"{name}.db" for name in "abc"]
    async with replaying(*paths) as service:
        first = await ask(service.url, body=spaced)
        second = await ask(service.url, body=spaced)
        tabbed = await ask(
            service.url, body=json.dumps(json.loads(chat("x")), indent="\t").encode()
        )
    assert (number(first), number(second), number(tabbed)) == (2, 3, 1)
    assert first.header("x-llmproxy-interaction") == "b.db/1"
