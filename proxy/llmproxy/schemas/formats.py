"""The ``format`` keyword: what each format takes, and texts of it.

A format that is not listed here is an annotation and takes any text, as JSON Schema says.
The checks follow the RFCs that JSON Schema names, a little simplified where the whole
grammar would be long; none is laxer than the ``jsonschema`` package. Every regex here runs
in linear time.
"""

from __future__ import annotations

import base64
import ipaddress
import random
import re
from collections.abc import Callable

from llmproxy.schemas.bounds import Budget, Dead
from llmproxy.schemas.patterns import read_pattern
from llmproxy.schemas.plausible import PEOPLE, TOPICS

Writer = Callable[[random.Random, int], str]
"""A text of a format; the number is how long it should be at least, where that can be chosen."""


def has_format(format: str, text: str) -> bool:
    """Whether ``text`` is of ``format``; an unknown format takes any text."""
    check = _CHECKS.get(format)
    return check is None or check(text)


def write_format(format: str, rng: random.Random, low: int, high: int, budget: Budget) -> str:
    """A text of ``format``, of ``low`` to ``high`` characters where the format leaves a choice.

    Raises:
        KeyError: the format is unknown.
    """
    usual, short = _WRITERS[format]
    budget.spend_text(low)
    text = usual(rng, low)
    return short if short and len(text) > high else text


def is_known(format: str) -> bool:
    """Whether texts of this format can be written."""
    return format in _WRITERS


# --- checks ---


def _full(pattern: str) -> Callable[[str], bool]:
    regex = re.compile(pattern, re.ASCII)
    return lambda text: regex.fullmatch(text) is not None


_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:Z|z|[+-]([0-9]{2}):([0-9]{2}))"
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = map(int, found.groups())
    if not 1 <= month <= 12 or not year:
        return False
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= _DAYS[month - 1] + leap


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    hour, minute, second, *offset = (int(part or 0) for part in found.groups())
    return hour < 24 and minute < 60 and second < 60 and offset[0] < 24 and offset[1] < 60


def _is_date_time(text: str) -> bool:
    return _is_date(text[:10]) and text[10:11] in ("T", "t") and _is_time(text[11:])


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _is_hostname(text: str) -> bool:
    return len(text) <= 253 and all(map(_is_label, text.split(".")))


def _is_regex(text: str) -> bool:
    try:
        read_pattern(text)
    except Dead:
        return False
    return True


