"""Ollama's native API below ``/api/``; its ``/v1`` speaks OpenAI's.

Strategy: what there is to know of the dialect stands here, and what it answers at once; what a
model writes is in ``ollama/generate.py``. Errors are ``{"error": "text"}``, in a stream as well.
Facts are from Ollama's API document.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from llmproxy import sse
from llmproxy.dialects import facts, failures
from llmproxy.dialects.dialect import Dialect, ErrorReply
from llmproxy.dialects.ollama.generate import (
    WORDING,
    WRITING,
    moment,
    nanoseconds,
    read_model,
    thinks,
)
from llmproxy.dialects.operation import (
    Call,
    Means,
    Plain,
    PlainReply,
    Refused,
    encode,
    encode_rows,
)
from llmproxy.dialects.reading import Fields
from llmproxy.interaction import Facts, Headers, Problem
from llmproxy.models import Model
from llmproxy.synthesis.vectors import unit_vector

_PATH = re.compile(
    r"(?:^|/)api/(?:chat|generate|embed|embeddings|tags|show|ps|version|pull|push|create|copy"
    r"|delete|blobs/[^/]+)/?$"
)
_STREAMS = ("/api/chat", "/api/generate")
_USAGE_MARK = re.compile(rb'"(?:prompt_eval_count|eval_count)"\s*:')
_VERSION = "0.13.0"
_DIMENSIONS, _MOST_DIMENSIONS = 768, 4096


def claims(_method: str, path: str, _headers: Headers, _query: str) -> bool:
    """Whether the path is one of Ollama's own."""
    return _PATH.search(path) is not None


def write_error(problem: Problem) -> ErrorReply:
    """The text and, beside it, our detail."""
    return failures.reply(problem, _error(problem))


def write_stream_error(problem: Problem, _path: str = "") -> bytes:
    """One more line of NDJSON."""
    return failures.encode(_error(problem)) + b"\n"


def stream_failed(content_type: str, body: bytes) -> str | None:
    """A line with an error among the last ones."""
    for event in sse.last_records(content_type, body):
        error = failures.parse_object(event.data).get("error")
        if error is not None:
            return failures.words(error or True, "error line")
    return None


def read_facts(path: str, body: bytes, content_type: str, reply: bytes) -> Facts:
    """Model and stream from the body, tokens from the last record."""
    asked = facts.request_members(body, "model", "stream")
    stream = path.rstrip("/").endswith(_STREAMS) and asked.get("stream") is not False
    entering, leaving = facts.usage(content_type, reply, _USAGE_MARK, _usage)
    return Facts(facts.model_name(asked.get("model")), stream, entering, leaving)


def _error(problem: Problem) -> dict[str, Any]:
    return failures.with_detail(problem, {"error": problem.message})


def _usage(record: dict[str, Any]) -> facts.Usage:
    return facts.count(record.get("prompt_eval_count")), facts.count(record.get("eval_count"))


def embed(call: Call, means: Means) -> PlainReply:
    """``/api/embed``: unit vectors of one text or several."""
    fields = Fields.of_body(call.body, WORDING)
    model = read_model(call, fields)
    given = fields.get("input")
    texts = (given,) if isinstance(given, str) else fields.texts("input")
    fields.flag("truncate", default=True)
    size = fields.integer("dimensions", 1, _MOST_DIMENSIONS) or _dimensions(model, means)
    total = nanoseconds(means)
    rows = (unit_vector(text, size) for text in texts)
    body = {
        "model": model,
        "embeddings": [],
        "total_duration": total,
        "load_duration": total // 100,
        "prompt_eval_count": sum(map(means.count, texts)),
    }
    return PlainReply(encode_rows(body, "embeddings", rows))


def embed_one(call: Call, means: Means) -> PlainReply:
    """``/api/embeddings``, the older one."""
    fields = Fields.of_body(call.body, WORDING)
    model, text = read_model(call, fields), fields.text("prompt")
    vector = unit_vector(text, _dimensions(model, means)) if text else ()
    return PlainReply({"embedding": vector})


