"""FastStream handlers for redstart to call and to publish to.

Arguments: the Redis URL, and what all names begin with. A handler listens at prefix:kind:what.
Says {"ready": true} once all listen, then {"seen": ...} for every message that `seen` and its like get.
"""

import asyncio
import sys
from typing import Annotated, Any

from faststream import Path
from faststream.message import StreamMessage
from faststream.redis import (
    ListSub,
    RedisBroker,
    RedisMessage,
    RedisResponse,
    StreamSub,
)
from faststream.response import Response
from lines import heard, say
from pydantic import BaseModel

URL, PREFIX = sys.argv[1:]
broker = RedisBroker(URL, logger=None)
channels: list[str] = []


class Order(BaseModel):
    sku: str
    quantity: int = 1


class Receipt(BaseModel):
    sku: str
    cents: int


def at(kind: str, what: str, **options: Any) -> dict[str, Any]:
    name = f"{PREFIX}:{kind}:{what}"
    if kind == "channel":
        channels.append(name)
        return {"channel": name}
    if kind == "list":
        return {"list": ListSub(name, polling_interval=0.02, **options)}
    return {"stream": StreamSub(name, group="workers", consumer="python", **options)}


def report(where: str, body: Any, msg: StreamMessage[Any], **more: Any) -> None:
    say(
        seen=where,
        body=body,
        headers=msg.headers,
        correlationId=msg.correlation_id,
        messageId=msg.message_id,
        contentType=msg.content_type,
        replyTo=msg.reply_to,
        batchHeaders=msg.batch_headers,
        **more,
    )


def serve(kind: str) -> None:
    @broker.subscriber(**at(kind, "echo"))
    async def echo(body: Any) -> Any:
        return body

    @broker.subscriber(**at(kind, "orders"))
    async def order(order: Order) -> Receipt:
        return Receipt(sku=order.sku, cents=order.quantity * 1999)

    @broker.subscriber(**at(kind, "headers"))
    async def headers(body: Any, msg: RedisMessage) -> Any:
        own = {"x-python": "yes", "x-name": "Žofie Ωmega"}
        request = {"headers": msg.headers, "correlationId": msg.correlation_id}
        return RedisResponse(request, headers=own) if body == "redis" else Response(request, headers=own)

    @broker.subscriber(**at(kind, "echoed-headers"))
    async def echoed_headers(body: Any, msg: RedisMessage) -> Any:
        return Response(body, headers=msg.headers)

    @broker.subscriber(**at(kind, "renamed"))
    async def renamed(body: Any) -> Any:
        return Response(body, correlation_id="another")

    @broker.subscriber(**at(kind, "nothing"))
    async def nothing(_: Any) -> None:
        return None

    @broker.subscriber(**at(kind, "silent"), no_reply=True)
    async def silent(body: Any, msg: RedisMessage) -> Any:
        report(f"{kind}:silent", body, msg)
        return "never sent"

    @broker.subscriber(**at(kind, "failing"))
    async def failing(body: Any, msg: RedisMessage) -> Any:
        report(f"{kind}:failing", body, msg)
        raise RuntimeError("no")

    @broker.subscriber(**at(kind, "seen"))
    async def seen(body: Any, msg: RedisMessage) -> None:
        report(f"{kind}:seen", body, msg)

    @broker.subscriber(**at(kind, "forwarded"))
    @broker.publisher(f"{PREFIX}:forward:{kind}")
    async def forwarded(body: Any) -> Any:
        return None if body == "nothing" else body


for each in ("channel", "list", "stream"):
    serve(each)

for each in ("list", "stream"):

    def serve_batch(kind: str) -> None:
        @broker.subscriber(**at(kind, "batch", batch=True))
        async def batch(bodies: list[Any], msg: RedisMessage) -> Any:
            report(f"{kind}:batch", bodies, msg)
            return [f"answer {n}" for n in range(len(bodies))]

    serve_batch(each)


@broker.subscriber(f"{PREFIX}:logs.{{level}}.{{service}}")
async def logs(
    body: Any,
    msg: RedisMessage,
    level: Annotated[str, Path()],
    service: Annotated[str, Path()],
) -> str:
    report("logs", body, msg, path=[level, service])
    return f"{level} of {service}"


@broker.subscriber(f"{PREFIX}:any.{{level}}")
async def any_level(body: Any, msg: RedisMessage) -> None:
    report("any", body, msg, path=list(msg.path.values()))


@broker.subscriber(stream=StreamSub(f"{PREFIX}:stream:alone", last_id="0"))
async def alone(body: Any, msg: RedisMessage) -> Any:
    report("stream:alone", body, msg)
    return body


async def main() -> None:
    async with broker:
        await broker.start()
        # FastStream sends SUBSCRIBE without waiting for its confirmation.
        redis = broker._connection
        while True:
            counts = await redis.pubsub_numsub(*channels)
            if all(count > 0 for _, count in counts) and await redis.pubsub_numpat() > 0:
                break
            await asyncio.sleep(0.01)
        say(ready=True)
        async for _ in heard():
            pass


asyncio.run(main())