_is_label = _full(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_is_email = _full(r"""[^\s@"<>()]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?""")
_is_uri = _full(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]+")
_is_reference = _full(r"[!#-;=?-\[\]_a-z~]*")
_is_iri = _full(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_is_iri_reference = _full(r"[^\s<>\"{}|\\^`]*")
_is_duration = _full(
    r"P(?:[0-9]+W|(?=[0-9]|T[0-9])(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?"
    r"(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?)"
)
_is_uuid = _full(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_CHECKS: dict[str, Callable[[str], bool]] = {
    "email": _is_email,
    "idn-email": _full(r"[^\s@]{1,64}@[^\s@]{1,250}"),
    "uri": _is_uri,
    "url": _is_uri,
    "iri": _is_iri,
    "uri-reference": _is_reference,
    "iri-reference": _is_iri_reference,
    "date-time": _is_date_time,
    "date": _is_date,
    "time": _is_time,
    "duration": _is_duration,
    "uuid": _is_uuid,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "hostname": _is_hostname,
    "idn-hostname": lambda text: 0 < len(text) <= 253 and " " not in text,
    "json-pointer": _full(r"(?:/(?:[^~/]|~[01])*)*"),
    "relative-json-pointer": _full(r"(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)"),
    "regex": _is_regex,
}

# --- texts ---


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _pad(rng: random.Random, length: int) -> str:
    return "".join(rng.choices("abcdefghilmnoprstuv", k=max(length, 0)))


def _email(rng: random.Random, low: int) -> str:
    name = rng.choice(PEOPLE).lower()
    return f"{name}{_pad(rng, min(low - len(name) - 12, 64 - len(name)))}@example.com"


def _uri(rng: random.Random, low: int) -> str:
    start = f"https://example.com/{rng.choice(TOPICS)}"
    return start + ("/" + _pad(rng, low - len(start) - 1) if low > len(start) else "")


def _reference(rng: random.Random, low: int) -> str:
    start = f"/{rng.choice(TOPICS)}"
    return start + ("/" + _pad(rng, low - len(start) - 1) if low > len(start) else "")


def write_date(rng: random.Random, _low: int = 0) -> str:
    """A day of 2024 to 2026."""
    return f"{rng.randint(2024, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: random.Random, _low: int) -> str:
    return f"{rng.randrange(24):02}:{rng.randrange(0, 60, 5):02}:00Z"


def _duration(rng: random.Random, low: int) -> str:
    if low <= 5:
        return f"PT{rng.randrange(10, 60, 5)}M"
    return f"P1DT2H{rng.randrange(10, 60, 5)}M30S"


def _uuid(rng: random.Random, _low: int) -> str:
    digits = _hex(rng, 32)
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{rng.choice('89ab')}{digits[17:20]}"
        f"-{digits[20:]}"
    )


def _ipv4(rng: random.Random, low: int) -> str:
    """Of the blocks that RFC 5737 sets aside for documentation."""
    return f"{rng.choice(('198.51.100', '203.0.113'))}.{rng.randint(100 if low > 12 else 1, 254)}"


def _ipv6(rng: random.Random, low: int) -> str:
    if low > 14:
        return "2001:0db8" + "".join(f":{_hex(rng, 4)}" for _ in range(6))
    return f"2001:db8::{rng.randint(1, 0xFFFF):x}"


def _hostname(rng: random.Random, low: int) -> str:
    name = f"{rng.choice(TOPICS)}.example.com"
    while len(name) < low:
        name = f"{_pad(rng, min(max(low - len(name) - 1, 1), 60))}.{name}"
    return name


def _base64(rng: random.Random, low: int) -> str:
    return base64.b64encode(rng.randbytes(max(9, (low + 3) // 4 * 3))).decode()


def _base64url(rng: random.Random, low: int) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(max(9, (low + 3) // 4 * 3))).decode()


_JWT_HEAD = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _ulid(rng: random.Random, _low: int) -> str:
    return "01" + "".join(rng.choices(_CROCKFORD, k=24))


def _phone(rng: random.Random, _low: int = 0) -> str:
    return f"+1202555{rng.randrange(100, 200):04}"


def _emoji(rng: random.Random, low: int) -> str:
    return "".join(rng.choices("\U0001f600\U0001f31f\U0001f680\U0001f40d", k=max(low, 1)))


_WRITERS: dict[str, tuple[Writer, str]] = {
    # format: (the usual text, a shortest one for a small maxLength)
    "email": (_email, "a@b.io"),
    "idn-email": (_email, "a@b.io"),
    "uri": (_uri, "urn:a"),
    "url": (_uri, "http://a.io"),
    "iri": (_uri, "urn:a"),
    "uri-reference": (_reference, "/"),
    "iri-reference": (_reference, "/"),
    "uri-template": (lambda rng, low: _uri(rng, low) + "/{id}", "{id}"),
    "date-time": (lambda rng, low: f"{write_date(rng)}T{_time(rng, low)}", ""),
    "date": (write_date, ""),
    "time": (_time, ""),
    "duration": (_duration, "P1D"),
    "uuid": (_uuid, ""),
    "guid": (_uuid, ""),
    "ipv4": (_ipv4, "10.0.0.1"),
    "ipv6": (_ipv6, "::1"),
    "cidrv4": (lambda _rng, _low: "198.51.100.0/24", "10.0.0.0/8"),
    "cidrv6": (lambda _rng, _low: "2001:db8::/32", "::/0"),
    "hostname": (_hostname, "a"),
    "idn-hostname": (_hostname, "a"),
    "json-pointer": (_reference, ""),
    "relative-json-pointer": (lambda rng, low: f"1{_reference(rng, low - 1)}", "0"),
    "regex": (lambda rng, low: f"^{_pad(rng, max(low - 3, 1))}+$", "a"),
    "byte": (_base64, "TQ=="),
    "base64": (_base64, "TQ=="),
    "base64url": (_base64url, "TQ=="),
    "jwt": (lambda rng, low: f"{_JWT_HEAD}.{_base64url(rng, max(low - 40, 12))}.", ""),
    "ulid": (_ulid, ""),
    "nanoid": (lambda rng, _low: _pad(rng, 21), ""),
    "cuid": (lambda rng, _low: "c" + _hex(rng, 24), ""),
    "cuid2": (lambda rng, _low: "c" + _hex(rng, 23), ""),
    "ksuid": (lambda rng, _low: "2" + _pad(rng, 26), ""),
    "xid": (lambda rng, _low: _pad(rng, 20), ""),
    "e164": (_phone, ""),
    "phone": (_phone, ""),
    "emoji": (_emoji, ""),
}
