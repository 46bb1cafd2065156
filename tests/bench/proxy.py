"""A far network: every connection is delayed and paced. Started as a process of its own, by path.

`python -I proxy.py UPSTREAM_PORT ROUND_TRIP_S BYTES_PER_S` prints the port that it listens on, and
ends with its stdin. Each direction is delayed by half the round trip; the first bytes of a client
wait one round trip more, which on a real network its handshake would have taken. What comes down
is paced for each connection by itself. There is no loss, and no slow start.
"""

import asyncio
import contextlib
import sys

HOST = "127.0.0.1"
_CHUNK_BYTES = 16 * 1024
_MOST_CHUNKS = 64  # on their way; more than delay times rate, else that would be the limit


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    not_before: float,
    delay_s: float,
    bytes_per_s: float,
) -> None:
    """Moves one direction of a connection, and then its end."""
    now = asyncio.get_running_loop().time
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_CHUNKS)

    async def deliver() -> None:
        chunk = b"-"
        while chunk:
            due, chunk = await line.get()
            await asyncio.sleep(due - now())
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()

    delivery = asyncio.create_task(deliver())
    due = 0.0
    chunk = b"-"
    try:
        while chunk:
            chunk = await reader.read(_CHUNK_BYTES)
            due = max(due, max(now(), not_before) + delay_s) + len(chunk) / bytes_per_s
            await line.put((due, chunk))
        await delivery
    finally:
        delivery.cancel()


async def _serve(upstream_port: int, round_trip_s: float, bytes_per_s: float) -> None:
    """Listens until stdin ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known_at = asyncio.get_running_loop().time() + round_trip_s
        delay_s = round_trip_s / 2
        try:
            with contextlib.suppress(OSError):  # either side may go away at any time
                up_reader, up_writer = await asyncio.open_connection(HOST, upstream_port)
                with contextlib.closing(up_writer):
                    up = _pump(
                        reader, up_writer,
                        not_before=known_at, delay_s=delay_s, bytes_per_s=float("inf"),
                    )  # fmt: skip
                    down = _pump(
                        up_reader, writer,
                        not_before=0, delay_s=delay_s, bytes_per_s=bytes_per_s,
                    )  # fmt: skip
                    await asyncio.gather(up, down)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, HOST, 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
