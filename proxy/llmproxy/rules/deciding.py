"""Which rule answers a request, and which of its replies comes next.

Counters are handed in; what counts them is a session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmproxy.rules.rule import Rule, Slow
from llmproxy.rules.subject import Subject

TooSlow = Callable[[Rule, Slow], None]
"""Is told that a rule was passed over because a regex of it took too long."""


def first(
    rules: Sequence[Rule],
    subject: Subject,
    start: int,
    patience: float,
    too_slow: TooSlow | None = None,
) -> int | None:
    """The first rule from ``start`` on whose conditions hold; None: none does.

    ``patience`` is the seconds that one regex may take.

    Raises:
        Slow: one took longer and nobody wants to be told.
    """
    for number in range(start, len(rules)):
        rule = rules[number]
        try:
            if rule.when.holds(subject, patience) and not unfit(rule, subject):
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
