"""Which pieces of a text become ordinals, and which are content."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.matching.volatile import (
    Ordinals,
    find_directories,
    may_change,
    may_declare,
    replace_patterns,
    replace_volatile,
)

NOW = date(2026, 11, 20)
ONE = "550e8400-e29b-41d4-a716-446655440000"
TWO = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


def loose(text: str, now: date = NOW) -> str:
    return replace_volatile(text, Ordinals(), now)


def test_a_uuid_in_a_prompt_becomes_an_ordinal() -> None:
    assert loose(f"session {ONE}!") == "session <uuid:1>!"


def test_the_same_uuid_keeps_its_ordinal_and_another_gets_the_next() -> None:
    assert loose(f"{ONE} {TWO} {ONE.upper()}") == "<uuid:1> <uuid:2> <uuid:1>"


@pytest.mark.parametrize("around", ["run-{}", "/tmp/{}/out.txt", "req_{}", '"{}"', "{}-x", "({})."])
def test_a_uuid_is_found_between_separators(around: str) -> None:
    assert loose(around.format(ONE)) == around.format("<uuid:1>")


@pytest.mark.parametrize(
    "text",
    [
        "a" + ONE,
        ONE + "0",
        ONE[:-1],
        ONE.replace("-", ""),
        ONE.replace("-", "_"),
        "g" + ONE[1:],
        "550e8400-e29b-41d4-a716",
    ],
)
def test_what_is_no_whole_uuid_stays(text: str) -> None:
    assert loose(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T13:14:15Z",
        "2026-11-20T13:14:15.123456+00:00",
        "2026-11-20T13:14",
        "2026-11-20 13:14:15,123",
        "2024-01-06 13:14:15 UTC",
        "2026/11/20 13:14",
        "Fri, 20 Nov 2026 13:14:15 +0000",
        "Fri, 20 Nov 2026 13:14:15 GMT",
        "Fri Nov 20 2026 13:14:15 GMT+0000",
        "Fri Nov 20 13:14:15 UTC 2026",
        "Fri Nov  6 13:14:15 2026",
        "November 20, 2026 at 1:14 PM",
        "Friday, November 20, 2026 at 1:14:15 PM",
        "11/20/2026, 1:14:15 PM",
        "20.11.2026 13:14",
    ],
)
def test_a_full_date_time_becomes_an_ordinal(text: str) -> None:
    assert loose(f"It is {text}. Go on.") == "It is <time:1>. Go on."


def test_different_moments_get_different_ordinals() -> None:
    text = "2026-11-20T13:14:15Z 2026-11-20T13:14:16Z 2026-11-20T13:14:15Z"
    assert loose(text) == "<time:1> <time:2> <time:1>"


TODAY = [
    "2026-11-20",
    "2026/11/20",
    "20.11.2026",
    "11/20/2026",
    "20/11/2026",
    "November 20, 2026",
    "november 20 2026",
    "Nov 20, 2026",
    "20 November 2026",
    "20th of November 2026",
    "20. November 2026",
    "Friday, November 20, 2026",
    "Fri 20 Nov 2026",
    "Friday 2026-11-20",
    "2026-11-20 (Friday)",
    "2026-11-20, Friday",
]


@pytest.mark.parametrize("text", TODAY)
def test_today_in_any_spelling_becomes_an_ordinal(text: str) -> None:
    assert loose(f"Today's date: {text}.") == "Today's date: <date:1>."


@pytest.mark.parametrize("text", TODAY)
def test_the_same_date_is_content_in_another_year(text: str) -> None:
    assert loose(f"Invoice of {text}.", date(2027, 11, 20)) == f"Invoice of {text}."


def test_the_day_before_and_after_now_are_by_now_and_no_others() -> None:
    for days in (-1, 0, 1):
        assert loose(str(NOW + timedelta(days))) == "<date:1>"
    for days in (-2, 2, -365, 30):
        assert loose(str(NOW + timedelta(days))) == str(NOW + timedelta(days))


def test_a_date_by_the_turn_of_the_year_is_by_now() -> None:
    assert loose("2026-12-31 2027-01-01", date(2027, 1, 1)) == "<date:1> <date:2>"


def test_one_day_in_two_spellings_is_one_ordinal() -> None:
    assert loose("2026-11-20 is November 20, 2026; then 21.11.2026") == (
        "<date:1> is <date:1>; then <date:2>"
    )


def test_a_numeric_date_counts_in_either_reading() -> None:
    assert loose("12/11/2026", date(2026, 11, 12)) == "<date:1>"
    assert loose("12/11/2026", date(2026, 12, 11)) == "<date:1>"
    assert loose("12/11/2026", NOW) == "12/11/2026"
    assert loose("12.11.2026", date(2026, 12, 11)) == "12.11.2026"


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-45",
        "2026-11-20T99:99",
        "2026-11-31T13:14:15",
        "31.02.2026",
        "2026-11-201",
        "12026-11-20",
        "v2026-11-20",
        "1.20.11.2026",
        "2026-11",
        "November 2026",
        "Nov 20",
        "13:14:15",
        "20261120",
        "The year 2026.",
        "in 20 of 2026 cases",
        "version 2.2026.1",
    ],
)
def test_what_is_no_valid_date_is_text(text: str) -> None:
    assert loose(text) == text


def test_a_word_that_looks_like_a_weekday_is_kept() -> None:
    assert loose("On 2026-11-20 sat a cat") == "On <date:1> sat a cat"
    assert loose("We sat November 20, 2026 out") == "We sat <date:1> out"


def test_temporary_names_become_ordinals() -> None:
    assert loose("/tmp/tmpa1b2c3d4/x /tmp/tmpabcdefgh /tmp/tmpa1b2c3d4/y") == (
        "/tmp/<tmp:1>/x /tmp/<tmp:2> /tmp/<tmp:1>/y"
    )
    assert loose("/tmp/pytest-of-ann/pytest-12/test_a0/f") == "/tmp/<tmp:1>/test_a0/f"
    assert loose("/var/folders/x1/abc_9/T/tmpq1w2e3r4/f") == "<tmp:1>/<tmp:2>/f"
    assert loose(r"C:\Users\ann\AppData\Local\Temp\tmpq1w2e3r4") == (
        r"C:\Users\ann\AppData\Local\Temp\<tmp:1>"
    )


@pytest.mark.parametrize(
    "text",
    [
        "/tmp/a.txt",
        "/srv/tmp_storage/f",
        "tmpa1b2c3d4",
        "/tmp/tmpa1b2c3d4e",
        "/tmp/tmpA1b2c3d4",
        "/tmp/tmpdir",
        "pytest-of-ann/notes",
        "/var/folders",
    ],
)
def test_a_path_that_is_content_stays(text: str) -> None:
    assert loose(text) == text


def test_without_temps_temporary_names_stay() -> None:
    assert replace_volatile("/tmp/tmpa1b2c3d4", Ordinals(), NOW, temps=False) == "/tmp/tmpa1b2c3d4"


def cwd(*texts: str, labels: bool = True, slugs: bool = False) -> list[str]:
    directories = find_directories(texts, labels=labels, slugs=slugs)
    return [directories.replace(text) for text in texts] if directories else list(texts)


@pytest.mark.parametrize(
    "line",
    [
        "Working directory: {}",
        "Primary working directory: {}",
        " - Primary working directory: {}\n - Platform: linux",
        "Current working directory: {}",
        "CURRENT WORKING DIRECTORY: {}",
        "**Working directory**: `{}`",
        "# Current Working Directory ({}) Files",
        "I'm currently working in the directory: {}",
        "cwd: {}",
        "cwd={}",
        "Workspace folder: {}",
        "Project root: {}",
        "<cwd>{}</cwd>",
        "<environment_context>\n  <cwd>{}</cwd>\n</environment_context>",
    ],
)
def test_a_declared_working_directory_becomes_cwd_wherever_it_stands(line: str) -> None:
    path = "/home/ann/app"
    declared, other = cwd(line.format(path), f"I read {path}/src/a.py and {path}.")
    assert declared == line.format("<cwd>")
    assert other == "I read <cwd>/src/a.py and <cwd>."


@pytest.mark.parametrize(
    "text",
    [
        "/home/ann/app is a folder",
        "working directory: src",
        "Working directory: /",
        "the cwd is /home/ann/app",
        "mycwd: /home/ann/app",
        "directory: /home/ann/app",
    ],
)
def test_what_declares_no_working_directory_changes_nothing(text: str) -> None:
    assert cwd(text, "/home/ann/app") == [text, "/home/ann/app"]


def test_a_longer_name_is_another_path() -> None:
    texts = (
        "cwd: /home/ann/app",
        "/home/ann/app2 /home/ann/app.bak /mnt/home/ann/app /home/ann/app/",
    )
    assert cwd(*texts)[1] == "<home>/app2 <home>/app.bak /mnt/home/ann/app <cwd>/"


def test_home_is_replaced_only_around_a_declared_directory() -> None:
    assert (
        cwd("cwd: /home/ann/app", "/home/ann/.cache /home/bob/x")[1] == "<home>/.cache /home/bob/x"
    )
    assert cwd("cwd: /srv/app", "/home/ann/.cache")[1] == "/home/ann/.cache"
    assert cwd("cwd: /root/app", "/root/.cache")[1] == "<home>/.cache"
    assert cwd("cwd: /Users/ann/app", "file:///Users/ann/x")[1] == "file://<home>/x"


def test_a_windows_directory_is_found_plain_and_as_json_text() -> None:
    path = r"C:\Users\ann\app"
    escaped = path.replace("\\", "\\\\")
    assert cwd(f"Working directory: {path}", f'{{"p":"{escaped}"}}', r"C:\Users\ann\x")[1:] == [
        '{"p":"<cwd>"}',
        r"<home>\x",
    ]


def test_several_directories_are_told_apart() -> None:
    assert cwd("cwd: /a/one\ncwd: /a/two\ncwd: /a/one") == ["cwd: <cwd>\ncwd: <cwd:2>\ncwd: <cwd>"]


def test_only_the_tag_declares_without_labels() -> None:
    assert cwd("cwd: /a/b", labels=False) == ["cwd: /a/b"]
    assert cwd("<cwd>/a/b</cwd>", labels=False) == ["<cwd><cwd></cwd>"]


def test_claude_codes_spelling_of_a_directory_counts_with_slugs() -> None:
    texts = "cwd: /home/ann/my.app", "/home/ann/.claude/projects/-home-ann-my-app/memory"
    assert cwd(*texts, slugs=True)[1] == "<home>/.claude/projects/<cwd>/memory"
    assert cwd(*texts)[1] == "<home>/.claude/projects/-home-ann-my-app/memory"


def test_a_pattern_becomes_an_ordinal_of_its_name() -> None:
    patterns = [("order", re.compile(r"order-\d+"))]
    assert replace_patterns("order-7 order-8 order-7", patterns, Ordinals()) == (
        "<order:1> <order:2> <order:1>"
    )


def test_a_pattern_that_finds_nothing_at_a_place_adds_nothing() -> None:
    assert replace_patterns("abc", [("x", re.compile(r"\d*"))], Ordinals()) == "abc"


_PIECES = st.sampled_from(
    [
        *TODAY,
        ONE,
        TWO,
        "2026-11-20T13:14:15Z",
        "/tmp/tmpa1b2c3d4",
        "/var/folders/x1/abc_9/T",
        "pytest-of-ann/pytest-3",
        "<uuid:1>",
        "<date:1>",
        "2026",
        " ",
        "-",
        "/",
        "word",
        "1",
        ".",
        ",",
    ]
)
_TEXTS = st.lists(_PIECES | st.text(max_size=4), max_size=10).map("".join)


@settings(deadline=None)
@given(_TEXTS)
def test_replacing_twice_changes_nothing_more(text: str) -> None:
    once = loose(text)
    assert loose(once) == once


@settings(deadline=None)
@given(_TEXTS)
def test_the_quick_look_never_misses_what_would_change(text: str) -> None:
    if loose(text) != text:
        assert may_change(text)
    if find_directories([text], labels=True):
        assert may_declare(text)


@settings(deadline=None)
@given(st.lists(st.uuids(), min_size=1, max_size=8))
def test_ordinals_keep_apart_what_differs_and_together_what_is_the_same(
    values: list[object],
) -> None:
    ordinals = Ordinals()
    names = [replace_volatile(str(value), ordinals, NOW) for value in values]
    first: dict[object, str] = {}
    for value in values:
        first.setdefault(value, f"<uuid:{len(first) + 1}>")
    assert names == [first[value] for value in values]


@settings(deadline=None)
@given(st.dates(date(2000, 1, 3), date(2099, 12, 28)), st.integers(-40, 40))
def test_a_date_is_noise_exactly_when_it_is_within_a_day_of_now(day: date, away: int) -> None:
    now = day + timedelta(days=away) if day.year < 2099 or away < 0 else day
    near = abs((day - now).days) <= 1
    for text in (day.isoformat(), f"{day:%d.%m.%Y}", f"{day:%B %d, %Y}", f"{day:%d %b %Y}"):
        assert loose(text, now) == ("<date:1>" if near else text)


@pytest.mark.parametrize(
    "text",
    [
        "-" * 300_000,
        "2026-11-20 " * 20_000,
        "20" * 150_000,
        "Nov 20 2026 " * 20_000,
        "deadbeef-dead-" * 20_000,
        "/tmp/tmp" * 40_000,
        "cwd: /" * 50_000,
        "cwd: " + "/a" * 100_000,
        ("cwd: /" + ".x" * 250 + "." * 250 + "\n") * 400,
        "pytest-of-" * 30_000,
        "/var/folders/" * 20_000,
    ],
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    loose(text)
    cwd(text, text)
    assert time.perf_counter() - started < 3
