"""Calls and publishes with FastStream as it is told: one JSON command a line, one JSON result each.

Argument: the Redis URL. Commands run at the same time; `id` tells their results apart.
"""

import asyncio
import sys
from typing import Any

from faststream.redis import RedisBroker
from lines import heard, say

# Each of FastStream's requests takes two connections, of a hundred by default.
broker = RedisBroker(sys.argv[1], logger=None, max_connections=1000)


async def run(do: str, arguments: dict[str, Any]) -> Any:
    bodies = arguments.pop("bodies", [])
    if do == "batch":
        return await broker.publish_batch(*bodies, **arguments)
    if do == "publish":
        return await broker.publish(**arguments)
    answer = await broker.request(**arguments)
    if answer is None:
        return None
    return {
        "body": await answer.decode(),
        "headers": answer.headers,
        "correlationId": answer.correlation_id,
        "contentType": answer.content_type,
    }


async def obey(command: dict[str, Any]) -> None:
    try:
        say(id=command["id"], result=await run(command["do"], command["arguments"]))
    except Exception as error:
        say(id=command["id"], error={"type": type(error).__name__, "message": str(error)})


async def main() -> None:
    async with broker:
        say(ready=True)
        tasks = set()
        async for command in heard():
            task = asyncio.create_task(obey(command))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


asyncio.run(main())
