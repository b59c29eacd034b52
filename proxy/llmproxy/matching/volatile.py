"""What changes in a prompt from run to run, and the ordinals that stand for it.

A uuid, a moment, today's date, a temporary name or whatever a user's pattern finds becomes
``<uuid:1>``, ``<time:1>``, ``<date:1>``, ``<tmp:1>`` or ``<name:1>``: the same value gets the
same ordinal, another value the next one, in order of first appearance. A declared working
directory becomes ``<cwd>``, the home directory around it ``<home>``.

Strategy: prompts are long and volatile pieces are rare, so every search starts from a literal
that the piece must contain (the dash of a uuid, the ``20`` of a year) and looks around it
within a fixed distance: linear in the text. Knows strings only; JSON is ``canonical.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

_SHORTEST_VOLATILE = len("1.1.2026")


class Ordinals:
    """Numbers values of each kind in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, object], str] = {}
        self._counts: dict[str, int] = {}

    def of(self, kind: str, value: object) -> str:
        """The ordinal of a value, such as ``<uuid:2>``."""
        known = self._names.get((kind, value))
        if known is not None:
            return known
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        name = self._names[kind, value] = f"<{kind}:{count}>"
        return name


# --- uuids ---

# Boundaries also stop at an ordinal that took the place of what was no boundary, so that a
# second pass finds nothing that the first did not.
_HEX = "[0-9a-fA-F]"
_UUID = re.compile(
    rf"-(?<=(?<![0-9A-Za-z]){_HEX}{{8}}-)(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![0-9A-Za-z]|<tmp:\d)"
)
_UUID_HEAD = 8
_UUID_LENGTH = 36
_UUID_HINT = re.compile(rf"-{_HEX}{{4}}-{_HEX}{{4}}-")


def _replace_uuids(text: str, ordinals: Ordinals) -> str:
    parts: list[str] = []
    end = 0
    for found in _UUID.finditer(text):
        start = found.start() - _UUID_HEAD
        parts += text[end:start], ordinals.of("uuid", text[start : found.end()].lower())
        end = found.end()
    return "".join(parts) + text[end:] if parts else text


