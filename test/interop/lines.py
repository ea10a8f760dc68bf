"""How the Python programs of these tests speak with Vitest: lines of JSON, bytes as {"bytes": base64}."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any


def packed(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(key): packed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [packed(item) for item in value]
    return value


def unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if list(value) == ["bytes"]:
            return base64.b64decode(value["bytes"])
        return {key: unpacked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    return value


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(packed(line)) + "\n")
    sys.stdout.flush()


async def heard() -> AsyncIterator[Any]:
    """Each line from Vitest, until it closes the pipe or is gone."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb")
    )
    while line := await reader.readline():
        yield unpacked(json.loads(line))
