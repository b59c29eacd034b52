"""Answers with what is made up, in the format of whoever was asked."""

from __future__ import annotations

from llmproxy.asked import Asked
from llmproxy.dressing import labelled
from llmproxy.inquiry import Reader
from llmproxy.interaction import Reply
from llmproxy.maker import Maker
from llmproxy.misses import Misses


class Synthesizer:
    """Makes replies up.

    Args:
        reader, maker: read the request and make the reply.
        misses: on a replay, says why nothing matched; what no operation is for is then left to
            the next responder.
    """

    def __init__(self, reader: Reader, maker: Maker, misses: Misses | None = None) -> None:
        self._reader = reader
        self._maker = maker
        self._misses = misses

    async def __call__(self, asked: Asked) -> Reply | None:
        if asked.dialect is None:
            return None
        inquiry = self._reader(asked)
        if self._misses is None:
            return await self._maker.answer(inquiry)
        if inquiry.route is None:
            return None
        reply = await self._maker.answer(inquiry)
        miss = await self._misses.explain(asked)
        return labelled(reply, (("x-llmproxy-miss", miss.line),), miss=miss.line)
