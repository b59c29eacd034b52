"""What a running server follows: the configuration in force, and how it becomes another one.

Strategy: all that requests need stands in one frozen value, ``Current``, which a reload replaces
whole; a request takes it once and keeps it to its end. A configuration with a mistake is told
in the log and leaves what is in force as it is. What the control API changes is laid over what
was read, and over what is read later. Knows no server and watches no file.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmproxy.configuration import CONTROL_API, Configuration, ConfigurationError, overlay
from llmproxy.errors import LlmproxyError, SettingsError
from llmproxy.manners import manner_of
from llmproxy.rulefiles import Stamp, stamp
from llmproxy.settings import Settings
from llmproxy.settings.endpoints import endpoint_changes
from llmproxy.settings.loading import known, put, value_of
from llmproxy.synthesis.making import Manner

log = logging.getLogger("llmproxy")

REQUEST_BODY = "request body"
"""Where the mistakes of a change stand that the control API was asked for."""


@dataclass(frozen=True, slots=True)
class Current:
    """What is in force: ``version`` counts from 1 how often something was taken.

    ``endpoints`` is the same for operations at which settings are different.
    """

    configuration: Configuration
    manner: Manner
    version: int = 1
    endpoints: Mapping[str, Current] = field(default_factory=dict)

    def at(self, operation: str) -> Current:
        """What is in force at an operation of a dialect, such as ``openai_chat``."""
        return self.endpoints.get(operation, self)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reload found: settings ``left`` as they run, and the ``news`` in a line."""

    base: Configuration
    current: Current
    left: tuple[str, ...]
    news: str


class Live:
    """The configuration in force.

    Args:
        configuration: the first one.
        again: reads it anew, as ``configuration.load`` does; None: it stays as it is.

    Attributes:
        current: what is in force; whoever answers a request reads it once.
        loaded_at: when it was taken, in UTC.
        problem: what is wrong with what was read last, a line each; empty where all is well.
        ignored: settings that were changed and need a restart, by dotted name.
        seen: the stamps of what was read last, taken or not.

    Raises:
        LlmproxyError: as ``manner_of`` does.
    """

    def __init__(
        self, configuration: Configuration, again: Callable[[], Configuration] | None = None
    ) -> None:
        self.current = _current(configuration, 1)
        self.loaded_at = datetime.now(UTC)
        self.problem = ""
        self.ignored: tuple[str, ...] = ()
        self.seen: Mapping[Path, Stamp] = configuration.stamps or {
            file: stamp(file) for file in configuration.files
        }
        self._base = configuration
        self._changes: dict[str, Any] = {}
        self._again = again
        self._lock = asyncio.Lock()
        self._subscribers: tuple[Callable[[], None], ...] = ()

    @property
    def configuration(self) -> Configuration:
        return self.current.configuration

    @property
    def manner(self) -> Manner:
        return self.current.manner

    @property
    def version(self) -> int:
        return self.current.version

    @property
    def base(self) -> Configuration:
        """What the sources say, without what ``patch`` changed."""
        return self._base

    @property
    def changed(self) -> tuple[str, ...]:
        """The settings that ``patch`` has changed, by dotted name."""
        return tuple(name for name in known() if _is_in(self._changes, name))

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Tell, on the loop, when something else is in force; what is returned ends that."""
        self._subscribers += (subscriber,)

        def unsubscribe() -> None:
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)

        return unsubscribe

    def _tell(self) -> None:
        for subscriber in self._subscribers:
            subscriber()

    @property
    def follows(self) -> bool:
        """Whether it can be read anew."""
        return self._again is not None

    async def reload(self) -> bool:
        """Read the configuration anew; whether it was taken. A mistake is logged, never raised."""
        if self._again is None:
            return False
        async with self._lock:
            before = self.seen
            try:
                read = await asyncio.to_thread(self._read, self._again)
            except LlmproxyError as error:
                self._refuse(str(error))
                return False
            except Exception as error:  # noqa: BLE001  # a fault of ours must not end the watching
                self.seen = {path: stamp(path) for path in before}
                self._refuse(_fault(error))
                return False
            self._take(read)
            return True

    async def patch(self, data: Mapping[str, Any]) -> None:
        """Change settings until the next start, whatever the files say meanwhile.

        Args:
            data: nested as in ``proxy.yml``; a setting in it is replaced whole.

        Raises:
            SettingsError: something in it cannot be, or not while the server runs; a line for
                each. Nothing is changed then.
        """
        async with self._lock:
            await self._change(merge_changes(self._changes, data))

    async def unpatch(self, names: Iterable[str] | None = None) -> None:
        """Undo what ``patch`` changed: all, or settings and groups by their dotted names.

        Raises:
            SettingsError: what stays changed cannot be without it.
        """
        async with self._lock:
            changes = {} if names is None else without(self._changes, names)
            await self._change(changes)

    async def _change(self, changes: dict[str, Any]) -> None:
        before, version = self.configuration.settings, self.version + 1
        current = await asyncio.to_thread(_overlaid, self._base, changes, version, REQUEST_BODY)
        self._changes, self.current = changes, current
        self.loaded_at = datetime.now(UTC)
        self.seen = current.configuration.stamps or self.seen
        names = _changed(before, current.configuration.settings, reload=True)
        log.info("changed by the control API: %s", ", ".join(names) or "nothing")
        self._tell()

    def _read(self, again: Callable[[], Configuration]) -> _Read:
        """What would be in force; runs in a thread.

        Raises:
            LlmproxyError: something in it cannot be.
        """
        running, before = self._base, self.seen
        try:
            read = again()
        except ConfigurationError as error:
            self.seen = error.stamps
            raise
        self.seen = read.stamps
        if gone := _gone(running, read):
            raise SettingsError(f"{gone}: cannot be read: No such file or directory")
        settings = running.settings
        for name in _changed(running.settings, read.settings, reload=True):
            settings = put(settings, name, value_of(read.settings, name))
        base = replace(read, settings=settings)
        try:
            current = _overlaid(base, self._changes, self.version + 1)
        except ConfigurationError as error:
            self.seen = error.stamps
            raise
        self.seen = current.configuration.stamps
        left = _changed(running.settings, read.settings, reload=False)
        return _Read(base, current, left, _news(running, read, before))

    def _take(self, read: _Read) -> None:
        self._base = read.base
        self.current = read.current
        self.loaded_at = datetime.now(UTC)
        self.problem = ""
        log.info("%s", read.news)
        if read.left and read.left != self.ignored:
            log.warning("changed, but only the next start takes it: %s", ", ".join(read.left))
        self.ignored = read.left
        self._tell()

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        since = self.loaded_at.astimezone().strftime("%H:%M:%S")
        log.warning("not taken, what was read at %s stays:\n%s", since, problem)


def merge_changes(before: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Changes over those made before: in groups setting by setting, settings themselves whole."""
    made = dict(before)
    for key, value in data.items():
        inside = key in _groups() and isinstance(value, Mapping) and key in made
        made[key] = {**made[key], **value} if inside else value
    return made