def _dimensions(model: str, means: Means) -> int:
    known = means.models.find(model)
    return known.dimensions if known and known.dimensions else _DIMENSIONS


def list_models(_call: Call, means: Means) -> PlainReply:
    """``/api/tags``: the models at hand."""
    return PlainReply({"models": list(map(_row, means.models.of("ollama")))})


def list_loaded(_call: Call, means: Means) -> PlainReply:
    """``/api/ps``: all of them are loaded, for five minutes more."""
    until = moment(means.created + 300)
    rows = [
        {**_row(model), "expires_at": until, "size_vram": 0, "context_length": model.context}
        for model in means.models.of("ollama")
    ]
    return PlainReply({"models": rows})


def show_model(call: Call, means: Means) -> PlainReply:
    """``/api/show``: one model; where names are free, of any name."""
    id = read_model(call, Fields.of_body(call.body, WORDING))
    if not means.models.exists(id):
        raise Refused(Problem(404, f"model '{id}' not found", code="model_not_found"))
    model = means.models.find(id) or Model(id, "ollama", description="7B")
    thinking = ["thinking"] if thinks(id) else []
    details = _details(model)
    info = {
        "general.architecture": details["family"],
        "general.parameter_count": _parameters(model),
        f"{details['family']}.context_length": model.context,
    }
    body = {
        "modelfile": f"FROM {model.id}\n",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details,
        "model_info": info,
        "capabilities": ["embedding"] if model.dimensions else ["completion", "tools", *thinking],
        "modified_at": moment(model.created),
    }
    return PlainReply(body)


def _row(model: Model) -> dict[str, Any]:
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": moment(model.created),
        "size": _parameters(model) * 6 // 10,
        "digest": hashlib.sha256(model.id.encode("utf-8", "replace")).hexdigest(),
        "details": _details(model),
    }


def _details(model: Model) -> dict[str, Any]:
    found = re.search(r"[a-z]+", model.id.rpartition("/")[2])
    family = found[0] if found else "llama"
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": model.description,
        "quantization_level": "Q4_K_M",
    }


def _parameters(model: Model) -> int:
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)([MB])", model.description)
    return int(float(found[1]) * {"M": 1e6, "B": 1e9}[found[2]]) if found else 0


def pull_model(call: Call, _means: Means) -> PlainReply:
    """``/api/pull``: any model is there at once, as programs that pull before they ask expect."""
    fields = Fields.of_body(call.body, WORDING)
    read_model(call, fields)
    done = {"status": "success"}
    if not fields.flag("stream", default=True):
        return PlainReply(done)
    lines = ({"status": "pulling manifest"}, done)
    return PlainReply(
        b"".join(encode(line) + b"\n" for line in lines), content_type="application/x-ndjson"
    )


def tell_version(_call: Call, _means: Means) -> PlainReply:
    """``/api/version``."""
    return PlainReply({"version": _VERSION})


def _at(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|/)api/{name}/?$")


OLLAMA = Dialect(
    name="ollama",
    claims=claims,
    write_error=write_error,
    write_stream_error=write_stream_error,
    stream_failed=stream_failed,
    read_facts=read_facts,
    operations=(
        *WRITING,
        Plain("ollama_embed", "POST", _at("embed"), embed, counts=True, slow=True),
        Plain("ollama_embeddings", "POST", _at("embeddings"), embed_one, slow=True),
        Plain("ollama_tags", "GET", _at("tags"), list_models),
        Plain("ollama_ps", "GET", _at("ps"), list_loaded),
        Plain("ollama_show", "POST", _at("show"), show_model),
        Plain("ollama_pull", "POST", _at("pull"), pull_model),
        Plain("ollama_version", "GET", _at("version"), tell_version),
    ),
)
