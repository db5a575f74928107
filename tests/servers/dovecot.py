"""Dovecot, a real IMAP and POP3 server, with one mailbox of its own: where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_FOUND = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PROGRAM = _FOUND if os.geteuid() == 0 else None  # it wants users of its own
USER, PASSWORD = "bounces@news.example.com", "pass-word"
_PATIENCE = 30.0

_CONF = """\
protocols = imap pop3
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
mail_max_userip_connections = 50
first_valid_uid = {uid}
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""


@dataclass
class Dovecot:
    folder: Path
    ports: dict[str, int]
    owner: pwd.struct_passwd
    _process: subprocess.Popen[bytes]

    @property
    def mail(self) -> Path:
        return self.folder / "mail"

    def add(self, body: bytes) -> None:
        """Deliver as a mail system does: into tmp, then by renaming."""
        number = time.monotonic_ns()
        path = self.mail / "tmp" / f"{number}.M1.test"
        path.write_bytes(body)
        os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
        path.rename(self.mail / "new" / path.name)

    def bodies(self, folder: str = "") -> list[bytes]:
        place = self.mail / (f".{folder}" if folder else "")
        found = [*place.glob("new/*"), *place.glob("cur/*")]
        return [one.read_bytes() for one in sorted(found, key=lambda one: one.name)]

    def empty(self) -> None:
        for path in [*self.mail.glob("**/new/*"), *self.mail.glob("**/cur/*")]:
            path.unlink()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)


def start(certificate: Path, key: Path) -> Dovecot:
    """Start it; it reads mail as `nobody`, since it insists on not being root there."""
    assert PROGRAM is not None
    # Not in pytest's own folder, which others may not enter.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    owner = pwd.getpwnam("nobody")
    for name in ("", "/new", "/cur", "/tmp"):
        path = Path(f"{folder}/mail{name}")
        path.mkdir()
        os.chown(path, owner.pw_uid, owner.pw_gid)
    ports = _free_ports("imap", "imaps", "pop3", "pop3s")
    text = _CONF.format(
        folder=folder,
        certificate=certificate,
        key=key,
        uid=owner.pw_uid,
        gid=owner.pw_gid,
        password=PASSWORD,
        **ports,
    )
    (folder / "dovecot.conf").write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [PROGRAM, "-F", "-c", str(folder / "dovecot.conf")], stderr=subprocess.DEVNULL
    )
    server = Dovecot(folder, ports, owner, process)
    _wait_for(server)
    return server


def _free_ports(*names: str) -> dict[str, int]:
    held = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: int(one.getsockname()[1]) for name, one in held.items()}
    for one in held.values():
        one.close()
    return ports


def _wait_for(server: Dovecot) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.ports["imap"]), 1).close()
        except OSError:
            log = server.folder / "log"
            said = log.read_text(encoding="utf-8") if log.exists() else "it wrote no log"
            assert time.monotonic() < end, said
            time.sleep(0.05)
        else:
            return