def without(changes: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Changes without those of some settings and groups."""
    left = {key: dict(value) if key in _groups() else value for key, value in changes.items()}
    for name in names:
        group, _, member = name.partition(".")
        if not member:
            left.pop(group, None)
        elif group in left:
            left[group].pop(member, None)
    return {key: value for key, value in left.items() if value != {} or key not in _groups()}


@functools.cache
def _groups() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in known() if "." in name)


def _is_in(changes: Any, name: str) -> bool:
    for part in name.split("."):
        if not isinstance(changes, Mapping) or part not in changes:
            return False
        changes = changes[part]
    return True


def _overlaid(
    base: Configuration, changes: Mapping[str, Any], version: int, place: str = CONTROL_API
) -> Current:
    """What is in force with changes; runs in a thread.

    Raises:
        LlmproxyError: something in it cannot be.
    """
    return _current(overlay(base, changes, place), version)


def _current(configuration: Configuration, version: int) -> Current:
    settings = configuration.settings
    endpoints = {}
    for name, said in settings.endpoints.items():
        there = settings
        for setting, value in endpoint_changes(said).items():
            there = put(there, setting, value)
        endpoints[name.replace("-", "_")] = Current(configuration, manner_of(there), version)
    return Current(configuration, manner_of(settings), version, endpoints)


def _changed(running: Settings, read: Settings, *, reload: bool) -> tuple[str, ...]:
    """The names of settings that differ: those that a running server takes, or the others."""
    return tuple(
        each.name
        for each in known().values()
        if each.reload == reload and value_of(running, each.name) != value_of(read, each.name)
    )


def _gone(running: Configuration, read: Configuration) -> str:
    """The name of a file that is wanted as before and is not there: the settings file."""
    for number, path in enumerate(running.files):
        if read.stamps.get(path, 1) is None:
            return running.sources[number].name if running.sources else path.name
    return ""


def _news(running: Configuration, read: Configuration, before: Mapping[Path, Stamp]) -> str:
    """A line about what a reload changes: ``proxy.yml: 12 rules read again (2 changed)``."""
    names = [
        source.name
        for source in read.sources
        if before.get(source.path) != read.stamps.get(source.path)
    ]
    old, new = ({rule.key for rule in each.rules} for each in (running, read))
    count = len(read.rules)
    what = f"{count} rule{'s' * (count != 1)} read again" if old or new else "read again"
    changed = max(len(new - old), len(old - new))
    parts = [f"{changed} changed"] if old or new else []
    settings = _changed(running.settings, read.settings, reload=True)
    parts += [f"{name} changed" for name in settings if name != "rules"]
    said = ", ".join(names or [source.name for source in read.sources[:1]] or ["settings"])
    return f"{said}: {what}" + (f" ({', '.join(parts)})" if parts else "")


def _fault(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"this is a fault of llmproxy: {type(error).__name__} in {where}; please report it"
