"""The settings of what made-up replies say; apart from what they steer, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from llmproxy.kinds import COUNT, FRACTION, RESPONSE_LENGTH, SEED
from llmproxy.setting import setting


@dataclass(frozen=True, slots=True)
class MockSettings:
    """The ``mock:`` group: what made-up replies say."""

    validation: Literal["strict", "lenient"] = setting(
        "strict",
        "whether a request that its provider would refuse is refused; lenient fills in what is missing",
        reload=True,
    )
    style: Literal["pool", "prose", "lorem", "echo", "assistant"] = setting(
        "pool",
        "what is said: one of a pool or lorem ipsum, prose, lorem ipsum, the user's words, an assistant's",
        reload=True,
    )
    text: str | None = setting(None, "the one text that every reply says", reload=True)
    response_length: Annotated[str | int, RESPONSE_LENGTH] | None = setting(
        None, "how long a reply is: in words or in tokens; null as the style has it", reload=True
    )
    longest: Annotated[int, COUNT] = setting(
        32_000, "the most tokens that a reply may have, whatever is asked for", reload=True
    )
    tool_calls: Annotated[float, FRACTION] = setting(
        0.75,
        "how often a reply calls a tool where it may; on a miss of a replay never",
        reload=True,
    )
    parallel_calls: Annotated[int, COUNT] = setting(
        1, "how many tools one reply calls, where the request allows several", reload=True
    )
    text_before_calls: Annotated[float, FRACTION] = setting(
        0.25, "how often something is said before a tool is called", reload=True
    )
    after_tool_result: Literal["text", "any"] = setting(
        "text", "what follows a tool's result; text ends the loop of an agent", reload=True
    )
    stream_usage: Literal["provider", "final_chunk"] = setting(
        "provider",
        "where a chat stream tells its usage: as the provider does, or with the finish reason",
        reload=True,
    )
    seed: Annotated[int | None, SEED] = setting(
        0, "the same seed and request give the same reply; random never", reload=True
    )
