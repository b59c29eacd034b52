"""Upstreams: their names, the URLs behind them, and the way of a path there and back.

Strategy: one table says where a known name leads. A *named* upstream has a base path that
clients write whole, in part or not at all (their SDKs differ), so it is recognised by its
overlap with what they ask. A URL that somebody wrote is joined as it stands. Paths travel
as the text that came: nothing is decoded, normalised or quoted.

Origins and base paths are from the providers' own documentation. Where a provider serves
several roots (``/v1`` and ``/anthropic``, ``/api`` and ``/v1``) the base path is empty.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from llmproxy.errors import BadRequest, SettingsError


@dataclass(frozen=True, slots=True)
class Known:
    """Where a name leads.

    ``lines`` are the environment variables that point an SDK there, each with the path
    that the SDK expects behind the origin; ``local`` says that it is a server of one's own.
    """

    origin: str
    base_path: str
    dialect: str
    lines: tuple[tuple[str, str], ...]

    @property
    def local(self) -> bool:
        return self.origin.startswith("http://")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A real provider to forward to.

    ``origin`` is scheme, host and any port but the default one; ``base_path`` is empty or
    begins with a slash and ends with none; ``dialect`` is None where it cannot be told;
    ``named`` says that it stands in the table.
    """

    name: str
    origin: str
    base_path: str
    dialect: str | None
    named: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: ``prefix`` is what named the upstream, ``target`` the rest."""

    upstream: Upstream
    prefix: str
    target: str


def _compatible(
    origin: str, base_path: str = "", path: str = "/v1", *lines: tuple[str, str]
) -> Known:
    """Whoever speaks OpenAI's format; ``path`` is where that begins."""
    return Known(origin, base_path, "openai", (("OPENAI_BASE_URL", path), *lines))


KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "openai": _compatible("https://api.openai.com", "/v1"),
        "anthropic": Known(
            "https://api.anthropic.com", "/v1", "anthropic", (("ANTHROPIC_BASE_URL", ""),)
        ),
        "gemini": Known(
            "https://generativelanguage.googleapis.com",
            "",
            "gemini",
            (("GOOGLE_GEMINI_BASE_URL", ""),),
        ),
        "cerebras": _compatible("https://api.cerebras.ai", "/v1", "/v1", ("CEREBRAS_BASE_URL", "")),
        "cohere": _compatible(
            "https://api.cohere.com", "", "/compatibility/v1", ("CO_API_URL", "")
        ),
        "dashscope": _compatible("https://dashscope-intl.aliyuncs.com", "", "/compatible-mode/v1"),
        "deepinfra": _compatible("https://api.deepinfra.com", "", "/v1/openai"),
        "deepseek": _compatible("https://api.deepseek.com", "", ""),
        "fireworks": _compatible("https://api.fireworks.ai", "/inference/v1", "/inference/v1"),
        "github": _compatible("https://models.github.ai", "", "/inference"),
        "groq": _compatible(
            "https://api.groq.com", "/openai/v1", "/openai/v1", ("GROQ_BASE_URL", "")
        ),
        "huggingface": _compatible("https://router.huggingface.co"),
        "jina": _compatible("https://api.jina.ai", "/v1"),
        "mistral": _compatible("https://api.mistral.ai", "/v1"),
        "moonshot": _compatible("https://api.moonshot.ai"),
        "nvidia": _compatible("https://integrate.api.nvidia.com", "/v1"),
        "openrouter": _compatible("https://openrouter.ai", "/api/v1", "/api/v1"),
        "perplexity": _compatible("https://api.perplexity.ai", "", ""),
        "sambanova": _compatible("https://api.sambanova.ai", "/v1"),
        "together": _compatible(
            "https://api.together.xyz", "/v1", "/v1", ("TOGETHER_BASE_URL", "/v1")
        ),
        "vercel": _compatible("https://ai-gateway.vercel.sh", "/v1"),
        "voyage": _compatible("https://api.voyageai.com", "/v1"),
        "xai": _compatible("https://api.x.ai", "/v1"),
        "zai": _compatible("https://api.z.ai", "", "/api/paas/v4"),
        "litellm": _compatible("http://127.0.0.1:4000"),
        "llamacpp": _compatible("http://127.0.0.1:8080"),
        "lmstudio": _compatible("http://127.0.0.1:1234"),
        "localai": _compatible("http://127.0.0.1:8080"),
        "ollama": Known(
            "http://127.0.0.1:11434",
            "",
            "ollama",
            (("OLLAMA_HOST", ""), ("OPENAI_BASE_URL", "/v1")),
        ),
        "sglang": _compatible("http://127.0.0.1:30000"),
        "vllm": _compatible("http://127.0.0.1:8000"),
    }
)
"""The names that need no URL."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {"google": "gemini", "hf": "huggingface", "llama.cpp": "llamacpp", "lm-studio": "lmstudio"}
)
"""Other spellings of names."""

_SPEAKS = {
    "ANTHROPIC_BASE_URL": "anthropic",
    "GOOGLE_GEMINI_BASE_URL": "gemini",
    "OLLAMA_HOST": "ollama",
    "CO_API_URL": "cohere",
}
"""Whose requests a variable brings, where not OpenAI's; nobody claims Cohere's."""
_BY_ORIGIN = {known.origin: known.dialect for known in KNOWN.values() if not known.local}
_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*")
_HOST = re.compile(r"[a-z0-9._~-]+|[0-9a-f:.]*:[0-9a-f:.]*")
_SESSION = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_POINTER = re.compile(r"(?:(https?):)?//([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENDS = frozenset({"", "/", "?", "#"})
_OURS = frozenset({"s", "_llmproxy"})
_WAYS = "write a known name, a URL such as https://host/v1, or name=URL"


def parse_upstreams(texts: Sequence[str], extra: Mapping[str, str]) -> tuple[Upstream, ...]:
    """All upstreams of a run.

    Raises:
        SettingsError: as ``parse_upstream``, or two have one name.
    """
    upstreams = tuple(parse_upstream(text, extra) for text in texts)
    name, times = next(iter(Counter(u.name for u in upstreams).most_common(1)), ("", 0))
    if times > 1:
        raise SettingsError(
            f"{times} upstreams are called {name}",
            "leave one out, or give it a name of its own: other=https://host/v1",
        )
    return upstreams


def parse_upstream(text: str, extra: Mapping[str, str]) -> Upstream:
    """One upstream as somebody wrote it: a name, a URL, or name=URL.

    Args:
        text: what was written; names may be in any case.
        extra: the setting ``upstreams``: more names, each with its URL; they come first.

    Raises:
        SettingsError: it is none of these, or its URL cannot be used.
    """
    text = text.strip()
    before, sign, after = text.partition("=")
    if sign and "://" not in before:
        return _from_url(after.strip(), _checked_name(before.strip().lower(), text))
    if "://" in text:
        return _from_url(text)
    return _from_name(text, {name.lower(): url for name, url in extra.items()})


def _from_name(text: str, extra: Mapping[str, str]) -> Upstream:
    name = text.lower()
    if name in extra:
        return _from_url(extra[name].strip(), _checked_name(name, text), "the setting upstreams: ")
    name = ALIASES.get(name, name)
    if known := KNOWN.get(name):
        return Upstream(name, known.origin, known.base_path, known.dialect, named=True)
    hint = _WAYS
    if near := difflib.get_close_matches(name, [*extra, *KNOWN, *ALIASES], 1):
        hint = f"did you mean {near[0]}? Else {_WAYS}"
    elif "." in name or ":" in name or name == "localhost":
        hint = f"a URL begins with http:// or https://; {_WAYS}"
    raise SettingsError(f"there is no upstream {_shown(text)!r}", hint)


def _from_url(url: str, name: str = "", place: str = "") -> Upstream:
    """An upstream whose name, if it has none, is its host."""

    def refuse(why: str, hint: str = _WAYS) -> SettingsError:
        return SettingsError(f"{place}the upstream {_shown(url)!r} {why}", hint)

    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise refuse("has characters that no URL has", "percent-encode them")
    if "?" in url or "#" in url:
        raise refuse("has a query or a fragment", "credentials belong in the client's own request")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise refuse("is no URL: its host or port is broken") from None
    if "@" in parts.netloc:
        raise refuse("has credentials", "they belong in the client's own request headers")
    if parts.scheme not in _DEFAULT_PORTS:
        raise refuse("is no http:// or https:// URL")
    if not _HOST.fullmatch(host) or port == 0:
        raise refuse("has no host" if not host else "is no URL: its host or port is broken")
    authority = f"[{host}]" if ":" in host else host
    if port not in {None, _DEFAULT_PORTS[parts.scheme]}:
        authority += f":{port}"
    origin = f"{parts.scheme}://{authority}"
    name = name or _checked_name(re.sub(r"^[^a-z0-9]+|[^a-z0-9._:-]", "", authority), url)
    known = KNOWN.get(name)
    dialect = known.dialect if known else _BY_ORIGIN.get(origin)
    return Upstream(name, origin, parts.path.rstrip("/"), dialect, named=False)


def _checked_name(name: str, text: str) -> str:
    if _NAME.fullmatch(name) and name not in _OURS:
        return name
    raise SettingsError(
        f"the upstream {_shown(text)!r} has no name that can stand in a path",
        "a name has letters, digits, '.', '_', ':' and '-', begins with a letter or a digit, and "
        "is not 's', which is for sessions: name=https://host/v1",
    )


def _shown(text: str) -> str:
    """What an error may quote: no credentials, no query, not much."""
    scheme, sign, rest = text.partition("://")
    if "@" in text:
        return f"{scheme}{sign}…" if sign else "…"
    if not sign:
        return text if len(text) <= 32 else f"{text[:16]}…"
    return scheme[:32] + sign + re.split(r"[?#]", rest, maxsplit=1)[0][:80]


def target_url(upstream: Upstream, path_and_query: str) -> str:
    """The URL that a request goes to; of path and query not a character is changed.

    Raises:
        BadRequest: the target is no path, so it could name another host.
    """
    path, mark, query = path_and_query.partition("?")
    if not path.startswith("/"):
        raise BadRequest(
            "the request's target is not a path, so it cannot be forwarded",
            "ask for a path, such as GET /v1/models",
        )
    return f"{upstream.origin}{upstream.base_path}{_behind_base(upstream, path)}{mark}{query}"


def relative_path(upstream: Upstream, path: str) -> str:
    """The path that is matched: without the upstream's base path, however much of it came."""
    return _behind_base(upstream, path) or "/"


