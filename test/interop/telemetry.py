"""A FastStream service with FastStream's own RedisTelemetryMiddleware, for redstart to be in one trace with.

Arguments: the Redis URL, and what all names begin with. Handlers at prefix:kind:python report the
trace and the baggage that they run in; one whose body is "onward" publishes to prefix:kind:typescript.
Commands on stdin publish inside a span, and answer with its trace.
"""

import asyncio
import sys
from typing import Any

from faststream.opentelemetry import Baggage, CurrentBaggage, CurrentSpan
from faststream.redis import ListSub, RedisBroker, StreamSub
from faststream.redis.opentelemetry import RedisTelemetryMiddleware
from lines import heard, say
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id

URL, PREFIX = sys.argv[1:]
provider = TracerProvider()
middleware = RedisTelemetryMiddleware(tracer_provider=provider)
broker = RedisBroker(URL, logger=None, middlewares=[middleware])
tracer = provider.get_tracer("test")


def at(kind: str, what: str) -> dict[str, Any]:
    return {kind: f"{PREFIX}:{kind}:{what}"}


def serve(kind: str) -> None:
    name = f"{PREFIX}:{kind}:python"
    place: dict[str, Any] = {
        "channel": {"channel": name},
        "list": {"list": ListSub(name, polling_interval=0.02)},
        "stream": {"stream": StreamSub(name, group="workers", consumer="python")},
    }[kind]

    @broker.subscriber(**place)
    async def handle(body: str, span: CurrentSpan, baggage: CurrentBaggage) -> None:
        parent = span.parent
        say(
            seen=kind,
            body=body,
            trace=format_trace_id(span.get_span_context().trace_id),
            parent=None if parent is None else format_span_id(parent.span_id),
            baggage=baggage.get_all(),
        )
        if body == "onward":
            baggage.set("language", "python")
            await broker.publish("from python", **at(kind, "typescript"))


for each in ("channel", "list", "stream"):
    serve(each)


async def publish(kind: str, body: str, baggage: dict[str, str]) -> dict[str, str]:
    with tracer.start_as_current_span("gateway") as span:
        headers = Baggage(baggage).to_headers()
        await broker.publish(body, headers=headers, **at(kind, "typescript"))
        return {"trace": format_trace_id(span.get_span_context().trace_id)}


async def main() -> None:
    async with broker:
        await broker.start()
        # FastStream sends SUBSCRIBE without waiting for its confirmation.
        while True:
            [(_, count)] = await broker._connection.pubsub_numsub(f"{PREFIX}:channel:python")
            if count > 0:
                break
            await asyncio.sleep(0.01)
        say(ready=True)
        async for command in heard():
            say(id=command["id"], result=await publish(**command["arguments"]))


asyncio.run(main())
