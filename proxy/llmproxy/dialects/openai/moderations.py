"""OpenAI's Moderations.

Strategy: nothing is judged. Each category has a few phrases that flag it, enough to see a
program handle a flagged text; every other score is a small number made from the input, the same
in each run. Facts are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from llmproxy.dialects.openai import words
from llmproxy.dialects.operation import Call, Means, Plain, PlainReply
from llmproxy.dialects.reading import Fields

_PATH = re.compile(r"(?:^|/)moderations/?$")
_MODEL = "omni-moderation-latest"
_FLAGGED = 0.9
_MOST_INPUTS = 2048

PHRASES: dict[str, tuple[str, ...]] = {
    "harassment": ("you are worthless", "you are pathetic"),
    "harassment/threatening": ("i will hurt you", "i will kill you"),
    "hate": ("they are subhuman", "they are vermin"),
    "hate/threatening": ("exterminate them all",),
    "illicit": ("build a bomb", "cook meth", "launder money"),
    "illicit/violent": ("build a bomb",),
    "self-harm": ("suicide", "kill myself", "hurt myself"),
    "self-harm/instructions": ("how to kill myself", "how to hurt myself"),
    "self-harm/intent": ("i want to die", "i want to kill myself", "i will kill myself"),
    "sexual": ("pornography", "explicit sex"),
    "sexual/minors": ("child pornography",),
    "violence": ("kill them", "kill him", "kill her", "kill you", "murder"),
    "violence/graphic": ("dismember", "behead"),
}
"""The phrases that flag a category, found as whole words in any case."""

_OF_IMAGES = frozenset(
    {
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "violence",
        "violence/graphic",
    }
)
_WHOLE = {
    phrase: re.compile(rf"\b{phrase}\b") for phrases in PHRASES.values() for phrase in phrases
}


def moderate(call: Call, means: Means) -> PlainReply:
    """One result a text; parts of several kinds have one result together.

    Raises:
        Refused: the input is missing, empty or of a wrong type.
    """
    fields = Fields.of_body(call.body, words.WORDING)
    model = fields.text("model") or _MODEL
    results = [_result(*given) for given in _read_inputs(fields)]
    return PlainReply({"id": means.new_id("modr-", 29), "model": model, "results": results})


def _read_inputs(fields: Fields) -> list[tuple[str, tuple[str, ...]]]:
    """Each text and the kinds of input, ``text`` and ``image``, that it stands for."""
    value = fields.get("input")
    if value is None:
        fields.refuse_missing("input")
    if isinstance(value, str):
        return [(value, ("text",))]
    if not isinstance(value, list):
        fields.refuse_type("input", "a string or an array", value)
    if not value:
        fields.refuse("input", "must not be empty")
    if len(value) > _MOST_INPUTS:
        fields.refuse("input", f"must hold at most {_MOST_INPUTS} inputs")
    if isinstance(value[0], dict):
        return [_read_parts(fields)]
    return [(text, ("text",)) for text in fields.texts("input")]


def _read_parts(fields: Fields) -> tuple[str, tuple[str, ...]]:
    texts, kinds = [], set()
    for part in fields.groups("input"):
        if part.text("type", "text", "image_url") == "text":
            text = part.text("text")
            if text is None:
                part.refuse_missing("text")
            texts.append(text)
            kinds.add("text")
            continue
        part.required_text("type")
        image = part.group("image_url")
        if image is None:
            part.refuse_missing("image_url")
        texts.append(image.required_text("url"))
        kinds.add("image")
    return "\n".join(texts), tuple(sorted(kinds, reverse=True))


def _result(text: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    lowered = text.lower()
    flags = {category: _has_any(lowered, phrases) for category, phrases in PHRASES.items()}
    seed = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {
            category: _score(seed.digest(), number, flagged=flag)
            for number, (category, flag) in enumerate(flags.items())
        },
        "category_applied_input_types": {
            category: [kind for kind in kinds if kind == "text" or category in _OF_IMAGES]
            for category in flags
        },
    }


def _has_any(lowered: str, phrases: tuple[str, ...]) -> bool:
    """A plain search comes first: it is a hundred times as fast, and mostly finds nothing."""
    return any(phrase in lowered and _WHOLE[phrase].search(lowered) for phrase in phrases)


def _score(digest: bytes, number: int, *, flagged: bool) -> float:
    """Between 0 and 0.001, or above 0.9 where the category is flagged."""
    small = (1 + digest[2 * number] * 256 + digest[2 * number + 1]) / 2**16 / 1000
    return round(_FLAGGED + 90 * small if flagged else small, 9)


MODERATIONS = (Plain("openai_moderations", "POST", _PATH, moderate, slow=True),)
