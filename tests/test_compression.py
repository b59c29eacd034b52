"""Codings are undone whole and piece by piece, and never fill the memory."""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.compression import BodyTooLargeError, Decoder, decode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def pack_brotli(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=3))


def in_pieces(name: str, pieces: list[bytes]) -> bytes:
    decoder = Decoder(name)
    return b"".join(map(decoder.feed, pieces)) + decoder.finish()


PACKERS: dict[str, list[Callable[[bytes], bytes]]] = {
    "gzip": [gzip.compress],
    "x-gzip": [gzip.compress],
    "deflate": [zlib.compress, raw_deflate],
    "br": [pack_brotli],
    "zstd": [zstd.compress],
}
CASES = [(name, pack) for name, packs in PACKERS.items() for pack in packs]
IDS = [f"{name}-{pack.__name__}" for name, pack in CASES]
ROOM = 10**7


@pytest.mark.parametrize(("name", "pack"), CASES, ids=IDS)
@given(data=st.binary(max_size=2000), at=st.integers(1, 2000))
def test_a_body_decodes_the_same_whole_and_in_pieces(
    name: str, pack: Callable[[bytes], bytes], data: bytes, at: int
) -> None:
    packed = pack(data)
    assert decode(packed, name, ROOM) == data
    assert in_pieces(name, [packed[i : i + at] for i in range(0, len(packed), at)]) == data


@pytest.mark.parametrize("header", ["", "identity", " Identity ,", "identity, identity"])
def test_identity_changes_nothing(header: str) -> None:
    assert decode(b"\x1f\x8bplain", header, ROOM) == b"\x1f\x8bplain"


def test_several_codings_are_undone_in_reverse_order() -> None:
    packed = gzip.compress(pack_brotli(zlib.compress(b"question")))
    assert decode(packed, "deflate, BR ,gzip", ROOM) == b"question"


def test_a_gzip_body_of_several_members_and_padding_is_one_body() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 20
    assert decode(packed, "gzip", ROOM) == b"one two"
    assert in_pieces("gzip", [bytes([byte]) for byte in packed]) == b"one two"


def test_several_zstd_frames_are_one_body() -> None:
    assert decode(zstd.compress(b"one ") + zstd.compress(b"two"), "zstd", ROOM) == b"one two"


def test_no_bytes_at_all_are_an_empty_body() -> None:
    assert decode(b"", "gzip, br", ROOM) == b""


def test_a_decoder_gives_bytes_as_soon_as_they_are_known() -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    assert Decoder("gzip").feed(first) == b"data: 1\n\n"


@pytest.mark.parametrize(("name", "pack"), CASES, ids=IDS)
def test_a_body_that_ends_early_is_broken(name: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(range(256)) * 20)
    with pytest.raises(ValueError, match=f"broken {name} body") as raised:
        decode(packed[:-3], name, ROOM)
    assert not isinstance(raised.value, BodyTooLargeError)


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_bytes_that_are_something_else_are_a_broken_body(name: str) -> None:
    with pytest.raises(ValueError, match=f"broken {name} body"):
        decode(b'{"model":"m"}', name, ROOM)


@pytest.mark.parametrize("junk", [b"x", b"junk after the end"])
@pytest.mark.parametrize(("name", "pack"), CASES, ids=IDS)
def test_junk_after_the_end_is_a_broken_body(
    name: str, pack: Callable[[bytes], bytes], junk: bytes
) -> None:
    with pytest.raises(ValueError, match="broken"):
        in_pieces(name, [pack(b"question"), junk])
    with pytest.raises(ValueError, match="broken"):
        decode(pack(b"question") + junk, name, ROOM)


@pytest.mark.parametrize(("name", "pack"), CASES, ids=IDS)
def test_a_bomb_stops_at_the_limit(name: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"\0" * 30_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLargeError, match="more than 1000000 bytes"):
        decode(bomb, name, 1_000_000)
    assert len(decode(bomb, name, 30_000_000)) == 30_000_000


def test_a_bomb_inside_a_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 30_000_000))
    with pytest.raises(BodyTooLargeError):
        decode(bomb, "gzip, gzip", 1_000_000)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_many_tiny_members_take_linear_time(pack: Callable[[bytes], bytes]) -> None:
    name = "gzip" if pack is gzip.compress else "zstd"
    body = pack(b"") * 20_000
    began = time.process_time()
    assert decode(body, name, ROOM) == b""
    assert time.process_time() - began < 3


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(ValueError, match="unknown content-encoding 'compress'"):
        decode(b"x", "gzip, compress", ROOM)


def test_a_long_row_of_codings_is_refused() -> None:
    with pytest.raises(ValueError, match="5 codings in a row"):
        Decoder("gzip, gzip, gzip, gzip, gzip")
