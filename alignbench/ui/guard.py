"""Refuses requests before gradio sees them: those of other origins, too much data, and broken text.

Any web page can make a browser send requests to this machine, and such a request has its effects even if the
page may not read the answer. So the server checks what a page can't forge: the `Host` that the browser
resolved, the `Origin` of the page, and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alignbench.errors import InputError
from alignbench.ui.texts import check_texts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_UPLOADS = 2**30
"""The largest sum of all uploads in bytes, from the start of the page to its end."""
MAX_BODY = 2**20
"""The largest size of any other request in bytes; the controls need far less."""
_PORTS = {"http": 80, "https": 443}
_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """The answer to a request that is not passed on.

    Args:
        status: the status of HTTP.
        text: the reason.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Quota:
    """The quota of uploads.

    Args:
        most: the number of bytes that are accepted in all.
        taken: the number of bytes that have arrived.
    """

    most: int = MAX_UPLOADS
    taken: int = 0

    def check(self, more: int) -> None:
        """Check that this many more bytes may arrive.

        Raises:
            Refusal: they would exceed the quota.
        """
        if self.taken + more > self.most:
            raise Refusal(
                413,
                f"this page has taken {self.taken:,} of at most {self.most:,} bytes of uploads since it was "
                "started; start alignbench ui again to upload more",
            )

    def take(self, more: int) -> None:
        """Count bytes that have arrived.

        Raises:
            Refusal: they exceed the quota.
        """
        self.check(more)
        self.taken += more


def names_of_machine(host: str) -> frozenset[str]:
    """Return the names under which a page that listens on `host` may be opened, beside its addresses."""
    names = {host.strip("[]").lower(), "localhost"}
    if not is_local(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """An ASGI application in front of gradio's.

    Args:
        app: the application of gradio.
        host: the address that the server listens on.
        names: the names under which the page may be opened; see `names_of_machine`.
        quota: the quota of all uploads.
    """

    app: App
    host: str
    names: frozenset[str]
    quota: Quota = field(default_factory=Quota)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        answer = _Answer(send)
        try:
            self._check_source(scope, headers)
            if scope["type"] == "websocket" or scope["method"] not in _WITH_BODY:
                await self.app(scope, receive, send)
            elif scope["path"].rstrip("/").endswith("/upload"):
                self.quota.check(_length(headers))
                await self._upload(scope, receive, answer)
            else:
                body = await _body(receive, _length(headers))
                _check_body(body)
                await self.app(scope, _BodyReplay(body, receive), send)
        except Refusal as refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": str(refused)})
            elif not answer.begun:
                await _say(send, refused)

    async def _upload(self, scope: MutableMapping[str, Any], receive: Receive, answer: _Answer) -> None:
        try:
            await self.app(scope, _BodyMeter(receive, self.quota, answer), answer)
        except Exception:
            if answer.refused is None:
                raise
        if answer.refused is not None:  # gradio was told that the client had disconnected
            raise answer.refused

    def _check_source(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Check that a request does not come from a page of another origin.

        Raises:
            Refusal: it does, or its host is not a name of this machine.
        """
        host = headers.get("host", "")
        name = _hostname(host)
        if not self._is_ours(name):
            raise Refusal(421, f"{name or 'no host'}: this page is not served under this name")
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) not in _netlocs(host):
            raise Refusal(403, f"a page of {origin} may not use this one")
        # Other pages may have links to this one, but may load nothing else from it.
        follows = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") in {"GET", "HEAD"}
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not follows:
            raise Refusal(403, "a page of another origin may not use this one")

    def _is_ours(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # With an address instead of a name, no DNS entry of an attacker can lead the browser here.
        return address.is_loopback or not is_local(self.host)


class _Answer:
    """Passes gradio's answer on, unless the request was refused while it arrived.

    Args:
        send: the function of the server that sends messages.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.refused: Refusal | None = None

    async def __call__(self, message: Message) -> None:
        if self.refused is None:
            self.begun = True
            await self._send(message)


class _BodyMeter:
    """Receives the body of an upload; beyond the quota, it tells gradio that the client has disconnected."""

    def __init__(self, receive: Receive, quota: Quota, answer: _Answer) -> None:
        self._receive, self._quota, self._answer = receive, quota, answer

    async def __call__(self) -> Message:
        message = await self._receive()
        try:
            self._quota.take(len(message.get("body", b"")))
        except Refusal as refused:
            self._answer.refused = refused
            return {"type": "http.disconnect"}
        return message


class _BodyReplay:
    """Delivers a body that was read before, and then the server's further messages."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _body(receive: Receive, length: int) -> bytes:
    """Return a request's body.

    Raises:
        Refusal: it is too large.
    """
    body = b""
    more = True
    while more and max(length, len(body)) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and message["type"] == "http.request"
    if max(length, len(body)) > MAX_BODY:
        raise Refusal(413, f"a request of more than {MAX_BODY:,} bytes is not accepted")
    return body


def _check_body(body: bytes) -> None:
    """Check that no text of a request has characters that files, JSON or models can't hold.

    Raises:
        Refusal: there is one.
    """
    try:
        check_texts(json.loads(body))
    except InputError as error:
        raise Refusal(422, str(error)) from error
    except (ValueError, RecursionError):
        return  # gradio reports broken JSON better


def _length(headers: Mapping[str, str]) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def _hostname(host: str) -> str:
    """Return the name in a `Host` header without its port; "" if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # a bracket without its other half, or characters that are not allowed in addresses
        return ""


def _netloc(origin: str) -> str:
    """Return host and port of an origin; "" for `null` and for what is not an origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""


def _netlocs(host: str) -> set[str]:
    """Return a request's host and port under each scheme, as a proxy may use another with the browser."""
    return {_netloc(f"{scheme}://{host}") for scheme in _PORTS} - {""}


async def _say(send: Send, refused: Refusal) -> None:
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
