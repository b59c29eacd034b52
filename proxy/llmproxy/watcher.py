"""Watches the files of a configuration and has it read again when they have changed.

Strategy: one thread waits for the system to tell of a change in the folders around the files,
and of the links that lead to them; then it compares stamps, so it does not matter how an editor
saves. A file is read when it has been quiet for a moment, so that nothing is read half written.
Where a system tells nothing, as on some network and container mounts, the stamps are still
compared twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from llmproxy.live import Live
from llmproxy.rulefiles import Stamp, stamp

log = logging.getLogger("llmproxy")

STEP = 0.05
"""Seconds that pass at most before the thread sees that it shall end."""
LOOK_EVERY = 0.5
"""Seconds after which stamps are compared although nothing was told."""
QUIET = 0.1
"""Seconds without a change after which a file is taken to be written whole."""
LONGEST = 0.7
"""Seconds after which files are read although they are not quiet, or one is empty or gone."""
MOST_LINKS = 40
"""Links that are followed from one file, as systems do."""


async def watch(live: Live) -> None:
    """Reload ``live`` whenever its files have changed, until cancelled; leaves no thread.

    Ends at once where ``live`` cannot be read again.
    """
    if not live.follows:
        return
    loop, stop = asyncio.get_running_loop(), threading.Event()
    files = _Watching(live, stop)
    with contextlib.closing(files), ThreadPoolExecutor(1, "llmproxy-watch") as thread:
        while True:
            turn = loop.run_in_executor(thread, files.until_changed)
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.wait([turn])
                raise
            except Exception:
                log.exception("a fault of llmproxy: files are no longer watched")
                return
            await live.reload()


@contextlib.asynccontextmanager
async def watching(live: Live) -> AsyncIterator[None]:
    """Watch while the block runs."""
    task = asyncio.create_task(watch(live), name="llmproxy-watch")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Watching:
    """The thread's side; never used by two threads at once."""

    def __init__(self, live: Live, stop: threading.Event) -> None:
        self._live = live
        self._stop = stop
        self._folders: Mapping[Path, tuple[int, int]] = {}
        self._news: Generator[object, None, None] | None = None
        self._told_of_polling = False
        self._expected: Mapping[Path, Stamp] | None = {}
        """What ``live`` should have read last; None: it was not quiet, so read once more."""

    def close(self) -> None:
        if self._news is not None:
            self._news.close()
            self._news = None

    def until_changed(self) -> None:
        """Return when files are others than those read last, and quiet; or at the stop."""
        while not self._stop.is_set():
            seen = self._live.seen
            self._follow(_folders(seen))
            unsure = self._expected is None or any(
                seen[path] != expected for path, expected in self._expected.items() if path in seen
            )
            if unsure or _stamps(seen) != seen:
                now, quiet = self._settle(seen)
                self._expected = now if quiet else None
                if unsure or now != seen:
                    return
            self._wait()

    def _settle(self, seen: Mapping[Path, Stamp]) -> tuple[Mapping[Path, Stamp], bool]:
        """The stamps once they are quiet, or after ``LONGEST``; and whether they are quiet."""
        started = changed = monotonic()
        now = _stamps(seen)
        while not self._stop.wait(QUIET / 5):
            then, clock = _stamps(seen), monotonic()
            if then != now:
                now, changed = then, clock
            quiet = clock - changed >= QUIET
            if clock - started >= LONGEST or (quiet and not _unfinished(now, seen)):
                return now, quiet
        return now, True

    def _wait(self) -> None:
        """Until something is told, and no longer than ``LOOK_EVERY``."""
        if self._news is None:
            self._stop.wait(LOOK_EVERY / 2)
            return
        try:
            told = next(self._news, None)
        except (OSError, RuntimeError) as error:
            self._poll(str(error))
        else:
            if told is None and not self._stop.is_set():
                self._poll("the watching ended")

    def _follow(self, folders: Mapping[Path, tuple[int, int]]) -> None:
        """Have the system tell of changes in these folders, if it does not already."""
        if folders == self._folders:
            return
        import watchfiles  # noqa: PLC0415 - heavy, and in this thread the server's start need not wait

        self.close()
        self._folders = folders
        step = int(STEP * 1000)
        self._news = watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=step,
            step=step,
            stop_event=self._stop,
            rust_timeout=int(LOOK_EVERY * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )

    def _poll(self, why: str) -> None:
        self.close()
        if not self._told_of_polling:
            self._told_of_polling = True
            log.warning("files cannot be watched, so they are looked at now and then: %s", why)


def _stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    return {path: stamp(path) for path in paths}


def _unfinished(now: Mapping[Path, Stamp], seen: Mapping[Path, Stamp]) -> bool:
    """Whether a file is gone or empty that was not: many editors begin so."""
    return any(_has_content(seen[path]) and not _has_content(now[path]) for path in now)


def _has_content(found: Stamp) -> bool:
    return found is not None and found[2] > 0


def _folders(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """The folders in which something happens when a file becomes another, with their identity."""
    found: dict[Path, tuple[int, int]] = {}
    for path in (each for file in files for each in _links(file)):
        for folder in path.parents:  # where one is gone, its coming back is seen from above
            with contextlib.suppress(OSError):
                if folder not in found:
                    status = folder.stat()
                    found[folder] = (status.st_dev, status.st_ino)
                break
    return found


def _links(file: Path) -> Iterator[Path]:
    """The file, and all that is a link on the way to what it leads to.

    Links of the root folder are passed over: they are the system's own.
    """
    path = file
    for _ in range(MOST_LINKS):
        yield path
        try:
            link = next((part for part in (path, *path.parents) if part.is_symlink()), None)
            if link is None:
                return
            target = link.parent / link.readlink() / path.relative_to(link)
        except OSError:  # it has just gone, or may not be seen
            return
        if link.parent != Path(link.anchor):
            yield link
        path = Path(os.path.normpath(target))
