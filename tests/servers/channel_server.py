"""A server that behaves like the services channels post to, and fails when it is told to."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Reply = tuple[int, Mapping[str, str], Any]

TOKEN = "good-token"
RETRY_AFTER = 7
_SERVICE_OF = {
    "/api/v1/": "mastodon",
    "/api/v2/": "mastodon",
    "/xrpc/": "bluesky",
    "/rest/": "linkedin",
    "/bot": "telegram",
    "/api/webhooks/": "discord",
    "/services/": "slack",
    "/2/": "x",
    "/v1/": "medium",
    "/hook": "webhook",
}


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}

    @property
    def bare(self) -> str:
        return urlsplit(self.path).path


@dataclass
class ChannelServer:
    """`faults` are met one by one by requests that create a post; `posts` is what readers see."""

    asked: list[Asked] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    characters: int = 500  # of a Mastodon status
    refresh_tokens: list[str] = field(default_factory=lambda: ["refresh-0"])
    access_token: str = TOKEN
    hold: threading.Event | None = None  # a creating request waits for it before it is answered
    _keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    _records: dict[str, dict[str, Any]] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def created(self) -> list[Asked]:
        """The requests that asked for a post."""
        return [one for one in self.asked if _creates(one)]

    def answer(self, asked: Asked) -> tuple[Reply, bool]:
        """Return the reply, and whether it gets lost."""
        self.asked.append(asked)
        service = next(name for start, name in _SERVICE_OF.items() if asked.path.startswith(start))
        handle: Callable[[Asked], Reply] = getattr(self, f"_{service}")
        if not _creates(asked):
            return handle(asked), False
        fault = self.faults.popleft() if self.faults else ""
        if fault in ("", "lost"):
            reply = handle(asked)
            if self.hold is not None:
                self.hold.wait(30)
            return reply, fault == "lost"
        return _fault(service, fault), False

    # ── services ─────────────────────────────────────────────────────────────────────────────

    def _mastodon(self, asked: Asked) -> Reply:
        if asked.bare == "/api/v2/instance":
            rules = {"max_characters": self.characters, "characters_reserved_per_url": 23}
            return 200, {}, {"configuration": {"statuses": rules}}
        if not self._authorised(asked):
            return 401, {}, {"error": "The access token is invalid"}
        key = asked.headers["Idempotency-Key"]
        if key not in self._keys:
            self._keys[key] = self._add(asked.json, asked.json["status"])
        number = self._keys[key]["id"]
        return 200, {}, {"id": number, "url": f"{self.url}/@news/{number}"}

    def _bluesky(self, asked: Asked) -> Reply:
        if asked.bare.endswith("createSession"):
            if asked.json["password"] != TOKEN:
                return 401, {}, {"error": "AuthenticationRequired", "message": "Invalid password"}
            return 200, {}, {"accessJwt": TOKEN, "did": "did:plc:news"}
        body = asked.json
        if not self._authorised(asked):
            return 400, {}, {"error": "ExpiredToken", "message": "Token has expired"}
        if len(body["record"]["text"]) > 300:
            return 400, {}, {"error": "InvalidRequest", "message": "text must not be longer"}
        if body["rkey"] not in self._records:
            self._add(body["record"], body["record"]["text"])
        elif self._records[body["rkey"]] != body["record"]:
            self._add(body["record"], "CHANGED " + body["record"]["text"])
        self._records[body["rkey"]] = body["record"]
        uri = f"at://did:plc:news/app.bsky.feed.post/{body['rkey']}"
        return 200, {}, {"uri": uri, "cid": f"cid-{body['rkey']}"}

    def _linkedin(self, asked: Asked) -> Reply:
        if not self._authorised(asked):
            return 401, {}, {"status": 401, "code": "REVOKED_ACCESS_TOKEN", "message": "revoked"}
        text = asked.json["commentary"]
        for one in self.posts:
            if one["text"] == text:
                said = f"Content is a duplicate of urn:li:share:{one['id']}"
                codes = {"inputErrors": [{"code": "DUPLICATE_POST", "input": {}}]}
                return 422, {}, {"message": said, "errorDetails": codes, "status": 422}
        number = self._add(asked.json, text)["id"]
        return 201, {"x-restli-id": f"urn:li:share:{number}"}, None

    def _telegram(self, asked: Asked) -> Reply:
        if f"/bot{TOKEN}/" not in asked.path:
            return 401, {}, {"ok": False, "error_code": 401, "description": "Unauthorized"}
        number = int(self._add(asked.json, asked.json["text"])["id"])
        chat = {"id": -100, "username": "news"}
        return 200, {}, {"ok": True, "result": {"message_id": number, "chat": chat}}

    def _discord(self, asked: Asked) -> Reply:
        if TOKEN not in asked.path:
            return 401, {}, {"message": "Invalid Webhook Token", "code": 50027}
        number = self._add(asked.json, asked.json["content"])["id"]
        if "wait=true" not in asked.path:
            return 204, {}, None
        return 200, {}, {"id": number, "channel_id": "5"}

    def _slack(self, asked: Asked) -> Reply:
        if TOKEN not in asked.path:
            return 403, {}, "invalid_token"
        self._add(asked.json, asked.json["text"])
        return 200, {}, "ok"

    def _x(self, asked: Asked) -> Reply:
        if asked.bare == "/2/oauth2/token":
            return self._x_token(asked.form)
        if asked.headers.get("Authorization", "").startswith("Bearer ") and (
            not self._authorised(asked)
        ):
            return 401, {}, {"title": "Unauthorized", "status": 401, "detail": "Unauthorized"}
        if asked.bare == "/2/users/me":
            return 200, {}, {"data": {"id": "77"}}
        if asked.method == "GET":
            return 200, {}, {"data": [_as_tweet(one) for one in reversed(self.posts)]}
        text = asked.json["text"]
        if any(one["text"] == text for one in self.posts):
            said = "You are not allowed to create a Tweet with duplicate content."
            return 403, {}, {"detail": said, "title": "Forbidden", "status": 403}
        return 201, {}, {"data": {"id": self._add(asked.json, text)["id"], "text": text}}

    def _x_token(self, form: dict[str, str]) -> Reply:
        given = form.get("refresh_token") or form.get("code")
        if given != self.refresh_tokens[-1]:
            said = "Value passed for the token was invalid."
            return 400, {}, {"error": "invalid_request", "error_description": said}
        number = len(self.refresh_tokens)
        self.refresh_tokens.append(f"refresh-{number}")
        self.access_token = f"access-{number}"
        granted = {"access_token": self.access_token, "refresh_token": f"refresh-{number}"}
        return 200, {}, {"token_type": "bearer", "expires_in": 7200, **granted}

    def _medium(self, asked: Asked) -> Reply:
        if not self._authorised(asked):
            said = {"errors": [{"message": "Token was invalid.", "code": 6003}]}
            return 401, {}, said
        if asked.bare == "/v1/me":
            return 200, {}, {"data": {"id": "me"}}
        number = self._add(asked.json, asked.json["content"])["id"]
        return 201, {}, {"data": {"id": number, "url": f"https://medium.com/@news/{number}"}}

    def _webhook(self, asked: Asked) -> Reply:
        self._add(asked.json, asked.json["text"])
        return 200, {}, "thank you"

    def _authorised(self, asked: Asked) -> bool:
        return asked.headers.get("Authorization") == f"Bearer {self.access_token}"

    def _add(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        post = {"id": str(1000 + len(self.posts)), "text": text, "body": body}
        self.posts.append(post)
        return post


def _creates(asked: Asked) -> bool:
    login = "oauth2" in asked.path or "createSession" in asked.path
    return asked.method == "POST" and not login


def _as_tweet(post: dict[str, Any]) -> dict[str, Any]:
    """X gives text back with its links shortened and `&` escaped."""
    text, urls = post["text"].replace("&", "&amp;"), []
    for number, word in enumerate(text.split()):
        if word.startswith("http"):
            short = f"https://t.co/{number:010}"
            urls.append({"url": short, "expanded_url": word.replace("&amp;", "&")})
            text = text.replace(word, short)
    return {"id": post["id"], "text": text, "entities": {"urls": urls}}


def _fault(service: str, fault: str) -> Reply:
    refusals: dict[str, Reply] = {
        "mastodon": (422, {}, {"error": "Validation failed: Text character limit exceeded"}),
        "slack": (400, {}, "invalid_payload"),
        "telegram": (400, {}, {"ok": False, "error_code": 400, "description": "Bad Request"}),
        "x": (403, {}, {"title": "Forbidden", "status": 403, "detail": "You may not do that."}),
        "linkedin": (422, {}, {"status": 422, "message": "ERROR :: /author :: is not valid"}),
    }
    if fault == "refused":
        return refusals.get(service, (400, {}, {"message": "Invalid Form Body", "code": 50035}))
    status, _, more = fault.partition(" ")
    headers = {} if more == "bare" or status != "429" else {"Retry-After": str(RETRY_AFTER)}
    return int(status), headers, {"message": "as it was told", "detail": "as it was told"}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed before they had their answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    owner: ChannelServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._reply(self.rfile.read(length))

    def do_GET(self) -> None:
        self._reply(b"")

    def _reply(self, body: bytes) -> None:
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        (status, headers, content), lost = self.owner.answer(asked)
        if lost:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        payload = b"" if content is None else _encoded(content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def _encoded(content: Any) -> bytes:
    return content.encode() if isinstance(content, str) else json.dumps(content).encode()
