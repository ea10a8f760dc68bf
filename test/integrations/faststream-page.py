"""Prints what FastStream exports for the traffic of faststream-names.test.ts: faststream-page.txt is its output without _created.

Argument: the URL of an empty Redis.
"""
import asyncio, sys
from faststream.redis import RedisBroker, StreamSub, RedisMessage
from faststream.redis.prometheus import RedisPrometheusMiddleware
from prometheus_client import CollectorRegistry, generate_latest

async def main():
    registry = CollectorRegistry()
    broker = RedisBroker(sys.argv[1], logger=None, middlewares=[RedisPrometheusMiddleware(registry=registry)])

    @broker.subscriber("prices")
    async def prices(body: str):
        if body == "bad":
            raise ValueError("no")
        return body

    @broker.subscriber(list="orders")
    async def orders(body: str):
        if body == "bad":
            raise ValueError("no")

    @broker.subscriber(stream=StreamSub("shipments", group="g", consumer="c"))
    async def shipments(body: str, msg: RedisMessage):
        if body == "bad":
            raise ValueError("no")
        if body == "nack":
            await msg.nack()
        if body == "reject":
            await msg.reject()

    await broker.start()
    for body in ["ok", "bad"]:
        await broker.publish(body, "prices")
        await broker.publish(body, list="orders")
    for body in ["ok", "bad", "nack", "reject"]:
        await broker.publish(body, stream="shipments")
    await broker.request("ok", "prices")
    await asyncio.sleep(1)
    print(generate_latest(registry).decode(), end="")
    await broker.stop()

asyncio.run(main())
