"""Upstreams: their names and the URLs behind them. One table says where a known name leads.

Origins and base paths are from the providers' own documentation. Where a provider serves
several roots (``/v1`` and ``/anthropic``, ``/api`` and ``/v1``) the base path is empty.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from llmproxy.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Known:
    """Where a name leads.

    ``lines`` are the environment variables that point an SDK there, each with the path
    that the SDK expects behind the origin; ``local`` says that it is a server of one's own.
    """

    origin: str
    base_path: str
    dialect: str
    lines: tuple[tuple[str, str], ...]

    @property
    def local(self) -> bool:
        return self.origin.startswith("http://")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A real provider to forward to.

    ``origin`` is scheme, host and any port but the default one; ``base_path`` is empty or
    begins with a slash and ends with none; ``dialect`` is None where it cannot be told;
    ``named`` says that it stands in the table.
    """

    name: str
    origin: str
    base_path: str
    dialect: str | None
    named: bool


def _compatible(
    origin: str, base_path: str = "", path: str = "/v1", *lines: tuple[str, str]
) -> Known:
    """Whoever speaks OpenAI's format; ``path`` is where that begins."""
    return Known(origin, base_path, "openai", (("OPENAI_BASE_URL", path), *lines))


KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        "openai": _compatible("https://api.openai.com", "/v1"),
        "anthropic": Known(
            "https://api.anthropic.com", "/v1", "anthropic", (("ANTHROPIC_BASE_URL", ""),)
        ),
        "gemini": Known(
            "https://generativelanguage.googleapis.com",
            "",
            "gemini",
            (("GOOGLE_GEMINI_BASE_URL", ""),),
        ),
        "cerebras": _compatible("https://api.cerebras.ai", "/v1", "/v1", ("CEREBRAS_BASE_URL", "")),
        "cohere": _compatible(
            "https://api.cohere.com", "", "/compatibility/v1", ("CO_API_URL", "")
        ),
        "dashscope": _compatible("https://dashscope-intl.aliyuncs.com", "", "/compatible-mode/v1"),
        "deepinfra": _compatible("https://api.deepinfra.com", "", "/v1/openai"),
        "deepseek": _compatible("https://api.deepseek.com", "", ""),
        "fireworks": _compatible("https://api.fireworks.ai", "/inference/v1", "/inference/v1"),
        "github": _compatible("https://models.github.ai", "", "/inference"),
        "groq": _compatible(
            "https://api.groq.com", "/openai/v1", "/openai/v1", ("GROQ_BASE_URL", "")
        ),
        "huggingface": _compatible("https://router.huggingface.co"),
        "jina": _compatible("https://api.jina.ai", "/v1"),
        "mistral": _compatible("https://api.mistral.ai", "/v1"),
        "moonshot": _compatible("https://api.moonshot.ai"),
        "nvidia": _compatible("https://integrate.api.nvidia.com", "/v1"),
        "openrouter": _compatible("https://openrouter.ai", "/api/v1", "/api/v1"),
        "perplexity": _compatible("https://api.perplexity.ai", "", ""),
        "sambanova": _compatible("https://api.sambanova.ai", "/v1"),
        "together": _compatible(
            "https://api.together.xyz", "/v1", "/v1", ("TOGETHER_BASE_URL", "/v1")
        ),
        "vercel": _compatible("https://ai-gateway.vercel.sh", "/v1"),
        "voyage": _compatible("https://api.voyageai.com", "/v1"),
        "xai": _compatible("https://api.x.ai", "/v1"),
        "zai": _compatible("https://api.z.ai", "", "/api/paas/v4"),
        "litellm": _compatible("http://127.0.0.1:4000"),
        "llamacpp": _compatible("http://127.0.0.1:8080"),
        "lmstudio": _compatible("http://127.0.0.1:1234"),
        "localai": _compatible("http://127.0.0.1:8080"),
        "ollama": Known(
            "http://127.0.0.1:11434",
            "",
            "ollama",
            (("OLLAMA_HOST", ""), ("OPENAI_BASE_URL", "/v1")),
        ),
        "sglang": _compatible("http://127.0.0.1:30000"),
        "vllm": _compatible("http://127.0.0.1:8000"),
    }
)
"""The names that need no URL."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {"google": "gemini", "hf": "huggingface", "llama.cpp": "llamacpp", "lm-studio": "lmstudio"}
)
"""Other spellings of names."""

SPEAKS = {
    "ANTHROPIC_BASE_URL": "anthropic",
    "GOOGLE_GEMINI_BASE_URL": "gemini",
    "OLLAMA_HOST": "ollama",
    "CO_API_URL": "cohere",
}
"""Whose requests a variable brings, where not OpenAI's; nobody claims Cohere's."""
_BY_ORIGIN = {known.origin: known.dialect for known in KNOWN.values() if not known.local}
_NAME = re.compile(r"[a-z0-9][a-z0-9._:-]*")
_HOST = re.compile(r"[a-z0-9._~-]+|[0-9a-f:.]*:[0-9a-f:.]*")
DEFAULT_PORTS = {"http": 80, "https": 443}
RESERVED_NAMES = frozenset({"s", "_llmproxy"})
"""First segments of a path that are our own, so no upstream may be called so."""
_WAYS = "write a known name, a URL such as https://host/v1, or name=URL"


def parse_upstreams(texts: Sequence[str], extra: Mapping[str, str]) -> tuple[Upstream, ...]:
    """All upstreams of a run.

    Raises:
        SettingsError: as ``parse_upstream``, or two have one name.
    """
    upstreams = tuple(parse_upstream(text, extra) for text in texts)
    name, times = next(iter(Counter(u.name for u in upstreams).most_common(1)), ("", 0))
    if times > 1:
        raise SettingsError(
            f"{times} upstreams are called {name}",
            "leave one out, or give it a name of its own: other=https://host/v1",
        )
    return upstreams


def parse_upstream(text: str, extra: Mapping[str, str]) -> Upstream:
    """One upstream as somebody wrote it: a name, a URL, or name=URL.

    Args:
        text: what was written; names may be in any case.
        extra: the setting ``upstreams``: more names, each with its URL; they come first.

    Raises:
        SettingsError: it is none of these, or its URL cannot be used.
    """
    text = text.strip()
    before, sign, after = text.partition("=")
    if sign and "://" not in before:
        return _from_url(after.strip(), _checked_name(before.strip().lower(), text))
    if "://" in text:
        return _from_url(text)
    return _from_name(text, {name.lower(): url for name, url in extra.items()})


def _from_name(text: str, extra: Mapping[str, str]) -> Upstream:
    name = text.lower()
    if name in extra:
        return _from_url(extra[name].strip(), _checked_name(name, text), "the setting upstreams: ")
    name = ALIASES.get(name, name)
    if known := KNOWN.get(name):
        return Upstream(name, known.origin, known.base_path, known.dialect, named=True)
    hint = _WAYS
    if near := difflib.get_close_matches(name, [*extra, *KNOWN, *ALIASES], 1):
        hint = f"did you mean {near[0]}? Else {_WAYS}"
    elif "." in name or ":" in name or name == "localhost":
        hint = f"a URL begins with http:// or https://; {_WAYS}"
    raise SettingsError(f"there is no upstream {_shown(text)!r}", hint)


def _from_url(url: str, name: str = "", place: str = "") -> Upstream:
    """An upstream whose name, if it has none, is its host."""

    def refuse(why: str, hint: str = _WAYS) -> SettingsError:
        return SettingsError(f"{place}the upstream {_shown(url)!r} {why}", hint)

    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise refuse("has characters that no URL has", "percent-encode them")
    if "?" in url or "#" in url:
        raise refuse("has a query or a fragment", "credentials belong in the client's own request")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise refuse("is no URL: its host or port is broken") from None
    if "@" in parts.netloc:
        raise refuse("has credentials", "they belong in the client's own request headers")
    if parts.scheme not in DEFAULT_PORTS:
        raise refuse("is no http:// or https:// URL")
    if not _HOST.fullmatch(host) or port == 0:
        raise refuse("has no host" if not host else "is no URL: its host or port is broken")
    authority = f"[{host}]" if ":" in host else host
    if port not in {None, DEFAULT_PORTS[parts.scheme]}:
        authority += f":{port}"
    origin = f"{parts.scheme}://{authority}"
    name = name or _checked_name(re.sub(r"^[^a-z0-9]+|[^a-z0-9._:-]", "", authority), url)
    known = KNOWN.get(name)
    dialect = known.dialect if known else _BY_ORIGIN.get(origin)
    return Upstream(name, origin, parts.path.rstrip("/"), dialect, named=False)


def _checked_name(name: str, text: str) -> str:
    if _NAME.fullmatch(name) and name not in RESERVED_NAMES:
        return name
    raise SettingsError(
        f"the upstream {_shown(text)!r} has no name that can stand in a path",
        "a name has letters, digits, '.', '_', ':' and '-', begins with a letter or a digit, and "
        "is not 's', which is for sessions: name=https://host/v1",
    )


def _shown(text: str) -> str:
    """What an error may quote: no credentials, no query, not much."""
    scheme, sign, rest = text.partition("://")
    if "@" in text:
        return f"{scheme}{sign}…" if sign else "…"
    if not sign:
        return text if len(text) <= 32 else f"{text[:16]}…"
    return scheme[:32] + sign + re.split(r"[?#]", rest, maxsplit=1)[0][:80]
