"""A mail server of this machine's own, for the demo and for simulations."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

Take = Callable[[str, str, bytes], None]  # envelope sender, recipient, content


@contextmanager
def mail_server(take: Take) -> Iterator[int]:
    """Run a real SMTP server on this machine that hands over what arrives; yields its port."""
    port = _free_port()
    controller = Controller(_Handler(take), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


class _Handler:
    def __init__(self, take: Take) -> None:
        self._take = take

    async def handle_DATA(  # noqa: N802 - aiosmtpd asks for this name
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope
    ) -> str:
        """Take the message and answer the final dot."""
        content = envelope.content
        assert isinstance(content, bytes), "decode_data is off"
        for recipient in envelope.rcpt_tos:
            self._take(envelope.mail_from or "", recipient, content)
        return "250 2.0.0 filed"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
