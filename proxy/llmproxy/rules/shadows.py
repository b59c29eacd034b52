"""Finds rules that can never answer, because an earlier one always answers before them.

Only what is certain is told: that a condition implies another is known where both are of the
same parts, or where a literal satisfies a pattern. Most rules of a long file ask for one exact
text; such a rule is compared only with those that ask for the same one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from llmproxy.conditions.condition import Condition
from llmproxy.conditions.logic import All, AnyHolds, Leaf
from llmproxy.conditions.matchers import One, TextTest
from llmproxy.conditions.reading import implies
from llmproxy.rules.rule import Recorded, Rule, RuleReply

MOST_COMPARED = 100_000
"""Pairs of rules that are compared; the rest of a longer list is not judged."""

_Literal = tuple[str, str | None, str]
"""A place of a request, and the text that must stand there."""


def dead(rules: Sequence[Rule]) -> list[tuple[Rule, Rule]]:
    """Each rule that can never answer, with the first that always answers before it."""
    found: list[tuple[Rule, Rule]] = []
    certain: defaultdict[_Literal | None, list[tuple[int, Rule]]] = defaultdict(list)
    left = MOST_COMPARED
    for number, rule in enumerate(rules):
        literals = list(_literals(rule.when))
        earlier = [pair for literal in (None, *literals) for pair in certain.get(literal, ())]
        earlier = sorted(earlier, key=lambda pair: pair[0])[:left]
        left -= len(earlier)
        before = next((each for _, each in earlier if _always_answers(each, rule)), None)
        if before is not None:
            found.append((rule, before))
        elif _never_passes(rule):
            certain[next(iter(literals), None)].append((number, rule))
    return found


def _literals(condition: Condition) -> Iterator[_Literal]:
    """The texts that must stand in a request for the condition to hold."""
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _literals(part)
    elif isinstance(condition, Leaf) and condition.single and isinstance(condition.matcher, One):
        test = condition.matcher.test
        if isinstance(test, TextTest) and test.verb.name == "equals" and not test.fold:
            yield condition.row, condition.key, test.text


def _never_passes(rule: Rule) -> bool:
    """Whether it answers each time it holds."""
    may_pass = rule.times is not None or rule.after == "next"
    return not may_pass and not any(_may_have_none(reply) for reply in rule.replies)


def _may_have_none(reply: RuleReply) -> bool:
    """Whether it may leave the request to the next rule: cassettes may not hold it."""
    return isinstance(reply, Recorded) and reply.cassette is None


def _always_answers(earlier: Rule, later: Rule) -> bool:
    """Whether ``earlier`` answers all that ``later`` would."""
    if earlier.needs_text and not (later.needs_text or _asks_for_text(later.when)):
        return False
    if earlier.needs_schema and not later.needs_schema:
        return False
    return implies(later.when, earlier.when)


def _asks_for_text(condition: Condition) -> bool:
    """Whether it holds for requests for text only."""
    if isinstance(condition, All):
        return any(map(_asks_for_text, condition.parts))
    if isinstance(condition, AnyHolds):
        return all(map(_asks_for_text, condition.parts))
    return isinstance(condition, Leaf) and condition.of_prompt
