"""A real SMTP server in a process of its own, which files what it accepts and fails on order.

    python tests/servers/smtp_server.py --maildir DIR [--fault PHASE=REPLY ...] [--pipelining]

PHASE is connect, ehlo, starttls, auth, mail, rcpt, data, body (in the middle of the message), dot,
after (the message is filed, and the client was not told) or quit. REPLY is a reply line ("450 4.2.0
later"; 421 closes the connection, and so does a reply to `connect` and `body`), `drop`, which
breaks the connection off, or `stall`, which keeps it open and never answers. `PHASE@ADDRESS=REPLY`
fails for that recipient only (rcpt, data, body, dot, after); `PHASE#N=REPLY` for the first N times
only. Prints its port when it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import mailbox
import ssl
import sys
import time
import warnings
from typing import Any, AnyStr

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


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


class Greylist:
    """Puts off every recipient until `seconds` after they were first seen."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first_seen: dict[str, float] = {}

    def knows(self, address: str) -> bool:
        now = time.monotonic()
        return now - self.first_seen.setdefault(address, now) >= self.seconds


class Server(SMTP):
    """One connection."""

    words: argparse.Namespace
    faults: Faults
    greylist: Greylist
    accepted = 0

    async def _gone(self) -> None:
        """Wait until the loop cancels this connection's task: nothing more is said."""
        await asyncio.Event().wait()

    async def order(self, phase: str, address: str = "") -> str | None:
        """Return the reply ordered for this phase; drop, stall and 421 never return."""
        return await self._obey(self.faults.reply(phase, address))

    async def _obey(self, reply: str | None) -> str | None:
        if reply == "drop":
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
        if reply in {"drop", "stall"}:
            await self._gone()
        if reply is not None and reply.startswith("421"):
            await self._close(reply)
        return reply

    async def _close(self, reply: str) -> None:
        await self.push(reply)
        self._writer.close()
        await self._gone()

    async def _fail(self, phase: str, address: str = "") -> bool:
        reply = await self.order(phase, address)
        if reply is not None:
            await self.push(reply)
        return reply is not None

    async def _impatient(self) -> bool:
        """Refuse commands that came before their turn, unless PIPELINING was offered."""
        if self.words.pipelining or not self._reader._buffer:  # type: ignore[attr-defined]
            return False
        await self.push("503 5.5.0 PIPELINING was not offered")
        return True

    async def push(self, status: AnyStr) -> None:
        if self.words.inject and status == "220 Ready to start TLS":
            # the second line is what an attacker between us could have added
            await super().push("220 go\r\n250 injected")
        else:
            await super().push(status)

    async def _handle_client(self) -> None:
        reply = await self.order("connect")
        if reply is not None:
            await self._close(reply)
        await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._fail("ehlo"):
            await super().smtp_EHLO(hostname)

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
        if not await self._fail("ehlo"):
            await super().smtp_HELO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if not await self._fail("starttls"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self._fail("auth"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802
        if await self._impatient() or await self._fail("mail"):
            return
        if 0 < self.words.messages_per_connection <= self.accepted:
            await self._close("421 4.7.0 enough messages on this connection")
        if self.words.no_8bitmime and "BODY=" in (arg or "").upper():
            await self.push("555 5.5.4 8BITMIME was not offered")
            return
        await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802
        address = arg.partition("<")[2].partition(">")[0]
        if await self._impatient() or await self._fail("rcpt", address):
            return
        if not self.greylist.knows(address):
            await self.push("450 4.7.1 greylisted, come back later")
            return
        await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if await self._impatient():
            return
        if self.envelope is not None and not self.envelope.rcpt_tos:
            await self.push("554 5.5.1 no valid recipients")
            return
        address = "" if self.envelope is None else self.envelope.rcpt_tos[0]
        if await self._fail("data", address):
            return
        body = self.faults.reply("body", address)
        if body is None:
            await super().smtp_DATA(arg)
            return
        await self.push("354 go on")
        await self._reader.readline()
        await self._close(await self._obey(body) or body)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        if not await self._fail("quit"):
            await super().smtp_QUIT(arg)


class Handler:
    def __init__(self, words: argparse.Namespace) -> None:
        self.box = mailbox.Maildir(words.maildir)
        self.words = words

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        hidden = ["250-8BITMIME"] if self.words.no_8bitmime else []
        hidden += [] if self.words.auth else ["250-AUTH"]
        extra = ["250-PIPELINING"] if self.words.pipelining else []
        shown = [line for line in lines if not line.startswith(tuple(hidden))]
        return [*shown[:-1], *extra, shown[-1]]

    async def handle_DATA(  # noqa: N802
        self, server: Server, _session: Session, envelope: Envelope
    ) -> str:
        address = envelope.rcpt_tos[0]
        reply = await server.order("dot", address)
        if reply is not None:
            return reply
        assert isinstance(envelope.content, bytes)
        if self.words.no_8bitmime and not envelope.content.isascii():
            return "554 5.6.1 8BITMIME was not offered"
        trace = f"Return-Path: <{envelope.mail_from}>\nDelivered-To: {address}\n"
        self.box.add(trace.encode() + envelope.content)
        server.accepted += 1
        return await server.order("after", address) or "250 2.0.0 filed"

    async def handle_exception(self, error: Exception) -> str:
        # A client that breaks TLS off is a test, not news.
        return f"451 4.3.0 {type(error).__name__}"


def _settings(words: argparse.Namespace, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """What aiosmtpd itself is told."""
    user, _, password = words.auth.partition(":")

    def check(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any) -> Any:
        right = data == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    return {
        "hostname": "localhost",
        "enable_SMTPUTF8": not words.no_smtputf8 and not words.no_8bitmime,
        "data_size_limit": words.size,
        "tls_context": None if words.implicit_tls else tls,
        "require_starttls": tls is not None,
        "auth_required": bool(words.auth),
        "auth_require_tls": False,  # it does not see that implicit TLS is TLS
        "authenticator": check,
    }


async def serve(words: argparse.Namespace) -> None:
    tls = None
    if words.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*words.tls)
    faults, greylist, handler = Faults(words.fault), Greylist(words.greylist), Handler(words)
    settings = _settings(words, tls)
    Server.words = words  # needed while a connection is being made
    loop = asyncio.get_running_loop()

    def factory() -> Server:
        server = Server(handler, loop=loop, **settings)
        server.faults, server.greylist = faults, greylist
        return server

    listening = await loop.create_server(
        factory, "127.0.0.1", words.port, ssl=tls if words.implicit_tls else None
    )
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--maildir", required=True, help="where accepted mail is filed")
    add("--port", type=int, default=0, help="by default any free one")
    add("--fault", action="append", default=[], metavar="PHASE=REPLY")
    add("--pipelining", action="store_true", help="offer PIPELINING; otherwise insist on turns")
    add("--no-smtputf8", action="store_true", help="do not offer SMTPUTF8")
    add("--no-8bitmime", action="store_true", help="nor SMTPUTF8, which needs it")
    add("--size", type=int, default=2**25, metavar="BYTES", help="the largest message")
    add("--messages-per-connection", type=int, default=0, metavar="N", help="then 421")
    add("--greylist", type=float, default=0.0, metavar="SECONDS", help="put recipients off first")
    add("--tls", nargs=2, metavar=("CERT", "KEY"), help="offer and require STARTTLS")
    add("--implicit-tls", action="store_true", help="TLS from the first byte instead")
    add("--inject", action="store_true", help="say more than 220 to STARTTLS, in clear")
    add("--auth", default="", metavar="USER:PASSWORD", help="require a login (PLAIN, LOGIN)")
    warnings.simplefilter("ignore")  # aiosmtpd warns of a login without TLS, a test's own choice
    logging.disable(logging.ERROR)  # and logs clients that break off
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