def _behind_base(upstream: Upstream, path: str) -> str:
    """What follows the longest end of the base path that ``path`` begins with."""
    base = upstream.base_path
    if not upstream.named or not base:
        return path
    start = 0
    while start >= 0:
        end = base[start:]
        if path.startswith(end) and path[len(end) : len(end) + 1] in {"", "/"}:
            return path[len(end) :]
        start = base.find("/", start + 1)
    return path


def address(target: str, upstreams: Sequence[Upstream], dialect_name: str | None) -> Address:
    """Whose the request is.

    With one upstream it is that one's. With several it is the one that the first segment of
    the path names, else the first one of the request's dialect, else the first. A name in
    the path is taken off; with one upstream only if its own base path does not begin so.

    Args:
        target: path and query, without the session's prefix.
        upstreams: at least one.
        dialect_name: of the request, None if nobody claims it.
    """
    name = _first_segment(target)
    alone = len(upstreams) == 1
    for upstream in upstreams:
        if upstream.name == name and not (alone and _begins_with_name(upstream)):
            cut = len(name) + 1
            return Address(upstream, target[:cut], _as_path(target[cut:]))
    if alone or dialect_name is None:
        return Address(upstreams[0], "", target)
    of_dialect = (upstream for upstream in upstreams if upstream.dialect == dialect_name)
    return Address(next(of_dialect, upstreams[0]), "", target)


def mount(upstream: Upstream, upstreams: Sequence[Upstream]) -> str:
    """The prefix under which ``address`` finds an upstream, whatever path follows."""
    unmistakable = len(upstreams) == 1 and _begins_with_name(upstream)
    return "" if unmistakable else f"/{upstream.name}"


