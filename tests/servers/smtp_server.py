"""A real SMTP server in a process of its own, which files what it accepts and fails on order.

    python tests/servers/smtp_server.py --maildir DIR [--fault PHASE=REPLY ...] [--pipelining]

PHASE is connect, ehlo, mail, rcpt, data, body, dot or after. REPLY is a reply line ("450 4.2.0
later") or `drop`, which closes the connection; `body` and `after` can only drop: in the middle of
the message, and after it was filed but before the client was told. `PHASE@ADDRESS=REPLY` fails for
that recipient only; `PHASE#N=REPLY` for the first N times only. Prints its port when it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import mailbox
import sys
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class Faults:
    def __init__(self, words: list[str]) -> None:
        self.rules: list[dict[str, Any]] = []
        for word in words:
            place, _, reply = word.partition("=")
            place, _, times = place.partition("#")
            phase, _, address = place.partition("@")
            self.rules.append(
                {"phase": phase, "address": address, "reply": reply, "left": int(times or 10**9)}
            )

    def reply(self, phase: str, address: str = "") -> str | None:
        for rule in self.rules:
            if rule["phase"] != phase or rule["left"] <= 0:
                continue
            if rule["address"] and rule["address"] != address:
                continue
            rule["left"] -= 1
            return str(rule["reply"])
        return None


class Server(SMTP):
    faults: Faults
    pipelining: bool
    utf8: bool

    def _drop(self) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.abort()

    async def _fail(self, phase: str, address: str = "") -> bool:
        reply = self.faults.reply(phase, address)
        if reply is None:
            return False
        if reply == "drop":
            self._drop()
        else:
            await self.push(reply)
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        reply = self.faults.reply("connect")
        if reply is None:
            super().connection_made(transport)
            return
        assert isinstance(transport, asyncio.Transport)
        if reply != "drop":
            transport.write(f"{reply}\r\n".encode())
        transport.close()

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._fail("ehlo"):
            await super().smtp_EHLO(hostname)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802
        if not await self._fail("mail"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802
        address = arg.partition("<")[2].partition(">")[0]
        if not await self._fail("rcpt", address):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if self.envelope is not None and not self.envelope.rcpt_tos:
            await self.push("554 5.5.1 no valid recipients")
            return
        if await self._fail("data"):
            return
        if self.faults.reply("body") is not None:
            await self.push("354 go on")
            await self._reader.readline()
            self._drop()
            return
        await super().smtp_DATA(arg)


class Handler:
    def __init__(self, folder: str, faults: Faults, *, pipelining: bool) -> None:
        self.box = mailbox.Maildir(folder)
        self.faults = faults
        self.pipelining = pipelining

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        extra = ["250-PIPELINING"] if self.pipelining else []
        return [*lines[:-1], *extra, lines[-1]]

    async def handle_DATA(  # noqa: N802
        self, server: Server, _session: Session, envelope: Envelope
    ) -> str:
        address = envelope.rcpt_tos[0]
        reply = self.faults.reply("dot", address)
        if reply == "drop":
            server._drop()
            return "451 gone"
        if reply is not None:
            return reply
        assert isinstance(envelope.content, bytes)
        trace = f"Return-Path: <{envelope.mail_from}>\nDelivered-To: {address}\n"
        self.box.add(trace.encode() + envelope.content)
        if self.faults.reply("after", address) is not None:
            server._drop()
            return "451 gone"
        return "250 2.0.0 filed"


async def serve(arguments: argparse.Namespace) -> None:
    faults = Faults(arguments.fault)
    handler = Handler(arguments.maildir, faults, pipelining=arguments.pipelining)

    def factory() -> Server:
        server = Server(handler, enable_SMTPUTF8=not arguments.no_smtputf8)
        server.faults = faults
        return server

    listening = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maildir", required=True)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--pipelining", action="store_true")
    parser.add_argument("--no-smtputf8", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
