"""The demo: replays a recorded chat stream in the terminal, in the rhythm in which it came.

Starts ``llmproxy replay`` as a user would, asks it for the stream with plain HTTP, prints the
text as it arrives and then how far each moment was from the recorded one.

python -m demo.play
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from demo.requests import CHAT_STREAM
from llmproxy.cassette import Cassette
from llmproxy.interaction import RecordedResponse

CASSETTE = Path(__file__).parent.parent / "cassettes" / "demo.db"


def main() -> int:
    command = [sys.executable, "-m", "llmproxy", "replay", str(CASSETTE), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        first = server.stdout.readline()
        url = first.split()[-1]
        print(first.strip())
        print(f"\n> {CHAT_STREAM.body['messages'][0]['content']}\n")  # type: ignore[index]
        played = play(url)
    finally:
        server.terminate()
        rest, _ = server.communicate(timeout=20)
    recorded = recorded_stream()
    print("\n\n" + "\n".join(comparison(recorded, played)))
    print("\n" + rest.strip().splitlines()[-1])
    same = b"".join(data for _, data in played) == recorded.body
    print("the bytes are the recorded ones" if same else "THE BYTES DIFFER")
    return 0 if same else 1


def play(url: str) -> list[tuple[float, bytes]]:
    """Ask for the stream; the moment and the bytes of each chunk as it came."""
    split = urlsplit(url)
    connection = HTTPConnection(split.hostname or "", split.port, timeout=30)
    body = json.dumps(CHAT_STREAM.body)
    connection.connect()
    began = time.perf_counter()
    connection.request(
        "POST",
        CHAT_STREAM.path,
        body,
        {"Content-Type": "application/json", "Authorization": "Bearer none"},
    )
    response = connection.getresponse()
    chunks = []
    while data := response.read1():
        chunks.append((time.perf_counter() - began, data))
        show(data)
    connection.close()
    return chunks


def show(data: bytes) -> None:
    """Print the text of the events in a chunk."""
    for line in data.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                print(choice["delta"].get("content", ""), end="", flush=True)


def recorded_stream() -> RecordedResponse:
    """The stream as the cassette has it."""
    cassette = Cassette(CASSETTE)
    try:
        streams = [each for each in cassette.interactions() if b"chunk" in each.response.body]
        return streams[0].response
    finally:
        cassette.close()


def comparison(recorded: RecordedResponse, played: list[tuple[float, bytes]]) -> list[str]:
    """A small table: when chunks came in the recording and in the replay, in milliseconds."""
    lines = ["chunk   recorded   replayed   difference"]
    pairs = list(zip(recorded.chunks, played, strict=False))
    step = max(1, len(pairs) // 8)
    for number in range(0, len(pairs), step):
        was, (now, _) = pairs[number]
        lines.append(
            f"{number + 1:>5}   {was.offset * 1e3:>5.0f} ms   {now * 1e3:>5.0f} ms   "
            f"{(now - was.offset) * 1e3:>+7.1f} ms"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
