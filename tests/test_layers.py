"""Imports run downward only: words, pure, state, I/O, edges."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "proxy" / "llmproxy"

LAYERS = (
    # words
    ("answer", "errors", "interaction", "prompt", "setting"),
    # pure
    (
        "addressing",
        "compression",
        "conditions",
        "dialects",
        "faults",
        "findings",
        "jsonpath",
        "kinds",
        "limits",
        "matching",
        "members",
        "models",
        "pacing",
        "prompt_tokens",
        "redacted",
        "redaction",
        "replies",
        "rhythm",
        "rules",
        "schemas",
        "speeds",
        "sse",
        "synthesis",
        "timelines",
        "tokens",
        "units",
        "upstreams",
    ),
    # state
    (
        "cassette",
        "cassette_rows",
        "cassette_schema",
        "configuration",
        "entry",
        "journal",
        "keeping",
        "live",
        "logs",
        "manners",
        "metrics",
        "misslog",
        "recorder",
        "rulefiles",
        "sessions",
        "settings",
        "yamlfile",
    ),
    # I/O
    (
        "asked",
        "control",
        "dresser",
        "dressing",
        "forward",
        "inquiry",
        "limiter",
        "listener",
        "maker",
        "misses",
        "noting",
        "player",
        "prepared",
        "replayer",
        "responders",
        "rule_responder",
        "server",
        "spoiling",
        "synthesizer",
        "watcher",
        "wheel",
        "wire",
    ),
    # edges
    (
        "__init__",
        "__main__",
        "background",
        "cli",
        "examining",
        "explaining",
        "running",
        "service",
        "terminal",
        "tracing",
    ),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

BANNED_BELOW_STATE = {
    "aiohttp", "asyncio", "click", "os", "pydantic", "socket", "sqlite3", "sqlite_utils",
    "threading", "time", "yaml",
}  # fmt: skip
BANNED_BELOW_IO = {"aiohttp", "click"}
CLOCKS = {"now", "today", "utcnow", "monotonic", "perf_counter"}

FILES = sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """The name in ``LAYERS`` that a file belongs to: its own or its folder's."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            if node.module == "llmproxy":
                found |= {f"llmproxy.{alias.name}" for alias in node.names}
    return found


def test_every_module_stands_in_one_layer() -> None:
    assert {module(path) for path in FILES} == set(RANK)
    assert sum(map(len, LAYERS)) == len(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_its_own_layer_or_below(path: Path) -> None:
    rank = RANK[module(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "llmproxy" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= rank, f"{path.name} imports {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if RANK[module(path)] < 2],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_words_and_pure_modules_touch_no_file_clock_or_network(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports(path)}
    assert not roots & BANNED_BELOW_STATE
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCKS, f"{path.name}:{node.lineno} reads a clock"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if RANK[module(path)] == 2],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_state_knows_neither_http_nor_the_command_line(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & BANNED_BELOW_IO


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_by_saying_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
