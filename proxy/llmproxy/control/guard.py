"""Who may use the control routes.

Any page that a browser shows can send requests to a loopback address. So on one, only requests
that name this machine (``Host``; a foreign name may have been bound to the address, which is DNS
rebinding) and that come from no foreign page (``Origin``) are let in. On any other address
whoever can reach it could ask: there a token is wanted, and wherever one is set. Tokens are
compared in constant time and appear in no message.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from llmproxy.control.route import Refused
from llmproxy.interaction import Headers

TOKEN_HEADER = "x-llmproxy-token"  # noqa: S105  # the name of a header
_OURS = ("localhost", "127.0.0.1", "::1")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}
_WANTED = "send it as Authorization: Bearer TOKEN or x-llmproxy-token: TOKEN"


@dataclass(frozen=True, slots=True)
class Guard:
    """Judges requests to control routes.

    Args:
        names: hosts that ``Host`` may name, in lower case, whatever the port; None: any.
        allowed: those of them that ``Origin`` may name too, whatever the port.
        token: what has to be shown; None: nothing.
    """

    names: frozenset[str] | None
    allowed: frozenset[str] = frozenset()
    token: str | None = None

    def check(self, headers: Headers, *, open: bool) -> None:
        """Let a request in; ``open`` routes want no token.

        Raises:
            Refused: it may not come in.
        """
        host = self._check_host([value for name, value in headers if name.lower() == "host"])
        for name, value in headers:
            if name.lower() == "origin" and not self._is_ours(value, host):
                raise Refused(403, "control routes are closed to pages of other origins")
        if self.token is not None and not open and not self._shows_token(headers):
            challenge = (("WWW-Authenticate", 'Bearer realm="llmproxy"'),)
            raise Refused(401, f"control routes want a token here: {_WANTED}", headers=challenge)

    def _check_host(self, hosts: list[str]) -> str:
        host = hosts[0].strip() if len(hosts) == 1 else ""
        name = _split(host)[0]
        if self.names is not None and name not in self.names:
            hint = "--allowed-host NAME allows another"
            raise Refused(403, f"control routes are asked for by localhost or an address; {hint}")
        return host

    def _is_ours(self, origin: str, host: str) -> bool:
        scheme, mark, authority = origin.strip().lower().partition("://")
        if not mark or scheme not in _PORTS:
            return False
        name, port = _split(authority)
        own, own_port = _split(host)
        if not name:
            return False
        default = _PORTS[scheme]
        return name in self.allowed or (name, port or default) == (own, own_port or default)

    def _shows_token(self, headers: Headers) -> bool:
        shown = [value.strip() for name, value in headers if name.lower() == TOKEN_HEADER]
        for name, value in headers:
            scheme, _, rest = value.partition(" ")
            if name.lower() == "authorization" and scheme.lower() == "bearer":
                shown.append(rest.strip())
        wanted = (self.token or "").encode()
        return any(
            hmac.compare_digest(each.encode(errors="surrogateescape"), wanted) for each in shown
        )


def guard_for(host: str, allowed_hosts: Iterable[str], token: str | None) -> Guard:
    """The guard of a server that is bound to ``host``; it makes a token where one is needed."""
    allowed = frozenset(each.lower().rstrip(".") for each in allowed_hosts)
    if not is_loopback(host):
        return Guard(None, allowed, token or secrets.token_urlsafe(24))
    return Guard(frozenset((*_OURS, host.lower().rstrip("."))) | allowed, allowed, token)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is reached from this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(authority: str) -> tuple[str, int | None]:
    """Name, without brackets and in lower case, and port; an empty name where it is neither."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return "", None
    return match[1].strip("[]").lower().rstrip("."), int(match[2]) if match[2] else None
