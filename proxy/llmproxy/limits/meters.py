"""All buckets: one for each limit and each client that it was ever used for, within a bound.

Whom a limit is for is decided elsewhere; here a client is any hashable key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import islice

from llmproxy.limits.bucket import Bucket
from llmproxy.limits.limit import Limit, Measure
from llmproxy.limits.strategy import Standing

MOST_BUCKETS = 10_000
_LOOKED_AT = 64
"""Buckets among which one is looked for that may be forgotten."""


@dataclass(frozen=True, slots=True)
class State:
    """How a bucket stands: what was counted, and how many requests run."""

    limit: Limit
    key: Hashable
    standings: tuple[tuple[Measure, Standing], ...]
    running: int


class Meters:
    """The buckets by ``Limit.key`` and client; the one unused for longest is forgotten first.

    Whoever runs a request keeps its bucket and ends it there: it may have been forgotten.
    """

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: OrderedDict[tuple[str, Hashable], Bucket] = OrderedDict()

    def bucket(self, limit: Limit, key: Hashable) -> Bucket:
        """The bucket of a client, made where there is none."""
        place = (limit.key, key)
        bucket = self._buckets.get(place)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._forget_one()
            bucket = self._buckets[place] = Bucket(limit)
        else:
            self._buckets.move_to_end(place)
            if bucket.limit is not limit:
                bucket.rename(limit)
        return bucket

    def reset(self, limit: Limit | None = None, key: Hashable | None = None) -> int:
        """Begin the counts anew of one limit or client, or of all; how many buckets that were."""
        found = [
            bucket
            for (limit_key, each), bucket in self._buckets.items()
            if (limit is None or limit_key == limit.key) and (key is None or each == key)
        ]
        for bucket in found:
            bucket.reset()
        return len(found)

    def keep(self, limits: Iterable[Limit]) -> None:
        """Forget the buckets of all limits but these: a file was read again."""
        keys = {limit.key for limit in limits}
        for place in [place for place in self._buckets if place[0] not in keys]:
            del self._buckets[place]

    def states(self, now: float) -> list[State]:
        """How all buckets stand, the one unused for longest first."""
        return [
            State(bucket.limit, key, bucket.standings(now), bucket.running)
            for (_, key), bucket in self._buckets.items()
        ]

    def _forget_one(self) -> None:
        """Forget the oldest; where it runs something, one of the next that does not."""
        oldest = islice(self._buckets.items(), _LOOKED_AT)
        idle = (place for place, bucket in oldest if not bucket.running)
        del self._buckets[next(idle, next(iter(self._buckets)))]
