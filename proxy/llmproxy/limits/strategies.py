"""The strategies by the names that a file gives them.

To add one: write a class that keeps ``strategy.Strategy``, in ``windows``, ``buckets``,
``scripted`` or a module of its own; give it a line here. Its ``members`` say what a file may
say of it; a member that is new also needs a field in ``strategy.Plan`` and ``limit.Limit`` and
a reader in ``reading``. The tests run over all of this table: one that counts by a rate is held
to every property there is.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmproxy.limits.buckets import LeakyBucket, TokenBucket
from llmproxy.limits.scripted import AfterN, Always, Random, Unlimited
from llmproxy.limits.strategy import Strategy
from llmproxy.limits.windows import FixedWindow, SlidingWindow

NONE = "none"
DEFAULT = "token-bucket"
"""The strategy of a limit that names none but a rate: how OpenAI and Anthropic count."""
RANDOM = "random"

STRATEGIES: Mapping[str, type[Strategy]] = {
    NONE: Unlimited,
    "fixed-window": FixedWindow,
    "sliding-window": SlidingWindow,
    DEFAULT: TokenBucket,
    "leaky-bucket": LeakyBucket,
    "after-n": AfterN,
    RANDOM: Random,
    "always": Always,
}
