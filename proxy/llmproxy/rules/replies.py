"""One reply of a rule: in neutral words, raw, recorded or forwarded.

The kind shows by the members that stand there; members of two kinds do not mix. What is wrong
is gathered as findings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from llmproxy.answer import Text
from llmproxy.findings import Finding, Path
from llmproxy.interaction import Headers
from llmproxy.kinds import UPSTREAM_NAME
from llmproxy.members import (
    NO_VALUE,
    check_members,
    note,
    note_unknown,
    read_line,
    read_mapping,
    read_whole,
)
from llmproxy.rules import scripts
from llmproxy.rules.rule import Forward, Raw, Recorded, RuleReply, Said
from llmproxy.rules.scripts import check_headers, read_members, read_said, read_template
from llmproxy.synthesis.scripted import Script, ScriptError, read_headers
from llmproxy.units import quote

RAW = ("status", "headers", "body", "template")
MOST_INTERACTIONS = 1_000_000_000
LONGEST_FILE_NAME = 1_000

_RECORDED = ("cassette", "interaction", "recorded")
_BREAKING = ("stream_error", "after_chunks")
"""What neutral and recorded replies have in common."""
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(scripts.MEMBERS, "neutral"),
    "raw": "raw",
    **dict.fromkeys(_RECORDED, "recorded"),
    "forward": "forward",
    **dict.fromkeys(_BREAKING, ""),
}
MEMBERS = tuple(_KINDS)
"""All that may stand in a reply."""

_BESIDE = ("name", "when", "count", "after", "times", "pace", "fault")
_HAVE_NO_BODY = (204, 304)


def read_reply(data: object, path: Path, found: list[Finding]) -> RuleReply | None:
    """A reply; None and findings where it cannot be."""
    if isinstance(data, str):
        return Said(Script((Text(data),), uncut=True))
    if not isinstance(data, Mapping):
        mend = "write a text, or {text: hello}"
        note(found, path, f"{NO_VALUE}" if data is None else f"{quote(data)} is no reply; {mend}")
        return None
    if not data:
        note(found, path, "says nothing; write {text: hello}")
        return None
    before = len(found)
    known = {key: value for key, value in data.items() if _is_known(key, path, found)}
    kind = _kind(known, path, found)
    if len(found) > before:
        return None
    if kind == "raw":
        return _read_raw(known["raw"], (*path, "raw"), found)
    if kind == "recorded":
        return _read_recorded(known, path, found)
    if kind == "forward":
        return _read_forward(known["forward"], (*path, "forward"), found)
    return read_said(known, path, found)


def _is_known(key: str, path: Path, found: list[Finding]) -> bool:
    if key in _KINDS:
        return True
    if key in _BESIDE:
        note(
            found,
            (*path, key),
            f"stands in the rule, not in its reply: write {key}: there",
            key=True,
        )
    else:
        note_unknown(found, (*path, key), MEMBERS, "no such member of a reply")
    return False


def _kind(data: Mapping[str, object], path: Path, found: list[Finding]) -> str:
    """The kind of the members; a finding at the first that does not fit those before it."""
    first = next((key for key in data if _KINDS[key]), None)
    if first is None:
        return "neutral"
    kind = _KINDS[first]
    for key in data:
        if _KINDS[key] != kind and (_KINDS[key] or kind in ("raw", "forward")):
            said = f"does not stand beside {first}; leave one of the two"
            note(found, (*path, key), said, key=True)
            break
    return kind


def _read_raw(data: object, path: Path, found: list[Finding]) -> Raw | None:
    before = len(found)
    raw = read_mapping(data, path, found, "{status: 200, body: hello}")
    raw = check_members(raw, path, RAW, found)
    if "body" in raw and "template" in raw:
        note(found, (*path, "template"), "stands beside body; leave one of the two", key=True)
    status = read_whole(raw.get("status", 200), (*path, "status"), 200, 599, found)
    template = None
    if "template" in raw:
        template = read_template(raw["template"], (*path, "template"), found)
    headers = _read_headers(raw, path, found)
    for name in ("body", "template"):
        if name in raw and status in _HAVE_NO_BODY:
            note(found, (*path, name), f"a reply with status {status} has no body", key=True)
    if len(found) > before or status is None:
        return None
    content_type, body = _encode(raw.get("body"), templated=template is not None)
    if content_type and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (("content-type", content_type), *headers)
    return Raw(status, headers, body, template)


def _encode(body: object, *, templated: bool) -> tuple[str, bytes]:
    """The content type and the bytes of a body as written; empty where there is none."""
    if isinstance(body, str):
        return "text/plain; charset=utf-8", body.encode()
    if body is not None:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return "application/json", text.encode()
    return ("text/plain; charset=utf-8" if templated else ""), b""


def _read_headers(raw: Mapping[str, object], path: Path, found: list[Finding]) -> Headers:
    before = len(found)
    check_headers(raw.get("headers"), (*path, "headers"), found)
    if len(found) > before:
        return ()
    try:
        return read_headers(raw, "headers")
    except ScriptError as error:
        name, _, said = str(error).removeprefix("headers").removeprefix(".").partition(": ")
        note(found, (*path, "headers", *([name] if name else [])), said)
        return ()


def _read_recorded(data: Mapping[str, object], path: Path, found: list[Finding]) -> Recorded | None:
    before = len(found)
    cassette, interaction = _which(data, path, found)
    breaking = {name: data[name] for name in _BREAKING if name in data}
    script = read_members(breaking, path, found)
    if script is None or len(found) > before:
        return None
    return Recorded(cassette, interaction, script.stream_error, script.after_chunks)


def _which(data: Mapping[str, object], path: Path, found: list[Finding]) -> tuple[str | None, int]:
    """Cassette and interaction; None and 0 where it is what the cassettes answer."""
    if "recorded" in data:
        if data["recorded"] is not True:
            note(found, (*path, "recorded"), f"{quote(data['recorded'])} is not true; write true")
        for name in ("cassette", "interaction"):
            if name in data:
                note(found, (*path, name), "stands beside recorded; leave one of the two", key=True)
        return None, 0
    for name, other in (("cassette", "interaction"), ("interaction", "cassette")):
        if other not in data:
            example = {"cassette": "cassette: run.db", "interaction": "interaction: 12"}[other]
            note(found, (*path, name), f"stands alone; write {example} beside it", key=True)
            return None, 0
    cassette = read_file_name(data["cassette"], (*path, "cassette"), found)
    number = data["interaction"]
    interaction = read_whole(number, (*path, "interaction"), 1, MOST_INTERACTIONS, found)
    return cassette, interaction or 0


def read_file_name(data: object, path: Path, found: list[Finding]) -> str | None:
    """The name of a file as written; None and a finding where it is none."""
    return read_line(data, path, LONGEST_FILE_NAME, found, "the name of a file")


def _read_forward(data: object, path: Path, found: list[Finding]) -> Forward | None:
    if data is None:
        note(found, path, NO_VALUE)
        return None
    try:
        return Forward(UPSTREAM_NAME.read(data))
    except ValueError as error:
        note(found, path, str(error))
        return None