def split_session(target: str) -> tuple[str | None, str, str]:
    """Take ``/s/NAME`` off a target: the session or None, the prefix, the rest.

    Raises:
        BadRequest: the name is not one that a session may have.
    """
    if not target.startswith("/s/"):
        return None, "", target
    name = target[3:].partition("?")[0].partition("/")[0]
    if not _SESSION.fullmatch(name):
        raise BadRequest(
            f"{name[:40]!a} cannot be a session's name",
            "a path that begins with /s/ names a session: 1 to 100 letters, digits, '.', '_' "
            "and '-', as in /s/my-test/v1/chat/completions",
        )
    prefix = f"/s/{name}"
    return name, prefix, _as_path(target[len(prefix) :])


def cut_absolute(target: str) -> str:
    """The path and query of a target that names a whole URL; any other target as it came.

    The host in it is never used: who follows it is an open proxy and hands over keys.
    """
    if target.startswith("/"):
        return target
    match = _ABSOLUTE.match(target)
    return _as_path(target[match.end() :]) if match else target


def rewrite_origin(value: str, upstream: Upstream, ours: str) -> str:
    """A URL of the upstream's, as a header names it, turned into one that leads back here.

    Relative URLs, those of others, and those that no path of ours reaches stay as they are.

    Args:
        value: such as that of ``location``; its host may be in any case.
        upstream: whose reply it is.
        ours: what leads to the upstream here: origin, session's prefix, ``mount``.
    """
    match = _POINTER.fullmatch(value)
    if match is None:
        return value
    scheme = (match[1] or upstream.origin.partition(":")[0]).lower()
    authority = match[2].lower().removesuffix(f":{_DEFAULT_PORTS[scheme]}")
    base, path = upstream.base_path, _as_path(match[3])
    behind = path[len(base) :]
    if f"{scheme}://{authority}" != upstream.origin or not path.startswith(base):
        return value
    if upstream.named:
        return value if behind[:1] not in _ENDS else ours + _unmistakable(path, upstream, ours)
    return ours + _unmistakable(behind, upstream, ours) if behind.startswith("/") else value


def local_lines(upstreams: Sequence[Upstream], base_url: str) -> list[str]:
    """Lines for a shell that point SDKs here, each upstream's in its order.

    A line names its upstream in the path where another one would get the requests else.
    """
    lines = []
    for upstream in upstreams:
        for variable, path in _lines(upstream):
            begins = path or upstream.base_path or "/"
            plain = address(begins, upstreams, _SPEAKS.get(variable, "openai"))
            reached = plain.upstream == upstream and not plain.prefix
            prefix = "" if reached else mount(upstream, upstreams)
            lines.append(f"export {variable}={base_url.rstrip('/')}{prefix}{path}")
    return lines


def _lines(upstream: Upstream) -> tuple[tuple[str, str], ...]:
    """Variables and paths; a URL of unknown dialect may be anyone's."""
    if upstream.named:
        return KNOWN[upstream.name].lines
    lines = (
        ("OPENAI_BASE_URL", "" if upstream.base_path else "/v1"),
        ("ANTHROPIC_BASE_URL", ""),
        ("GOOGLE_GEMINI_BASE_URL", ""),
        ("OLLAMA_HOST", ""),
    )
    if upstream.dialect is None:
        return lines[:3]
    return tuple(line for line in lines if _SPEAKS.get(line[0], "openai") == upstream.dialect)


def _first_segment(target: str) -> str:
    if not target.startswith("/"):
        return ""
    return target[1:].partition("?")[0].partition("/")[0].lower()


def _begins_with_name(upstream: Upstream) -> bool:
    return _first_segment(upstream.base_path) == upstream.name


def _unmistakable(path: str, upstream: Upstream, ours: str) -> str:
    """``path``, or with the upstream's name before it where ours would misread it without."""
    first = _first_segment(path)
    mounted = ours.lower().endswith(f"/{upstream.name}")
    if mounted or _begins_with_name(upstream) or first not in {upstream.name, *_OURS}:
        return path
    return f"/{upstream.name}{path}"


def _as_path(rest: str) -> str:
    """What follows a prefix, as a target of its own."""
    return rest if rest.startswith("/") else f"/{rest}"
