"""Faults that people write: files that are right, and mistakes with the words that meet them."""

from __future__ import annotations

from collections.abc import Mapping

from llmproxy import yamlfile
from llmproxy.faults.fault import Fault
from llmproxy.faults.reading import read_faults
from llmproxy.findings import Finding

NAME = "proxy.yml"

VALID: Mapping[str, str] = {
    "nothing": "faults:\n",
    "none": "faults: []",
    "of the issue": """\
faults:
  - {for: {path: "*/embeddings"}, rate: 0.1, seed: 7, error: [{status: 500}, {status: 529}]}
  - {name: busy, for: {session: checkout}, calls: first 2, error: {status: 429, headers: {retry-after: "1"}}}
  - {for: {stream: true}, calls: every 5th, cut: {before_chunk: 3}}
""",
    "errors": """\
faults:
  - {error: 500}
  - {error: overloaded}
  - {error: [server_error, 503, {status: 400, message: no, type: a, code: b, param: c, retry_after: 1.5}]}
  - {disabled: true}
""",
    "plans": """\
faults:
  - {error: 500, calls: 3}
  - {error: 500, calls: 2-4}
  - {error: 500, calls: [1, 3, 5-7]}
  - {error: 500, calls: every 2nd, rate: 1}
  - {error: 500, calls: every 3rd, rate: 0, seed: 999999999999999999}
""",
    "before the head": """\
faults:
  - {hang: true}
  - {hang: 30s}
  - {slow: true}
  - {slow: 2s}
  - {slow: 0.5}
  - {slow: 5-10s}
  - {slow: 300ms - 2s}
  - {reset: true}
""",
    "in the body": """\
faults:
  - {cut: {before_chunk: 3}}
  - {cut: {before_chunk: [3, 7]}}
  - {cut: {before_chunk: 3-7}}
  - {cut: {at_byte: 0}}
  - {stall: 2s}
  - {stall: 2}
  - {stall: {after_chunk: 0, time: 250ms}}
  - {stall: {time: 1m}}
  - {garble: {chunk: 2}}
  - {drop: {chunk: 1-2}}
  - {duplicate: {chunk: [1, 1]}}
  - {split: 1}
  - {lump: true}
  - {error_event: {status: 500, after_chunk: 3}}
  - {error_event: overloaded}
  - {error_event: 503}
  - {error_event: {message: no, retry_after: 2, after_chunk: 0}}
""",
    "what is said": """\
faults: [{output: empty}, {output: truncated_json}, {output: fenced_json}, {output: wrong_types},
         {output: unknown_tool}]
""",
    "whom": """\
faults:
  - {for: {}, error: 500}
  - {for: {endpoint: anthropic-messages}, error: 500}
  - {for: {endpoint: openai_chat, model: "gpt-4*", text: {contains: x}}, error: 500}
  - {for: {endpoint: [openai-chat, "gemini-*"]}, error: 500}
  - {for: {endpoint: openai}, error: 500}
  - {for: {any: [{endpoint: {any_of: [gemini-stream]}}, {not: {endpoint: openai-chat}}]}, error: 500}
  - {for: {all: [{endpoint: {regex: "^[a-z]+_chat$"}}, {dialect: openai}]}, error: 500}
""",
}


def read(text: str) -> tuple[tuple[Fault, ...], list[str]]:
    """The faults of a file, and what is wrong with it, in the order of places."""
    document = yamlfile.parse(text, NAME)
    assert isinstance(document.data, dict)
    found: list[Finding] = []
    faults = read_faults(
        document.data["faults"],
        ("faults",),
        lambda path: f"{NAME}:{document.mark(path)[0]}",
        found,
    )
    placed = [(document.mark(each.path, key=each.key), each) for each in found]
    placed.sort(key=lambda pair: pair[0])
    return faults, [f"{mark[1]} {each}" for mark, each in placed]


def faults(text: str) -> tuple[Fault, ...]:
    """The faults of a file without mistakes."""
    made, said = read(text)
    assert said == []
    return made
