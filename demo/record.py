"""Records ``cassettes/demo.db`` anew, through llmproxy, from the provider beside this file.

python -m demo.record
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp

from demo import provider
from demo.requests import REQUESTS
from llmproxy.configuration import Configuration
from llmproxy.service import Plan, serving
from llmproxy.settings import Settings

CASSETTE = Path(__file__).parent.parent / "cassettes" / "demo.db"


async def record(cassette: Path) -> None:
    cassette.unlink(missing_ok=True)
    runner, upstream = await provider.start()
    plan = Plan(
        "record",
        Configuration(Settings(port=0)),
        upstreams=(f"demo={upstream}",),
        cassettes=(cassette,),
    )
    try:
        async with serving(plan) as service, aiohttp.ClientSession() as session:
            for each in REQUESTS:
                headers = {"Authorization": "Bearer demo", **dict(each.headers)}
                url = service.url + each.path
                async with session.post(url, json=each.body, headers=headers) as response:
                    await response.read()
                print(f"{each.name}: {response.status}")
    finally:
        with contextlib.suppress(Exception):
            await runner.cleanup()
    print(service.summary())


if __name__ == "__main__":
    asyncio.run(record(CASSETTE))