# --- moments and dates ---

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAYNAME = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_WEEKDAY = rf"(?:{_DAYNAME}|(?-i:Mon|Tue|Wed|Thu|Fri|Sat|Sun))"
_CLOCK = r"(?P<{h}>\d{{1,2}}):(?P<{m}>\d\d)(?::(?P<{s}>\d\d)(?:[.,]\d{{1,9}})?)?"
_ZONE = r"(?:\s?(?:Z|(?:UTC|GMT)?[+-]\d\d:?\d\d|UTC|GMT|CES?T|[ECMP][SD]T))"
_YEAR = re.compile(r"20\d\d(?!\d)")
_DATE = re.compile(
    rf"""(?<![0-9A-Za-z])
    (?:{_WEEKDAY},?\s)?
    (?:
      (?P<y1>20\d\d)(?P<dash>[-/])(?P<m1>\d\d)(?P=dash)(?P<d1>\d\d)
    | (?P<m2>{_MONTH})\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<y2>20\d\d)
    | (?P<d3>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-](?:of\s)?(?P<m3>{_MONTH}),?[\s-](?P<y3>20\d\d)
    | (?<![\d>]\.)(?P<d4>\d{{1,2}})(?P<dot>[./])(?P<m4>\d{{1,2}})(?P=dot)(?P<y4>20\d\d)(?!\.[\d<])
    | (?P<m5>{_MONTH})\s{{1,2}}(?P<d5>\d{{1,2}})\s{_CLOCK.format(h="h5", m="i5", s="s5")}
      {_ZONE}?\s(?P<y5>20\d\d)
    )
    (?:(?:T|,?\s(?:at\s)?){_CLOCK.format(h="h", m="i", s="s")}(?:\s?[ap](?:m\b|\.m\.))?{_ZONE}?)?
    (?:,?\s\(?{_DAYNAME}\b\)?)?
    (?![0-9A-Za-z]|<tmp:\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_DIGIT = re.compile(r"[0-9]")
_DAY_BEFORE = 24
_BEFORE_YEAR = 48
_AFTER_YEAR = 64


def _replace_dates(text: str, ordinals: Ordinals, now: date) -> str:
    """Full date-times, and dates without a time that lie within a day of ``now``.

    Only the years 2000 to 2099: what a program writes while it runs lies there.
    """
    parts: list[str] = []
    end = seen = 0
    for year in _YEAR.finditer(text):
        if year.start() < seen or not _is_dated(text, year.start()):
            continue
        window = max(seen, year.start() - _BEFORE_YEAR), year.end() + _AFTER_YEAR
        found = _DATE.search(text, *window)
        if found is None or not found.start() <= year.start() < found.end():
            continue
        seen = found.end()
        ordinal = _date_ordinal(found, ordinals, now)
        if ordinal:
            parts += text[end : found.start()], ordinal
            end = seen
    return "".join(parts) + text[end:] if parts else text


def _is_dated(text: str, year: int) -> bool:
    """A quick no to most years in prose: beside the year stands a day or its dash."""
    after = text[year + 4 : year + 5]
    return (after in "-/" and after != "") or _DIGIT.search(
        text, max(0, year - _DAY_BEFORE), year
    ) is not None


def _date_ordinal(found: re.Match[str], ordinals: Ordinals, now: date) -> str:
    """The ordinal of a date or moment, or nothing where it is content."""
    days = _readings(found)
    clock = found["h"] or found["h5"]
    if clock is not None:
        minute = found["i"] or found["i5"]
        second = found["s"] or found["s5"] or "0"
        valid = int(clock) <= 24 and int(minute) < 60 and int(second) <= 60
        return ordinals.of("time", found[0]) if days and valid else ""
    near = [day for day in days if abs((day - now).days) <= 1]
    return ordinals.of("date", near[0]) if near else ""


def _readings(found: re.Match[str]) -> list[date]:
    """The days that a date can mean: two for 11/12/2026, none for 2026-13-45."""
    form = next(n for n in "12345" if found["y" + n])
    year, month, day = int(found["y" + form]), found["m" + form], int(found["d" + form])
    named = month[:3].lower()
    if named in _MONTHS:
        return _valid_days((year, _MONTHS.index(named) + 1, day))
    if form == "4" and found["dot"] == "/" and int(month) != day:
        return _valid_days((year, int(month), day), (year, day, int(month)))
    return _valid_days((year, int(month), day))


def _valid_days(*triples: tuple[int, int, int]) -> list[date]:
    days = []
    for year, month, day in triples:
        try:
            days.append(date(year, month, day))
        except ValueError:
            continue
    return days


# --- temporary names ---

_MKDTEMP = re.compile(r"tmp(?<=[/\\]tmp)[a-z0-9_]{8}(?![A-Za-z0-9_])")
_TEMP_FOLDER = re.compile(r"(?:/tmp|/T|[/\\]temp|<tmp:\d{1,9}>)[/\\]+\Z", re.IGNORECASE)
_PYTEST = re.compile(r"pytest-of-(?<!\wpytest-of-)[^/\\\s\"'<>]{1,64}[/\\]+pytest-\d{1,9}(?!\w)")
_MAC_TEMP = re.compile(r"/var/folders/[^/\s]{1,8}/[^/\s]{1,64}/[TC](?![\w.-])")


def _replace_temps(text: str, ordinals: Ordinals) -> str:
    def ordinal(found: re.Match[str]) -> str:
        return ordinals.of("tmp", found[0])

    def mkdtemp(found: re.Match[str]) -> str:
        # Elsewhere than in a folder for temporary things, tmp_storage is a name, not noise.
        before = text[max(0, found.start() - 20) : found.start()]
        random = _TEMP_FOLDER.search(before) or any(c.isdigit() for c in found[0])
        return ordinals.of("tmp", found[0]) if random else found[0]

    text = _MAC_TEMP.sub(ordinal, text)
    text = _PYTEST.sub(ordinal, text)
    return _MKDTEMP.sub(mkdtemp, text)


# --- declared directories ---

_PATH = r"""((?:~?/|[A-Za-z]:[\\/])[^\r\n<>"'`|*?]{1,512})"""
_TAGGED = re.compile(rf"<cwd>[ \t\n]*{_PATH}")
_LABEL_ENDINGS = ("cwd", "CWD", "irectory", "IRECTORY", "orkspace", "roject root")
_LABEL = re.compile(
    r"(?:working (?:in the )?directory|workspace(?: directory)?|project (?:root|directory)"
    r"|(?<!\w)cwd)\Z",
    re.IGNORECASE,
)
_LABEL_LENGTH = 24
_LABELLED = re.compile(rf"""(?: folder| root| path)?[*_]*[ \t]*[:=(][ \t*_]*\\?["'`]?{_PATH}""")
_HOME = re.compile(
    r"(?:/home/[^/]+|/Users/[^/]+|/root|[A-Za-z]:[\\/]Users[\\/][^\\/]+)(?=[/\\]|\Z)"
)
_MOST_DIRECTORIES = 8
_BETWEEN = "\n\0\n"
"""Between the strings of a request: no path and no label goes on over it."""


@dataclass(frozen=True, slots=True)
class Directories:
    """Literal paths, longest first, and what stands for each."""

    markers: tuple[tuple[str, re.Pattern[str], str], ...]

    def replace(self, text: str) -> str:
        for path, regex, marker in self.markers:
            if path in text:
                text = regex.sub(marker, text)
        return text


def _whole_path(path: str) -> re.Pattern[str]:
    """Finds a path where it is not a part of a longer name; starts with a literal for speed."""
    literal = re.escape(path)
    return re.compile(rf"{literal}(?<![\w.~-]{literal})(?![\w-]|\.\w)")


def find_directories(
    texts: Iterable[str], *, labels: bool, slugs: bool = False
) -> Directories | None:
    """The working directories that a client declares in ``texts``, or None.

    Args:
        texts: the strings of a request, in canonical order.
        labels: whether a line such as ``Working directory: X`` declares one, not only
            Codex's ``<cwd>X</cwd>``.
        slugs: whether Claude Code's spelling of it counts too (``-home-ann-app``).
    """
    text = _BETWEEN.join(texts)
    found = {match.start(1): match[1] for match in _TAGGED.finditer(text)}
    if labels:
        found.update(_labelled(text))
    declared = dict.fromkeys(_trim(found[start]) for start in sorted(found))
    declared.pop("", None)
    markers = _markers(tuple(declared)[:_MOST_DIRECTORIES], slugs=slugs)
    longest_first = sorted(markers, key=lambda path: (-len(path), path))
    found_paths = tuple((path, _whole_path(path), markers[path]) for path in longest_first)
    return Directories(found_paths) if found_paths else None


def _labelled(text: str) -> Iterator[tuple[int, str]]:
    """Where a path follows a label that declares it, and the path."""
    for ending in _LABEL_ENDINGS:
        start = text.find(ending)
        while start >= 0:
            end = start + len(ending)
            path = _LABELLED.match(text, end)
            if path and _LABEL.search(text, max(0, end - _LABEL_LENGTH), end):
                yield path.start(1), path[1]
                end = path.end()
            start = text.find(ending, end)


def _trim(path: str) -> str:
    """A path without what follows it on its line; empty if only a root is left."""
    for end in (" (", ") ", ", ", "; "):
        path = path.partition(end)[0]
    path = path.rstrip("/\\ \t.,;:)")
    return path if len(path) > 2 or path[1:].isalnum() else ""


def _markers(directories: Sequence[str], *, slugs: bool) -> dict[str, str]:
    markers: dict[str, str] = {}
    for number, path in enumerate(directories, start=1):
        marker = "<cwd>" if number == 1 else f"<cwd:{number}>"
        markers.setdefault(path, marker)
        if slugs and re.search(r"[/\\].+[/\\]", path):
            markers.setdefault(re.sub(r"[^A-Za-z0-9]", "-", path), marker)
    homes = dict.fromkeys(home[0] for path in directories if (home := _HOME.match(path)))
    for number, home_path in enumerate(homes, start=1):
        markers.setdefault(home_path, "<home>" if number == 1 else f"<home:{number}>")
    for path, marker in list(markers.items()):
        markers.setdefault(path.replace("\\", "\\\\"), marker)  # as JSON text spells it
    return markers


# --- all of it ---


def may_change(text: str) -> bool:
    """Whether ``replace_volatile`` could find anything in a text (or its JSON form)."""
    return (
        _YEAR.search(text) is not None
        or _UUID_HINT.search(text) is not None
        or "tmp" in text
        or "pytest-of-" in text
        or "/var/folders/" in text
    )


def may_declare(text: str) -> bool:
    """Whether ``find_directories`` could find anything in a text (or its JSON form)."""
    return "<cwd>" in text or any(True for _ in _labelled(text))


def replace_patterns(
    text: str, patterns: Iterable[tuple[str, re.Pattern[str]]], ordinals: Ordinals
) -> str:
    """Ordinals for what a user's own patterns find; an empty find is none."""
    for name, regex in patterns:

        def ordinal(found: re.Match[str], kind: str = name) -> str:
            return ordinals.of(kind, found[0]) if found[0] else ""

        text = regex.sub(ordinal, text)
    return text


def replace_volatile(text: str, ordinals: Ordinals, now: date, *, temps: bool = True) -> str:
    """Ordinals for uuids, full date-times, dates by ``now`` and, with ``temps``, temp names.

    Done twice it changes nothing more.
    """
    if len(text) < _SHORTEST_VOLATILE:
        return text
    if len(text) >= _UUID_LENGTH and "-" in text:
        text = _replace_uuids(text, ordinals)
    if "20" in text:
        text = _replace_dates(text, ordinals, now)
    if temps and ("tmp" in text or "/var/folders/" in text or "pytest-of-" in text):
        text = _replace_temps(text, ordinals)
    return text
