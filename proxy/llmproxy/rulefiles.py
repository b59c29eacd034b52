"""Reads rules from wherever they stand: the settings file, a variable, a flag, and the files that those name.

Every mistake is gathered with its place. What a rule means is known to ``rules``; here it is
made sure that what a rule names is there: a file of rules, a cassette, an upstream. Cassettes
are opened to look, and closed again.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from llmproxy import findings, yamlfile
from llmproxy.cassette import Cassette
from llmproxy.errors import CassetteError, CassetteMissing, SettingsError
from llmproxy.findings import Finding, nearest
from llmproxy.rules.rule import Forward, Recorded, Rule, RuleReply
from llmproxy.settings.loading import tell
from llmproxy.settings.sources import Layer, write_place
from llmproxy.units import quote
from llmproxy.upstreams import parse_upstream

if TYPE_CHECKING:
    from llmproxy.rules.reading import Include

MOST_FILES = 100
"""Files of rules that one configuration may name; one that is named twice counts twice."""

_YAML = (".yml", ".yaml")

Stamp = tuple[int, int, int] | None
"""What changes when a file changes: inode, time of the last write or change in ns, bytes; None: no file."""


def stamp(path: Path) -> Stamp:
    """The stamp of the file that a path, or the link there, leads to."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return (found.st_ino, 0, 0)
    return (found.st_ino, max(found.st_mtime_ns, found.st_ctime_ns), found.st_size)


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file that was read: what people call it, and how many rules stand in it."""

    path: Path
    name: str
    rules: int


@dataclass(slots=True)
class Given:
    """What one source gives: ``rules`` in order, ``findings`` in it, ``below`` lines of its files."""

    rules: list[Rule] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where rules stand.

    ``data`` is all that it says; ``folder`` is what names in it are relative to, ``shown`` the
    same as people call it; ``chain`` are the real paths of the files around it, its own the last.
    """

    layer: Layer
    data: object
    folder: Path
    shown: Path
    chain: tuple[Path, ...] = ()
    marked: dict[str, list[findings.Path]] = field(default_factory=dict)

    def mark(self, path: findings.Path) -> str:
        """``Rule.place`` of a path, which is kept for what is found out later."""
        place = write_place((*self.layer.place(path)[:2], 0))
        self.marked.setdefault(place, []).append(path)
        return place

    def paths_of(self, rule: Rule) -> list[findings.Path]:
        """The path of each reply of a rule; to be asked once for each rule, in their order."""
        path = self.marked[rule.place].pop(0)
        written = _at(self.data, path)
        if isinstance(written, dict) and "replies" in written:
            return [(*path, "replies", number) for number in range(len(rule.replies))]
        return [(*path, "reply")]


