"""Answers to an `Answer`, without a server: what libcurl would call it with."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from mirror.net.response import Answer

T = TypeVar("T")


def answered(
    make: Callable[[], Answer[T]], *lines: bytes, body: bytes = b"", fault: Exception | None = None
) -> T:
    """What comes of an answer with this header and body, or with libcurl's error behind them."""

    async def work() -> T:
        answer = make()
        answer.header_lines += [line + b"\r\n" for line in (*lines, b"")]
        refused = bool(body) and answer.on_body(body) is not None
        answer.settle(OSError("refused") if refused and fault is None else fault)
        return await answer.future

    return asyncio.run(work())
