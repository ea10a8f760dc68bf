"""FastStream's processes, asked on stdin and answering on stdout as worker.mjs does over IPC."""

import asyncio
import json
import resource
import sys
import time
from typing import Any

from faststream.redis import ListSub, RedisBroker, StreamSub

URL = sys.argv[1]
SMALL = {
    "sku": "A-1",
    "quantity": 2,
    "note": "leave it at the door, please, as ever",
    "price": 12.5,
    "ok": True,
}

# A request takes a connection of its own while it waits.
broker = RedisBroker(URL, logger=None, max_connections=2048)
consumed: "asyncio.Future[dict[str, float]]"
targets: dict[str, str] = {}


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def at(kind: str, name: str) -> dict[str, Any]:
    if kind == "channel":
        return {"channel": name}
    if kind == "list":
        return {"list": ListSub(name, polling_interval=0.001)}
    return {"stream": StreamSub(name, group="g", consumer="c")}


async def subscribed(channel: str | None) -> None:
    """FastStream sends SUBSCRIBE without waiting for its confirmation."""
    while channel is not None:
        ((_, count),) = await broker._connection.pubsub_numsub(channel)
        if count > 0:
            return
        await asyncio.sleep(0.01)


async def serve(names: dict[str, str], **_: Any) -> None:
    async def echo(body: Any) -> Any:
        return body

    for kind, name in names.items():
        broker.subscriber(**at(kind, name))(echo)
    await broker.start()
    await subscribed(names.get("channel"))


async def connect(names: dict[str, str], **_: Any) -> None:
    targets.update(names)
    await broker.connect()


async def load(kind: str, inFlight: int, milliseconds: float, **_: Any) -> dict[str, float]:
    latencies: list[float] = []
    calls = 0
    cpu_before = cpu()
    began = time.perf_counter()
    end = began + milliseconds / 1000

    async def caller() -> None:
        nonlocal calls
        now = time.perf_counter()
        while now < end:
            calls += 1
            n = calls
            to: dict[str, Any] = {kind: targets[kind]}
            answer = await (await broker.request({"n": n, **SMALL}, **to, timeout=20)).decode()
            if answer["n"] != n:
                raise RuntimeError(f"call {n} got the answer of {answer['n']}")
            then, now = now, time.perf_counter()
            latencies.append(now - then)

    await asyncio.gather(*(caller() for _ in range(inFlight)))
    elapsed = time.perf_counter() - began
    used = (cpu() - cpu_before) / calls
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1e6 for share in (0.5, 0.99))
    serial = {"p50": p50, "p99": p99} if inFlight == 1 else {}
    return {"calls": calls, "rate": calls / elapsed, "cpu": used, **serial}


async def subscribe(kind: str, target: str, count: int, **_: Any) -> None:
    global consumed
    consumed = asyncio.get_running_loop().create_future()
    seen = 0
    began = before = 0.0

    async def handle(body: Any) -> None:
        nonlocal seen, began, before
        seen += 1
        if seen == 1:
            began, before = time.perf_counter(), cpu()
        if seen % 2048 == 0:
            say(progress=seen)
        if seen == count:
            elapsed, used = time.perf_counter() - began, cpu() - before
            consumed.set_result({"rate": (seen - 1) / elapsed, "cpu": used / (seen - 1)})

    subscriber = broker.subscriber(**at(kind, target))
    subscriber(handle)
    await broker.start()
    await subscribed(target if kind == "channel" else None)


async def consumed_all() -> Any:
    return await consumed


async def nothing(**_: Any) -> None:
    return None


async def used_cpu() -> float:
    return cpu()


OPERATIONS: dict[str, Any] = {
    "serve": serve,
    "connect": connect,
    "disconnect": nothing,
    "load": load,
    "cpu": used_cpu,
    "subscribe": subscribe,
    "consumed": consumed_all,
    "stop": nothing,
}


async def answer(line: str) -> None:
    question = json.loads(line)
    try:
        result = await OPERATIONS[question["operation"]](**question["options"])
        say(id=question["id"], result=result)
    except Exception as error:  # the run is told, whatever it is
        say(id=question["id"], error=repr(error))


async def main() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    say(ready=True)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(line.decode()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
