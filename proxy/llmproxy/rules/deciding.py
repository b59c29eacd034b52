"""Which rule answers a request, and which of its replies comes next.

Counters and the clock are handed in; what counts is a session. Whoever decides where others wait
gives little time: what then takes longer is decided again elsewhere, with more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmproxy.conditions.condition import Slow
from llmproxy.conditions.subject import Subject
from llmproxy.rules.rule import Rule

TooSlow = Callable[[Rule, Slow], None]
"""Is told that a rule was passed over because it took too long to decide."""

DEAR = 3
"""The cost of conditions from which on a rule is not tried without a look at the clock."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long deciding may take, in seconds: one regex, and all rules together.

    ``clock`` is a reading of seconds that only ever grows.
    """

    regex: float
    all: float
    clock: Callable[[], float]


def first(
    rules: Sequence[Rule],
    subject: Subject,
    start: int,
    patience: Patience,
    too_slow: TooSlow | None = None,
) -> int | None:
    """The first rule from ``start`` on whose conditions hold; None: none does.

    Where all the time is used up, rules that are cheap to decide are still tried.

    Raises:
        Slow: it took longer and nobody wants to be told.
    """
    until = patience.clock() + patience.all
    for number in range(start, len(rules)):
        rule = rules[number]
        regex = patience.regex
        try:
            if rule.when.cost >= DEAR:
                regex = min(regex, until - patience.clock())
                if regex <= 0:
                    raise Slow("all rules together took too long")
            if rule.when.holds(subject, regex) and not unfit(rule, subject):
                return number
        except Slow as slow:
            if too_slow is None:
                raise
            too_slow(rule, slow)
    return None


def unfit(rule: Rule, subject: Subject) -> str:
    """Why the replies of a rule do not fit what is asked, whatever its conditions; else empty."""
    if rule.needs_text and subject.prompt is None:
        why = subject.refused or f"{subject.method} {subject.path} asks for no text"
        return f"its reply is text: {why}"
    if rule.needs_schema:
        format = subject.prompt and subject.prompt.format
        if not format or format.schema is None:
            return "its reply is JSON by the schema asked for: the request has none"
    return ""


def reply_number(rule: Rule, before: int) -> int | None:
    """Which of its replies a rule gives after ``before`` others; None: it has none left."""
    most = len(rule.replies)
    if before < most:
        return before
    if rule.after == "cycle":
        return before % most
    return most - 1 if rule.after == "last" else None
