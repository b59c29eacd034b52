"""The models that a server without a provider knows: names, owners, sizes.

Data from the providers' public lists and from the settings' ``models:`` group; no request is
ever refused by it unless the settings say so. Knows no wire format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["openai", "anthropic", "gemini", "ollama"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    ``created`` is in seconds since the epoch, 0 where nobody said; ``description`` is a few
    words (Anthropic's and Google's display name, Ollama's number of parameters); ``context``
    and ``longest`` are the most tokens in and out; ``dimensions`` is the length of an
    embedding, 0 where it makes none.
    """

    id: str
    family: Family = "openai"
    owner: str = ""
    created: int = 0
    description: str = ""
    context: int = 128_000
    longest: int = 16_384
    dimensions: int = 0


def _openai(
    id: str, created: int = 0, context: int = 128_000, longest: int = 16_384, dimensions: int = 0
) -> Model:
    return Model(id, "openai", "system", created, "", context, longest, dimensions)


def _claude(
    id: str, name: str, created: int = 0, context: int = 200_000, longest: int = 64_000
) -> Model:
    return Model(id, "anthropic", "anthropic", created, name, context, longest)


def _gemini(id: str, name: str, longest: int = 65_536) -> Model:
    return Model(id, "gemini", "google", 0, name, 1_048_576, longest)


def _ollama(id: str, created: int, parameters: str, context: int, dimensions: int = 0) -> Model:
    return Model(id, "ollama", "library", created, parameters, context, context, dimensions)


_MOCKED = (
    Model("gpt-4o", owner="mock-server", created=1_715_367_049),
    Model("gpt-4o-mini", owner="mock-server", created=1_721_172_741),
    Model("gpt-4-turbo", owner="mock-server", created=1_712_361_441, longest=4_096),
    Model(
        "gpt-3.5-turbo",
        owner="mock-server",
        created=1_677_610_602,
        context=16_385,
        longest=4_096,
    ),
    Model("mock-gpt4", owner="mock", description="Answers with what it is told to", context=8_192),
)
"""What two of the seeds list, owned as they say (002-9, 003-1)."""

_PACED = tuple(
    Model(id, owner="openai-stream-mocker", description=description, context=context)
    for id, description, context in (
        ("llama-3-8b", "Llama 3 with 8 billion parameters", 8_192),
        ("llama-3-70b", "Llama 3 with 70 billion parameters", 8_192),
        ("codellama-13b", "Code Llama with 13 billion parameters", 16_384),
        ("codellama-34b", "Code Llama with 34 billion parameters", 16_384),
        ("deepseek-r1", "DeepSeek R1, which shows its reasoning", 128_000),
        ("gpt-3.5-turbo-16k", "GPT-3.5 Turbo with a longer context", 16_385),
        ("gpt-4", "GPT-4", 8_192),
        ("gpt-4-32k", "GPT-4 with a longer context", 32_768),
        ("claude-2", "Claude 2", 100_000),
        ("claude-instant", "Claude Instant", 100_000),
    )
)
"""The models whose speeds a seed tells (004-16)."""

_OPENAI = (
    _openai("gpt-4.1", 1_744_316_542, 1_047_576, 32_768),
    _openai("gpt-4.1-mini", 1_744_318_173, 1_047_576, 32_768),
    _openai("gpt-4.1-nano", 1_744_321_707, 1_047_576, 32_768),
    _openai("gpt-5", 1_754_425_777, 400_000, 128_000),
    _openai("gpt-5-mini", 1_754_425_928, 400_000, 128_000),
    _openai("gpt-5-nano", 1_754_426_384, 400_000, 128_000),
    _openai("gpt-5.1", 1_762_992_000, 400_000, 128_000),
    _openai("gpt-5.2", 1_765_411_200, 400_000, 128_000),
    _openai("gpt-5.4", 0, 400_000, 128_000),
    _openai("gpt-5.4-mini", 1_773_705_600, 400_000, 128_000),
    _openai("gpt-5.4-nano", 1_773_705_600, 400_000, 128_000),
    _openai("gpt-5.5", 1_776_902_400, 400_000, 128_000),
    _openai("gpt-6-sol", 0, 400_000, 128_000),
    _openai("gpt-6-luna", 0, 400_000, 128_000),
    _openai("o1", 1_734_375_816, 200_000, 100_000),
    _openai("o3", 1_744_225_308, 200_000, 100_000),
    _openai("o3-mini", 1_737_146_383, 200_000, 100_000),
    _openai("o4-mini", 1_744_225_351, 200_000, 100_000),
    _openai("gpt-3.5-turbo-instruct", 1_692_901_427, 4_096, 4_096),
    _openai("text-embedding-3-small", 1_705_948_997, 8_192, 0, 1536),
    _openai("text-embedding-3-large", 1_705_953_180, 8_192, 0, 3072),
    _openai("text-embedding-ada-002", 1_671_217_299, 8_192, 0, 1536),
    _openai("omni-moderation-latest", 1_731_689_265, 32_768, 0),
)

