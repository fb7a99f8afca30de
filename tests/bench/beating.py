"""The observed bench's traffic: many TLS 1.3 connections that beat, one process a side.

    beating.py serve ADDRESS,... PORT CHAIN KEY      answer every message with one
    beating.py beat ADDRESS,... PORT NUMBER SEED     open NUMBER connections and beat on each

The client names no server, writes the four bytes of a message's length apart from the message, as
the families do, and answers the server's answer: of everything that may be observed this makes the
most copies. Each connection draws its period once from [10, 15) s. It prints `ready` when all are
open, and goes on until it is ended. Runs inside the lab's namespaces only.
"""

import asyncio
import random
import ssl
import sys
from contextlib import suppress

PERIOD_SECONDS = (10.0, 15.0)
PREFIX = bytes(4)
PING, PONG, ANSWER = bytes(59), bytes(37), bytes(50)
COPIES_PER_BEAT = 4  # of what the client says: a length, a ping; a length, an answer
OPENING_AT_A_TIME = 20  # handshakes under way: a thousand at once would run into time-outs
BACKLOG = 512


async def send(writer: asyncio.StreamWriter, message: bytes) -> None:
    """Write a message as the families do: its length in a record of its own."""
    writer.write(PREFIX)
    writer.write(message)
    await writer.drain()


async def serve(addresses: list[str], port: int, chain: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readexactly(len(PREFIX) + len(PING))
                await send(writer, PONG)
                await reader.readexactly(len(PREFIX) + len(ANSWER))

    server = await asyncio.start_server(answer, addresses, port, ssl=context, backlog=BACKLOG)
    print("ready", flush=True)
    await server.serve_forever()


async def beat(addresses: list[str], port: int, number: int, seed: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    dice = random.Random(seed)
    periods = [dice.uniform(*PERIOD_SECONDS) for _ in range(number)]
    phases = [dice.uniform(0, period) for period in periods]
    turn = asyncio.Semaphore(OPENING_AT_A_TIME)
    all_open = asyncio.Event()
    opened = 0

    async def one(index: int) -> None:
        nonlocal opened
        address = addresses[index % len(addresses)]
        async with turn:
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
        opened += 1
        if opened == number:
            print("ready", flush=True)
            all_open.set()
        await all_open.wait()
        # A beat has its time whatever the one before took.
        due = asyncio.get_running_loop().time() + phases[index]
        while True:
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await send(writer, PING)
            await reader.readexactly(len(PREFIX) + len(PONG))
            await send(writer, ANSWER)
            due += periods[index]

    # A connection that fails ends the process: a bench must not go on with fewer than it says.
    async with asyncio.TaskGroup() as group:
        for index in range(number):
            group.create_task(one(index))


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", addresses, port, chain, key]:
            asyncio.run(serve(addresses.split(","), int(port), chain, key))
        case ["beat", addresses, port, number, seed]:
            asyncio.run(beat(addresses.split(","), int(port), int(number), int(seed)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
