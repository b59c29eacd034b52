"""The way of a request to its upstream and of a link back: whose it is, and at which path.

Strategy: a *named* upstream has a base path that clients write whole, in part or not at all
(their SDKs differ), so it is recognised by its overlap with what they ask. A URL that
somebody wrote is joined as it stands. Paths travel as the text that came: nothing is
decoded, normalised or quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmproxy.errors import BadRequest
from llmproxy.upstreams import DEFAULT_PORTS, KNOWN, RESERVED_NAMES, SPEAKS, Upstream

_SESSION = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_POINTER = re.compile(r"(?:(https?):)?//([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
_ENDS = frozenset({"", "/", "?", "#"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: ``prefix`` is what named the upstream, ``target`` the rest."""

    upstream: Upstream
    prefix: str
    target: str


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
    authority = match[2].lower().removesuffix(f":{DEFAULT_PORTS[scheme]}")
    base, path = upstream.base_path, _as_path(match[3])
    behind = path[len(base) :]
    if f"{scheme}://{authority}" != upstream.origin or not path.startswith(base):
        return value
    if upstream.named:
        return value if behind[:1] not in _ENDS else ours + _unmistakable(path, upstream, ours)
    return ours + _unmistakable(behind, upstream, ours) if behind.startswith("/") else value


def local_lines(upstreams: Sequence[Upstream], base_url: str) -> list[str]:
    """Lines for a shell that point SDKs here, each upstream's in its order.

    A line names its upstream in the path where another one would get the requests else. One
    of several that speaks nobody knows what gets a comment: its variable is the user's to say.
    """
    lines = []
    base_url = base_url.rstrip("/")
    for upstream in upstreams:
        if upstream.dialect is None and len(upstreams) > 1:
            lines.append(f"# {upstream.name}: {base_url}{mount(upstream, upstreams)}")
            continue
        for variable, path in _lines(upstream):
            begins = path or upstream.base_path or "/"
            plain = address(begins, upstreams, SPEAKS.get(variable, "openai"))
            reached = plain.upstream == upstream and not plain.prefix
            prefix = "" if reached else mount(upstream, upstreams)
            lines.append(f"export {variable}={base_url}{prefix}{path}")
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
    return tuple(line for line in lines if SPEAKS.get(line[0], "openai") == upstream.dialect)


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
    if mounted or _begins_with_name(upstream) or first not in {upstream.name, *RESERVED_NAMES}:
        return path
    return f"/{upstream.name}{path}"


def _as_path(rest: str) -> str:
    """What follows a prefix, as a target of its own."""
    return rest if rest.startswith("/") else f"/{rest}"


def leads_to(ours: str, to: Address, upstreams: Sequence[Upstream]) -> str:
    """The origin and prefix under which a client reaches ``to`` through us again."""
    several = len(upstreams) > 1
    return ours + (to.prefix or (mount(to.upstream, upstreams) if several else ""))
