"""A TCP proxy that makes a server on this machine seem far away.

    python tests/servers/delay_proxy.py --to PORT --delay-ms 20

What the server says arrives that many milliseconds later, in order and at full speed: a delay
line, not a pause for each reply. What the client says is passed on at once. Prints its port when
it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress

_LARGEST_READ = 65536
# (when to pass it on, what was said); no bytes for the end of the conversation
Line = asyncio.Queue[tuple[float, bytes]]


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, at once."""
    with suppress(OSError):
        while data := await reader.read(_LARGEST_READ):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def listen(reader: asyncio.StreamReader, line: Line, delay: float) -> None:
    """Put what comes on the delay line, with the time at which it is due."""
    loop = asyncio.get_running_loop()
    data = b"anything"
    while data:
        try:
            data = await reader.read(_LARGEST_READ)
        except OSError:
            data = b""
        line.put_nowait((loop.time() + delay, data))


async def repeat(line: Line, writer: asyncio.StreamWriter) -> None:
    """Say what is due."""
    loop = asyncio.get_running_loop()
    while True:
        due, data = await line.get()
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        if not data:
            writer.close()  # when the server hangs up, so do we
            return
        writer.write(data)


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float
) -> None:
    """Join one client with a connection of its own to the server."""
    try:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    line: Line = asyncio.Queue()
    with suppress(OSError):
        await asyncio.gather(
            forward(reader, server_writer),
            listen(server_reader, line, delay),
            repeat(line, writer),
        )
    server_writer.close()
    writer.close()


async def serve(port: int, delay: float) -> None:
    """Listen until the process is ended."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await converse(reader, writer, port, delay)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--delay-ms", type=float, default=20.0)
    words = parser.parse_args()
    asyncio.run(serve(words.to, words.delay_ms / 1000))


if __name__ == "__main__":
    main()
