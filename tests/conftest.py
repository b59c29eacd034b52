"""Fixtures that many tests share."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from sockets import free_port

hypothesis.settings.register_profile(
    "llmproxy",  # a busy machine is slow; that is no fault of the code
    deadline=None,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.filter_too_much,
    ],
)
hypothesis.settings.load_profile("llmproxy")

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see no settings, proxies or keys of the machine, and write in a folder of their own."""
    for name in list(os.environ):
        if name.startswith("LLMPROXY_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def traffic() -> Path:
    """Real provider replies; only where the project's shared folder stands beside it."""
    folder = SHARED / "traffic"
    if not folder.is_dir():
        pytest.skip("no ../shared/traffic beside the project: real traffic is not there to test")
    return folder


@pytest.fixture(scope="session")
def tape(traffic: Path) -> Iterator[str]:
    """The URL of a live provider that answers with real replies in an uneven rhythm."""
    tool = SHARED / "tools" / "tape_provider.py"
    command = [
        sys.executable,
        str(tool),
        str(traffic),
        "--port",
        "0",
        "--ttft",
        "0.02",
        "--gap",
        "0.002",
    ]
    # the tool prints the port it was given, so it is given one that is free
    command[command.index("0")] = str(free_port())
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, f"the tape provider did not start: {line!r}"
        url = match[0]
        wait_for(url)
        yield url
        process.terminate()


def wait_for(url: str) -> None:
    """Return when something listens at ``url``."""
    import socket
    import time

    host, _, port = url.removeprefix("http://").partition(":")
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
