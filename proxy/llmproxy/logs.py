"""The log on stderr: for people in a terminal, a JSON object a line elsewhere.

All records of the package pass through here: requests, which come several to a record, and what
else is said. What strangers chose can neither begin a line nor command a terminal. Which of
the two is written is settled once, at the start.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Iterator
from typing import Any, Literal, TextIO

from llmproxy.entry import Entry, escaped, members, timestamp
from llmproxy.journal import Gathered

MOST_WAITING = 10_000
"""Records that wait to be written; each may hold several requests."""

LAST_WRITES = 1.0
"""Seconds that the end waits for a reader of the log."""

Format = Literal["auto", "human", "json"]


class Human(logging.Formatter):
    """The time before each line; a record may hold several."""

    def format(self, record: logging.LogRecord) -> str:
        time = self.formatTime(record, "%H:%M:%S")
        return "\n".join(f"{time} {escaped(line)}" for line in super().format(record).split("\n"))


class Json(logging.Formatter):
    """An object for each request, and for each other record."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(_written, self._objects(record)))

    def _objects(self, record: logging.LogRecord) -> Iterator[dict[str, Any]]:
        about = {"level": record.levelname.lower(), "logger": record.name}
        told = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(told, Gathered):
            for entry in told.entries:
                yield _of(entry, about)
            return
        said = {"time": timestamp(record.created), **about, "message": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        yield said


class Aside(logging.Handler):
    """Writes records in a thread: whoever starts us and reads no log shall not stop us.

    Records that nobody takes are lost, and how many is said. It writes past Python's own buffers,
    whose locks a thread that waits for a reader would keep until the end.
    """

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._to = stream.fileno()
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(MOST_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="llmproxy-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        try:
            self._waiting.put(None, timeout=LAST_WRITES)
            self._thread.join(LAST_WRITES)
        except queue.Full:
            pass
        super().close()

    def _run(self) -> None:
        while (record := self._waiting.get()) is not None:
            lost, self._lost = self._lost, 0
            try:
                if lost:
                    self._write(_lost(lost))
                self._write(record)
            except OSError:  # the reader has gone
                return

    def _write(self, record: logging.LogRecord) -> None:
        data = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._to, data) :]


def _lost(number: int) -> logging.LogRecord:
    said = f"{number} records of the log were lost: nobody read them"
    return logging.LogRecord("llmproxy", logging.WARNING, "", 0, said, None, None)


def to_stream(stream: TextIO, chosen: Format) -> logging.Handler:
    """A handler that writes to ``stream``; ``auto`` asks whether that is a terminal."""
    human = chosen == "human" or (chosen == "auto" and stream.isatty())
    return Aside(stream, Human() if human else Json())


def _of(entry: Entry, about: dict[str, str]) -> dict[str, Any]:
    message = f"{entry.status} {entry.method} {entry.path}"
    said = {"time": "", **about, "message": message, **members(entry)}
    for name, value in entry.prompt:
        said[f"request_{name}"] = value
    return said


def _written(content: dict[str, Any]) -> str:
    """In ASCII: neither a line break nor anything else that is obeyed is left."""
    return json.dumps(content).replace("\x7f", "\\u007f")
