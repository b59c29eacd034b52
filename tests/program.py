"""The command line as a user runs it: a process, its first lines, its signals, its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: ours, and the package's place."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "proxy"), "CI": "true", **more}


def run(*arguments: str, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "llmproxy", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**more),
        check=False,
    )


@dataclass
class Program:
    """A server that runs; ``banner`` is what it said up to its last line to copy."""

    process: subprocess.Popen[str]
    url: str
    banner: str

    def stop(self, number: int = signal.SIGINT, timeout: float = 20) -> tuple[int, str, str]:
        """Signal, wait; exit status, the rest of stdout, all of stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serve(*arguments: str, **more: str) -> Iterator[Program]:
    """``llmproxy ARGUMENTS --port 0``, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "llmproxy", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        while line := process.stdout.readline():
            lines.append(line)
            if "Ctrl-C" in line:
                break
        banner = "".join(lines)
        if not banner:
            raise AssertionError(f"it did not start: {process.stderr.read()}")
        try:
            yield Program(process, banner.splitlines()[0].split()[-1], banner)
        finally:
            process.kill()
            for pipe in (process.stdout, process.stderr):
                pipe.close()
