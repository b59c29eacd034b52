"""What a running server follows: the configuration in force, and how it becomes another one.

Strategy: all that requests need stands in one frozen value, ``Current``, which a reload replaces
whole; a request takes it once and keeps it to its end. A configuration with a mistake is told
in the log and leaves what is in force as it is. Knows no server and watches no file.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from llmproxy.configuration import Configuration, ConfigurationError
from llmproxy.errors import LlmproxyError, SettingsError
from llmproxy.manners import manner_of
from llmproxy.rulefiles import Stamp, stamp
from llmproxy.settings import Settings
from llmproxy.settings.loading import known, put, value_of
from llmproxy.synthesis.making import Manner

log = logging.getLogger("llmproxy")


@dataclass(frozen=True, slots=True)
class Current:
    """What is in force: ``version`` counts from 1 how often something was taken."""

    configuration: Configuration
    manner: Manner
    version: int = 1


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reload found: settings ``left`` as they run, and the ``news`` in a line."""

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
        self.current = Current(configuration, manner_of(configuration.settings))
        self.loaded_at = datetime.now(UTC)
        self.problem = ""
        self.ignored: tuple[str, ...] = ()
        self.seen: Mapping[Path, Stamp] = configuration.stamps or {
            file: stamp(file) for file in configuration.files
        }
        self._again = again
        self._lock = asyncio.Lock()

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

    def _read(self, again: Callable[[], Configuration]) -> _Read:
        """What would be in force; runs in a thread.

        Raises:
            LlmproxyError: something in it cannot be.
        """
        running, before = self.configuration, self.seen
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
        current = Current(replace(read, settings=settings), manner_of(settings), self.version + 1)
        left = _changed(running.settings, read.settings, reload=False)
        return _Read(current, left, _news(running, read, before))

    def _take(self, read: _Read) -> None:
        self.current = read.current
        self.loaded_at = datetime.now(UTC)
        self.problem = ""
        log.info("%s", read.news)
        if read.left and read.left != self.ignored:
            log.warning("changed, but only the next start takes it: %s", ", ".join(read.left))
        self.ignored = read.left

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        since = self.loaded_at.astimezone().strftime("%H:%M:%S")
        log.warning("not taken, what was read at %s stays:\n%s", since, problem)


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
