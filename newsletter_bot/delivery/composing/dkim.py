"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, RSA always, Ed25519 beside it if wanted.

Made for thousands of messages a second. Bodies come from `encoding.py` in their relaxed form, so
that no pattern runs over them: hashing is all they cost. Headers that are the same for everybody on
a list are brought into relaxed form once, those of one message for each.

No `l=`, which would let anybody append to a message, and no `x=`, which a slow relay could outlast.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from newsletter_bot.delivery.composing.dkim_keys import Algorithm, Key, read_key
from newsletter_bot.delivery.composing.headers import a_labels
from newsletter_bot.errors import ConfigurationError, DataError
from newsletter_bot.settings.tables import DkimTable

# Headers that differ from message to message come first: what follows is the same for everybody.
OF_A_MESSAGE = ("date", "to", "subject", "message-id", "list-unsubscribe")
OF_A_LIST = (
    "from",
    "reply-to",
    "list-unsubscribe-post",  # with list-unsubscribe, or there is no button: RFC 8058 section 4
    "list-id",
    "list-help",
    "list-archive",
    "archived-at",
    "feedback-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "cfbl-address",
)
# Named once more than they occur (RFC 6376 section 5.4.2, oversigning): a second one, put in on the
# way, breaks the signature. One name is enough to keep out a header that a message does not have.
# Feedback-ID is not here, because Amazon SES adds one of its own (2026-11).
_TWICE = frozenset(
    (
        *OF_A_MESSAGE,
        "from",
        "reply-to",
        "list-unsubscribe-post",
        "mime-version",
        "content-type",
    )
)
_LINE = 78  # characters, recommended by RFC 5322 section 2.1.1
_BLANKS = re.compile(rb"[ \t]+")
_HEADER = re.compile(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*\r\n")


class Signer:
    """Signs messages for one domain; safe to share between threads."""

    def __init__(self, domain: str, keys: Iterable[tuple[str, Key]]) -> None:
        """Take keys by selector, in the order their signatures are written."""
        self.domain = domain
        self._signatures = [_Signature(domain, selector, key) for selector, key in keys]

    @classmethod
    def of(cls, table: DkimTable, folder: Path) -> Signer:
        """Read the keys of [dkim], whose relative paths start at the newsletter's folder.

        Raises ConfigurationError for a key that is missing, unreadable, of another kind or short.
        """
        keys = [(table.selector, read_key(folder / table.key_file, Algorithm.RSA))]
        if table.ed25519_selector and table.ed25519_key_file:
            second = read_key(folder / table.ed25519_key_file, Algorithm.ED25519)
            keys.insert(0, (table.ed25519_selector, second))
        return cls(domain_of(table), keys)

    def sign(self, headers: bytes, body: bytes, when: int) -> bytes:
        """Return the DKIM-Signature headers of a message, to stand before its own.

        `headers` is what `canonical` made of them, `body` has CRLF line ends and is in relaxed form
        already, `when` is now (seconds since 1970 UTC).
        """
        digest = base64.b64encode(hashlib.sha256(body).digest())
        return b"".join([one.written(headers, digest, when) for one in self._signatures])


class _Signature:
    """What one key's signatures have in common, written once."""

    def __init__(self, domain: str, selector: str, key: Key) -> None:
        self._key = key
        tags = ("v=1;", f"a={key.algorithm};", "c=relaxed/relaxed;", f"d={domain};")
        head = _folded("DKIM-Signature:", (*tags, f"s={selector};"), " ")
        names = [name for name in (*OF_A_MESSAGE, *OF_A_LIST) for _ in range(1 + (name in _TWICE))]
        signed = _folded(" h=", (*(f"{name}:" for name in names[:-1]), f"{names[-1]};"), "")
        self._head = f"{head}\r\n{signed}\r\n t=".encode()
        self._canonical = relaxed(self._head)[:-2]

    def written(self, headers: bytes, digest: bytes, when: int) -> bytes:
        # The header signs itself with an empty b= and no line break behind it (section 3.7).
        rest = b"%d; bh=%b; b=" % (when, digest)
        data = b"".join((headers, self._canonical, rest))
        value = base64.b64encode(self._key.sign(data))
        first = _LINE - len(rest) - len(" t=")
        lines = [value[:first]]
        lines += [value[at : at + _LINE - 1] for at in range(first, len(value), _LINE - 1)]
        return b"".join((self._head, rest, b"\r\n ".join(lines), b"\r\n"))


def domain_of(table: DkimTable) -> str:
    """Return the signing domain as DNS knows it; raises ConfigurationError when it is none."""
    try:
        return a_labels(table.domain)
    except DataError as error:
        raise ConfigurationError(
            f"newsletter.toml: dkim.domain: {error.message}", "Write it like news.example.com."
        ) from error


def canonical(block: bytes) -> bytes:
    """Return those headers of a block that are signed, in relaxed form and in the order of `h=`.

    Of `OF_A_MESSAGE` and `OF_A_LIST` each may be in a block of its own: what is made of them can be
    joined. A block has each header once at most.
    """
    found: dict[str, bytes] = {}
    for line in _HEADER.findall(block):
        form = relaxed(line)
        found[form.partition(b":")[0].decode("ascii")] = form
    return b"".join(found[name] for name in (*OF_A_MESSAGE, *OF_A_LIST) if name in found)


def relaxed(header: bytes) -> bytes:
    """Return a header's relaxed form (RFC 6376 section 3.4.2), ended with CRLF."""
    name, _, value = header.partition(b":")
    unfolded = value.replace(b"\r\n", b"")
    if b"  " in unfolded or b"\t" in unfolded:
        unfolded = _BLANKS.sub(b" ", unfolded)
    return b"%b:%b\r\n" % (name.rstrip(b" \t").lower(), unfolded.strip(b" "))


def aligned(sender: str, signing: str) -> bool:
    """Tell whether a signing domain vouches for a sender's: equal, its parent, or its child.

    DMARC (RFC 9989, relaxed) also takes two children of one organisation's domain. Which domain is
    an organisation's stands in DNS alone, so what we cannot see is not taken for granted.
    """
    one, other = sender.lower(), signing.lower()
    return one == other or ("." in other and one.endswith(f".{other}")) or other.endswith(f".{one}")


def _folded(start: str, words: Iterable[str], between: str) -> str:
    """Join words into lines of 78 characters at most; a longer word stays whole."""
    lines = [start]
    for word in words:
        joined = lines[-1] + between + word
        if len(joined) <= _LINE:
            lines[-1] = joined
        else:
            lines.append(f" {word}")
    return "\r\n".join(lines)
