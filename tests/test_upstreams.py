"""Upstreams: names and URLs, joining, addressing, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy import dialects
from llmproxy.addressing import (
    Address,
    address,
    cut_absolute,
    local_lines,
    mount,
    relative_path,
    rewrite_origin,
    split_session,
    target_url,
)
from llmproxy.errors import BadRequest, SettingsError
from llmproxy.upstreams import (
    ALIASES,
    KNOWN,
    Upstream,
    parse_upstream,
    parse_upstreams,
)

PROXY = "http://127.0.0.1:4555"


def upstream(text: str) -> Upstream:
    return parse_upstream(text, {})


def upstreams(*texts: str) -> tuple[Upstream, ...]:
    return parse_upstreams(texts, {})


# The table


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_name_leads_somewhere_whole(name: str) -> None:
    known = KNOWN[name]
    assert known.origin == known.origin.lower().rstrip("/")
    assert known.base_path == "" or known.base_path.startswith("/")
    assert not known.base_path.endswith("/")
    assert dialects.named(known.dialect) is not None
    assert known.lines
    found = upstream(name.upper())
    assert found == Upstream(name, known.origin, known.base_path, known.dialect, named=True)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_another_spelling(alias: str, name: str) -> None:
    assert alias not in KNOWN
    assert upstream(alias) == upstream(name)


# What somebody wrote


@pytest.mark.parametrize(
    ("text", "name", "origin", "base_path"),
    [
        ("https://gw.example", "gw.example", "https://gw.example", ""),
        ("https://gw.example/", "gw.example", "https://gw.example", ""),
        ("https://gw.example/a/v1/", "gw.example", "https://gw.example", "/a/v1"),
        ("HTTPS://GW.Example:443/A", "gw.example", "https://gw.example", "/A"),
        ("http://gw.example:80", "gw.example", "http://gw.example", ""),
        ("http://localhost:8000/v1", "localhost:8000", "http://localhost:8000", "/v1"),
        ("http://my_service:8000", "my_service:8000", "http://my_service:8000", ""),
        ("http://[::1]:8000", "1:8000", "http://[::1]:8000", ""),
        ("http://[2001:DB8::1]/x", "2001:db8::1", "http://[2001:db8::1]", "/x"),
        (" work = https://gw.example/v1 ", "work", "https://gw.example", "/v1"),
        ("Work=http://s:1/%2Fx//y;z", "work", "http://s:1", "/%2Fx//y;z"),
        ("localhost:8000=http://localhost:8000", "localhost:8000", "http://localhost:8000", ""),
    ],
)
def test_a_url_is_an_upstream_called_after_its_host_or_as_told(
    text: str, name: str, origin: str, base_path: str
) -> None:
    assert upstream(text) == Upstream(name, origin, base_path, None, named=False)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.anthropic.com", "anthropic"),
        ("anthropic=https://gw.example", "anthropic"),
        ("http://127.0.0.1:8000", None),
        ("work=https://gw.example", None),
    ],
)
def test_the_dialect_of_a_url_is_told_by_its_name_or_origin(text: str, dialect: str | None) -> None:
    found = upstream(text)
    assert (found.dialect, found.named) == (dialect, False)


def test_names_of_the_settings_come_first_in_any_case() -> None:
    extra = {"Work": "https://gw.example/v1", "openai": "https://other.example"}
    assert parse_upstream("work", extra).origin == "https://gw.example"
    assert parse_upstream("OpenAI", extra) == Upstream(
        "openai", "https://other.example", "", "openai", named=False
    )
    with pytest.raises(SettingsError, match="the setting upstreams: the upstream 'gw' is no http"):
        parse_upstream("work", {"work": "gw"})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("opena", "no upstream 'opena'", "did you mean openai?"),
        ("lmstudo", "no upstream 'lmstudo'", "did you mean lmstudio?"),
        ("zzzz", "no upstream 'zzzz'", "name=URL"),
        ("", "no upstream ''", "name=URL"),
        ("localhost:9999", "no upstream", "begins with http://"),
        ("gw.example/v1", "no upstream", "begins with http://"),
        ("ftp://gw.example", "no http:// or https:// URL", "name=URL"),
        ("ws://gw.example", "no http:// or https:// URL", "name=URL"),
        ("http://", "has no host", "name=URL"),
        ("http:///v1", "has no host", "name=URL"),
        ("http://gw.example:port", "host or port is broken", ""),
        ("http://gw.example:99999", "host or port is broken", ""),
        ("http://gw.example:0", "host or port is broken", ""),
        ("http://[::1", "host or port is broken", ""),
        ("http://a$b", "host or port is broken", ""),
        ("http://gw.example/a b", "characters that no URL has", "percent-encode"),
        ("http://gw.example/a\tb", "characters that no URL has", "percent-encode"),
        ("http://bücher.example", "characters that no URL has", "percent-encode"),
        ("http://gw.example\\@evil", "characters that no URL has", "percent-encode"),
        ("http://gw.example/?a=b", "has a query or a fragment", "the client's own"),
        ("http://gw.example/#a", "has a query or a fragment", "the client's own"),
        ("http://me:pw@gw.example", "has credentials", "the client's own request headers"),
        ("s=http://gw.example", "no name that can stand in a path", "sessions"),
        ("_x=http://gw.example", "no name that can stand in a path", "sessions"),
        ("a/b=http://gw.example", "no name that can stand in a path", "sessions"),
        ("=http://gw.example", "no name that can stand in a path", "sessions"),
        ("http://s", "no name that can stand in a path", "name=https"),
        ("work=gw.example", "no http:// or https:// URL", "name=URL"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_mend(text: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        upstream(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hidden@gw.example/v1",
        "https://hidden@gw.example/v1",
        "https://me:hid?den@gw.example",
        "https://gw.example/v1?key=hidden",
        "https://gw.example/v1?at=@hidden",
        "https://gw.example/v1#hidden",
        "x=https://me:hidden@gw.example",
        "me:hidden@gw.example",
        "https://me:hidden@gw.example:port",
        "https://me:hidden@gw example",
        "sk" + "-madeup-00000000000000000000-hidden",
    ],
)
def test_a_refusal_repeats_no_secret(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        upstream(text)
    assert "hid" not in str(caught.value)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="2 upstreams are called openai") as caught:
        upstreams("anthropic", "openai", "openai=https://gw.example")
    assert "other=https://host/v1" in caught.value.hint
    assert [u.name for u in upstreams("openai", "other=https://api.openai.com")] == [
        "openai",
        "other",
    ]
    assert upstreams() == ()


@settings(deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[a-z=]{0,4}https?://[^ ]{0,20}", fullmatch=True))
def test_anything_written_is_an_upstream_or_a_settings_error(text: str) -> None:
    try:
        found = upstream(text)
    except SettingsError:
        return
    again = upstream(f"{found.name}={found.origin}{found.base_path}")
    assert (again.name, again.origin, again.base_path) == (
        found.name,
        found.origin,
        found.base_path,
    )


# Joining

ODD = st.text(alphabet="aZ09%2F./~:@!$&'()*+,;=-_é\\|\"", max_size=20).map(lambda text: f"/{text}")
QUERIES = st.just("") | st.text(alphabet="a=&?%/#@", max_size=12).map(lambda text: f"?{text}")
FIRST = st.sampled_from(["/chat", "/models", "/v1beta", "/v12", "/%76%31", "//v1", "/.."])


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("groq", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("groq", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("groq", "/chat/completions", "/openai/v1/chat/completions"),
        ("openrouter", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("anthropic", "/messages", "/v1/messages"),
        ("anthropic", "/v1/messages", "/v1/messages"),
        ("openai", "/v1", "/v1"),
        ("openai", "/v1/", "/v1/"),
        ("openai", "/v1beta", "/v1/v1beta"),
        ("openai", "/", "/v1/"),
        ("gemini", "/v1beta/models", "/v1beta/models"),
        ("ollama", "/api/chat", "/api/chat"),
        ("ollama", "/v1/chat/completions", "/v1/chat/completions"),
        ("deepseek", "/chat/completions", "/chat/completions"),
    ],
)
def test_a_name_supplies_what_the_path_leaves_out(name: str, path: str, expected: str) -> None:
    assert target_url(upstream(name), f"{path}?x=1") == f"{KNOWN[name].origin}{expected}?x=1"


@settings(deadline=None)
@given(
    st.sampled_from(["groq", "openai", "openrouter", "fireworks"]),
    FIRST,
    ODD | st.just(""),
    QUERIES,
    st.data(),
)
def test_every_part_of_a_base_path_means_the_same(
    name: str, first: str, rest: str, query: str, pick: st.DataObject
) -> None:
    base = KNOWN[name].base_path
    ends = ["", *(base[start:] for start in range(len(base)) if base[start] == "/")]
    path = pick.draw(st.sampled_from(ends)) + first + rest
    assert (
        target_url(upstream(name), path + query)
        == f"{KNOWN[name].origin}{base}{first}{rest}{query}"
    )
    assert relative_path(upstream(name), path) == first + rest


@settings(deadline=None)
@given(ODD, QUERIES, st.sampled_from(["", "/v1", "/a/v1", "/a%2Fb//c"]))
def test_a_url_is_joined_as_given(path: str, query: str, base: str) -> None:
    written = upstream(f"https://gw.example{base}/")
    assert target_url(written, path + query) == f"https://gw.example{base}{path}{query}"
    assert relative_path(written, path) == path


def test_the_base_path_alone_is_the_root() -> None:
    assert relative_path(upstream("groq"), "/openai/v1") == "/"
    assert relative_path(upstream("groq"), "/openai/v1/") == "/"


@pytest.mark.parametrize(
    "target", ["@evil.example/x", "evil.example:443", "*", ".evil.example", ""]
)
def test_a_target_that_is_no_path_reaches_no_other_host(target: str) -> None:
    with pytest.raises(BadRequest, match="not a path"):
        target_url(upstream("openai"), target)


# Addressing


def test_with_one_upstream_everything_goes_there() -> None:
    one = upstreams("openai")
    assert address("/v1/messages?a", one, "anthropic") == Address(one[0], "", "/v1/messages?a")
    assert address("/x", one, None) == Address(one[0], "", "/x")


def test_with_one_upstream_its_own_name_is_taken_off() -> None:
    one = upstreams("groq")
    to = address("/groq/openai/v1/models?a=/groq/", one, None)
    assert to == Address(one[0], "/groq", "/openai/v1/models?a=/groq/")
    assert address("/GROQ", one, None) == Address(one[0], "/GROQ", "/")
    assert address("/groq?x", one, None) == Address(one[0], "/groq", "/?x")
    assert address("/groqs/x", one, None) == Address(one[0], "", "/groqs/x")


def test_with_one_upstream_a_name_that_begins_its_base_path_stays() -> None:
    one = upstreams("api=https://gw.example/api")
    assert address("/api/chat", one, None) == Address(one[0], "", "/api/chat")


def test_with_several_the_first_segment_decides_then_the_dialect_then_the_order() -> None:
    several = upstreams("openai", "anthropic", "groq", "api=https://gw.example/api")
    chosen = {
        ("/groq/openai/v1/models", "openai"): ("groq", "/groq", "/openai/v1/models"),
        ("/openai/v1/models", "anthropic"): ("openai", "/openai", "/v1/models"),
        ("/api/chat", None): ("api", "/api", "/chat"),
        ("/v1/messages", "anthropic"): ("anthropic", "", "/v1/messages"),
        ("/v1/chat/completions", "openai"): ("openai", "", "/v1/chat/completions"),
        ("/v1beta/models", "gemini"): ("openai", "", "/v1beta/models"),
        ("/anything", None): ("openai", "", "/anything"),
    }
    for (target, dialect), (name, prefix, rest) in chosen.items():
        to = address(target, several, dialect)
        assert (to.upstream.name, to.prefix, to.target) == (name, prefix, rest)


def test_a_request_of_no_dialect_is_not_that_of_an_upstream_of_none() -> None:
    several = upstreams("openai", "work=https://gw.example")
    assert address("/x", several, None).upstream.name == "openai"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1/models", (None, "", "/v1/models")),
        ("/s/a/v1/models?x", ("a", "/s/a", "/v1/models?x")),
        ("/s/Test-1.b_c/", ("Test-1.b_c", "/s/Test-1.b_c", "/")),
        ("/s/a", ("a", "/s/a", "/")),
        ("/s/a?x", ("a", "/s/a", "/?x")),
        ("/s/a//x", ("a", "/s/a", "//x")),
        ("/s", (None, "", "/s")),
        ("/sx/a", (None, "", "/sx/a")),
        ("/v1/s/a", (None, "", "/v1/s/a")),
        ("*", (None, "", "*")),
    ],
)
def test_a_session_is_taken_off(target: str, expected: tuple[str | None, str, str]) -> None:
    assert split_session(target) == expected


@pytest.mark.parametrize("name", ["", "a%20b", "a:b", "é", "a" * 101, "a\nb", "a#b"])
def test_a_bad_session_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a session's name") as caught:
        split_session(f"/s/{name}/v1/models")
    assert "1 to 100 letters, digits" in caught.value.hint
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://evil.example/x?y", "/x?y"),
        ("HTTPS://evil.example:1/x", "/x"),
        ("http://evil.example", "/"),
        ("http://evil.example?y=http://z/", "/?y=http://z/"),
        ("http://me:pw@evil.example//x", "//x"),
        ("/x?u=http://y/", "/x?u=http://y/"),
        ("//evil.example/x", "//evil.example/x"),
        ("*", "*"),
        ("evil.example:443", "evil.example:443"),
        ("", ""),
    ],
)
def test_a_whole_url_is_cut_to_its_path(target: str, expected: str) -> None:
    assert cut_absolute(target) == expected


# The way back


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://api.openai.com/v1/files/1?a=b#c", "/v1/files/1?a=b#c"),
        ("HTTPS://API.OpenAI.com:443/v1/files", "/v1/files"),
        ("//api.openai.com/v1/files", "/v1/files"),
        ("https://api.openai.com/v1", "/v1"),
        ("https://api.openai.com/v1?x", "/v1?x"),
    ],
)
def test_a_url_of_the_upstreams_leads_to_us(value: str, expected: str) -> None:
    ours = f"{PROXY}/s/a/openai"
    assert rewrite_origin(value, upstream("openai"), ours) == ours + expected


@pytest.mark.parametrize(
    "value",
    [
        "/v1/files",
        "files/1",
        "?x",
        "",
        "http://api.openai.com/v1/files",
        "https://api.openai.com:8443/v1/files",
        "https://api.openai.com.evil.example/v1/files",
        "https://api.openai.com@evil.example/v1/files",
        "https://api.openai.com\\@evil.example/v1/files",
        "https://api.openai.com/elsewhere",
        "https://api.openai.com/v1beta",
        "https://api.openai.com",
        "mailto:someone@api.openai.com",
        "https:api.openai.com/v1",
    ],
)
def test_other_urls_and_relative_ones_stay(value: str) -> None:
    assert rewrite_origin(value, upstream("openai"), PROXY) == value


def test_the_base_path_of_a_url_is_not_repeated_on_the_way_back() -> None:
    written = upstream("https://gw.example/a/v1")
    assert rewrite_origin("https://gw.example/a/v1/files", written, PROXY) == f"{PROXY}/files"
    for unreachable in ("https://gw.example/a/v1", "https://gw.example/a", "https://gw.example/"):
        assert rewrite_origin(unreachable, written, PROXY) == unreachable


SETS = st.lists(
    st.sampled_from(
        [
            *("openai", "anthropic", "gemini", "groq", "openrouter", "ollama"),
            *("api=https://gw.example/api", "https://one.example", "https://two.example/v1"),
            "http://localhost:8000/a%2Fb",
        ]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)
SEGMENTS = st.sampled_from(
    [
        *("/v1", "/openai", "/openai/v1", "/ollama", "/gemini", "/groq", "/api", "/s/x", "/s"),
        *("/one.example", "/_llmproxy", "/upload/v1beta/files", ""),
    ]
)
TARGETS = st.tuples(SEGMENTS, SEGMENTS, ODD, QUERIES.map(lambda query: query.partition("#")[0]))


def back(value: str, ours: str, several: tuple[Upstream, ...]) -> str:
    """Where a client that follows ``value`` arrives through us."""
    assert value.startswith(ours)
    _, _, target = split_session(value[len(PROXY) :].partition("#")[0])
    to = address(target, several, None)
    return target_url(to.upstream, to.target)


@settings(deadline=None)
@given(SETS, st.data(), st.sampled_from(["", "/s/a", "/s/openai"]), TARGETS.map("".join))
def test_the_way_back_reaches_the_very_url(
    texts: list[str], pick: st.DataObject, session: str, target: str
) -> None:
    several = upstreams(*texts)
    chosen = pick.draw(st.sampled_from(several))
    url = target_url(chosen, target)
    ours = PROXY + session + mount(chosen, several)
    if ours == PROXY and target.startswith(("/s/", "/_llmproxy")):
        return  # paths that are ours: only a name before them makes them the upstream's
    assert back(rewrite_origin(url, chosen, ours), ours, several) == url


@settings(deadline=None)
@given(st.sampled_from(["openai", "gemini", "ollama", "https://one.example"]), SEGMENTS, ODD)
def test_one_upstream_needs_no_prefix_for_the_way_back(name: str, first: str, rest: str) -> None:
    one = upstreams(name)
    url = target_url(one[0], first + rest)
    assert back(rewrite_origin(url, one[0], PROXY), PROXY, one) == url


def test_a_mount_is_the_name_unless_that_would_be_a_path() -> None:
    several = upstreams("openai", "api=https://gw.example/api")
    assert [mount(u, several) for u in several] == ["/openai", "/api"]
    assert mount(several[1], several[1:]) == ""


# Lines to copy


def test_one_line_an_upstream_where_nothing_is_ambiguous() -> None:
    assert local_lines(upstreams("openai", "anthropic", "gemini"), f"{PROXY}/") == [
        f"export OPENAI_BASE_URL={PROXY}/v1",
        f"export ANTHROPIC_BASE_URL={PROXY}",
        f"export GOOGLE_GEMINI_BASE_URL={PROXY}",
    ]
    assert local_lines(upstreams("openrouter"), PROXY) == [f"export OPENAI_BASE_URL={PROXY}/api/v1"]


def test_the_name_is_in_the_line_where_another_would_get_the_requests() -> None:
    assert local_lines(upstreams("openai", "mistral"), PROXY) == [
        f"export OPENAI_BASE_URL={PROXY}/v1",
        f"export OPENAI_BASE_URL={PROXY}/mistral/v1",
    ]
    assert local_lines(upstreams("anthropic", "ollama"), PROXY) == [
        f"export ANTHROPIC_BASE_URL={PROXY}",
        f"export OLLAMA_HOST={PROXY}",
        f"export OPENAI_BASE_URL={PROXY}/ollama/v1",
    ]


def test_the_name_is_in_the_line_where_the_providers_path_begins_with_anothers_name() -> None:
    line = f"export GROQ_BASE_URL={PROXY}/groq"
    assert line in local_lines(upstreams("groq", "openai"), PROXY)
    assert f"export GROQ_BASE_URL={PROXY}" in local_lines(upstreams("groq", "anthropic"), PROXY)


def test_a_url_of_unknown_dialect_gets_all_lines_or_among_several_a_comment() -> None:
    assert local_lines(upstreams("openai", "gw=https://gw.example/api"), PROXY) == [
        f"export OPENAI_BASE_URL={PROXY}/v1",
        f"# gw: {PROXY}/gw",
    ]
    assert local_lines(upstreams("https://gw.example"), PROXY) == [
        f"export OPENAI_BASE_URL={PROXY}/v1",
        f"export ANTHROPIC_BASE_URL={PROXY}",
        f"export GOOGLE_GEMINI_BASE_URL={PROXY}",
    ]
    assert local_lines(upstreams("https://gw.example/v1"), PROXY)[0] == (
        f"export OPENAI_BASE_URL={PROXY}"
    )
    assert local_lines(upstreams("https://api.anthropic.com"), PROXY) == [
        f"export ANTHROPIC_BASE_URL={PROXY}"
    ]


ASKED = {
    "ANTHROPIC_BASE_URL": "/v1/messages",
    "GOOGLE_GEMINI_BASE_URL": "/v1beta/models/m:generateContent",
    "OLLAMA_HOST": "/api/chat",
    "CO_API_URL": "/v2/chat",
    "GROQ_BASE_URL": "/openai/v1/chat/completions",
    "CEREBRAS_BASE_URL": "/v1/chat/completions",
}


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=4, unique=True))
def test_a_copied_line_leads_where_the_sdk_would_have_gone(names: list[str]) -> None:
    several = upstreams(*names)
    lines = iter(local_lines(several, PROXY))
    for known in (KNOWN[name] for name in names):
        for variable, path in known.lines:
            written = next(lines).removeprefix(f"export {variable}={PROXY}")
            operation = ASKED.get(variable, "/chat/completions")
            dialect = dialects.of("POST", written + operation, (), "")
            to = address(written + operation, several, dialect.name if dialect else None)
            assert target_url(to.upstream, to.target) == f"{known.origin}{path}{operation}"
