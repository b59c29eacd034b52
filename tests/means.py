"""What an operation is given, built for a test: a fixed moment, counted ids, real tokens."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from llmproxy.dialects import operation
from llmproxy.dialects.operation import ALNUM, Call, Means, Operation
from llmproxy.interaction import Headers
from llmproxy.models import Catalogue
from llmproxy.prompt_tokens import count_prompt
from llmproxy.tokens import Tokenizer, packaged

NOW = 1_763_600_000.5


def tokenizer() -> Tokenizer:
    return packaged().load("o200k_base")


def make_call(
    target: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: Headers = (),
    variables: Mapping[str, str] | None = None,
    stored: MutableMapping[str, bytes] | None = None,
    **changes: Any,
) -> Call:
    path, _, query = target.partition("?")
    return Call(
        method=method,
        path=path,
        query=dict(parse_qsl(query)),
        headers=headers,
        variables=variables or {},
        body=body,
        stored={} if stored is None else stored,
        **changes,
    )


def call_of(
    operations: tuple[Operation, ...], target: str, body: Any = None, **more: Any
) -> tuple[Operation, Call]:
    """The operation that a request finds, and the call that it gets."""
    method = more.pop("method", "POST")
    found = operation.find(operations, method, target.partition("?")[0])
    assert found is not None, target
    return found[0], make_call(target, body, method=method, variables=found[1], **more)


def make_means(
    call: Call, models: Catalogue | None = None, took: float = 0.0, **changes: Any
) -> Means:
    numbers = itertools.count(1)

    def new_id(prefix: str, length: int, alphabet: str = ALNUM, /) -> str:
        return prefix + f"{next(numbers):0{length}d}" if alphabet else prefix

    tokens = tokenizer()
    return Means(
        call=call,
        created=NOW,
        new_id=new_id,
        cut=tokens.cut,
        count=tokens.count,
        count_prompt=lambda prompt: count_prompt(prompt, tokens.count),
        models=models or Catalogue(),
        reckon=lambda: took,
        **changes,
    )