class RuleFiles:
    """Reads the rules of all sources of one configuration. A context manager.

    Args:
        upstreams: names for base URLs; None where they cannot be read, so that no rule is
            told that its upstream is not there.

    Attributes:
        files: what was read, in order.
        stamps: what was looked for, as it was before it was read.
    """

    def __init__(self, upstreams: Mapping[str, str] | None) -> None:
        self.files: dict[Path, RuleFile] = {}
        self.stamps: dict[Path, Stamp] = {}
        self._upstreams = upstreams
        self._named = 0
        self._cassettes: dict[Path, Cassette | CassetteError] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, layer: Layer, file: Path | None, name: str, folder: Path) -> Given:
        """The rules of a source, those of the files that it names at their place.

        Args:
            layer: the source.
            file: where it is one.
            name: what people call that file.
            folder: what names in other sources are relative to.
        """
        from llmproxy.rules.reading import read_rules  # noqa: PLC0415 - only where there are rules

        found: list[Finding] = []
        source = _Source(layer, layer.data, folder, Path())
        if file is not None:
            chain = (Path(os.path.realpath(file)),)
            source = _Source(layer, layer.data, file.parent, Path(name).parent, chain)
        read = read_rules(_as_list(layer.data["rules"]), ("rules",), source.mark, found)
        if file is not None:
            self.files[file] = RuleFile(file, name, _count(read))
        return self._take(source, read, found)

    def _take(self, source: _Source, read: Sequence[Rule | Include], found: list[Finding]) -> Given:
        given = Given(findings=found)
        for each in read:
            if isinstance(each, Rule):
                given.rules.append(self._with_what_it_names(each, source, found))
                continue
            inner, said = self._file(each.file, source)
            given.rules += inner.rules
            given.below += inner.below
            if said:
                found.append(Finding(each.path, key=False, say=functools.partial(str, said)))
        return given

    def _file(self, file: str, source: _Source) -> tuple[Given, str]:
        """What a file of rules gives; or a sentence about why it cannot be read."""
        path, name = source.folder / file, str(source.shown / file)
        self._named += 1
        if self._named > MOST_FILES:
            too_many = f"is one of more than {MOST_FILES} files of rules; put several into one"
            return Given(), too_many if self._named == MOST_FILES + 1 else ""
        real = Path(os.path.realpath(path))
        if real in source.chain:
            around = source.chain[source.chain.index(real) :]
            circle = " → ".join([*(each.name for each in around), real.name])
            return Given(), f"{quote(file)} names itself in a circle: {circle}; leave one out"
        self.stamps[path] = stamp(path)
        if self.stamps[path] is None:
            return Given(), f"{quote(file)}: no such file{_near(path, source.folder)}"
        if path.is_dir():
            return Given(), f"{quote(file)}: is a folder; name a file in it"
        return self._rules_file(path, name, (*source.chain, real)), ""

    def _rules_file(self, path: Path, name: str, chain: tuple[Path, ...]) -> Given:
        from llmproxy.rules.reading import read_file  # noqa: PLC0415 - only where there are rules

        self.files[path] = RuleFile(path, name, 0)
        try:
            document = yamlfile.read(path, name)
        except SettingsError as error:
            return Given(below=[f"{error.message}; {error.hint}" if error.hint else error.message])
        data = document.data
        if isinstance(data, dict) and isinstance(data.get("rules"), str):
            data = {**data, "rules": [data["rules"]]}
        source = _Source(Layer({}, document), data, path.parent, Path(name).parent, chain)
        found: list[Finding] = []
        read = read_file(data, source.mark, found)
        self.files[path] = RuleFile(path, name, _count(read))
        given = self._take(source, read, found)
        return Given(given.rules, [], [*tell(source.layer, found), *given.below])

    def _with_what_it_names(self, rule: Rule, source: _Source, found: list[Finding]) -> Rule:
        """The rule with absolute paths of cassettes; findings for what is not there."""
        replies: list[RuleReply] = []
        for path, reply in zip(source.paths_of(rule), rule.replies, strict=True):
            if isinstance(reply, Recorded) and reply.cassette is not None:
                file = source.folder / reply.cassette
                said = self._look_into(file, reply)
                replies.append(replace(reply, cassette=str(file)))
            else:
                said = self._look_up(reply)
                replies.append(reply)
            for member, sentence in said:
                say = functools.partial(str, sentence)
                found.append(Finding((*path, member), key=False, say=say))
        return replace(rule, replies=tuple(replies))

    def _look_into(self, file: Path, reply: Recorded) -> Iterator[tuple[str, str]]:
        """What is wrong with a recorded reply: the member, and a sentence."""
        member = "cassette"
        try:
            cassette = self._open(file)
            member = "interaction"
            cassette.load_response(reply.interaction)
        except CassetteError as error:
            if isinstance(error, CassetteMissing):
                self.stamps[file] = None
            said = error.message.removeprefix(f"{file}: ")
            hint = f"; {error.hint}" if error.hint else ""
            yield member, f"{quote(reply.cassette)}: {said}{hint}"

    def _look_up(self, reply: RuleReply) -> Iterator[tuple[str, str]]:
        if isinstance(reply, Forward) and self._upstreams is not None:
            try:
                parse_upstream(reply.upstream, self._upstreams)
            except SettingsError as error:
                yield "forward", f"{error.message}; {error.hint}"

    def _open(self, file: Path) -> Cassette:
        """A cassette, opened once.

        Raises:
            CassetteError: it cannot be.
        """
        opened = self._cassettes.get(file)
        if opened is None:
            try:
                opened = Cassette(file)
                self._stack.callback(opened.close)
            except CassetteError as error:
                opened = error
            self._cassettes[file] = opened
        if isinstance(opened, CassetteError):
            raise opened
        return opened


def unique(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules, with keys that differ also where files say the same."""
    seen: dict[str, int] = {}
    made = []
    for rule in rules:
        before = seen[rule.key] = seen.get(rule.key, 0) + 1
        made.append(rule if before == 1 else replace(rule, key=f"{rule.key}.{before}"))
    return tuple(made)


def _at(data: Any, path: findings.Path) -> Any:
    """What stands at a path; nothing where mockllm's file left it to a default."""
    for part in path:
        inside = isinstance(data, dict) and part in data
        data = data[part] if inside or isinstance(data, list) else None
    return data


def _as_list(data: object) -> object:
    return [data] if isinstance(data, str) else data


def _count(read: Sequence[Rule | Include]) -> int:
    return sum(isinstance(each, Rule) for each in read)


def _near(path: Path, folder: Path) -> str:
    """The name of a file in the same folder that may have been meant."""
    try:
        names = {each.stem: each.name for each in path.parent.iterdir() if each.suffix in _YAML}
    except OSError:
        return f"; {quote(path.parent.name)} is no folder" if path.parent != folder else ""
    close = nearest(path.stem, sorted(names)[:1000])
    return f"; did you mean {quote(names[close])}?" if close else ""
