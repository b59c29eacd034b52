"""aimock, the mock server to compare with, out of the npm registry.

It is installed into a folder of the run, at a fixed version so that figures of two runs speak of
the same one, and started by its own programming interface, which logs nothing. Where it cannot
be had (no node, no network), there is a reason instead and the rest is measured without it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import common
from benchmarks.common import Server

PACKAGE, VERSION = "@copilotkit/aimock", "1.43.0"
NAME = f"aimock {VERSION}"

_PATIENCE = 60
_START = """
import { LLMock } from "@copilotkit/aimock";
import { readFileSync } from "node:fs";
const { chunkSize, fixtures } = JSON.parse(readFileSync("aimock.json", "utf-8"));
const mock = new LLMock({ port: 0, chunkSize });
mock.addFixturesFromJSON(fixtures);
await mock.start();
console.log(mock.url);
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where it is installed; if it is not, ``missing`` says why."""

    folder: Path
    missing: str = ""


def install(folder: Path) -> Peer:
    """The peer, installed below ``folder`` unless it is there already."""
    home = folder / "aimock"
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return Peer(home, "node and npm are not on this machine")
    if (home / "node_modules" / PACKAGE).exists():
        return Peer(home)
    home.mkdir(exist_ok=True)
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [*command, "--prefix", str(home), f"{PACKAGE}@{VERSION}"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Peer(home, f"npm install took more than {_PATIENCE} s")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return Peer(home, f"npm install failed: {said[-1][:200]}")
    return Peer(home)


@contextlib.contextmanager
def serve(peer: Peer, replies: Mapping[str, str], *, gap: float = 0.0) -> Iterator[Server]:
    """The peer with a fixture for each mark: a user's message that holds it gets the reply.

    Streams have five characters a chunk, about a token, ``gap`` seconds before each chunk but
    the one of the role.
    """
    profile = {"streamingProfile": {"ttft": 0, "tps": 1 / gap}} if gap else {}
    fixtures = [
        {"match": {"userMessage": mark}, "response": {"content": text}, **profile}
        for mark, text in replies.items()
    ]
    job = {"chunkSize": 5, "fixtures": fixtures}
    (peer.folder / "aimock.json").write_text(json.dumps(job), encoding="utf-8")
    command = ["node", "--input-type=module", "--eval", _START]
    with common.started(peer.folder, command, "http://") as server:
        yield server
