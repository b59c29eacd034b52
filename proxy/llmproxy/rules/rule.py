"""What a rule is: a condition, and the replies that it gives in turn.

Values only; ``reading`` makes them, the responder of rules plays them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmproxy.conditions.condition import Condition
from llmproxy.interaction import Headers
from llmproxy.rules.templates import Template
from llmproxy.synthesis.scripted import Failure, Script

if TYPE_CHECKING:  # a fault has a condition, as a rule has
    from llmproxy.faults.fault import Effect

Count = Literal["rule", "prompt", "session"]
"""What moves a rule's replies on, within a session: its own answers, its answers to an equal
prompt, or the answers of all rules that count by session."""

After = Literal["last", "cycle", "next"]
"""What follows the last of several replies: itself, the first, or the next rule."""


@dataclass(frozen=True, slots=True)
class Said:
    """A reply in neutral words; ``template`` gives the text where ``script`` has none."""

    script: Script = field(default_factory=Script)
    template: Template | None = None

    @property
    def is_error(self) -> bool:
        """Whether it is an error and nothing else."""
        return self.script.error is not None and self.script.error.times is None


@dataclass(frozen=True, slots=True)
class Raw:
    """A reply as HTTP has it; ``template`` gives the body where there is one."""

    status: int
    headers: Headers
    body: bytes = b""
    template: Template | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded reply: that of an interaction, or the one that cassettes hold for the request.

    ``cassette`` is a path as written; None: what the cassettes of this replay answer.
    ``stream_error`` breaks a stream off after ``after_chunks`` chunks.
    """

    cassette: str | None = None
    interaction: int = 0
    stream_error: Failure | None = None
    after_chunks: int = 0


@dataclass(frozen=True, slots=True)
class Forward:
    """The reply of a real provider: a known name, or one of ``upstreams:``."""

    upstream: str


RuleReply = Said | Raw | Recorded | Forward


@dataclass(frozen=True, slots=True)
class RulePace:
    """When chunks leave: ``changes`` to the settings of ``pace:``, or a recording's ``factor``.

    ``factor`` is as in ``replay.pace``: 1.0 as recorded, 2.0 twice as fast, ``inf`` at once.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a file.

    Attributes:
        name: as written, else ``rule N``, counted from 1 in its file.
        replies: one or more, given in turn.
        times: how often it answers in a session; None: always.
        fault: what its replies suffer on their way out.
        place: where it stands, such as ``proxy.yml:12``.
        key: equal for a rule that is read again unchanged; unique among the rules of a file.
    """

    name: str
    when: Condition
    replies: tuple[RuleReply, ...]
    count: Count = "rule"
    after: After = "last"
    times: int | None = None
    pace: RulePace | None = None
    fault: Effect | None = None
    place: str = ""
    key: str = ""

    @property
    def needs_text(self) -> bool:
        """Whether it answers only what asks for text: all but errors in neutral words does."""
        return any(isinstance(reply, Said) and not reply.is_error for reply in self.replies)

    @property
    def needs_schema(self) -> bool:
        """Whether it answers only what asks for JSON by a schema."""
        said = (reply for reply in self.replies if isinstance(reply, Said))
        return any(reply.script.schema == "request" for reply in said)