_ANTHROPIC = (
    _claude("claude-opus-5-5", "Claude Opus 5.5"),
    _claude("claude-sonnet-5-5", "Claude Sonnet 5.5"),
    _claude("claude-haiku-5-5", "Claude Haiku 5.5"),
    _claude("claude-opus-5", "Claude Opus 5"),
    _claude("claude-sonnet-5", "Claude Sonnet 5"),
    _claude("claude-opus-4-8", "Claude Opus 4.8"),
    _claude("claude-opus-4-6", "Claude Opus 4.6"),
    _claude("claude-sonnet-4-6", "Claude Sonnet 4.6"),
    _claude("claude-opus-4-5-20251101", "Claude Opus 4.5", 1_763_942_400),
    _claude("claude-haiku-4-5-20251001", "Claude Haiku 4.5", 1_760_486_400),
    _claude("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", 1_759_104_000),
    _claude("claude-opus-4-1-20250805", "Claude Opus 4.1", 1_754_352_000, longest=32_000),
    _claude("claude-sonnet-4-20250514", "Claude Sonnet 4", 1_747_872_000),
    _claude("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", 1_740_355_200),
    _claude("claude-3-5-sonnet-20241022", "Claude Sonnet 3.5 (New)", 1_729_555_200, longest=8_192),
    _claude("claude-3-5-haiku-20241022", "Claude Haiku 3.5", 1_729_555_200, longest=8_192),
    _claude("claude-3-opus-20240229", "Claude Opus 3", 1_709_164_800, longest=4_096),
    _claude("claude-3-haiku-20240307", "Claude Haiku 3", 1_709_769_600, longest=4_096),
)

_GEMINI = (
    _gemini("gemini-3.8-flash", "Gemini 3.8 Flash"),
    _gemini("gemini-3.5-flash", "Gemini 3.5 Flash"),
    _gemini("gemini-3-pro-preview", "Gemini 3 Pro Preview"),
    _gemini("gemini-2.5-pro", "Gemini 2.5 Pro"),
    _gemini("gemini-2.5-flash", "Gemini 2.5 Flash"),
    _gemini("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite"),
    _gemini("gemini-2.0-flash", "Gemini 2.0 Flash", 8_192),
    _gemini("gemini-2.0-flash-lite", "Gemini 2.0 Flash-Lite", 8_192),
    _gemini("gemini-1.5-pro", "Gemini 1.5 Pro", 8_192),
    _gemini("gemini-1.5-flash", "Gemini 1.5 Flash", 8_192),
    Model(
        "gemini-embedding-001",
        "gemini",
        "google",
        description="Gemini Embedding 001",
        context=2_048,
        longest=1,
        dimensions=3072,
    ),
)

_OLLAMA = (
    _ollama("llama3.2:latest", 1_727_222_400, "3.2B", 131_072),
    _ollama("llama3.1:8b", 1_721_692_800, "8.0B", 131_072),
    _ollama("qwen3:8b", 1_745_798_400, "8.2B", 40_960),
    _ollama("gemma3:4b", 1_741_737_600, "4.3B", 131_072),
    _ollama("deepseek-r1:8b", 1_748_390_400, "8.2B", 131_072),
    _ollama("gpt-oss:20b", 1_754_352_000, "20.9B", 131_072),
    _ollama("nomic-embed-text:latest", 1_706_745_600, "137M", 2_048, 768),
)

KNOWN: tuple[Model, ...] = _MOCKED + _PACED + _OPENAI + _ANTHROPIC + _GEMINI + _OLLAMA
"""Every model that is known without settings."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models known; ``strict``: others do not exist."""

    models: tuple[Model, ...] = KNOWN
    strict: bool = False

    def of(self, family: Family) -> tuple[Model, ...]:
        """What that provider lists."""
        return tuple(model for model in self.models if model.family == family)

    def find(self, id: str) -> Model | None:
        """The model of that name; ``x`` finds ``x:latest``, as Ollama has it."""
        names = (id, f"{id}:latest")
        return next((model for model in self.models if model.id in names), None)

    def exists(self, id: str) -> bool:
        """Whether a request may name it: a name with a colon always may, as Ollama's tags do."""
        return not self.strict or ":" in id or self.find(id) is not None
