"""When chunks leave: from recorded moments to the moments of a replay.

Moments are seconds after the request. Deadlines follow from them by addition, never by
sleep after sleep, so nothing drifts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a recorded reply is played.

    ``factor`` 1.0 is the recorded rhythm, 2.0 twice as fast, ``inf`` at once.
    ``max_pause`` bounds each gap, in recorded seconds before ``factor`` is applied.
    """

    factor: float = 1.0
    max_pause: float | None = None

    @property
    def as_recorded(self) -> bool:
        return self.factor == 1.0 and self.max_pause is None

    def retime(self, moments: Sequence[float]) -> list[float]:
        """The moments of the replay for recorded ``moments``, which ascend from the request."""
        if math.isinf(self.factor):
            return [0.0] * len(moments)
        if self.max_pause is None:
            return [moment / self.factor for moment in moments]
        played = before = 0.0
        times = []
        for moment in moments:
            played += min(moment - before, self.max_pause)
            before = moment
            times.append(played / self.factor)
        return times
