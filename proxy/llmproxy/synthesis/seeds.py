"""What chance depends on: the same request, the same seed; the same seed, the same reply.

Hashes, not Python's own: they must be equal in every process.
"""

from __future__ import annotations

import functools
from hashlib import blake2b, shake_128
from random import Random

from llmproxy.dialects.operation import ALNUM
from llmproxy.prompt import Prompt


def digest_of(prompt: Prompt) -> bytes:
    """What decides what is said: the same for a stream, for a whole reply, in every dialect."""
    told = (
        prompt.model,
        [
            (m.role, m.text, m.name, [(c.name, c.arguments) for c in m.calls])
            for m in prompt.messages
        ],
        [tool.name for tool in prompt.tools],
        prompt.format,
    )
    return blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def seed_of(*parts: object) -> int:
    """A seed made of parts; the same parts, the same seed, in every process."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())


class Ids:
    """Makes ids in a provider's shape; the same parts, the same ids in the same order."""

    def __init__(self, *parts: object) -> None:
        self._seed = repr(parts).encode()
        self._made = 0

    def __call__(self, prefix: str, length: int, alphabet: str = ALNUM, /) -> str:
        self._made += 1
        chance = shake_128(b"%b:%d" % (self._seed, self._made)).digest(length)
        return prefix + chance.translate(_letters(alphabet)).decode()


@functools.cache
def _letters(alphabet: str) -> bytes:
    """What each byte stands for where ids are made of ``alphabet``."""
    return bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))


@functools.cache
def idle() -> Random:
    """A generator for where nothing is drawn: to seed one would cost more than to reckon."""
    return Random(0)  # noqa: S311  # never drawn from


def key_of(method: str, target: str, body: bytes) -> bytes:
    """What equal requests share."""
    digest = blake2b(f"{method} {target}\n".encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(body)
    return digest.digest()
