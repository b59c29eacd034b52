"""Undoes ``content-encoding``: gzip, deflate, br and zstd, several in a row, whole or piece by piece.

Strategy: each coding is a stage that takes bytes and gives bytes; a body passes the stages in
the reverse order of the header. Every stage is told how many bytes it may still give and
stops there, so that a small body cannot fill the memory. Input is fed in small slices: a
gzip body of many tiny members would else be copied once per member.

This file knows nothing of HTTP messages, cassettes or what the bytes mean.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 256 * 2**20
"""Decoded bytes that a body may have where nobody says otherwise; as ``max_request``."""

MOST_CODINGS = 4
"""Codings in a row before a header is taken for an attack."""

_SLICE = 8 * 2**10
_WINDOW_LOG = 23  # RFC 9659: a zstd window on the wire has at most 8 MB


class BodyTooLargeError(ValueError):
    """The decoded body is above the limit: a large upload, or a bomb."""


def decode(data: bytes, encodings: str, limit: int = LIMIT) -> bytes:
    """A whole body without its ``content-encoding``.

    Args:
        data: the body as it came.
        encodings: the header's value, such as ``gzip`` or ``deflate, gzip``.
        limit: bytes that the decoded body may have.

    Raises:
        BodyTooLargeError: the decoded body is above ``limit``.
        ValueError: an unknown coding, a broken body, or one that ends early.
    """
    decoder = Decoder(encodings, limit)
    return decoder.feed(data) + decoder.finish()


def decode_as_far(data: bytes, encodings: str, limit: int = LIMIT) -> tuple[bytes, bool]:
    """What a body decodes to, and whether that is all of it.

    A body that breaks off, is damaged or would exceed ``limit`` gives what came before.
    """
    parts: list[bytes] = []
    try:
        decoder = Decoder(encodings, limit)
        for at in range(0, len(data), _SLICE):
            parts.append(decoder.feed(data[at : at + _SLICE]))  # noqa: PERF401  # what came stays
        parts.append(decoder.finish())
    except ValueError:
        return b"".join(parts), False
    return b"".join(parts), True


class Decoder:
    """Undoes the codings of one body as its bytes come.

    Args:
        encodings: the value of ``content-encoding``; empty and ``identity`` change nothing.
        limit: bytes that the decoded body may have.

    Raises:
        ValueError: an unknown coding, or too many of them.
    """

    __slots__ = ("_limit", "_stages")

    def __init__(self, encodings: str, limit: int = LIMIT) -> None:
        names = [name.strip().lower() for name in encodings.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MOST_CODINGS:
            raise ValueError(f"{len(names)} codings in a row; at most {MOST_CODINGS} are undone")
        self._limit = limit
        self._stages = [_Metered(name, limit) for name in reversed(names)]

    def feed(self, data: bytes) -> bytes:
        """What these bytes decode to, perhaps nothing yet.

        Raises:
            BodyTooLargeError, ValueError: as ``decode``; the decoder is of no use afterwards.
        """
        if not self._stages:
            return data
        view = memoryview(data)
        slices = [view[at : at + _SLICE] for at in range(0, len(data), _SLICE)]
        return b"".join(self._pass(bytes(piece)) for piece in slices)

    def finish(self) -> bytes:
        """The last bytes, once all have been fed; no coding known here holds any back.

        Raises:
            ValueError: the body ends before its codings do.
        """
        for stage in self._stages:
            stage.finish()
        return b""

    def _pass(self, data: bytes) -> bytes:
        for stage in self._stages:
            if not data:
                break
            data = stage.feed(data)
        return data


class _Stage(Protocol):
    """One coding being undone."""

    @property
    def whole(self) -> bool:
        """Whether the bytes so far could be a whole body."""

    def feed(self, data: bytes, room: int) -> bytes:
        """What ``data`` decodes to; more than ``room`` bytes where that is not enough."""


class _Metered:
    """A stage with its name for errors and the room that is left to it."""

    __slots__ = ("_begun", "_limit", "_name", "_room", "_stage")

    def __init__(self, name: str, limit: int) -> None:
        make = _STAGES.get(name)
        if make is None:
            raise ValueError(f"unknown content-encoding {name!r}; known: {', '.join(_STAGES)}")
        self._name = name
        self._stage: _Stage = make()
        self._limit = self._room = limit
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        self._begun = True
        try:
            decoded = self._stage.feed(data, self._room)
        except (zlib.error, zstd.ZstdError, brotli.error, EOFError) as error:
            raise ValueError(f"broken {self._name} body: {error}") from error
        self._room -= len(decoded)
        if self._room < 0:
            raise BodyTooLargeError(
                f"the {self._name} body decodes to more than {self._limit} bytes"
            )
        return decoded

    def finish(self) -> None:
        if self._begun and not self._stage.whole:
            raise ValueError(f"broken {self._name} body: it ends early")


class _Gzip:
    """RFC 1952: members one after the other, each with a decompressor of its own."""

    __slots__ = ("_member", "_pending")

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._pending = True

    @property
    def whole(self) -> bool:
        return not self._pending

    def feed(self, data: bytes, room: int) -> bytes:
        decoded: list[bytes] = []
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding after the last member
                if not data:
                    break
                self._member = zlib.decompressobj(wbits=31)
            decoded.append(self._member.decompress(data, room + 1))
            room -= len(decoded[-1])
            if room < 0:
                break
            data = self._member.unused_data
        self._pending = not self._member.eof
        return b"".join(decoded)


class _Deflate:
    """RFC 1950 as the standard wants it, or bare RFC 1951 as many send it."""

    __slots__ = ("_head", "_stream")

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None

    @property
    def whole(self) -> bool:
        return self._stream is not None and self._stream.eof

    def feed(self, data: bytes, room: int) -> bytes:
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            data = self._head
            zlib_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._stream = zlib.decompressobj(wbits=15 if zlib_header else -15)
        if self._stream.eof:
            raise EOFError("bytes after its end")
        decoded = self._stream.decompress(data, room + 1)
        if self._stream.unused_data:
            raise EOFError("bytes after its end")
        return decoded


class _Brotli:
    """RFC 7932."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def whole(self) -> bool:
        return bool(self._stream.is_finished())

    def feed(self, data: bytes, room: int) -> bytes:
        decoded: list[bytes] = []
        while room >= 0:
            piece = self._stream.process(data, output_buffer_limit=room + 1)
            decoded.append(piece)
            room -= len(piece)
            data = b""
            if self._stream.can_accept_more_data():
                break
        return b"".join(decoded)


class _Zstd:
    """RFC 8878: frames one after the other."""

    __slots__ = ("_frame",)

    def __init__(self) -> None:
        self._frame = self._new()

    @staticmethod
    def _new() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        )

    @property
    def whole(self) -> bool:
        return self._frame.eof

    def feed(self, data: bytes, room: int) -> bytes:
        decoded: list[bytes] = []
        while data:
            if self._frame.eof:
                self._frame = self._new()
            decoded.append(self._frame.decompress(data, room + 1))
            room -= len(decoded[-1])
            if room < 0:
                break
            data = self._frame.unused_data
        return b"".join(decoded)


_STAGES: dict[str, Callable[[], _Stage]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
